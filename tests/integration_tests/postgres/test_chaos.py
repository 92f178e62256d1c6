"""Whatever the database does, a lookup is a miss in time or a right answer."""

import asyncio
import logging
import operator
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import sql

from langchain_prodpatterns.cache.identity import Identity, identify
from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.errors import StoreError
from tests.integration_tests.postgres.chaos import (
    DEADLINE,
    LONG,
    QUESTIONS,
    WAYS,
    User,
    Way,
    eventually,
    near,
    using,
)
from tests.integration_tests.postgres.proxy import Proxy
from tests.integration_tests.postgres.server import OwnServer, connected

LOGGER = "langchain_prodpatterns"
THREADS = 8
NEW = "Why is it new"


@pytest.fixture(params=WAYS)
def user(
    request: pytest.FixtureRequest, proxied_dsn: str, proxy: Proxy
) -> Iterator[User]:
    """Someone whose cache holds answers, behind a network that still works."""
    with using(proxied_dsn, request.param) as user:
        user.fill()
        yield user
        # Else it would be waited for at the end.
        proxy.heal()


def _cut(proxy: Proxy) -> None:
    proxy.cut()


def _frozen(proxy: Proxy) -> None:
    proxy.freeze()


def _slow(proxy: Proxy) -> None:
    proxy.delay(LONG)


FAILURES = [_cut, _frozen, _slow]


@pytest.mark.parametrize("fail", FAILURES)
def test_a_network_that_fails_is_a_miss_until_it_works(
    user: User, proxy: Proxy, fail: Callable[[Proxy], None]
) -> None:
    fail(proxy)

    assert user.sees_nothing()
    user.store(NEW)

    proxy.heal()
    eventually(user.sees_everything)
    assert user.count("error") == 0


