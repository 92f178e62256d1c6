"""Reading rows that may be expired or damaged: such a one is as good as none."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from langchain_prodpatterns.cache.stores.base import Entry, Found, Vector
from langchain_prodpatterns.cache.stores.sealing import SEALED, Row, as_text, checksum
from langchain_prodpatterns.usage import Usage

_COLUMNS = f"hits, checksum, {SEALED}"
_VECTOR = _COLUMNS.split(", ").index("vector")
_HALF_LIMIT = 65_504  # the greatest number of half precision


@dataclass
class Added:
    """Vectors that were added to the table."""

    last_id: int
    """The greatest row id among them."""
    groups: dict[str, tuple[list[int], list[Vector]]] = field(default_factory=dict)
    """Partition to row ids and vectors."""


@dataclass(frozen=True)
class Rows:
    """The rows of a database at a moment."""

    db: sqlite3.Connection
    """The connection to read from."""
    now: float
    """Seconds since the epoch."""
    damaged: dict[Any, str]
    """Key to reason, of the rows that turned out to be damaged."""

    def one(self, where: str, *values: Any) -> Entry | None:
        """Return the entry that our own clause names, unless it is past or damaged."""
        row = self._columns(where, values)
        return None if row is None else self.checked(row)

    def by_alias(self, exact: str) -> Found | None:
        """Return the entry that was found to answer a request, too."""
        alias = self.db.execute(
            "SELECT key, nearness FROM aliases WHERE exact = ?", (exact,)
        ).fetchone()
        entry = None if alias is None else self.one("key = ?", alias[0])
        return None if entry is None else Found(entry, "alias", alias[1])

    def with_vector(self, row: int, partition: str) -> tuple[Entry, Vector] | None:
        """Return the entry of a row id and its vector, unless it is past or damaged."""
        columns = self._columns("id = ? AND partition = ?", (row, partition))
        found = None if columns is None else self.whole(columns)
        if found is None or found[1] is None:
            return None
        return found[0], found[1]

    def _columns(self, where: str, values: Sequence[Any]) -> Row | None:
        row: Row | None = self.db.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE {where}",  # noqa: S608 - our own clauses
            values,
        ).fetchone()
        return row

    def after(
        self, last: int, where: str, values: Sequence[Any], limit: int
    ) -> list[Row]:
        """Return the id and the columns of some rows that our own clause names."""
        return self.db.execute(
            f"SELECT id, {_COLUMNS} FROM entries WHERE {where} "  # noqa: S608 - our own clauses
            "AND id > ? ORDER BY id LIMIT ?",
            (*values, last, limit),
        ).fetchall()

    def whole(self, row: Row) -> tuple[Entry, Vector | None] | None:
        """Return the entry of a row's columns and its vector, as `checked` does."""
        entry = self.checked(row)
        if entry is None:
            return None
        blob = row[_VECTOR]
        return entry, None if blob is None else np.frombuffer(blob, np.float32)

    def checked(self, row: Row) -> Entry | None:
        """Return the entry of a row's columns, unless it is past or damaged."""
        hits, seal, *sealed = row
        if checksum(sealed) != seal:
            self.damaged[sealed[0]] = "wrong checksum"
            return None
        (key, partition, exact, namespace, text, _, value) = sealed[:7]
        saved, metadata, created, expires = sealed[7:]
        if expires is not None and expires <= self.now:
            return None
        return Entry(
            key=key,
            partition=partition,
            exact=exact,
            text=None if text is None else as_text(text),
            value=value,
            namespace=as_text(namespace),
            saved=Usage(**json.loads(saved)),
            metadata=json.loads(metadata),
            ttl=None if expires is None else expires - created,
            created=created,
            hits=hits if isinstance(hits, int) else 0,
        )

    def expired(self) -> list[tuple[int, str]]:
        """Return id and partition of the rows that are past and not yet swept."""
        return self.db.execute(
            "SELECT id, partition FROM entries WHERE expires <= ?", (self.now,)
        ).fetchall()

    def rejected(self, exact: str) -> set[str]:
        """Return the keys of the entries that do not answer a request."""
        found = self.db.execute("SELECT key FROM rejected WHERE exact = ?", (exact,))
        return {key for (key,) in found}

    def backlog(self, last_id: int) -> int:
        """Return how many rows there are, at most, beyond an id."""
        (greatest,) = self.db.execute("SELECT max(id) FROM entries").fetchone()
        (entries,) = self.db.execute("SELECT entries FROM totals").fetchone()
        return min((greatest or 0) - last_id, int(entries))

    def count(self, partition: str) -> int:
        """Return how many rows a partition has."""
        where = "WHERE partition = ?"
        found = self.db.execute(f"SELECT count(*) FROM entries {where}", (partition,))  # noqa: S608 - our own clause
        return int(found.fetchone()[0])

    def added(self, last_id: int, limit: int) -> Added | None:
        """Return vectors of some rows beyond an id, or `None`."""
        found = self.db.execute(
            "SELECT id, key, partition, vector FROM entries "
            "WHERE id > ? AND vector IS NOT NULL ORDER BY id LIMIT ?",
            (last_id, limit),
        ).fetchall()
        if not found:
            return None
        added = Added(found[-1][0])
        # Not before: another process may just have stored the first vector.
        stored = self.db.execute("SELECT dimensions FROM embedder").fetchone()
        for row, key, partition, blob in found:
            vector = None if stored is None else _as_vector(blob, stored[0])
            if vector is None:
                self.damaged[key] = "damaged vector"
                continue
            ids, vectors = added.groups.setdefault(partition, ([], []))
            ids.append(row)
            vectors.append(vector)
        return added

    def buried(self, last_grave: int) -> list[tuple[int, int, str]] | None:
        """Return number, row id and partition of the rows that went since a number.

        `None` when some of them are no longer known.
        """
        found = self.db.execute(
            "SELECT id, entry, partition FROM graves WHERE id > ? ORDER BY id",
            (last_grave,),
        ).fetchall()
        return None if found and found[0][0] != last_grave + 1 else found

    def last_grave(self) -> int:
        """Return the number of the row that went last."""
        (greatest,) = self.db.execute("SELECT max(id) FROM graves").fetchone()
        return int(greatest or 0)


def _as_vector(blob: Any, size: int) -> Vector | None:
    """Read a vector; `None` for one of another length, or that no half can hold."""
    if not isinstance(blob, bytes) or len(blob) != 4 * size:
        return None
    vector = np.frombuffer(blob, np.float32)
    # Never true of what is not a number.
    return vector if (np.abs(vector) < _HALF_LIMIT).all() else None
