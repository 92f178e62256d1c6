"""A worker needs few rights, and a tenant sees what is its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.postgres.tables import OF_TENANTS, TABLES
from langchain_prodpatterns.errors import StoreError
from tests.integration_tests.postgres.cases import (
    FIRST,
    MODEL,
    PATIENCE,
    OpenStore,
    ask,
    entry,
    near,
    one,
    refusals,
    role_in,
    stores,
    use,
)
from tests.integration_tests.postgres.server import Server, database

FORBIDDEN = [
    "CREATE TABLE prodpatterns.mine (id int)",
    "CREATE INDEX ON prodpatterns.entries (key)",
    "DROP TABLE prodpatterns.entries",
    "DROP SCHEMA prodpatterns CASCADE",
    "TRUNCATE prodpatterns.entries",
    "ALTER TABLE prodpatterns.entries ADD COLUMN mine int",
    "ALTER TABLE prodpatterns.entries DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE prodpatterns.entries DISABLE TRIGGER ALL",
    "UPDATE prodpatterns.version SET version = 7",
    "INSERT INTO prodpatterns.version VALUES (7)",
    "DELETE FROM prodpatterns.version",
    (
        "CREATE TRIGGER mine AFTER INSERT ON prodpatterns.entries "
        "EXECUTE FUNCTION prodpatterns.entries_come()"
    ),
]


@pytest.fixture
def worker(dsn: str) -> Iterator[str]:
    """The URL for a role that has the rights of `grant_to`, and no more."""
    with role_in(dsn) as (role, own):
        PostgresStore.migrate(dsn, dimensions=4, grant_to=[role])
        yield own


def test_a_worker_can_do_all_that_it_has_to(worker: str) -> None:
    with stores(worker) as make:
        store = make(max_entries=10)
        use(store)
        use(make(migrate=False))
        store.clear()
        assert store.counts().entries == 0


async def _use_async(store: PostgresStore) -> None:
    assert await store.aadd(entry(), FIRST)
    assert await store.anearest("p", FIRST, exact="q")
    await store.aclear()
    await store.aclose()


async def test_a_worker_can_do_so_in_an_event_loop(worker: str) -> None:
    store = PostgresStore(worker, timeout=PATIENCE)
    await _use_async(store)


def test_a_worker_can_do_no_more(worker: str) -> None:
    kinds = refusals(worker, FORBIDDEN)

    assert set(kinds.values()) == {"InsufficientPrivilege"}, kinds


def test_a_worker_keeps_house(worker: str, dsn: str) -> None:
    with stores(worker) as make:
        store = make()
        store.add(entry(ttl=60.0), FIRST)
        ask(dsn, "UPDATE prodpatterns.entries SET expires = now() - interval '1 s'")

        store._hear()
        store._tidy()

        assert store.counts().expired == 1
        assert one(dsn, "SELECT count(*) FROM prodpatterns.entries") == 0


def test_who_may_not_vacuum_is_told_so(worker: str, dsn: str) -> None:
    with stores(worker) as make:
        with pytest.raises(StoreError, match="may not vacuum the tables"):
            make().vacuum()
        make(dsn).vacuum()


def test_only_the_owner_makes_the_index_anew(worker: str, dsn: str) -> None:
    with stores(worker) as make:
        make(dsn).bind(MODEL)
        make(dsn).add(entry(), FIRST)
        with pytest.raises(StoreError, match="do it as the owner of the tables"):
            make().reindex()
        assert make(dsn).reindex() == 0


def test_an_index_that_the_owner_makes_later_is_found(worker: str, dsn: str) -> None:
    with stores(worker) as make:
        store = make()
        store.bind(MODEL)
        vector = near(1.0, 8)
        store.add(entry(), vector)
        store._hear()
        assert store._db.state is not None
        assert 8 not in store._db.state.indexed

        PostgresStore.migrate(dsn, dimensions=8)
        store._tidy()
        store._hear()

        assert 8 in store._db.state.indexed


def test_rights_reach_pgvector_in_another_schema(server: Server) -> None:
    setup = [
        "CREATE SCHEMA ext",
        "CREATE EXTENSION vector SCHEMA ext",
        "REVOKE ALL ON SCHEMA ext FROM public",
    ]
    with database(server, setup=setup) as name:
        dsn = server.dsn(name)
        with role_in(dsn) as (role, own):
            PostgresStore.migrate(dsn, dimensions=4, grant_to=[role])
            with stores(own) as make:
                use(make())


def test_rights_may_be_given_again(worker: str, dsn: str) -> None:
    role = one(worker, "SELECT current_user")
    PostgresStore.migrate(dsn, grant_to=[role])

    with stores(worker) as make:
        use(make())


def test_a_role_that_is_not_there_is_told(dsn: str) -> None:
    with pytest.raises(StoreError, match='role "nobody at all" does not exist'):
        PostgresStore.migrate(dsn, grant_to=["nobody at all"])


@dataclass
class Tenants:
    """Two stores of one role, each of a namespace, and what the database has."""

    a: PostgresStore
    b: PostgresStore
    make: OpenStore
    own: str
    dsn: str


@pytest.fixture
def tenants(dsn: str) -> Iterator[Tenants]:
    with role_in(dsn) as (role, own):
        PostgresStore.migrate(
            dsn, dimensions=4, row_level_security=True, grant_to=[role]
        )
        with stores(own) as make:
            a, b = (make(namespace=name) for name in "ab")
            for store in (a, b):
                store.bind(MODEL)
            for name, store in (("a", a), ("b", b)):
                assert store.add(entry(name, namespace=name), FIRST)
            yield Tenants(a, b, make, own, dsn)


def _keys(store: PostgresStore) -> set[str]:
    return {one.key for one, _ in store.scan()}


def test_a_tenant_sees_what_is_its_own(tenants: Tenants) -> None:
    a = tenants.a

    assert _keys(a) == {"ka"}
    assert _keys(tenants.b) == {"kb"}
    assert a.find("xb") is None
    assert a.get("kb") is None
    assert [n.entry.key for n in a.nearest("p", FIRST, exact="q", limit=9)] == ["ka"]


def test_a_tenant_judges_only_what_is_its_own(tenants: Tenants) -> None:
    a, b = tenants.a, tenants.b
    a.add_alias("q", "asked", "kb")
    assert not a.reject("xb", "kb")

    assert a.find("q") is None
    assert b.find("q") is None
    assert b.find("xb") is not None
    assert [n.entry.key for n in b.nearest("p", FIRST, exact="xb")] == ["kb"]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(key="kb"),
        Selection(namespace="b"),
        Selection(partition="p"),
        Selection(text="question b"),
        Selection(older_than=0.0),
        Selection(where=lambda _: True),
    ],
    ids=["all", "key", "namespace", "partition", "text", "age", "predicate"],
)
def test_a_tenant_removes_only_what_is_its_own(
    tenants: Tenants, selection: Selection
) -> None:
    tenants.a.remove(selection)

    assert _keys(tenants.b) == {"kb"}


def test_a_tenant_replaces_nothing_of_another(tenants: Tenants) -> None:
    a, b = tenants.a, tenants.b

    assert not a.add(entry("b", key="mine", namespace="a"), FIRST)
    assert not a.add(entry("mine", key="kb", namespace="a"), FIRST)

    found = b.find("xb")
    assert found is not None
    assert (found.entry.key, found.entry.value) == ("kb", '"answer b"')


def test_a_tenant_stores_nothing_for_another(tenants: Tenants) -> None:
    with pytest.raises(StoreError):
        tenants.a.add(entry("new", namespace="b"), FIRST)

    assert _keys(tenants.b) == {"kb"}


def test_a_tenant_s_clear_leaves_the_others_as_they_were(tenants: Tenants) -> None:
    a, b = tenants.a, tenants.b
    b.tally("p", "cell", right=3)

    a.clear()

    assert _keys(a) == set()
    assert [n.entry.key for n in b.nearest("p", FIRST, exact="q")] == ["kb"]
    assert b.tallies("p") == {"cell": (3, 0)}
    assert b.fingerprint is not None
    assert a.add(entry("a2", namespace="a"), FIRST)


def test_a_tenant_puts_only_its_own_aside(tenants: Tenants) -> None:
    tenants.a.quarantine("kb", "damaged")

    assert _keys(tenants.b) == {"kb"}
    tenants.b.quarantine("kb", "damaged")
    assert one(tenants.dsn, "SELECT count(*) FROM prodpatterns.quarantine") == 1
    as_a = _as_tenant(tenants, "a", "SELECT count(*) FROM prodpatterns.quarantine")
    assert as_a == [(0,)]


def test_a_tenant_sweeps_only_its_own(tenants: Tenants) -> None:
    ask(tenants.dsn, "UPDATE prodpatterns.entries SET expires = now() - interval '1 s'")

    assert tenants.a.sweep() == 1
    assert tenants.b.sweep() == 1


def _as_tenant(tenants: Tenants, name: str, query: str) -> list[tuple[Any, ...]]:
    """Run a statement as the role of the tenants, for one of them."""
    with psycopg.connect(tenants.own) as connection:
        connection.execute(
            "SELECT set_config('prodpatterns.namespace', %s, true)",
            (name.encode().hex(),),
        )
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]


@pytest.mark.parametrize("table", OF_TENANTS)
def test_sql_of_one_s_own_reaches_nothing_of_another(
    tenants: Tenants, table: str
) -> None:
    b = tenants.b
    b.add_alias("q", "asked", "kb")
    b.reject("r", "kb")
    b.add(entry("c", namespace="b"), FIRST)
    b.quarantine("kc", "damaged")
    count = f"SELECT count(*) FROM prodpatterns.{table} WHERE namespace = 'b'"  # noqa: S608 - our own tables

    assert _as_tenant(tenants, "a", count) == [(0,)]
    gone = f"DELETE FROM prodpatterns.{table} WHERE namespace = 'b'"  # noqa: S608 - the same
    assert _as_tenant(tenants, "a", gone) == [(0,)]
    taken = f"UPDATE prodpatterns.{table} SET namespace = 'a' WHERE namespace = 'b'"  # noqa: S608 - the same
    assert _as_tenant(tenants, "a", taken) == [(0,)]
    given = f"UPDATE prodpatterns.{table} SET namespace = 'b'"  # noqa: S608 - the same
    if _as_tenant(tenants, "a", f"SELECT 1 FROM prodpatterns.{table}"):  # noqa: S608 - the same
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _as_tenant(tenants, "a", given)
    assert one(tenants.dsn, count) > 0


@pytest.mark.parametrize("setting", [None, ""])
def test_who_does_not_say_who_it_is_sees_nothing(
    tenants: Tenants, setting: str | None
) -> None:
    with stores(tenants.dsn) as make:
        # The namespace that an empty setting would be taken for.
        make().add(entry("empty", namespace=""), None)
    with psycopg.connect(tenants.own, autocommit=True) as connection:
        if setting is not None:
            connection.execute("SET prodpatterns.namespace = ''")
        for table in OF_TENANTS:
            seen = connection.execute(f"SELECT FROM prodpatterns.{table}".encode())
            assert seen.rowcount == 0


def test_a_connection_does_not_stay_a_tenant_s(tenants: Tenants) -> None:
    with tenants.a._db.connections.lend(1e12) as connection:
        row = connection.execute(
            "SELECT current_setting('prodpatterns.namespace', true)"
        ).fetchone()

    assert row in {(None,), ("",)}


def test_a_namespace_may_have_any_name(tenants: Tenants) -> None:
    name = "ünï'; --\ud800\0"
    store = tenants.make(namespace=name)
    store.bind(MODEL)

    assert store.add(entry("u", namespace=name), FIRST)

    assert _keys(store) == {"ku"}
    assert _keys(tenants.a) == {"ka"}


def test_the_owner_sees_all(tenants: Tenants) -> None:
    with stores(tenants.dsn) as make:
        owner = make()
        assert _keys(owner) == {"ka", "kb"}
        assert owner.remove(Selection(namespace="a")) == 1


@pytest.mark.parametrize("secured", [True, False])
def test_one_whom_nothing_keeps_from_the_others_is_refused(
    dsn: str, secured: bool
) -> None:
    PostgresStore.migrate(dsn, row_level_security=secured)

    with pytest.raises(StoreError, match=r"keeps this role .* from no other one"):
        PostgresStore(dsn, namespace="a")


def test_the_owner_of_the_tables_is_refused(dsn: str) -> None:
    with role_in(dsn) as (role, own):
        ask(dsn, f"CREATE SCHEMA prodpatterns AUTHORIZATION {role}")
        PostgresStore.migrate(own, row_level_security=True)
        with pytest.raises(StoreError, match="neither own the tables nor be"):
            PostgresStore(own, namespace="a")


def test_who_is_let_through_by_a_right_is_refused(dsn: str) -> None:
    with role_in(dsn, can="BYPASSRLS") as (role, own):
        PostgresStore.migrate(dsn, row_level_security=True, grant_to=[role])
        with pytest.raises(StoreError, match="neither own the tables nor be"):
            PostgresStore(own, namespace="a")


def test_a_tenant_is_refused_where_nobody_is_kept_from_another(dsn: str) -> None:
    with role_in(dsn) as (role, own):
        PostgresStore.migrate(dsn, grant_to=[role])
        with pytest.raises(StoreError, match=r"security|may not make the tables"):
            PostgresStore(own, namespace="a")
        with pytest.raises(StoreError, match="migrate=False was given"):
            PostgresStore(own, namespace="a", migrate=False)


def test_every_table_with_a_namespace_is_secured(dsn: str) -> None:
    PostgresStore.migrate(dsn, row_level_security=True)
    having = ask(
        dsn,
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'prodpatterns' AND column_name = 'namespace'",
    )
    secured = ask(
        dsn,
        "SELECT relname FROM pg_class WHERE relrowsecurity "
        "AND relnamespace = 'prodpatterns'::regnamespace",
    )

    assert {name for (name,) in having} == {name for (name,) in secured}
    assert set(OF_TENANTS) == {name for (name,) in secured}
    assert set(OF_TENANTS) <= set(TABLES)