@pytest.mark.parametrize("fail", FAILURES)
def test_it_is_logged_once_that_the_database_is_away_and_that_it_is_back(
    user: User,
    proxy: Proxy,
    fail: Callable[[Proxy], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told(what: str) -> list[int]:
        ours = [one for one in caplog.records if one.name.startswith(LOGGER)]
        return [one.levelno for one in ours if what in one.getMessage()]

    with caplog.at_level(logging.INFO, LOGGER):
        fail(proxy)
        for _ in range(3):
            assert user.sees_nothing()
        assert told("reading from PostgreSQL failed") == [logging.WARNING]
        proxy.heal()
        eventually(user.sees_everything)
    assert logging.INFO in told("reading from PostgreSQL works again")
    # Nor by the pool, with each connection that it cannot make.
    assert not [one for one in caplog.records if one.name == "psycopg.pool"]
    assert not any(question in caplog.text for question in QUESTIONS)


@pytest.mark.parametrize("fail", [_frozen, _slow])
def test_a_statement_that_is_late_ends_with_its_connection(
    user: User,
    proxy: Proxy,
    fail: Callable[[Proxy], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        fail(proxy)
        assert not user.look_up(QUESTIONS[0])
    # Nothing more is said on it, such as a rollback, which would be waited for, too.
    assert not [one for one in caplog.records if one.name == "psycopg"]
    assert "reading from PostgreSQL failed (TimeoutError)" in caplog.text


def test_a_delay_within_the_deadline_is_waited_for(
    proxied_dsn: str, proxy: Proxy
) -> None:
    with using(proxied_dsn, timeout=LONG) as user:
        user.fill()
        proxy.delay(0.1)
        assert user.look_up(QUESTIONS[0])
        assert user.look_up(near(QUESTIONS[1]))
        proxy.heal()


def _identity(user: User, question: str) -> Identity:
    scope = user.cache.core.scope(user.cache.namespace)
    return identify(question, "llm", scope, None)


def test_a_connection_lost_in_the_middle_of_a_lookup_is_a_miss(
    user: User, proxy: Proxy
) -> None:
    partition = _identity(user, near(QUESTIONS[0])).partition.encode()
    # The request is looked for first; only then a partition is named.
    proxy.cut_when(lambda sent: partition in sent)

    assert not user.look_up(near(QUESTIONS[0]))
    assert user.sees_nothing()

    proxy.heal()
    eventually(user.sees_everything)
    assert user.count("error") == 0


@pytest.mark.parametrize("at", ["the request", "the commit"])
def test_an_update_that_is_cut_short_has_stored_nothing(
    user: User, proxy: Proxy, own_server: OwnServer, own_database: str, at: str
) -> None:
    request = _identity(user, NEW).exact.encode()
    proxy.cut_when(lambda sent: (request if at == "the request" else b"COMMIT") in sent)
    before = user.count("unavailable")
    user.store(NEW)
    assert user.count("unavailable") == before + 1
    proxy.heal()

    eventually(user.sees_everything)
    assert not user.look_up(NEW)
    with connected(own_server, own_database) as connection:
        for table in ("entries", "vectors", "uses"):
            query = f"SELECT count(*) FROM prodpatterns.{table}"  # noqa: S608 - our own tables
            counted = connection.execute(query.encode()).fetchone()
            assert counted == (len(QUESTIONS),)


def test_a_server_that_is_killed_is_a_miss_until_it_is_back(
    user: User, own_server: OwnServer
) -> None:
    own_server.kill()
    assert user.sees_nothing()
    user.store(NEW)

    own_server.start()

    eventually(user.sees_everything)
    assert user.count("error") == 0


def test_a_restart_under_load_serves_nothing_wrong(
    proxied_dsn: str, own_server: OwnServer
) -> None:
    stopping = threading.Event()
    right = [0] * THREADS

    def ask(user: User, number: int) -> None:
        # `look_up` itself sees that it is in time and right.
        asked = number
        while not stopping.is_set():
            question = QUESTIONS[asked % len(QUESTIONS)]
            right[number] += user.look_up(near(question) if asked % 2 else question)
            if asked % 7 == 0:
                user.store(question)
            asked += 1

    def all_are_served() -> bool:
        before = list(right)
        eventually(lambda: all(map(operator.gt, right, before)))
        return True

    with using(proxied_dsn) as user, ThreadPoolExecutor(THREADS) as threads:
        user.fill()
        asking = [threads.submit(ask, user, number) for number in range(THREADS)]
        try:
            assert all_are_served()
            own_server.restart()
            assert all_are_served()
            own_server.kill()
            own_server.start()
            assert all_are_served()
        finally:
            stopping.set()
        for one in asking:
            one.result(LONG)
        assert user.count("error") == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_standby_serves_and_once_it_is_promoted_it_stores(
    way: Way, proxied_dsn: str, proxy: Proxy, own_server: OwnServer, own_database: str
) -> None:
    with using(proxied_dsn, way, local_entries=8) as user, using(proxied_dsn) as other:
        user.fill()
        with OwnServer(primary=own_server) as standby:
            user.store(NEW)
            eventually(lambda: _entries(standby, own_database) == len(QUESTIONS) + 1)

            own_server.kill()
            assert other.sees_nothing()

            proxy.to(standby.port)
            eventually(user.sees_everything)
            eventually(other.sees_everything)
            before = user.count("unavailable")
            user.store("Why not yet")
            assert user.count("unavailable") == before + 1

            standby.promote()
            eventually(lambda: user.keeps("Why later"))
            assert other.look_up(NEW)
            other.cache.clear()
            eventually(lambda: not user.look_up(NEW))
            assert user.count("error") == other.count("error") == 0
        proxy.to(own_server.port)


def _entries(server: OwnServer, database: str) -> int:
    with connected(server, database) as connection:
        counted = connection.execute("SELECT count(*) FROM prodpatterns.entries")
        (entries,) = counted.fetchone() or (0,)
    return int(entries)


def test_a_server_that_only_reads_serves_and_stores_nothing(
    user: User, own_server: OwnServer, own_database: str
) -> None:
    def set_read_only(state: str) -> None:
        with connected(own_server) as connection:
            name = sql.Identifier(own_database)
            setting = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = ")
            connection.execute(setting.format(name) + sql.SQL(state))
        _end_connections(own_server, own_database)

    set_read_only("on")
    eventually(user.sees_everything)
    before = user.count("unavailable")
    user.store(NEW)
    assert user.count("unavailable") == before + 1
    assert not user.look_up(NEW)
    assert user.sees_everything()

    set_read_only("off")
    eventually(lambda: user.keeps(NEW))
    assert user.count("error") == 0


def _end_connections(server: OwnServer, database: str) -> None:
    with connected(server) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s AND pid <> pg_backend_pid()",
            (database,),
        )


@pytest.fixture
def role(own_server: OwnServer, own_database: str) -> Iterator[str]:
    """Name a role that may read and write entries, and no more."""
    name = f"of_{own_database}"
    role = sql.Identifier(name)
    with connected(own_server) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'planted'").format(role)
        )
    PostgresStore.migrate(own_server.dsn(own_database), grant_to=[name])
    yield name
    with connected(own_server, own_database) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_a_free_connection_is_a_miss(
    own_server: OwnServer, own_database: str, role: str, way: Way
) -> None:
    def limit(connections: int) -> None:
        limited = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
        words = sql.Identifier(role), sql.Literal(connections)
        with connected(own_server) as connection:
            connection.execute(limited.format(*words))

    dsn = own_server.dsn(own_database, user=role, password="planted")
    with using(dsn, way) as user:
        user.fill()
        limit(0)
        _end_connections(own_server, own_database)
        eventually(user.sees_nothing)

        limit(-1)
        eventually(user.sees_everything)
        assert user.count("error") == 0


def test_more_threads_than_connections_wait_no_longer_than_a_deadline(
    proxied_dsn: str, proxy: Proxy
) -> None:
    with using(proxied_dsn, pool_size=1) as user:
        user.fill()
        proxy.freeze()
        with ThreadPoolExecutor(4 * THREADS) as threads:
            found = list(threads.map(user.look_up, QUESTIONS * THREADS))
        assert not any(found)
        proxy.heal()
        eventually(user.sees_everything)
        assert user.count("error") == 0


def test_a_cache_may_be_opened_before_its_database_is_there(
    proxied_dsn: str, proxy: Proxy
) -> None:
    proxy.cut()
    with pytest.raises(StoreError, match="cannot open"):
        PostgresStore(proxied_dsn)

    with using(proxied_dsn, require=False) as user:
        assert user.sees_nothing()
        proxy.heal()
        user.fill()
        assert user.sees_everything()


def test_an_event_loop_goes_on_while_the_database_is_silent(
    proxied_dsn: str, proxy: Proxy
) -> None:
    with using(proxied_dsn, "async") as user:
        user.fill()

        async def ask() -> int:
            turns = 0
            asked = asyncio.ensure_future(user.cache.alookup(QUESTIONS[0], "llm"))
            while not asked.done():
                turns += 1
                await asyncio.sleep(0.01)
            assert asked.result() is None
            return turns

        proxy.freeze()
        assert user.run(ask()) > 10
        proxy.heal()
        eventually(user.sees_everything)


@pytest.mark.parametrize("fail", FAILURES)
def test_to_close_it_takes_no_longer_than_a_deadline(
    user: User, proxy: Proxy, fail: Callable[[Proxy], None]
) -> None:
    fail(proxy)
    done = threading.Thread(target=user.cache.close, daemon=True)
    done.start()
    done.join(DEADLINE)
    assert not done.is_alive()


def test_what_is_answered_meanwhile_by_a_database_of_before_is_not_wrong(
    user: User, proxy: Proxy, own_server: OwnServer, own_database: str
) -> None:
    # It comes back without what it had: as an unlogged table does, or a late standby.
    with connected(own_server, own_database) as connection:
        proxy.cut()
        connection.execute("DELETE FROM prodpatterns.entries")
        connection.execute("DELETE FROM prodpatterns.embedder")
    proxy.heal()
    eventually(lambda: not user.look_up(QUESTIONS[0]) and user.count("miss") > 0)
    user.fill()
    assert user.sees_everything()
