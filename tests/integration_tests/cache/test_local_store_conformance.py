"""The local store on a file keeps the contract of a store."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, LocalStore, notes
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from tests.unit_tests.cache.conftest import Clock


class TestLocalStoreOnAFile(StoreConformance):
    """Opened twice, it is one."""

    tallied_partitions = 8
    clock: Clock
    path: Path

    @pytest.fixture
    def open_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> partial[LocalStore]:
        monkeypatch.setattr(notes, "MAX_TALLIED", self.tallied_partitions)
        self.clock = Clock()
        self.path = tmp_path / "store.db"
        return partial(LocalStore, self.path, clock=self.clock)

    def age(self, store: CacheStore, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self, store: CacheStore, key: str) -> None:
        self._write("UPDATE entries SET value = '\"wrong\"' WHERE key = ?", key)

    def make_newer(self, store: CacheStore) -> None:
        self._write("PRAGMA user_version = 1000")

    def process_opener(self) -> partial[LocalStore]:
        return partial(LocalStore, self.path)

    def _write(self, statement: str, *values: str) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement, values)
