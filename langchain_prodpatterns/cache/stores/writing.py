"""Writing entries and what is known of them, in a transaction that the caller holds."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.eviction import Bounds, cost_of, make_room
from langchain_prodpatterns.cache.stores.sealing import (
    SEALED,
    checksum,
    sealed_columns,
    size_of,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

VERDICTS_AN_ENTRY = 64
MAX_QUARANTINED = 100
_INSERT = (
    f"INSERT INTO entries ({SEALED}, checksum, size, cost, rank) "  # noqa: S608 - our own columns
    "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, inflation + ? FROM totals"
)


def insert(
    db: sqlite3.Connection, entry: Entry, vector: Vector | None, now: float, to: Bounds
) -> tuple[bool, int]:
    """Store an entry in place of one of the same request, and make room for it.

    One that is larger than all that is to be held is not stored.

    Args:
        db: The database.
        entry: The entry.
        vector: The vector of its text.
        now: Seconds since the epoch.
        to: How much is held, at most.

    Returns:
        Whether it is stored, and how many entries were removed to make room, itself
        included if it had none.
    """
    sealed = sealed_columns(entry, vector, now)
    size, cost = size_of(sealed), cost_of(entry.saved)
    db.execute("DELETE FROM aliases WHERE exact = ?", (entry.exact,))
    db.execute("DELETE FROM entries WHERE exact = ?", (entry.exact,))
    if not to.allow(1, size):
        return False, 1
    evicted = make_room(db, to, size)
    db.execute(_INSERT, (*sealed, checksum(sealed), size, cost, cost / size))
    return True, evicted


def sweep(db: sqlite3.Connection, now: float, limit: int = -1) -> int:
    """Remove entries whose time is over; return how many.

    Args:
        db: The database.
        now: Seconds since the epoch.
        limit: How many at most; below zero, all of them.
    """
    return db.execute(
        "DELETE FROM entries WHERE id IN "
        "(SELECT id FROM entries WHERE expires <= ? LIMIT ?)",
        (now, limit),
    ).rowcount


def record_embedder(db: sqlite3.Connection, given: Fingerprint) -> None:
    """Write down which model the first vector is of, and refuse one of another.

    Raises:
        StoreError: When the vectors in the store were made by another.
    """
    stored = db.execute("SELECT name, dimensions FROM embedder").fetchone()
    if stored is None:
        row = (given.name, given.dimensions)
        db.execute("INSERT INTO embedder VALUES (?, ?)", row)
    elif stored != (given.name, given.dimensions):
        msg = f"the store holds vectors of {Fingerprint(*stored)}, not of {given}"
        raise StoreError(msg)


def approve(
    db: sqlite3.Connection, exact: str, asked: str | None, key: str, nearness: str
) -> None:
    """Write down that an entry answers a request, too."""
    db.execute("DELETE FROM rejected WHERE exact = ? AND key = ?", (exact, key))
    db.execute(
        # Not of an entry that another process has just removed.
        "INSERT OR REPLACE INTO aliases (exact, asked, key, nearness) "
        "SELECT ?, ?, key, ? FROM entries WHERE key = ?",
        (exact, asked, nearness, key),
    )
    _keep_latest(db, "aliases", key)


def reject(db: sqlite3.Connection, exact: str, key: str) -> bool:
    """Write down that an entry does not answer a request; return if it is news."""
    db.execute("DELETE FROM aliases WHERE exact = ? AND key = ?", (exact, key))
    written = db.execute(
        "INSERT OR IGNORE INTO rejected (exact, key) "
        "SELECT ?, key FROM entries WHERE key = ?",
        (exact, key),
    )
    _keep_latest(db, "rejected", key)
    return written.rowcount > 0


def _keep_latest(db: sqlite3.Connection, table: str, key: str) -> None:
    """Bound the verdicts on an entry: whoever asks for the first again is judged."""
    db.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE key = ? "  # noqa: S608 - our own tables
        "ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (key, VERDICTS_AN_ENTRY),
    )


def put_aside(db: sqlite3.Connection, damaged: Mapping[Any, str]) -> int:
    """Move damaged entries, by key, to where they are never served.

    Args:
        db: The database.
        damaged: Key to reason.

    Returns:
        How many there were.
    """
    count = 0
    for key, reason in damaged.items():
        db.execute(
            "INSERT OR REPLACE INTO quarantine (key, reason, value) "
            "SELECT key, ?, value FROM entries WHERE key = ?",
            (reason, key),
        )
        count += db.execute("DELETE FROM entries WHERE key = ?", (key,)).rowcount
    db.execute(
        "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?",
        (MAX_QUARANTINED,),
    )
    return count


def forget_all(db: sqlite3.Connection) -> None:
    """Remove every entry, verdict, damaged row and the embedding model."""
    for table in ("entries", "aliases", "rejected", "quarantine", "embedder"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
