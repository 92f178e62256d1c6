"""Stores that remember what they were asked, and can fail."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.stores import BaseStore, InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import VectorHandover, VectorStoreStore
from langchain_prodpatterns.cache.stores.vector_store.filters import in_memory_filter
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from tests.unit_tests.cache.conftest import ScriptedJudge


class Notebook(InMemoryByteStore):
    """A key-value store that notes the names of its calls, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.failing: set[str] = set()

    def _note(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise ConnectionError("secret-value")

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self._note("mget")
        return super().mget(keys)

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        self._note("mset")
        super().mset(key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        self._note("mdelete")
        super().mdelete(keys)

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        self._note("amget")
        return super().mget(keys)

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        self._note("amset")
        super().mset(key_value_pairs)

    async def amdelete(self, keys: Sequence[str]) -> None:
        self._note("amdelete")
        super().mdelete(keys)


class Vectors(InMemoryVectorStore):
    """A vector store that notes its searches and texts, and fails when told to."""

    def __init__(self, embedding: Any = None) -> None:
        super().__init__(embedding or VectorHandover())
        self.counts: list[int] = []
        self.awaited: list[str] = []
        self.failing: set[str] = set()
        self.failing_once: set[str] = set()
        self.refuses_to_delete = False

    def _note(self, name: str) -> None:
        if name in self.failing | self.failing_once:
            self.failing_once.discard(name)
            raise ConnectionError("secret-value")

    @property
    def texts(self) -> list[str]:
        return [kept["text"] for kept in self.store.values()]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        self._note("search")
        self.counts.append(k)
        return super().similarity_search_by_vector(embedding, k, **kwargs)

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        self.awaited.append("search")
        return super().similarity_search_by_vector(embedding, k, **kwargs)

    def add_documents(
        self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any
    ) -> list[str]:
        self._note("add")
        return super().add_documents(documents, ids, **kwargs)

    async def aadd_documents(
        self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any
    ) -> list[str]:
        self.awaited.append("add")
        return await super().aadd_documents(documents, ids, **kwargs)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> Any:
        self._note("delete")
        if self.refuses_to_delete:
            return False
        return super().delete(ids, **kwargs)

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> Any:
        self.awaited.append("delete")
        return super().delete(ids, **kwargs)


def open_in_memory(
    vectors: Any = None, kv: Any = None, **options: Any
) -> VectorStoreStore:
    """Open a store in memory, which is its own unless it is given another's."""
    options.setdefault("partition_filter", in_memory_filter)
    return VectorStoreStore(
        Vectors() if vectors is None else vectors,
        Notebook() if kv is None else kv,
        **options,
    )


def damage(kv: BaseStore[str, bytes], key: str) -> None:
    """Change the answer of an entry behind the store's back."""
    (raw,) = kv.mget([f"prodpatterns/keys/{digest(key)}"])
    assert raw is not None
    name = f"prodpatterns/entries/{json.loads(raw)['body']['slot']}"
    (record,) = kv.mget([name])
    assert record is not None
    changed = json.loads(record)
    changed["body"]["value"] = '"wrong"'
    kv.mset([(name, json.dumps(changed).encode())])


def make_newer(kv: BaseStore[str, bytes]) -> None:
    """Mark what is kept as written by a later release."""
    kv.mset([("prodpatterns/about", b'{"schema":1000,"seal":"","body":{}}')])


def names(kv: BaseStore[str, bytes], kind: str) -> Iterator[str]:
    """Return what is kept of a kind."""
    return (str(name) for name in kv.yield_keys(prefix=f"prodpatterns/{kind}/"))


async def serve(store: VectorStoreStore, *, by_async: bool) -> None:
    """Have a chat model miss, hit, hit by a judge's consent, and miss again."""
    judge = ScriptedJudge()
    cache = SemanticJudgeCache(LexicalEmbeddings(), judge, store=store)
    model = ScriptedChatModel(replies=["Click on it.", "Click there."], cache=cache)

    async def ask(question: str) -> tuple[str, str | None]:
        if by_async:
            message: AIMessage = await model.ainvoke(question)
        else:
            message = model.invoke(question)
        mark = message.response_metadata.get("prodpatterns.cache") or {}
        return str(message.text), mark.get("decision")

    asked, typo = "How do I reset my password?", "How do I reset my pasword?"
    async with cache:
        assert await ask(asked) == ("Click on it.", None)
        assert await ask(asked) == ("Click on it.", "exact")
        assert await ask(typo) == ("Click on it.", "judged hit")
        assert await ask(typo) == ("Click on it.", "alias")
        assert len(judge.requests) == 1
        assert (cache.stats().entries, cache.stats().aliases) == (1, 1)

        # By what was asked last: the alias tells whose answer it has.
        assert cache.invalidate(query=typo) == 1
        assert await ask(typo) == ("Click there.", None)
        assert (cache.stats().errors, cache.stats().entries) == (0, 1)


@pytest.fixture
def vectors() -> Vectors:
    return Vectors()


@pytest.fixture
def kv() -> Notebook:
    return Notebook()
