"""Where a cache keeps its entries: the contract, and the stores that keep it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_prodpatterns.cache.stores.base import (
    Announcing,
    CacheStore,
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
)
from langchain_prodpatterns.cache.stores.local import LocalStore

if TYPE_CHECKING:
    from langchain_prodpatterns.cache.stores.postgres import PostgresStore
    from langchain_prodpatterns.cache.stores.vector_store.handover import VectorHandover
    from langchain_prodpatterns.cache.stores.vector_store_store import VectorStoreStore

_HOMES = {
    "PostgresStore": "postgres",
    "VectorHandover": "vector_store.handover",
    "VectorStoreStore": "vector_store_store",
}
"""Names that are imported when they are first used, and from where."""

__all__ = [
    "Announcing",
    "CacheStore",
    "Entry",
    "Found",
    "LocalStore",
    "Neighbor",
    "PostgresStore",
    "Selection",
    "StoreCounts",
    "VectorHandover",
    "VectorStoreStore",
]


def __getattr__(name: str) -> Any:
    """Import what not all need when it is first used (PEP 562)."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
