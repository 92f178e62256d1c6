"""TLS settings of a DSN, or beside it, are those of every connection.

The server that the tests start has no TLS, so whoever insists on it is refused: by each
connection that ignored the setting, something would be stored in the clear.
"""

import asyncio
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.errors import StoreError
from tests.integration_tests.postgres.cases import PATIENCE, entry
from tests.integration_tests.postgres.server import OwnServer, database

REFUSED = "server does not support SSL"


@pytest.fixture
def plain(own_server: OwnServer, own_database: str) -> str:
    """The URL of a database on a server without TLS."""
    return own_server.dsn(own_database)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("beside", [True, False])
def test_who_insists_on_tls_has_it_or_nothing(
    plain: str, mode: str, beside: bool, tmp_path: Any
) -> None:
    root = tmp_path / "root.pem"
    root.write_text("", "ascii")
    tls = {"sslmode": mode, "sslrootcert": str(root)}
    more = "&".join(f"{name}={value}" for name, value in tls.items())
    dsn, connect = (plain, tls) if beside else (f"{plain}?{more}", None)

    with pytest.raises(StoreError, match=REFUSED):
        PostgresStore(dsn, connect=connect)


def test_so_has_each_connection_that_is_opened_later(plain: str) -> None:
    PostgresStore.migrate(plain)
    store = PostgresStore(plain, timeout=PATIENCE)
    connections: Any = store._db.connections
    connections._connect = {**connections._connect, "sslmode": "require"}
    store._db.limits = type(store._db.limits)(0.2, 0.2, 1.0)

    with pytest.raises(StoreError):
        store.add(entry(), None)
    with pytest.raises(StoreError):
        asyncio.run(store.aadd(entry(), None))
    store.close()


def test_so_has_a_pool_of_a_user(plain: str) -> None:
    with (
        ConnectionPool[Any](
            plain, kwargs={"sslmode": "require"}, min_size=0, max_size=1, open=False
        ) as pool,
        pytest.raises(StoreError, match=REFUSED),
    ):
        PostgresStore(pool)


def test_who_migrates_has_it_or_nothing(plain: str) -> None:
    with pytest.raises(StoreError, match=REFUSED):
        PostgresStore.migrate(f"{plain}?sslmode=require")


def test_who_does_not_care_goes_without(own_server: OwnServer) -> None:
    with database(own_server, setup=["CREATE EXTENSION vector"]) as name:
        store = PostgresStore(own_server.dsn(name, sslmode="prefer"), timeout=PATIENCE)
        assert store.add(entry(), None)
        store.close()
