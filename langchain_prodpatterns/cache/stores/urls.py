"""Opening the store that a URL names, for who has no more than a line of text."""

import re
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from urllib.parse import unquote, urlsplit

from langchain_prodpatterns.cache.stores.base import CacheStore
from langchain_prodpatterns.errors import ConfigurationError, StoreError

PATIENCE = 30.0
"""Seconds to wait for a database: who types a URL does not keep a user waiting."""

SCHEMA = "prodpatterns"
"""The schema of a PostgreSQL database, unless the URL names another."""

_SCHEMA_PARAMETER = "prodpatterns_schema"
_POSTGRES = frozenset({"postgres", "postgresql"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):/")
# Up to the last @: a password should have none, but people forget to write it as %40.
_PASSWORD = re.compile(r"(://[^\s:/@]{0,256}:)\S{1,1024}(?=@)")
_PASSWORD_PARAMETER = re.compile(r"((?:\?|&|\b)(?:ssl)?password=)[^&\s]{1,1024}")
_FORMS = (
    "sqlite:///relative.db, sqlite:////absolute.db, a path, or "
    "postgresql://user@host/database"
)


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """An SQLite file."""

    path: Path
    """Its path."""

    def open(self, *, create: bool = False) -> CacheStore:
        """Open the store.

        Args:
            create: Whether to make the file if there is none.

        Raises:
            StoreError: When it cannot be opened, or there is none.
        """
        from langchain_prodpatterns.cache.stores.local import LocalStore

        if not create and not self._is_there():
            msg = (
                f"there is no cache at {self.path}: give the path of the file that "
                "the cache was opened with"
            )
            raise StoreError(msg)
        return LocalStore(self.path)

    def _is_there(self) -> bool:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as error:
            msg = f"cannot look at {self.path} ({type(error).__name__}): give another"
            raise StoreError(msg) from error
        return S_ISREG(found.st_mode) and found.st_size > 0


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A PostgreSQL database."""

    dsn: str
    """Its URL, as psycopg takes it."""
    schema: str = SCHEMA
    """The schema in it."""

    def open(self, *, create: bool = False) -> CacheStore:
        """Open the store.

        Args:
            create: Whether to make or upgrade its tables, if this role may.

        Raises:
            MissingExtraError: When the driver is not installed.
            StoreError: When it cannot be opened, or has no tables.
        """
        from langchain_prodpatterns.cache.stores import PostgresStore

        return PostgresStore(
            self.dsn, schema=self.schema, migrate=create, timeout=PATIENCE
        )


def parse_url(url: str) -> SqliteFile | PostgresDatabase:
    """Read the URL of a store.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, a path, or what psycopg
            takes: `postgresql://user:password@host/database?sslmode=verify-full`, with
            `prodpatterns_schema` among its parameters where it is not `prodpatterns`.

    Raises:
        ConfigurationError: When it names no store.
    """
    scheme = _SCHEME.match(url)
    kind = scheme[1].lower() if scheme and "://" in url else ""
    if kind in _POSTGRES:
        return _postgres(url)
    if kind == "sqlite":
        return _sqlite(url)
    if kind:
        msg = f"{masked(url)!r} names no store, {kind!r} is not known: give {_FORMS}"
        raise ConfigurationError(msg)
    return _file(url, url)


def open_store(url: str, *, create: bool = False) -> CacheStore:
    """Open the store that a URL names.

    Args:
        url: As for `parse_url`.
        create: Whether to make an SQLite file, or the tables of a database, if there
            are none.

    Raises:
        ConfigurationError: When the URL names no store.
        StoreError: When it cannot be opened, or there is none.
    """
    return parse_url(url).open(create=create)


def masked(text: str) -> str:
    """Return a text with the passwords of the URLs in it hidden.

    Args:
        text: A URL, or a text that may quote one.
    """
    hidden = _PASSWORD.sub(r"\1***", text)
    return _PASSWORD_PARAMETER.sub(r"\1***", hidden)


def _sqlite(url: str) -> SqliteFile:
    parts = urlsplit(url)
    if parts.netloc or parts.query or parts.fragment:
        msg = f"{masked(url)!r} names no file: give {_FORMS}"
        raise ConfigurationError(msg)
    # The slash after the (empty) host is none of the path's.
    return _file(unquote(parts.path[1:]), url)


def _file(path: str, url: str) -> SqliteFile:
    if path in {"", ".", ":memory:"} or "\0" in path:
        msg = (
            f"{masked(url)!r} names no file, and memory is gone with its process: give "
            f"{_FORMS}"
        )
        raise ConfigurationError(msg)
    return SqliteFile(Path(path))


def _postgres(url: str) -> PostgresDatabase:
    """Take our own parameter out, and leave the rest to psycopg as it was written."""
    address, _, query = url.partition("?")
    given = [part for part in query.split("&") if part]
    ours = [part for part in given if part.startswith(_SCHEMA_PARAMETER)]
    schemas = [unquote(part.partition("=")[2]) for part in ours]
    if len(schemas) > 1 or "" in schemas:
        msg = f"{_SCHEMA_PARAMETER} must name one schema, got {schemas}"
        raise ConfigurationError(msg)
    rest = "&".join(part for part in given if part not in ours)
    return PostgresDatabase(f"{address}?{rest}" if rest else address, *schemas)
