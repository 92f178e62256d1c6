"""Tables are made once, by whoever comes first, and nothing is ever taken away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Entry
from langchain_prodpatterns.cache.stores.postgres.tables import TABLES
from langchain_prodpatterns.errors import StoreError
from tests.integration_tests.postgres.cases import (
    FIRST,
    MODEL,
    OpenStore,
    ask,
    entry,
    one,
    role_in,
    stores,
    use,
)
from tests.integration_tests.postgres.server import Server, database

NAMES = [
    'a"b',
    "Capitals",
    "with space",
    "ünïcödé 日本",
    "select",
    "123",
    "a'; DROP SCHEMA public; --",
    "{s} %s %(key)s",
    "é" * 31,
]


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


@pytest.fixture
def bare(server: Server) -> Iterator[str]:
    """The URL of a database without pgvector."""
    with database(server) as name:
        yield server.dsn(name)


def test_what_is_made_is_told_and_made_once(dsn: str) -> None:
    first = PostgresStore.migrate(dsn, dimensions=4)

    assert first == [
        "brought the schema 'prodpatterns' to version 1",
        "indexed vectors of 4 dimensions",
    ]
    assert PostgresStore.migrate(dsn, dimensions=4) == []
    assert PostgresStore.migrate(dsn, dimensions=8) == [
        "indexed vectors of 8 dimensions"
    ]
    assert PostgresStore.migrate(dsn, row_level_security=True) == [
        "row-level security by namespace is on"
    ]
    assert PostgresStore.migrate(dsn, row_level_security=True) == []


def test_the_extension_is_installed_where_it_is_not(bare: str) -> None:
    assert PostgresStore.migrate(bare)[0] == "installed the extension vector"


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_eight_at_once_make_it_once(bare: str, isolation: str) -> None:
    name = one(bare, "SELECT current_database()")
    ask(
        bare,
        f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'",
    )

    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(lambda _: PostgresStore.migrate(bare, dimensions=4), range(8))
        )

    assert sorted(map(len, done)) == [0] * 7 + [3]


def test_eight_at_once_open_it(dsn: str) -> None:
    with stores(dsn) as make, ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: make(), range(8)))

        assert opened[0].add(entry(), None)
        assert all(store.find("xa") for store in opened)


def test_a_newer_schema_is_refused(dsn: str) -> None:
    PostgresStore.migrate(dsn)
    ask(dsn, "UPDATE prodpatterns.version SET version = 1000")

    for call in (lambda: PostgresStore(dsn), lambda: PostgresStore.migrate(dsn)):
        with pytest.raises(
            StoreError, match=r"has version 1000, this release reads version \d+: use"
        ):
            call()
    assert one(dsn, "SELECT version FROM prodpatterns.version") == 1000


def test_a_newer_schema_is_refused_where_it_is_looked_at_later(
    dsn: str, open_store: OpenStore
) -> None:
    PostgresStore.migrate(dsn)
    ask(dsn, "UPDATE prodpatterns.version SET version = 1000")
    store = open_store(require=False)

    with pytest.raises(StoreError, match="has version 1000"):
        store.find("xa")


def test_none_are_made_where_none_shall_be(dsn: str) -> None:
    with pytest.raises(
        StoreError, match="has version 0, 1 is needed, and migrate=False"
    ):
        PostgresStore(dsn, migrate=False)

    assert one(dsn, "SELECT to_regnamespace('prodpatterns')") is None


def test_a_role_that_may_not_make_them_is_told_what_to_do(dsn: str) -> None:
    with role_in(dsn) as (role, own):
        for call in (lambda: PostgresStore(own), lambda: PostgresStore.migrate(own)):
            with pytest.raises(StoreError, match="may not make the tables") as raised:
                call()
            assert repr(role) in str(raised.value)
            assert "prodpatterns cache migrate" in str(raised.value)


def test_a_role_that_may_not_install_the_extension_is_told_what_to_do(
    bare: str,
) -> None:
    with (
        role_in(bare) as (_, own),
        pytest.raises(StoreError, match="may not make the tables"),
    ):
        PostgresStore(own)


@pytest.mark.parametrize("right", ["", "USAGE ON SCHEMA prodpatterns"])
def test_a_role_that_may_not_use_them_is_told_what_to_do(dsn: str, right: str) -> None:
    PostgresStore.migrate(dsn)
    with role_in(dsn) as (role, own):
        if right:
            ask(dsn, f"GRANT {right} TO {role}")
        with pytest.raises(StoreError, match="may not use the tables") as raised:
            PostgresStore(own)
        assert "grant_to=[role]" in str(raised.value)


def test_who_owns_the_schema_need_not_be_able_to_make_one(dsn: str) -> None:
    with role_in(dsn) as (role, own):
        ask(dsn, f"CREATE SCHEMA prodpatterns AUTHORIZATION {role}")

        with stores(own) as make:
            use(make())


def test_pgvector_may_be_in_another_schema(bare: str) -> None:
    ask(bare, 'CREATE SCHEMA "the Ext"')
    ask(bare, 'CREATE EXTENSION vector SCHEMA "the Ext"')
    PostgresStore.migrate(bare, dimensions=4)

    with stores(bare) as make:
        use(make(scan_rows=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_may_have_any_name(dsn: str, open_store: OpenStore, name: str) -> None:
    PostgresStore.migrate(dsn, schema=name, dimensions=4)
    store = open_store(schema=name)

    use(store)
    store.vacuum()
    store.clear()

    made = ask(dsn, "SELECT nspname FROM pg_namespace WHERE nspname = %s", (name,))
    assert made == [(name,)]
    assert PostgresStore.migrate(dsn, schema=name, dimensions=4) == []


def test_schemas_know_nothing_of_each_other(open_store: OpenStore) -> None:
    one, other = open_store(schema="one"), open_store(schema="other")

    one.add(entry(), None)

    assert other.find("xa") is None
    assert other.counts().entries == 0


@pytest.mark.parametrize("role", ["1234", "Ro le", 'ro"le'])
def test_a_role_may_have_any_name(dsn: str, role: str) -> None:
    with role_in(dsn, name=role) as (name, own):
        done = PostgresStore.migrate(dsn, dimensions=4, grant_to=[name])
        assert done[-1] == f"granted {role!r} to read and write entries"
        with stores(own) as make:
            use(make())


def _persistence(dsn: str) -> dict[str, str]:
    rows = ask(
        dsn,
        "SELECT relname, relpersistence::text FROM pg_class "
        "WHERE relnamespace = 'prodpatterns'::regnamespace AND relkind = 'r'",
    )
    return dict(rows)


def test_tables_are_logged_unless_it_is_wished(dsn: str) -> None:
    PostgresStore.migrate(dsn)

    assert set(_persistence(dsn).values()) == {"p"}
    assert set(_persistence(dsn)) >= set(TABLES)


def test_tables_are_unlogged_where_it_is_wished(
    dsn: str, open_store: OpenStore
) -> None:
    use(open_store(unlogged=True))

    kinds = _persistence(dsn)
    # A crash must neither lose who is told of removals, nor what the rest rests on.
    logged = {name for name, kind in kinds.items() if kind == "p"}
    assert logged == {"version", "embedder", "inflation", "recalls"}
    # They are taken as they are.
    open_store()
    open_store(unlogged=True)


@pytest.mark.parametrize(("made", "wanted"), [(True, False), (False, True)])
def test_tables_of_the_other_kind_are_refused(
    dsn: str, made: bool, wanted: bool
) -> None:
    PostgresStore.migrate(dsn, unlogged=made)
    there, word = ("UNLOGGED", "LOGGED") if made else ("LOGGED", "UNLOGGED")

    with pytest.raises(StoreError, match=f"unlogged={wanted} was given") as raised:
        PostgresStore(dsn, unlogged=wanted)

    assert f"are {there}:" in str(raised.value)
    assert f"SET {word} each" in str(raised.value)


def test_what_else_is_in_the_schema_stays(dsn: str, open_store: OpenStore) -> None:
    ask(dsn, "CREATE SCHEMA prodpatterns")
    ask(dsn, "CREATE TABLE prodpatterns.mine AS SELECT 5 AS five")

    use(open_store())
    open_store().clear()

    assert one(dsn, "SELECT five FROM prodpatterns.mine") == 5


def test_a_table_of_another_s_is_not_taken(dsn: str) -> None:
    ask(dsn, "CREATE SCHEMA prodpatterns")
    ask(dsn, "CREATE TABLE prodpatterns.entries AS SELECT 5 AS five")

    with pytest.raises(StoreError, match='relation "entries" already exists'):
        PostgresStore(dsn)

    # All of it or nothing.
    assert _persistence(dsn) == {"entries": "p"}
    assert one(dsn, "SELECT five FROM prodpatterns.entries") == 5


def test_entries_stay_through_all_of_it(dsn: str, open_store: OpenStore) -> None:
    store = open_store()
    store.bind(MODEL)
    store.add(entry(), FIRST)

    PostgresStore.migrate(dsn, dimensions=4, row_level_security=True)
    again = open_store()

    found = again.find("xa")
    assert found is not None
    assert isinstance(found.entry, Entry)
    assert again.nearest("p", FIRST, exact="q")


def test_nobody_waits_for_who_has_migrated(dsn: str) -> None:
    PostgresStore.migrate(dsn)
    with psycopg.connect(dsn) as holding:
        holding.execute("SELECT pg_advisory_xact_lock(7236814500)")

        # There is nothing to do, so nobody takes the lock.
        PostgresStore(dsn, timeout=30.0).close()


def test_functions_run_in_a_hostile_search_path(
    dsn: str, open_store: OpenStore
) -> None:
    """Names are our own, whatever a user's search path has before the usual ones."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA evil")
        connection.execute("CREATE TABLE evil.entries (id int)")
        connection.execute("CREATE TABLE evil.totals (id int)")
        path = sql.SQL("ALTER DATABASE {} SET search_path = evil, public")
        connection.execute(path.format(sql.Identifier(connection.info.dbname)))

    store: Any = open_store()
    use(store)
    assert store.counts().entries == 0
