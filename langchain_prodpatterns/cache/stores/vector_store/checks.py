"""What a `VectorStoreStore` can be made of."""

import re
from collections.abc import Mapping

from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore
from langchain_core.vectorstores import VectorStore

from langchain_prodpatterns.cache.stores.vector_store.filters import PartitionFilter
from langchain_prodpatterns.errors import ConfigurationError

_PREFIX = re.compile(r"[\w.-]{1,64}(/[\w.-]{1,64}){0,8}", re.ASCII)
_NO_PARTITION = "0" * 32


def check_stores(vectorstore: object, kv: object) -> None:
    """Refuse what is no store, or cannot do what is asked of one."""
    if not isinstance(vectorstore, VectorStore):
        given = type(vectorstore).__name__
        msg = f"vectorstore must be a LangChain VectorStore, got {given}"
        raise ConfigurationError(msg)
    search = type(vectorstore).similarity_search_by_vector
    if search is VectorStore.similarity_search_by_vector:
        given = type(vectorstore).__name__
        msg = f"{given} cannot search by vector: give another vectorstore"
        raise ConfigurationError(msg)
    if not isinstance(kv, BaseStore):
        given = type(kv).__name__
        msg = f"kv must be a LangChain BaseStore of bytes, got {given}"
        raise ConfigurationError(msg)


def check_embeddings(embeddings: object) -> Embeddings:
    """Refuse a vector store that embeds in a way that nobody knows."""
    if not isinstance(embeddings, Embeddings):
        msg = (
            "what the vector store embeds by must be known, got "
            f"{type(embeddings).__name__}: make it with VectorHandover(), and give "
            "that as embeddings= where the vector store does not tell it"
        )
        raise ConfigurationError(msg)
    return embeddings


def check_unbounded(max_entries: int | None, max_bytes: int | None) -> None:
    """Refuse bounds."""
    given = {"max_entries": max_entries, "max_bytes": max_bytes}
    for name, value in given.items():
        if value is not None:
            msg = (
                f"{name} must be None, got {value!r}: a key-value store cannot tell "
                "which entry is worth least. Give a ttl and call sweep, or use "
                "LocalStore or PostgresStore"
            )
            raise ConfigurationError(msg)


def check_prefix(prefix: object) -> None:
    """Refuse what cannot be a part of a name, or of a path."""
    is_name = isinstance(prefix, str) and _PREFIX.fullmatch(prefix)
    if not is_name or {".", ".."} & set(str(prefix).split("/")):
        msg = (
            "prefix must be ASCII letters, digits and '_.-', up to 64, or some of them "
            f"with '/' between, got {prefix!r}"
        )
        raise ConfigurationError(msg)


def check_filter(partition_filter: PartitionFilter | None) -> None:
    """Refuse what gives no keyword arguments."""
    if partition_filter is None:
        return
    if not callable(partition_filter):
        given = type(partition_filter).__name__
        msg = f"partition_filter must be a function of a partition, got {given}"
        raise ConfigurationError(msg)
    kwargs = partition_filter(_NO_PARTITION)
    if not isinstance(kwargs, Mapping):
        msg = (
            "partition_filter must return the keyword arguments of the search, got "
            f"{type(kwargs).__name__}"
        )
        raise ConfigurationError(msg)


def check_async(*, concurrent: bool, native_async: bool) -> None:
    """Refuse to await stores that are to be asked one at a time."""
    if native_async and not concurrent:
        msg = (
            "native_async=True needs concurrent=True: calls that are awaited do not "
            "take turns"
        )
        raise ConfigurationError(msg)
