"""Entries in this process's memory, or in one SQLite file that processes share."""

import hashlib
import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.schema import connect
from langchain_prodpatterns.cache.stores.vectors import VectorIndex
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage

_Row: TypeAlias = tuple[Any, ...]

_SEALED = "key, partition, exact, namespace, text, vector, value, saved, expires"
_COLUMNS = f"{_SEALED}, checksum"
_LOAD_AT_ONCE = 4096
_SWEEP_FROM = 1024
_OF_THIS_PROCESS = frozenset(
    {
        "_connection",
        "_finalizer",
        "_index",
        "_inherited",
        "_lock",
        "_process",
        "_sweep_above",
    }
)


class LocalStore:
    """A `CacheStore` on SQLite: the table is the truth, a FAISS index is derived.

    Without a path the database is in memory. With one it is a file in WAL mode, which
    several processes may use at once: exact hits are read from the table, and the
    index takes in new rows before every search. A commit survives the process.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        ttl: float | None = None,
        max_entries: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store.

        Args:
            path: The file, made if there is none; `None` for memory.
            ttl: Seconds that an entry lives; at the end of them it is not served.
            max_entries: Entries to keep: the least recently used make room.
            clock: Seconds since the epoch.

        Raises:
            StoreError: When the file cannot be opened, or is of another version.
        """
        self._path = None if path is None else Path(path)
        self._ttl = ttl
        self._max_entries = max_entries
        self._clock = clock
        self._embedder: Fingerprint | None = None
        self._evicted = 0
        self._quarantined = 0
        self._open(connect(self._path))

    def _open(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Closes what nobody closed, without a `ResourceWarning`.
        self._finalizer = weakref.finalize(self, connection.close)
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._index = VectorIndex()
        self._sweep_above = 0

    def __getstate__(self) -> dict[str, Any]:
        """Take a file along by its path, and memory by its content."""
        with self._db() as db:
            state = {
                name: value
                for name, value in vars(self).items()
                if name not in _OF_THIS_PROCESS
            }
            return {**state, "content": None if self._path else db.serialize()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("content")
        vars(self).update(state)
        connection = connect(self._path)
        if content is not None:
            connection.deserialize(content)
        self._open(connection)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The embedding model of its vectors, once there is one."""
        with self._db() as db:
            row = db.execute("SELECT name, dimensions FROM embedder").fetchone()
        return None if row is None else Fingerprint(*row)

    def bind(self, fingerprint: Fingerprint) -> None:
        """Take note of the embedding model.

        Raises:
            StoreError: When the vectors in the store were made by another.
        """
        stored = self.fingerprint
        if stored is not None and (
            stored.name != fingerprint.name
            or fingerprint.dimensions not in {None, stored.dimensions}
        ):
            msg = (
                f"the cache at {self._path or 'memory'} holds vectors of {stored}, the "
                f"embeddings given are {fingerprint}: give the same embeddings, or "
                "another path"
            )
            raise StoreError(msg)
        self._embedder = fingerprint

    def find(self, exact: str) -> Found | None:
        """Return the entry of a request, or of its alias."""
        with self._db() as db:
            entry = self._one(db, "exact = ?", exact)
            if entry is not None:
                return Found(entry, "exact")
            entry = self._one(
                db, "key = (SELECT key FROM aliases WHERE exact = ?)", exact
            )
            return None if entry is None else Found(entry, "alias")

    def get(self, key: str) -> Entry | None:
        """Return an entry by its key."""
        with self._db() as db:
            return self._one(db, "key = ?", key)

    def _one(self, db: sqlite3.Connection, where: str, value: str) -> Entry | None:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE {where}",  # noqa: S608 - our own clauses
            (value,),
        ).fetchone()
        return None if row is None else self._checked(db, row)

    def nearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        """Return the nearest entries of a partition, the nearest first.

        Args:
            partition: The partition.
            vector: The question's vector.
            exact: The request: entries that were rejected for it are left out.
            limit: How many to return at most.
        """
        with self._db() as db:
            self._catch_up(db)
            rejected = {
                key
                for (key,) in db.execute(
                    "SELECT key FROM rejected WHERE exact = ?", (exact,)
                )
            }
            while True:
                near = self._index.search(partition, vector, limit + len(rejected))
                entries = {row: self._row(db, row, partition) for row, _ in near}
                gone = [row for row, entry in entries.items() if entry is None]
                if not gone:
                    break
                # Other processes delete, too; the table is right.
                self._index.remove(partition, gone)
        neighbors = [
            Neighbor(entry, similarity)
            for row, similarity in near
            if (entry := entries[row]) is not None and entry.key not in rejected
        ]
        return neighbors[:limit]

    def _row(self, db: sqlite3.Connection, row: int, partition: str) -> Entry | None:
        found = db.execute(
            f"SELECT {_COLUMNS} FROM entries WHERE id = ? AND partition = ?",  # noqa: S608 - our own columns
            (row, partition),
        ).fetchone()
        return None if found is None else self._checked(db, found)

    def _catch_up(self, db: sqlite3.Connection) -> None:
        """Take rows into the index that this or another process has added."""
        if self._index.size > self._sweep_above:
            # Of removed rows only those that turn up as near are dropped: begin anew.
            self._index = VectorIndex()
        is_new = self._index.last_id == 0
        while rows := db.execute(
            "SELECT id, key, partition, vector FROM entries "
            "WHERE id > ? AND vector IS NOT NULL ORDER BY id LIMIT ?",
            (self._index.last_id, _LOAD_AT_ONCE),
        ).fetchall():
            self._take_in(db, rows)
        if is_new:
            self._sweep_above = 2 * self._index.size + _SWEEP_FROM

    def _take_in(self, db: sqlite3.Connection, rows: list[_Row]) -> None:
        stored = self.fingerprint
        groups: dict[str, tuple[list[int], list[Vector]]] = {}
        for row, key, partition, blob in rows:
            self._index.last_id = row
            vector = _vector(blob, stored)
            if vector is None:
                self._put_aside(db, key, "damaged vector")
                continue
            ids, vectors = groups.setdefault(partition, ([], []))
            ids.append(row)
            vectors.append(vector)
        for partition, (ids, vectors) in groups.items():
            self._index.add(partition, ids, vectors)

    def _checked(self, db: sqlite3.Connection, row: _Row) -> Entry | None:
        """Return a row's entry; remove it if it is expired or damaged."""
        *sealed, checksum = row
        if _checksum(sealed) != checksum:
            self._put_aside(db, row[0], "wrong checksum")
            return None
        key, partition, exact, namespace, text, _, value, saved, expires = sealed
        if expires is not None and expires <= self._clock():
            db.execute("DELETE FROM entries WHERE key = ?", (key,))
            return None
        return Entry(
            key=key,
            partition=partition,
            exact=exact,
            text=None if text is None else _text(text),
            value=value,
            namespace=_text(namespace),
            saved=Usage(**json.loads(saved)),
        )

    def add(self, entry: Entry, vector: Vector | None) -> None:
        """Store an entry, in place of one of the same request.

        Raises:
            StoreError: When the vector is not of the store's embedding model.
        """
        now = self._clock()
        sealed = (
            entry.key,
            entry.partition,
            entry.exact,
            _blob(entry.namespace),
            None if entry.text is None else _blob(entry.text),
            None if vector is None else vector.tobytes(),
            entry.value,
            json.dumps(asdict(entry.saved)),
            None if self._ttl is None else now + self._ttl,
        )
        with self._transaction() as db:
            if vector is not None:
                self._record_embedder(db, vector.size)
            db.execute("DELETE FROM aliases WHERE exact = ?", (entry.exact,))
            db.execute("DELETE FROM entries WHERE exact = ?", (entry.exact,))
            db.execute(
                f"INSERT INTO entries ({_COLUMNS}, created, used) VALUES "  # noqa: S608 - our own columns
                "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "(SELECT coalesce(max(used), 0) + 1 FROM entries))",
                (*sealed, _checksum(sealed), now),
            )
            self._make_room(db, now)

    def _record_embedder(self, db: sqlite3.Connection, dimensions: int) -> None:
        stored = db.execute("SELECT name, dimensions FROM embedder").fetchone()
        name = self._embedder.name if self._embedder else ""
        if stored is None:
            db.execute("INSERT INTO embedder VALUES (?, ?)", (name, dimensions))
        elif stored != (name, dimensions):
            given = Fingerprint(name, dimensions)
            msg = f"the store holds vectors of {Fingerprint(*stored)}, not of {given}"
            raise StoreError(msg)

    def _make_room(self, db: sqlite3.Connection, now: float) -> None:
        db.execute("DELETE FROM entries WHERE expires <= ?", (now,))
        if self._max_entries is None:
            return
        (count,) = db.execute("SELECT count(*) FROM entries").fetchone()
        if count > self._max_entries:
            db.execute(
                "DELETE FROM entries WHERE id IN "
                "(SELECT id FROM entries ORDER BY used LIMIT ?)",
                (count - self._max_entries,),
            )
            self._evicted += count - self._max_entries

    def add_alias(self, exact: str, text: str | None, key: str) -> None:
        """Remember that an entry answers this request, too."""
        with self._transaction() as db:
            db.execute("DELETE FROM rejected WHERE exact = ? AND key = ?", (exact, key))
            db.execute(
                # Not of an entry that another process has just removed.
                "INSERT OR REPLACE INTO aliases SELECT ?, ?, key FROM entries "
                "WHERE key = ?",
                (exact, None if text is None else _blob(text), key),
            )

    def reject(self, exact: str, key: str) -> None:
        """Remember that an entry does not answer this request."""
        with self._transaction() as db:
            db.execute("DELETE FROM aliases WHERE exact = ? AND key = ?", (exact, key))
            db.execute(
                "INSERT OR IGNORE INTO rejected SELECT ?, key FROM entries "
                "WHERE key = ?",
                (exact, key),
            )

    def touch(self, key: str) -> None:
        """Note that an entry was served, where that decides what makes room."""
        if self._max_entries is not None:
            with self._db() as db:
                db.execute(
                    "UPDATE entries SET used = (SELECT max(used) + 1 FROM entries) "
                    "WHERE key = ?",
                    (key,),
                )

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many."""
        clauses: list[str] = []
        values: list[Any] = []
        if selection.key is not None:
            clauses.append("key = ?")
            values.append(selection.key)
        if selection.text is not None:
            clauses.append(
                "(text = ? OR key IN (SELECT key FROM aliases WHERE text = ?))"
            )
            values += [_blob(selection.text)] * 2
        if selection.namespace is not None:
            clauses.append("namespace = ?")
            values.append(_blob(selection.namespace))
        if selection.older_than is not None:
            clauses.append("created <= ?")
            values.append(self._clock() - selection.older_than)
        where = " AND ".join(clauses) or "1"
        with self._transaction() as db:
            return db.execute(
                f"DELETE FROM entries WHERE {where}",  # noqa: S608 - our own clauses
                values,
            ).rowcount

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        with self._db() as db:
            self._put_aside(db, key, reason)

    def _put_aside(self, db: sqlite3.Connection, key: Any, reason: str) -> None:
        db.execute(
            "INSERT OR REPLACE INTO quarantine SELECT key, ?, value FROM entries "
            "WHERE key = ?",
            (reason, key),
        )
        db.execute("DELETE FROM entries WHERE key = ?", (key,))
        self._quarantined += 1

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair and the embedding model."""
        with self._transaction() as db:
            for table in ("entries", "aliases", "rejected", "quarantine", "embedder"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
            self._index.clear()

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        with self._db() as db:
            (entries,) = db.execute("SELECT count(*) FROM entries").fetchone()
            return StoreCounts(entries, self._evicted, self._quarantined)

    def close(self) -> None:
        """Release the file. Nothing may be called after it."""
        with self._lock:
            self._connection.close()
            self._index.clear()

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection; a forked process opens one of its own."""
        if self._process != os.getpid() and self._path is not None:
            # The inherited one must not be used, nor closed while it is locked.
            self._inherited = self._connection
            self._open(connect(self._path))
        with self._lock:
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._db() as db:
            try:
                # Inside: an interrupt may come while it waits for another process.
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _checksum(sealed: Sequence[Any]) -> str:
    """Return the digest of a row's columns, of whatever types they turn out to be."""
    return hashlib.sha256(repr(tuple(sealed)).encode()).hexdigest()


def _vector(blob: Any, stored: Fingerprint | None) -> Vector | None:
    """Read a vector; `None` for what is no finite vector of the store's length."""
    size = stored.dimensions if stored else None
    if not isinstance(blob, bytes) or size is None or len(blob) != 4 * size:
        return None
    vector = np.frombuffer(blob, np.float32)
    return vector if np.isfinite(vector).all() else None


def _blob(text: str) -> bytes:
    # Lone surrogates are text in Python; SQLite's text refuses them.
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")
