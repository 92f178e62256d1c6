"""The store on a vector store and a key-value store, both in memory."""

from collections.abc import Callable

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, VectorStoreStore, notes
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    damage,
    make_newer,
    open_in_memory,
)


class TestVectorStoreStoreInMemory(StoreConformance):
    """Opened twice it has the same two stores, though a claim is of one process."""

    has_max_entries = False
    has_max_bytes = False
    tallied_partitions = 8
    clock: Clock
    kv: Notebook

    @pytest.fixture
    def open_store(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., VectorStoreStore]:
        monkeypatch.setattr(notes, "MAX_TALLIED", self.tallied_partitions)
        self.clock, self.kv, vectors = Clock(), Notebook(), Vectors()
        return lambda: open_in_memory(vectors, self.kv, clock=self.clock)

    def age(self, store: CacheStore, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self, store: CacheStore, key: str) -> None:
        damage(self.kv, key)

    def make_newer(self, store: CacheStore) -> None:
        make_newer(self.kv)
