"""Notes beside the entries: tallies and claims, each changed in one statement.

The functions run in a transaction that their caller holds.
"""

import sqlite3
from collections.abc import Mapping

from langchain_prodpatterns.cache.stores.base import LASTING

ALL = ""
"""The partition that the sums over all are kept under."""

MAX_TALLIED = 4096
"""Partitions whose tallies are kept."""


def add_tally(
    db: sqlite3.Connection, partition: str, cell: str, right: int, wrong: int
) -> None:
    """Add to a cell of a partition, and to the same cell of the sums."""
    db.executemany(
        "INSERT INTO tallies (partition, cell, rights, wrongs) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (partition, cell) DO UPDATE SET "
        "rights = rights + excluded.rights, wrongs = wrongs + excluded.wrongs",
        [(name, cell, right, wrong) for name in (partition, ALL)],
    )
    if partition.startswith(LASTING):
        return
    db.execute(
        "INSERT INTO tallied (partition, updated) "
        "SELECT ?, coalesce(max(updated), 0) + 1 FROM tallied WHERE 1 "
        "ON CONFLICT (partition) DO UPDATE SET updated = excluded.updated",
        (partition,),
    )
    _keep_latest_tallied(db)


def adopt_tallies(
    db: sqlite3.Connection, partition: str, tallies: Mapping[str, tuple[int, int]]
) -> bool:
    """Add to the cells of a partition that has none; return whether that is done."""
    if read_tallies(db, partition):
        return False
    for cell, (right, wrong) in tallies.items():
        add_tally(db, partition, cell, right, wrong)
    return bool(tallies)


def _keep_latest_tallied(db: sqlite3.Connection) -> None:
    """Bound the partitions: each system prompt and conversation makes one more."""
    (count,) = db.execute("SELECT count(*) FROM tallied").fetchone()
    if count <= MAX_TALLIED:
        return
    oldest = db.execute(
        "DELETE FROM tallied WHERE partition IN "
        "(SELECT partition FROM tallied ORDER BY updated LIMIT ?) RETURNING partition",
        (count - MAX_TALLIED,),
    ).fetchall()
    db.executemany("DELETE FROM tallies WHERE partition = ?", oldest)


def read_tallies(
    db: sqlite3.Connection, partition: str | None
) -> dict[str, tuple[int, int]]:
    """Return the cells of a partition, or the sums of all."""
    found = db.execute(
        "SELECT cell, rights, wrongs FROM tallies WHERE partition = ?",
        (ALL if partition is None else partition,),
    )
    return {cell: (right, wrong) for cell, right, wrong in found}


def forget_tallies(db: sqlite3.Connection, partition: str | None) -> None:
    """Forget a partition's cells and what the sums have of them, or everything."""
    if partition is None:
        db.execute("DELETE FROM tallies")
        db.execute("DELETE FROM tallied")
        return
    db.execute(
        "UPDATE tallies SET rights = tallies.rights - own.rights, "
        "wrongs = tallies.wrongs - own.wrongs FROM tallies AS own "
        "WHERE tallies.partition = ? AND own.partition = ? AND own.cell = tallies.cell",
        (ALL, partition),
    )
    db.execute("DELETE FROM tallies WHERE partition = ?", (partition,))
    db.execute("DELETE FROM tallied WHERE partition = ?", (partition,))


def claim(
    db: sqlite3.Connection, name: str, holder: str, now: float, seconds: float
) -> bool:
    """Take or renew a claim, unless another holds it; sweep those that are over."""
    db.execute("DELETE FROM claims WHERE expires <= ?", (now,))
    taken = db.execute(
        "INSERT INTO claims (name, holder, expires) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET expires = excluded.expires "
        "WHERE holder = excluded.holder",
        (name, holder, now + seconds),
    )
    return taken.rowcount > 0


def release(db: sqlite3.Connection, name: str, holder: str) -> None:
    """Drop a claim, if it is this holder's."""
    db.execute("DELETE FROM claims WHERE name = ? AND holder = ?", (name, holder))
