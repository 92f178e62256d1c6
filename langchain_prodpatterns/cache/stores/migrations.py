"""Bringing the tables of an older version up, one numbered step after another.

A step runs in the one transaction in which the file is opened.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_prodpatterns.cache.stores.eviction import cost_of
from langchain_prodpatterns.cache.stores.sealing import SEALED, checksum, size_of
from langchain_prodpatterns.cache.stores.tables import KEEPING
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.usage import Usage

_SEALED_2 = "key, partition, exact, namespace, text, vector, value, saved, expires"
_AT_ONCE = 1000


def migrate(db: sqlite3.Connection, version: int, path: Path | None) -> None:
    """Take every step from a version on.

    Args:
        db: The database, in a transaction.
        version: The version that it has.
        path: Where it is, for the error.

    Raises:
        StoreError: When the version is too old to start from.
    """
    if version not in _STEPS:
        msg = (
            f"the cache at {path} has schema version {version}, this release reads "
            f"from version {min(_STEPS)} on: remove the file or give another path"
        )
        raise StoreError(msg)
    while version in _STEPS:
        _STEPS[version](db)
        version += 1


def _from_2(db: sqlite3.Connection) -> None:
    """Add metadata, ranks, totals, tallies and claims, and seal each row anew."""
    db.execute("ALTER TABLE aliases ADD COLUMN nearness TEXT NOT NULL DEFAULT ''")
    db.execute("DROP INDEX entries_used")
    db.execute("ALTER TABLE entries DROP COLUMN used")
    for column in (
        "metadata TEXT NOT NULL DEFAULT '{}'",
        "size INTEGER NOT NULL DEFAULT 0",
        "cost REAL NOT NULL DEFAULT 0",
        "hits INTEGER NOT NULL DEFAULT 0",
        "rank REAL NOT NULL DEFAULT 0",
    ):
        db.execute(f"ALTER TABLE entries ADD COLUMN {column}")
    last = 0
    while rows := db.execute(
        f"SELECT id, checksum, {_SEALED_2} FROM entries WHERE id > ? "  # noqa: S608 - our own columns
        "ORDER BY id LIMIT ?",
        (last, _AT_ONCE),
    ).fetchall():
        last = rows[-1][0]
        for row, seal, *sealed in rows:
            # A damaged row keeps its seal, which fits none of the new ones.
            if hashlib.sha256(repr(tuple(sealed)).encode()).hexdigest() == seal:
                _seal_anew(db, row, sealed)
    for statement in KEEPING:
        db.execute(statement)
    db.execute(
        "UPDATE totals SET (entries, bytes) = "
        "(SELECT count(*), coalesce(sum(size), 0) FROM entries)"
    )


def _seal_anew(db: sqlite3.Connection, row: int, sealed: Sequence[Any]) -> None:
    columns = db.execute(
        f"SELECT {SEALED} FROM entries WHERE id = ?",  # noqa: S608 - our own columns
        (row,),
    ).fetchone()
    saved = Usage(**json.loads(sealed[7]))
    size, cost = size_of(columns), cost_of(saved)
    db.execute(
        "UPDATE entries SET checksum = ?, size = ?, cost = ?, rank = ? WHERE id = ?",
        (checksum(columns), size, cost, cost / size, row),
    )


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {2: _from_2}
