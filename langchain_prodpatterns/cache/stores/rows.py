"""Reading rows that may be expired or damaged: such a one is as good as none."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.usage import Usage

Row: TypeAlias = tuple[Any, ...]
"""A row, of whatever types its columns turn out to be."""

_SEALED = "key, partition, exact, namespace, text, vector, value, saved, expires"

COLUMNS = f"{_SEALED}, checksum"
"""What is written of an entry: all but when it was made and used."""

_LOAD_AT_ONCE = 4096


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
        row = self.db.execute(
            f"SELECT {COLUMNS} FROM entries WHERE {where}",  # noqa: S608 - our own clauses
            values,
        ).fetchone()
        return None if row is None else self._checked(row)

    def _checked(self, row: Row) -> Entry | None:
        *sealed, seal = row
        if checksum(sealed) != seal:
            self.damaged[row[0]] = "wrong checksum"
            return None
        key, partition, exact, namespace, text, _, value, saved, expires = sealed
        if expires is not None and expires <= self.now:
            return None
        return Entry(
            key=key,
            partition=partition,
            exact=exact,
            text=None if text is None else _as_text(text),
            value=value,
            namespace=_as_text(namespace),
            saved=Usage(**json.loads(saved)),
        )

    def living(self) -> set[int]:
        """Return the ids of the rows that are not expired."""
        found = self.db.execute(
            # Both are read from an index alone.
            "SELECT id FROM entries EXCEPT SELECT id FROM entries WHERE expires <= ?",
            (self.now,),
        )
        return {row for (row,) in found}

    def rejected(self, exact: str) -> set[str]:
        """Return the keys of the entries that do not answer a request."""
        found = self.db.execute("SELECT key FROM rejected WHERE exact = ?", (exact,))
        return {key for (key,) in found}

    def added(self, last_id: int) -> Added | None:
        """Return vectors of rows beyond an id, some thousand at most, or `None`."""
        found = self.db.execute(
            "SELECT id, key, partition, vector FROM entries "
            "WHERE id > ? AND vector IS NOT NULL ORDER BY id LIMIT ?",
            (last_id, _LOAD_AT_ONCE),
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


def checksum(sealed: Sequence[Any]) -> str:
    """Return the digest of a row's columns, of whatever types they turn out to be."""
    return hashlib.sha256(repr(tuple(sealed)).encode()).hexdigest()


def as_blob(text: str) -> bytes:
    """Write a text: lone surrogates are text in Python, SQLite's text refuses them."""
    return text.encode("utf-8", "surrogatepass")


def _as_text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")


def _as_vector(blob: Any, size: int) -> Vector | None:
    """Read a vector; `None` for what is no finite vector of the store's length."""
    if not isinstance(blob, bytes) or len(blob) != 4 * size:
        return None
    vector = np.frombuffer(blob, np.float32)
    return vector if np.isfinite(vector).all() else None
