"""Entries in this process's memory, or in one SQLite file that processes share."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_prodpatterns.cache.stores import tables
from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.database import Database
from langchain_prodpatterns.cache.stores.rows import (
    SEALED,
    Rows,
    checksum,
    sealed_columns,
    size_of,
)
from langchain_prodpatterns.cache.stores.selections import clauses
from langchain_prodpatterns.cache.stores.vectors import VectorIndex
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

_SWEEP_FROM = 1024
_STAMPS_AT_ONCE = 64
_ADD_AT_ONCE = 1000
_VERDICT_SECONDS = 1.0
_VERDICTS_AN_ENTRY = 64
_MAX_QUARANTINED = 100
_OF_THIS_PROCESS = frozenset(
    {"_index", "_inherited", "_opened", "_process", "_sweep_above", "_touched"}
)


class LocalStore:
    """A `CacheStore` on SQLite: the table is the truth, a FAISS index is derived.

    Without a path the database is in memory. With one it is a file in WAL mode, which
    several processes may use at once: exact hits are read from the table, and the
    index takes in new rows before every search. A commit survives the process. To read
    never waits for a write.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        max_entries: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store.

        Args:
            path: The file, made if there is none; `None` for memory.
            max_entries: Entries to keep: the least recently used make room. An entry
                keeps its 64 latest aliases and its 64 latest rejected pairs.
            clock: Seconds since the epoch.

        Raises:
            StoreError: When the file cannot be opened, or is of another version.
        """
        self._path = None if path is None else Path(path)
        self._max_entries = max_entries
        self._clock = clock
        self._embedder: Fingerprint | None = None
        self._evicted = 0
        self._quarantined = 0
        self._expired = 0
        self._open(Database(self._path))

    def _open(self, database: Database) -> None:
        self._opened = database
        self._process = os.getpid()
        self._index = VectorIndex()
        self._sweep_above = 0
        self._touched: dict[str, None] = {}

    @property
    def _database(self) -> Database:
        """The database; a forked process opens the file anew."""
        if self._process != os.getpid() and self._path is not None:
            # The inherited one must not be used, nor closed while it is locked.
            self._inherited = self._opened
            self._inherited.abandon()
            self._open(Database(self._path))
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        """Take a file along by its path, and memory by its content."""
        state = {
            name: value
            for name, value in vars(self).items()
            if name not in _OF_THIS_PROCESS
        }
        content = None if self._path else self._database.content()
        return {**state, "content": content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("content")
        vars(self).update(state)
        self._open(Database(self._path, content))

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The embedding model of its vectors, once there is one."""
        with self._database.read() as db:
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
        with self._reading() as rows:
            entry = rows.one("exact = ?", exact)
            if entry is not None:
                return Found(entry, "exact")
            entry = rows.one("key = (SELECT key FROM aliases WHERE exact = ?)", exact)
            return None if entry is None else Found(entry, "alias")

    def get(self, key: str) -> Entry | None:
        """Return an entry by its key."""
        with self._reading() as rows:
            return rows.one("key = ?", key)

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
        with self._reading() as rows:
            self._catch_up(rows)
            rejected = rows.rejected(exact)
            count = limit + len(rejected)
            while True:
                near = self._index.search(partition, vector, count)
                entries = {
                    row: rows.one("id = ? AND partition = ?", row, partition)
                    for row, _ in near
                }
                gone = {row for row, entry in entries.items() if entry is None}
                if not gone:
                    break
                # Other processes delete, too; the table is right. Where one is gone,
                # many may be: all at once, since to drop one takes as long as to drop
                # all. Twice as many the next time, since damaged rows are still there.
                held = self._index.ids(partition)
                self._index.remove(partition, gone | (held - rows.living()))
                count *= 2
        neighbors = [
            Neighbor(entry, similarity)
            for row, similarity in near
            if (entry := entries[row]) is not None and entry.key not in rejected
        ]
        return neighbors[:limit]

    @contextmanager
    def _reading(self) -> Iterator[Rows]:
        """Read rows; put aside those that turn out to be damaged, if nobody writes."""
        damaged: dict[Any, str] = {}
        try:
            with self._database.read() as db:
                yield Rows(db, self._clock(), damaged)
        finally:
            if damaged:
                with suppress(StoreError):
                    self._put_aside(damaged, patience=0)

    def _catch_up(self, rows: Rows) -> None:
        """Take rows into the index that this or another process has added."""
        if self._index.size > self._sweep_above:
            # Of removed rows only those that turn up as near are dropped: begin anew.
            self._index = VectorIndex()
        is_new = self._index.last_id == 0
        while added := rows.added(self._index.last_id):
            self._index.last_id = added.last_id
            for partition, (ids, vectors) in added.groups.items():
                self._index.add(partition, ids, vectors)
        if is_new:
            self._sweep_above = 2 * self._index.size + _SWEEP_FROM

    def add(self, entry: Entry, vector: Vector | None) -> None:
        """Store an entry, in place of one of the same request.

        Raises:
            StoreError: When the vector is not of the store's embedding model.
        """
        self.add_many([(entry, vector)])

    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        """Store many entries, about a thousand a transaction; return how many.

        What is stored stays so when `items` raises.

        Raises:
            StoreError: When a vector is not of the store's embedding model.
        """
        count = 0
        pending = iter(items)
        while batch := list(islice(pending, _ADD_AT_ONCE)):
            with self._database.write() as db:
                self._stamp(db)
                now = self._clock()
                for entry, vector in batch:
                    self._insert(db, entry, vector, now)
                self._make_room(db, now)
            count += len(batch)
        return count

    def _insert(
        self, db: sqlite3.Connection, entry: Entry, vector: Vector | None, now: float
    ) -> None:
        if vector is not None:
            self._record_embedder(db, vector.size)
        sealed = sealed_columns(entry, vector, now)
        db.execute("DELETE FROM aliases WHERE exact = ?", (entry.exact,))
        db.execute("DELETE FROM entries WHERE exact = ?", (entry.exact,))
        db.execute(
            f"INSERT INTO entries ({SEALED}, checksum, size, used) VALUES "  # noqa: S608 - our own columns
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "(SELECT coalesce(max(used), 0) + 1 FROM entries))",
            (*sealed, checksum(sealed), size_of(sealed)),
        )

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
        swept = db.execute("DELETE FROM entries WHERE expires <= ?", (now,))
        self._expired += swept.rowcount
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

    def add_alias(self, exact: str, asked: str | None, key: str) -> None:
        """Remember that an entry answers this request, too."""
        with self._database.write(_VERDICT_SECONDS) as db:
            db.execute("DELETE FROM rejected WHERE exact = ? AND key = ?", (exact, key))
            db.execute(
                # Not of an entry that another process has just removed.
                "INSERT OR REPLACE INTO aliases (exact, asked, key) "
                "SELECT ?, ?, key FROM entries WHERE key = ?",
                (exact, asked, key),
            )
            _keep_latest(db, "aliases", key)

    def reject(self, exact: str, key: str) -> None:
        """Remember that an entry does not answer this request."""
        with self._database.write(_VERDICT_SECONDS) as db:
            db.execute("DELETE FROM aliases WHERE exact = ? AND key = ?", (exact, key))
            db.execute(
                "INSERT OR IGNORE INTO rejected (exact, key) "
                "SELECT ?, key FROM entries WHERE key = ?",
                (exact, key),
            )
            _keep_latest(db, "rejected", key)

    def touch(self, key: str) -> None:
        """Note that an entry was served, where that decides what makes room.

        The notes are written with the next entry, or when there are many and nobody
        writes: a hit does not wait for them.
        """
        if self._max_entries is None:
            return
        self._touched.pop(key, None)
        self._touched[key] = None
        if len(self._touched) >= _STAMPS_AT_ONCE:
            self._try_to_stamp()

    def _try_to_stamp(self) -> None:
        with suppress(StoreError), self._database.write(patience=0) as db:
            self._stamp(db)

    def _stamp(self, db: sqlite3.Connection) -> None:
        touched, self._touched = self._touched, {}
        db.executemany(
            "UPDATE entries SET hits = hits + 1, "
            "used = (SELECT max(used) + 1 FROM entries) WHERE key = ?",
            [(key,) for key in touched],
        )

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many."""
        where, values = clauses(selection, self._clock())
        if selection.where is not None:
            return self._remove_keys(self._matching(selection.where, where, values))
        with self._database.write() as db:
            return db.execute(
                f"DELETE FROM entries WHERE {where}",  # noqa: S608 - our own clauses
                values,
            ).rowcount

    def _matching(
        self,
        predicate: Callable[[Mapping[str, Any]], bool],
        where: str,
        values: Sequence[Any],
    ) -> list[str]:
        """Return the keys that a predicate fits, which runs while nobody waits."""
        keys: list[str] = []
        last = 0
        while True:
            with self._reading() as rows:
                batch = rows.batch(f"{where} AND id > ?", (*values, last))
                entries = [rows.checked(row[1:]) for row in batch]
            if not batch:
                return keys
            last = batch[-1][0]
            keys += [e.key for e in entries if e is not None and predicate(e.metadata)]

    def _remove_keys(self, keys: Sequence[str]) -> int:
        with self._database.write() as db:
            return db.executemany(
                "DELETE FROM entries WHERE key = ?", [(key,) for key in keys]
            ).rowcount

    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        """Add to the counters of a cell, and to those of all partitions together."""
        with self._database.write(_VERDICT_SECONDS) as db:
            tables.add_tally(db, partition, cell, right, wrong)

    def tallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Return what was right and wrong, a cell; `None` for all partitions."""
        with self._database.read() as db:
            return tables.read_tallies(db, partition)

    def reset_tallies(self, partition: str | None) -> None:
        """Forget the counters of a partition, in the sums too, or all of them."""
        with self._database.write() as db:
            tables.forget_tallies(db, partition)

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Try to be the only one, in all processes, who does something."""
        with self._database.write(_VERDICT_SECONDS) as db:
            return tables.claim(db, name, holder, self._clock(), seconds)

    def release(self, name: str, holder: str) -> None:
        """Give a claim back, if the holder has it."""
        with self._database.write(_VERDICT_SECONDS) as db:
            tables.release(db, name, holder)

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        self._put_aside({key: reason}, patience=_VERDICT_SECONDS)

    def _put_aside(self, damaged: Mapping[Any, str], patience: float) -> None:
        with self._database.write(patience) as db:
            for key, reason in damaged.items():
                db.execute(
                    "INSERT OR REPLACE INTO quarantine (key, reason, value) "
                    "SELECT key, ?, value FROM entries WHERE key = ?",
                    (reason, key),
                )
                gone = db.execute("DELETE FROM entries WHERE key = ?", (key,))
                self._quarantined += gone.rowcount
            db.execute(
                "DELETE FROM quarantine WHERE id <= "
                "(SELECT max(id) FROM quarantine) - ?",
                (_MAX_QUARANTINED,),
            )

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair, tally and the embedding model."""
        with self._database.write() as db:
            for table in ("entries", "aliases", "rejected", "quarantine", "embedder"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
            tables.forget_tallies(db, None)
        with self._database.read():
            self._index.clear()

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        with self._database.read() as db:
            entries, aliases, rejected = (
                db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own tables
                for table in ("entries", "aliases", "rejected")
            )
            (size,) = db.execute("SELECT total(size) FROM entries").fetchone()
        return StoreCounts(
            entries=entries,
            evicted=self._evicted,
            quarantined=self._quarantined,
            aliases=aliases,
            rejected=rejected,
            bytes=int(size),
            expired=self._expired,
            indexed=self._index.size,
        )

    def close(self) -> None:
        """Release the file. Nothing may be called after it."""
        if self._touched:
            self._try_to_stamp()
        self._database.close()
        self._index.clear()


def _keep_latest(db: sqlite3.Connection, table: str, key: str) -> None:
    """Bound the verdicts on an entry: whoever asks for the first again is judged."""
    db.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE key = ? "  # noqa: S608 - our own tables
        "ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (key, _VERDICTS_AN_ENTRY),
    )
