"""Entries in PostgreSQL, which many processes on many hosts share."""

from langchain_prodpatterns.errors import MissingExtraError

try:
    from langchain_prodpatterns.cache.stores.postgres.postgres_store import (
        PostgresStore,
    )
except ModuleNotFoundError as error:
    if error.name not in {"psycopg", "psycopg_pool", "pybreaker"}:
        raise
    _feature = "PostgresStore"
    raise MissingExtraError(_feature, "postgres") from error

__all__ = ["PostgresStore"]
