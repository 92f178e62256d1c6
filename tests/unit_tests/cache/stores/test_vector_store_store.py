"""The store on a vector store and a key-value store, both in memory."""

from collections.abc import Callable
from typing import Any

import pytest

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import CacheStore, VectorStoreStore, notes
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from tests.unit_tests.cache.conftest import Clock, CountingEmbeddings, ScriptedJudge
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    damage,
    make_newer,
    open_in_memory,
    serve,
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


@pytest.mark.parametrize("by_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("native", [False, True], ids=["threads", "native"])
async def test_a_cache_serves_from_it(native: bool, by_async: bool) -> None:
    vectors = Vectors()
    store = open_in_memory(vectors, concurrent=native, native_async=native)

    await serve(store, by_async=by_async)

    assert bool(vectors.awaited) == (native and by_async)
    assert len(vectors.store) == 1


async def test_a_cache_whose_vector_store_is_away_misses() -> None:
    vectors = Vectors()
    with open_cache_on(vectors) as cache:
        model = ScriptedChatModel(respond=lambda _: "an answer", cache=cache)
        model.invoke("How do I reset my password?")
        vectors.failing = {"search", "add"}

        assert model.invoke("How do I reset my pasword?").text == "an answer"
        assert model.invoke("How do I reset my password?").text == "an answer"

        stats = cache.stats()
        assert (stats.exact, stats.errors, stats.entries) == (1, 2, 1)


def test_a_cache_of_other_embeddings_is_refused() -> None:
    vectors, kv = Vectors(), Notebook()
    with open_cache_on(vectors, kv) as cache:
        ScriptedChatModel(replies=["an answer"], cache=cache).invoke("a question")

    store = open_in_memory(vectors, kv)
    with pytest.raises(StoreError, match="holds vectors of LexicalEmbeddings"):
        SemanticJudgeCache(CountingEmbeddings(), ScriptedJudge(), store=store)


def open_cache_on(*stores: Any) -> SemanticJudgeCache:
    store = open_in_memory(*stores)
    return SemanticJudgeCache(LexicalEmbeddings(), ScriptedJudge(), store=store)
