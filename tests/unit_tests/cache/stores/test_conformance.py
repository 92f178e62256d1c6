"""The local store in memory keeps the contract of a store."""

from functools import partial

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, LocalStore, notes
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from tests.unit_tests.cache.conftest import Clock


class TestLocalStoreInMemory(StoreConformance):
    """Opened twice, it is two: memory is not shared."""

    tallied_partitions = 8
    clock: Clock

    @pytest.fixture
    def open_store(self, monkeypatch: pytest.MonkeyPatch) -> partial[LocalStore]:
        monkeypatch.setattr(notes, "MAX_TALLIED", self.tallied_partitions)
        self.clock = Clock()
        return partial(LocalStore, clock=self.clock)

    def age(self, store: CacheStore, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self, store: CacheStore, key: str) -> None:
        assert isinstance(store, LocalStore)
        with store._database.write() as db:
            db.execute("UPDATE entries SET value = '\"wrong\"' WHERE key = ?", (key,))
