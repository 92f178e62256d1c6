"""Entries in PostgreSQL, which many processes on many hosts share."""

from langchain_prodpatterns.cache.stores.postgres.postgres_store import PostgresStore

__all__ = ["PostgresStore"]
