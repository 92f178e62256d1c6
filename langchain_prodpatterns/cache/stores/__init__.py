"""Where a cache keeps its entries: the contract, and the stores that keep it."""

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
from langchain_prodpatterns.errors import MissingExtraError

if TYPE_CHECKING:
    from langchain_prodpatterns.cache.stores.postgres import PostgresStore

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
]


def __getattr__(name: str) -> Any:
    """Import what needs an extra when it is first used (PEP 562)."""
    if name != "PostgresStore":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        from langchain_prodpatterns.cache.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name in {"psycopg", "psycopg_pool", "pybreaker"}:
            raise MissingExtraError(name, "postgres") from error
        raise
    return PostgresStore
