"""What a store cannot be made of is refused when it is made."""

from typing import Any, cast

import pytest
from langchain_core.documents import Document
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_prodpatterns.cache.stores import VectorHandover, VectorStoreStore
from langchain_prodpatterns.errors import ConfigurationError
from tests.unit_tests.cache.stores.vector_store.conftest import open_in_memory


class TextsOnly(VectorStore):
    """Cannot search by vector, and does not say what it embeds by."""

    def similarity_search(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        raise NotImplementedError

    @classmethod
    def from_texts(cls, *args: Any, **kwargs: Any) -> "TextsOnly":
        raise NotImplementedError


class Silent(InMemoryVectorStore):
    """Does not say what it embeds by."""

    @property
    def embeddings(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_entries": 10}, "max_entries must be None, got 10: .*ttl.*PostgresStore"),
        ({"max_bytes": 10}, "max_bytes must be None, got 10"),
        ({"candidates": 0}, "candidates"),
        ({"candidates": None}, "candidates"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "../up"}, "prefix"),
        ({"prefix": "a//b"}, "prefix"),
        ({"prefix": "/a"}, "prefix"),
        ({"prefix": "no blanks"}, "prefix"),
        ({"prefix": "é"}, "prefix"),
        ({"prefix": 1}, "prefix"),
        ({"partition_filter": {"partition": 1}}, "must be a function.*got dict"),
        ({"partition_filter": lambda _: "expr"}, "keyword arguments.*got str"),
        ({"native_async": True}, "needs concurrent=True"),
    ],
)
def test_an_argument_that_cannot_work_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_in_memory(**options)


@pytest.mark.parametrize("prefix", ["a", "a/b", "A-1_x.y/z"])
def test_a_prefix_is_a_name_or_a_path_of_names(prefix: str) -> None:
    kv = InMemoryByteStore()
    open_in_memory(kv=kv, prefix=prefix)
    assert list(kv.yield_keys()) == [f"{prefix}/about"]


def test_a_vector_store_has_to_be_one() -> None:
    with pytest.raises(ConfigurationError, match="VectorStore, got dict"):
        VectorStoreStore(cast("Any", {}), InMemoryByteStore())


def test_a_key_value_store_has_to_be_one() -> None:
    vectors = InMemoryVectorStore(VectorHandover())
    with pytest.raises(ConfigurationError, match="BaseStore of bytes, got dict"):
        VectorStoreStore(vectors, cast("Any", {}))


def test_it_has_to_search_by_vector() -> None:
    with pytest.raises(ConfigurationError, match="TextsOnly cannot search by vector"):
        VectorStoreStore(TextsOnly(), InMemoryByteStore())


def test_what_it_embeds_by_has_to_be_known() -> None:
    handover = VectorHandover()
    with pytest.raises(ConfigurationError, match="embeddings="):
        VectorStoreStore(Silent(handover), InMemoryByteStore())

    VectorStoreStore(Silent(handover), InMemoryByteStore(), embeddings=handover)
