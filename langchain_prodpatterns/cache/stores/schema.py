"""The tables of `LocalStore`, and opening a database that has them."""

import sqlite3
from functools import partial
from pathlib import Path

from langchain_prodpatterns.cache.stores.migrations import migrate
from langchain_prodpatterns.cache.stores.tables import KEEPING, TABLES
from langchain_prodpatterns.errors import StoreError

VERSION = 3
"""`PRAGMA user_version` of the tables."""

BUSY_SECONDS = 5.0
"""How long to wait, by default, for another process that writes."""

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's module raises; the latter when it quotes a damaged file."""

_APPLICATION = 0x70706361  # "ppca": tells our file from any other SQLite file
_DAMAGED = "The file is damaged, or no database: remove it, or give another path"
_ADVICE = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "The disk is full: make room, or give another path",
    sqlite3.SQLITE_BUSY: "Another process writes to it for long: try again",
}
_ANY_ADVICE = (
    "Give the path of a file in a folder that exists, both of which can be written to"
)


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a database, make its tables if there are none, and bring old ones up.

    Args:
        path: The file, or `None` for memory.

    Returns:
        A connection in autocommit mode.

    Raises:
        StoreError: When the file cannot be opened or written to, or is not ours.
    """
    try:
        connection = sqlite3.connect(
            path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise _cannot_open(path, error) from error
    try:
        _prepare(connection, path)
    except UNREADABLE as error:
        connection.close()
        raise _cannot_open(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _cannot_open(path: Path | None, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, UnicodeDecodeError):
        code = sqlite3.SQLITE_CORRUPT
    advice = _ADVICE.get(code, _ANY_ADVICE)
    return StoreError(f"cannot open the cache at {path}: {error}. {advice}")


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    # A damaged text has another checksum then; else the whole row would be an error.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.execute("PRAGMA foreign_keys = ON")
    if path is not None:
        # Three entries with vectors fit, in 4096 bytes one.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        # 16 MB of log: twice as many entries are written a second as with the default.
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
        # A commit survives the death of the process; of the machine, the last may not.
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _create_or_check(connection, path)
        # Of a file that may only be read, to begin is no error: to write is.
        connection.execute("DELETE FROM entries WHERE 0")
    except BaseException:
        # A full disk has rolled it back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _create_or_check(connection: sqlite3.Connection, path: Path | None) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables and not application:
        for statement in (*TABLES, *KEEPING):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    elif application != _APPLICATION:
        msg = f"{path} is an SQLite file of another program: give another path"
        raise StoreError(msg)
    elif version > VERSION:
        msg = (
            f"the cache at {path} has schema version {version}, this release reads "
            f"version {VERSION}: give another path, or use the release that wrote it"
        )
        raise StoreError(msg)
    elif version < VERSION:
        migrate(connection, version, path)
        connection.execute(f"PRAGMA user_version = {VERSION}")
