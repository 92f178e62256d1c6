"""What cannot work is refused before anything is opened, with its name and value."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.postgres.connections import (
    BroughtPools,
    OwnPools,
)
from langchain_prodpatterns.cache.stores.postgres.options import (
    check_dsn,
    check_schema,
)
from langchain_prodpatterns.errors import ConfigurationError

NOWHERE = "postgresql://user@127.0.0.1:1/db"
SECRET = "hunter2"


def _open(where: Any = NOWHERE, **given: Any) -> PostgresStore:
    return PostgresStore(where, **{"require": False, **given})


@pytest.fixture
def pool() -> Iterator[ConnectionPool[Any]]:
    pool = ConnectionPool(NOWHERE, min_size=0, max_size=1, open=False)
    yield pool
    pool.close()


@pytest.fixture
def async_pool() -> AsyncConnectionPool[Any]:
    return AsyncConnectionPool(NOWHERE, open=False)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("schema", "", "a name of 1 to 63 bytes"),
        ("schema", "s" * 64, "a name of 1 to 63 bytes"),
        ("schema", "é" * 32, "a name of 1 to 63 bytes"),
        ("schema", None, "a name of 1 to 63 bytes"),
        ("schema", "a\0b", "without zero bytes"),
        ("schema", "a\ud800b", "a name of UTF-8"),
        ("schema", "pg_cache", "must not begin with pg_"),
        ("namespace", "", "a text that is not empty, or None"),
        ("namespace", 5, "a text that is not empty, or None"),
        ("timeout", 0, "a number from 0.001 to 1e+06"),
        ("timeout", -1.0, "a number from 0.001 to 1e+06"),
        ("timeout", float("nan"), "a number from 0.001 to 1e+06"),
        ("timeout", float("inf"), "a number from 0.001 to 1e+06"),
        ("timeout", None, "a number from 0.001 to 1e+06"),
        ("timeout", True, "a number from 0.001 to 1e+06"),
        ("timeout", "1", "a number from 0.001 to 1e+06"),
        ("recovery", 0, "a number from 0.001 to 1e+06"),
        ("local_seconds", 0, "a number from 0.001 to 1e+06"),
        ("hear_seconds", 0, "a number from 0.001 to 1e+06"),
        ("sweep_seconds", 0, "a number from 0.001 to 1e+06"),
        ("max_entries", 0, "a whole number, at least 1, or None"),
        ("max_entries", 1.5, "a whole number, at least 1, or None"),
        ("max_bytes", -1, "a whole number, at least 1, or None"),
        ("scan_rows", 0, "a whole number, at least 1, or None"),
        ("pool_size", 0, "a whole number, at least 1"),
        ("pool_size", None, "a whole number, at least 1"),
        ("pool_size", True, "a whole number, at least 1"),
        ("ef_search", 0, "a whole number, at least 1"),
        ("ef_search", 1001, "a number from 1 to 1000"),
        ("local_entries", -1, "a whole number, at least 0"),
        ("local_entries", None, "a whole number, at least 0"),
    ],
)
def test_a_bad_argument_is_named(name: str, value: Any, advice: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _open(**{name: value})

    message = str(raised.value)
    assert message.startswith(f"{name} must ")
    assert advice in message
    assert repr(value) in message


def test_bounds_of_the_whole_schema_are_not_for_a_tenant() -> None:
    for bound in ("max_entries", "max_bytes"):
        with pytest.raises(ConfigurationError, match="give them to the owner's store"):
            _open(namespace="acme", **{bound: 10})


@pytest.mark.parametrize("where", [None, 5, object(), b"postgresql://"])
def test_what_is_no_database_is_refused(where: Any) -> None:
    with pytest.raises(ConfigurationError, match="as a DSN, a psycopg_pool") as raised:
        _open(where)

    assert type(where).__name__ in str(raised.value)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{SECRET}%zz@host/db",
        f"postgresql://user:a@{SECRET}@host/db",
        f"postgresql://user:a/{SECRET}@host/db",
        f"postgresql://user:12/{SECRET}@host/db",
        f"postgresql://user:a?b@{SECRET}@host/db",
        f"postgresql://user:{SECRET}@host/db?no_such_option=1",
        f"host=h password=a {SECRET}",
        f"host=h password='{SECRET}",
        f"just {SECRET}",
    ],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_a_word_of_it(dsn: str) -> None:
    for call in (lambda: _open(dsn), lambda: PostgresStore.migrate(dsn)):
        with pytest.raises(
            ConfigurationError, match="the DSN cannot be read"
        ) as raised:
            call()
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "host=/tmp dbname=db",
        "postgresql:///db?host=/run/postgres",
        "postgresql://user:p%40s%2Fs@host:5432/db?sslmode=verify-full",
        "postgres://a,b:5433/db?target_session_attrs=read-write",
        "postgresql://user:what?@host/db",
        "postgresql://host/db?options=-c%20a%3Db@c",
        "host=h user=u password='a@b/c'",
    ],
)
def test_a_dsn_of_any_form_is_taken(dsn: str) -> None:
    check_dsn(dsn)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_schema_may_have_any_name_that_postgresql_takes(name: str) -> None:
    size = len(name.encode())
    if not 0 < size <= 63 or name.startswith("pg_"):
        with pytest.raises(ConfigurationError):
            check_schema(name)
    else:
        check_schema(name)


def test_a_dsn_has_pools_of_the_store_s_own(
    async_pool: AsyncConnectionPool[Any],
) -> None:
    store = _open()
    assert isinstance(store._db.connections, OwnPools)
    store.close()

    with pytest.raises(ConfigurationError, match="goes with a pool for threads"):
        _open(async_pool=async_pool)


def test_pools_that_are_brought_are_taken(
    pool: ConnectionPool[Any], async_pool: AsyncConnectionPool[Any]
) -> None:
    for where, more in (
        (pool, {}),
        (async_pool, {}),
        (pool, {"async_pool": async_pool}),
    ):
        store = _open(where, **more)
        assert isinstance(store._db.connections, BroughtPools)
        store.close()


def test_pools_are_refused_in_each_other_s_place(
    pool: ConnectionPool[Any], async_pool: AsyncConnectionPool[Any]
) -> None:
    with pytest.raises(ConfigurationError, match="async_pool must be an Async"):
        _open(pool, async_pool=pool)
    with pytest.raises(ConfigurationError, match="as a DSN, a psycopg_pool"):
        _open(async_pool, async_pool=async_pool)


def test_what_is_for_own_connections_is_refused_beside_a_pool(
    pool: ConnectionPool[Any],
) -> None:
    with pytest.raises(ConfigurationError, match="give it to the pool as its kwargs"):
        _open(pool, connect={"sslmode": "require"})


@pytest.mark.parametrize("given", [{"conninfo": lambda: NOWHERE}, {"kwargs": dict}])
def test_a_pool_that_does_not_tell_where_is_refused(given: Any) -> None:
    pool = ConnectionPool(open=False, **given)

    with pytest.raises(
        ConfigurationError, match="conninfo and kwargs are no functions"
    ):
        _open(pool)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schema": ""}, "schema must be a name of 1 to 63 bytes, got ''"),
        ({"schema": "pg_x"}, "schema must not begin with pg_"),
        ({"dimensions": 0}, "dimensions must be a whole number, at least 1"),
        ({"dimensions": 4001}, "dimensions must be at most 4000, got 4001"),
        ({"dimensions": "8"}, "dimensions must be a whole number"),
        ({"grant_to": "app"}, "grant_to must be a list of names, got 'app'"),
    ],
)
def test_what_cannot_be_migrated_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        PostgresStore.migrate(NOWHERE, **given)


def test_own_connections_are_made_of_the_dsn_and_what_comes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        "psycopg.connect", lambda dsn, **kwargs: made.append((dsn, kwargs))
    )
    tls = {"sslmode": "verify-full", "sslrootcert": "ca.pem", "connect_timeout": 2}
    store = _open(connect=tls)

    store._db.connections.open_one()
    store.close()

    ((dsn, kwargs),) = made
    assert dsn == NOWHERE
    assert tls.items() <= kwargs.items()
    assert kwargs["autocommit"] is True
