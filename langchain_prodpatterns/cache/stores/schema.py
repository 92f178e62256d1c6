"""The tables of `LocalStore`, and opening a database that has them."""

import sqlite3
from pathlib import Path

from langchain_prodpatterns.errors import StoreError

VERSION = 3
"""`PRAGMA user_version` of the tables below."""

BUSY_SECONDS = 5.0
"""How long to wait, by default, for another process that writes."""

_APPLICATION = 0x70706361  # "ppca": tells our file from any other SQLite file
_TABLES = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    partition TEXT NOT NULL,
    exact TEXT NOT NULL UNIQUE,
    namespace BLOB NOT NULL,
    text BLOB,
    vector BLOB,
    value TEXT NOT NULL,
    saved TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    checksum TEXT NOT NULL,
    size INTEGER NOT NULL,
    hits INTEGER NOT NULL DEFAULT 0,
    used INTEGER NOT NULL
);
CREATE INDEX entries_partition ON entries (partition);
CREATE INDEX entries_used ON entries (used);
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE aliases (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL UNIQUE,
    asked TEXT,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE
);
CREATE INDEX aliases_asked ON aliases (asked);
CREATE INDEX aliases_key ON aliases (key);
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    UNIQUE (exact, key)
);
CREATE INDEX rejected_key ON rejected (key);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    value BLOB
);
CREATE TABLE embedder (name TEXT NOT NULL, dimensions INTEGER);
CREATE TABLE tallies (
    partition TEXT NOT NULL,
    cell TEXT NOT NULL,
    rights INTEGER NOT NULL,
    wrongs INTEGER NOT NULL,
    PRIMARY KEY (partition, cell)
) WITHOUT ROWID;
CREATE TABLE tallied (
    partition TEXT PRIMARY KEY,
    updated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tallied_updated ON tallied (updated);
CREATE TABLE claims (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX claims_expires ON claims (expires);
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a database and make its tables if there are none.

    Args:
        path: The file, or `None` for memory.

    Returns:
        A connection in autocommit mode.

    Raises:
        StoreError: When the file cannot be opened, or is not of this version.
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
    except sqlite3.Error as error:
        connection.close()
        raise _cannot_open(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _cannot_open(path: Path | None, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"cannot open the cache at {path}: {error}. Give the path of a file in a "
        "folder that exists and can be written to"
    )


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    if path is not None:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives the death of the process; of the machine, the last may not.
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _create_or_check(connection, path)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _create_or_check(connection: sqlite3.Connection, path: Path | None) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables and not application:
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    elif application != _APPLICATION:
        msg = f"{path} is an SQLite file of another program: give another path"
        raise StoreError(msg)
    elif version != VERSION:
        msg = (
            f"the cache at {path} has schema version {version}, this release reads "
            f"version {VERSION}: give another path, or use the release that wrote it"
        )
        raise StoreError(msg)
