"""What each vector store is told. That they understand it is tested on them."""

import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.cache.stores.vector_store import filters

OURS = "0f" * 16


def test_functions_tell_partitions_apart() -> None:
    mine = {"partition": OURS}
    by_document = filters.in_memory_filter(OURS)["filter"]
    by_metadata = filters.faiss_filter(OURS)["filter"]

    assert by_document(Document("", metadata=mine)) is True
    assert by_metadata(mine) is True
    for other in ({}, {"partition": "1f" * 16}, {"partition": None}):
        assert by_document(Document("", metadata=other)) is False
        assert by_metadata(other) is False


def test_faiss_looks_at_as_many_as_it_is_told() -> None:
    assert filters.faiss_filter(OURS)["fetch_k"] == 2048
    assert filters.faiss_filter(OURS, fetch_k=9)["fetch_k"] == 9


@pytest.mark.parametrize(
    ("of_store", "expected"),
    [
        (filters.chroma_filter, {"filter": {"partition": OURS}}),
        (filters.milvus_filter, {"expr": f'partition == "{OURS}"'}),
        (filters.pgvector_filter, {"filter": {"partition": {"$eq": OURS}}}),
    ],
)
def test_others_take_a_condition(
    of_store: filters.PartitionFilter, expected: object
) -> None:
    assert of_store(OURS) == expected
