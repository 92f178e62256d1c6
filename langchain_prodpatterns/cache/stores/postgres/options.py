"""The arguments of a store in PostgreSQL, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langchain_prodpatterns.arguments import check_count, check_range
from langchain_prodpatterns.cache.stores.postgres.columns import MAX_DIMENSIONS
from langchain_prodpatterns.cache.stores.postgres.connections import (
    BroughtPools,
    Connections,
    OwnPools,
)
from langchain_prodpatterns.cache.stores.sealing import as_blob
from langchain_prodpatterns.errors import ConfigurationError

Where: TypeAlias = str | ConnectionPool[Any] | AsyncConnectionPool[Any]
"""A connection string, or a pool."""

_NAME_BYTES = 63
_SECONDS = ("timeout", "recovery", "local_seconds", "hear_seconds", "sweep_seconds")
_A_TIME = (0.001, 1e6)


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a store, but for where it is; `PostgresStore` tells of each."""

    async_pool: AsyncConnectionPool[Any] | None
    schema: str
    namespace: str | None
    unlogged: bool | None
    migrate: bool
    require: bool
    timeout: float
    recovery: float
    pool_size: int
    connect: Mapping[str, Any] | None
    max_entries: int | None
    max_bytes: int | None
    local_entries: int
    local_seconds: float
    hear_seconds: float
    sweep_seconds: float
    scan_rows: int | None
    ef_search: int

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: When an argument cannot.
        """
        check_schema(self.schema)
        _check_namespace(self.namespace)
        for name in _SECONDS:
            check_range(name, getattr(self, name), *_A_TIME)
        for name in ("max_entries", "max_bytes", "scan_rows"):
            check_count(name, getattr(self, name))
        for name in ("pool_size", "ef_search"):
            check_count(name, getattr(self, name), optional=False)
        check_range("ef_search", self.ef_search, 1, 1000)
        check_count("local_entries", self.local_entries, optional=False, least=0)
        if self.namespace is not None and (self.max_entries or self.max_bytes):
            msg = (
                "max_entries and max_bytes are of the whole schema, of which a store "
                "with a namespace sees a part: give them to the owner's store"
            )
            raise ConfigurationError(msg)


def check_schema(name: str) -> None:
    """Refuse what cannot be the name of a schema.

    Raises:
        ConfigurationError: When it cannot.
    """
    if not isinstance(name, str) or not 0 < len(as_blob(name)) <= _NAME_BYTES:
        msg = f"schema must be a name of 1 to {_NAME_BYTES} bytes, got {name!r}"
        raise ConfigurationError(msg)
    if "\0" in name or as_blob(name) != name.encode("utf-8", "replace"):
        msg = f"schema must be a name of UTF-8 without zero bytes, got {name!r}"
        raise ConfigurationError(msg)
    if name.startswith("pg_"):
        msg = f"schema must not begin with pg_, which is PostgreSQL's own, got {name!r}"
        raise ConfigurationError(msg)


def check_dimensions(dimensions: int | None) -> None:
    """Refuse a length of vectors that cannot be indexed.

    Raises:
        ConfigurationError: When it cannot.
    """
    check_count("dimensions", dimensions)
    if dimensions is not None and dimensions > MAX_DIMENSIONS:
        msg = f"dimensions must be at most {MAX_DIMENSIONS}, got {dimensions}"
        raise ConfigurationError(msg)


def _check_namespace(namespace: str | None) -> None:
    if namespace is not None and not (isinstance(namespace, str) and namespace):
        msg = f"namespace must be a text that is not empty, or None, got {namespace!r}"
        raise ConfigurationError(msg)


def check_dsn(dsn: str) -> None:
    """Refuse a connection string that cannot be read, or not as it is meant.

    Of the string nothing is told: any part of it may be one of the password.

    Raises:
        ConfigurationError: When it cannot.
    """
    who, _, _ = dsn.partition("://")[2].partition("?")[0].rpartition("@")
    try:
        host = conninfo_to_dict(dsn).get("host")
    except psycopg.Error:
        pass
    else:
        if "@" not in str(host) and "/" not in who:
            return
    msg = (
        "the DSN cannot be read as libpq does: in a URL, write what is special in a "
        "user or a password as in %40 for @, %2F for /, %3A for : and %25 for %"
    )
    raise ConfigurationError(msg)


def connections_of(where: Where, options: Options) -> Connections:
    """Return where connections come from.

    Raises:
        ConfigurationError: When that is neither a connection string nor a pool, or a
            pool comes with what is for connections of the store's own.
    """
    if isinstance(where, str):
        if options.async_pool is not None:
            msg = "async_pool goes with a pool for threads: give both, or a DSN alone"
            raise ConfigurationError(msg)
        check_dsn(where)
        return OwnPools(where, options.pool_size, options.connect or {})
    if options.connect:
        msg = "connect is for a DSN: give it to the pool as its kwargs"
        raise ConfigurationError(msg)
    beside = options.async_pool
    if beside is not None and not isinstance(beside, AsyncConnectionPool):
        msg = f"async_pool must be an AsyncConnectionPool, got {type(beside).__name__}"
        raise ConfigurationError(msg)
    if isinstance(where, ConnectionPool):
        return BroughtPools(where, options.async_pool)
    if isinstance(where, AsyncConnectionPool) and options.async_pool is None:
        return BroughtPools(None, where)
    msg = (
        "the database must be given as a DSN, a psycopg_pool.ConnectionPool or an "
        f"AsyncConnectionPool, got {type(where).__name__}"
    )
    raise ConfigurationError(msg)
