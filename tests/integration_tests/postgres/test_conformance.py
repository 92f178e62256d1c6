"""The contract of a store, kept by the one in PostgreSQL."""

from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from langchain_prodpatterns.cache.stores import CacheStore, PostgresStore
from langchain_prodpatterns.cache.stores.postgres import sweeping
from langchain_prodpatterns.testing.store_conformance import StoreConformance

AGED = {"entries": ("created", "expires"), "claims": ("expires",)}


class TestPostgresStore(StoreConformance):
    """Every test has a database of its own on a real server."""

    tallied_partitions = 8
    dsn: str

    @pytest.fixture(autouse=True)
    def database(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dsn = dsn
        monkeypatch.setattr(sweeping, "MAX_TALLIED", self.tallied_partitions)

    @pytest.fixture
    def open_store(self) -> Callable[..., CacheStore]:
        return partial(PostgresStore, self.dsn, timeout=30.0)

    def age(self, store: CacheStore, seconds: float) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for table, columns in AGED.items():
                changes = ", ".join(
                    f"{name} = {name} - make_interval(secs => %(seconds)s)"
                    for name in columns
                )
                change = f"UPDATE prodpatterns.{table} SET {changes}"  # noqa: S608 - our own names
                connection.execute(change.encode(), {"seconds": seconds})

    def damage(self, store: CacheStore, key: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "UPDATE prodpatterns.entries SET value = 'x' WHERE key = %s", (key,)
            )

    def make_newer(self, store: CacheStore) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("UPDATE prodpatterns.version SET version = 1000")

    def process_opener(self) -> Callable[[], CacheStore]:
        return partial(PostgresStore, self.dsn, timeout=30.0)
