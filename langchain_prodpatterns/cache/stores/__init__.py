"""Where a cache keeps its entries: the contract, and the stores that keep it."""

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

__all__ = [
    "Announcing",
    "CacheStore",
    "Entry",
    "Found",
    "LocalStore",
    "Neighbor",
    "Selection",
    "StoreCounts",
]
