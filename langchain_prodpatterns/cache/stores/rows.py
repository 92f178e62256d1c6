"""Reading rows that may be expired or damaged: such a one is as good as none."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.usage import Usage

Row: TypeAlias = tuple[Any, ...]
"""A row, of whatever types its columns turn out to be."""

SEALED = (
    "key, partition, exact, namespace, text, vector, value, saved, metadata, "
    "created, expires"
)
"""What the checksum of an entry is of."""

_COLUMNS = f"hits, checksum, {SEALED}"

_LOAD_AT_ONCE = 4096
_CHECK_AT_ONCE = 256


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
            f"SELECT {_COLUMNS} FROM entries WHERE {where}",  # noqa: S608 - our own clauses
            values,
        ).fetchone()
        return None if row is None else self.checked(row)

    def batch(self, where: str, values: Sequence[Any]) -> list[Row]:
        """Return the id and the columns of some rows that our own clause names."""
        return self.db.execute(
            f"SELECT id, {_COLUMNS} FROM entries WHERE {where} "  # noqa: S608 - our own clauses
            f"ORDER BY id LIMIT {_CHECK_AT_ONCE}",
            values,
        ).fetchall()

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
            text=None if text is None else _as_text(text),
            value=value,
            namespace=_as_text(namespace),
            saved=Usage(**json.loads(saved)),
            metadata=json.loads(metadata),
            ttl=None if expires is None else expires - created,
            created=created,
            hits=hits,
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


def sealed_columns(entry: Entry, vector: Vector | None, now: float) -> Row:
    """Return the columns of an entry that is stored now, in the order of `SEALED`."""
    return (
        entry.key,
        entry.partition,
        entry.exact,
        as_blob(entry.namespace),
        None if entry.text is None else as_blob(entry.text),
        None if vector is None else vector.tobytes(),
        entry.value,
        json.dumps(asdict(entry.saved)),
        json.dumps(dict(entry.metadata)),
        now,
        None if entry.ttl is None else now + entry.ttl,
    )


def size_of(sealed: Row) -> int:
    """Return about how many bytes an entry holds: its texts, blobs and numbers."""
    return sum(
        len(column) if isinstance(column, str | bytes) else 8 for column in sealed
    )


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
