"""How a vector store is told to look in one partition only.

Each of these returns keyword arguments of `similarity_search_by_vector`. A partition is
32 hexadecimal digits here, whatever it was before: nothing has to be escaped.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_core.documents import Document

PartitionFilter: TypeAlias = Callable[[str], Mapping[str, Any]]
"""From a partition to the keyword arguments that search in it."""

PARTITION = "partition"
"""The metadata field that names the partition of a vector."""


def in_memory_filter(partition: str) -> dict[str, Any]:
    """Search a partition of LangChain's `InMemoryVectorStore`."""

    def fits(document: Document) -> bool:
        return document.metadata.get(PARTITION) == partition

    return {"filter": fits}


def faiss_filter(partition: str, *, fetch_k: int = 2048) -> dict[str, Any]:
    """Search a partition of the community's `FAISS`.

    It takes the nearest of all partitions first, and leaves out those of others: a
    neighbor that is not among the `fetch_k` nearest is not found. To look at more costs
    time: `functools.partial(faiss_filter, fetch_k=20_000)`.

    Args:
        partition: The partition.
        fetch_k: How many of all partitions to look at.
    """

    def fits(metadata: Mapping[str, Any]) -> bool:
        return bool(metadata.get(PARTITION) == partition)

    return {"filter": fits, "fetch_k": fetch_k}


def chroma_filter(partition: str) -> dict[str, Any]:
    """Search a partition of `langchain_chroma.Chroma`."""
    return {"filter": {PARTITION: partition}}


def milvus_filter(partition: str) -> dict[str, Any]:
    """Search a partition of `langchain_milvus.Milvus`."""
    return {"expr": f'{PARTITION} == "{partition}"'}


def pgvector_filter(partition: str) -> dict[str, Any]:
    """Search a partition of `langchain_postgres.PGVector`."""
    return {"filter": {PARTITION: {"$eq": partition}}}


def qdrant_filter(partition: str) -> dict[str, Any]:
    """Search a partition of `langchain_qdrant.QdrantVectorStore`."""
    from qdrant_client import models

    value = models.MatchValue(value=partition)
    field = models.FieldCondition(key=f"metadata.{PARTITION}", match=value)
    return {"filter": models.Filter(must=[field])}
