"""Entries in this process's memory, or in one SQLite file that processes share."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.cache.stores import notes, writing
from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.census import Census, read_census
from langchain_prodpatterns.cache.stores.database import Database
from langchain_prodpatterns.cache.stores.eviction import (
    Bounds,
    index_ranks,
    note_hits,
)
from langchain_prodpatterns.cache.stores.indexer import Indexer
from langchain_prodpatterns.cache.stores.nearest import Query, nearest
from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.cache.stores.selections import clauses
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.forking import guard

_HITS_AT_ONCE = 256
_ADD_AT_ONCE = 1000
_NO_FILES = frozenset({"", ".", ":memory:"})
_VERDICT_SECONDS = 1.0
_OF_THIS_PROCESS = frozenset(
    {"_hits", "_indexer", "_inherited", "_noting", "_opened", "_process"}
)


def _check_path(path: str | Path | None) -> None:
    """Refuse what is no path, or one that gives each connection a database."""
    if not (path is None or isinstance(path, str | Path)):
        msg = f"path must be the path of a file or None, got {path!r}"
        raise ConfigurationError(msg)
    if path is not None and str(path) in _NO_FILES:
        msg = (
            f"path must be the path of a file, got {str(path)!r}: leave it out for "
            "memory"
        )
        raise ConfigurationError(msg)


class LocalStore:
    """A `CacheStore` on SQLite: the table is the truth, a FAISS index is derived.

    Without a path the database is in memory. With one it is a file in WAL mode, which
    several processes may use at once: exact hits are read from the table, and the
    index does as the table does before every search. A commit survives the process. To
    read never waits for a write.

    More than 5,000 rows are taken into the index in the background, when the store is
    opened or afterwards; until then a search finds what is in it already. A partition
    of 50,000 vectors or more is divided into lists, in the background too: a search
    then takes less time than to look at all, and may miss a neighbor.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store.

        Args:
            path: The file, made if there is none; `None` for memory.
            max_entries: Entries to keep. Those make room that save least a byte, by
                their cost and their hits, and are not asked any more. An entry keeps
                its 64 latest aliases and its 64 latest rejected pairs.
            max_bytes: Bytes that the entries hold together, at most: less than the
                file, which has indexes and free pages, too.
            clock: Seconds since the epoch.

        Raises:
            ConfigurationError: When the path is none, or a bound is not a whole number,
                at least 1.
            StoreError: When the file cannot be opened, or is of a newer version.
        """
        _check_path(path)
        check_count("max_entries", max_entries)
        check_count("max_bytes", max_bytes)
        self._path = None if path is None else Path(path)
        self._bounds = Bounds(max_entries, max_bytes)
        self._clock = clock
        self._embedder: Fingerprint | None = None
        self._evicted = 0
        self._quarantined = 0
        self._expired = 0
        self._open(Database(self._path))

    def _open(self, database: Database) -> None:
        self._opened = database
        self._process = os.getpid()
        self._hits: dict[str, int] = {}
        # For what is counted here: not the database's, which a hit must not wait for.
        self._noting = threading.Lock()
        guard(self, "_noting")
        self._indexer = Indexer(self._reading)
        try:
            if self._bounds:
                with database.write() as db:
                    index_ranks(db)
            with self._reading() as rows:
                self._indexer.begin(rows)
        except BaseException:
            database.close()
            raise

    @property
    def _database(self) -> Database:
        """The database; a forked process opens the file anew.

        Memory is as it was, but empty where another thread was at work in it.
        """
        is_file = self._path is not None
        if self._process != os.getpid() and (is_file or self._opened.is_lost):
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
    def shared(self) -> bool:
        """Whether other processes may use it, too: memory is this process's own."""
        return self._path is not None

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
        if stored is not None and not stored.admits(fingerprint):
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
            return rows.by_alias(exact)

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
            self._indexer.refresh(rows, self._opened.version(rows.db))
            query = Query(partition, vector, limit, rows.rejected(exact))
            return nearest(rows, self._indexer, query)

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

    def wait_until_indexed(self, timeout: float | None = None) -> bool:
        """Wait until all vectors are in memory, and large partitions are divided.

        Args:
            timeout: Seconds to wait, at most; `None` is for ever.

        Returns:
            Whether it is so.
        """
        with self._reading() as rows:
            self._indexer.refresh(rows, self._opened.version(rows.db))
        return self._indexer.wait(timeout)

    def add(self, entry: Entry, vector: Vector | None) -> bool:
        """Store an entry, in place of one of the same request; return whether it is.

        Raises:
            StoreError: When the vector is not of the store's embedding model.
        """
        return self.add_many([(entry, vector)]) == 1

    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        """Store many entries, about a thousand a transaction; return how many.

        What is stored stays so when `items` raises. One that is larger than all that
        is to be held is not stored.

        Raises:
            StoreError: When a vector is not of the store's embedding model.
        """
        count = 0
        pending = iter(items)
        while batch := list(islice(pending, _ADD_AT_ONCE)):
            count += self._add_together(batch)
        return count

    def _add_together(self, batch: Sequence[tuple[Entry, Vector | None]]) -> int:
        stored = evicted = 0
        with self._database.write() as db:
            now = self._clock()
            note_hits(db, self._taken_hits())
            expired = writing.sweep(db, now)
            name = self._embedder.name if self._embedder else ""
            for size in {vector.size for _, vector in batch if vector is not None}:
                writing.record_embedder(db, Fingerprint(name, size))
            for entry, vector in batch:
                has_room, gone = writing.insert(db, entry, vector, now, self._bounds)
                stored += has_room
                evicted += gone
        with self._noting:
            self._expired += expired
            self._evicted += evicted
        return stored

    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        """Remember that an entry answers this request, too."""
        with self._database.write(_VERDICT_SECONDS) as db:
            writing.approve(db, exact, asked, key, nearness)

    def reject(self, exact: str, key: str) -> bool:
        """Remember that an entry does not answer this request; return if it is news."""
        with self._database.write(_VERDICT_SECONDS) as db:
            return writing.reject(db, exact, key)

    def touch(self, key: str) -> None:
        """Note that an entry was served.

        The notes are written with the next entry, or when there are many and nobody
        writes: a hit does not wait for them.
        """
        with self._noting:
            self._hits[key] = self._hits.get(key, 0) + 1
        if len(self._hits) >= _HITS_AT_ONCE:
            self._try_to_note_hits()

    def _try_to_note_hits(self) -> None:
        with suppress(StoreError), self._database.write(patience=0) as db:
            note_hits(db, self._taken_hits())

    def _taken_hits(self) -> Mapping[str, int]:
        with self._noting:
            taken, self._hits = self._hits, {}
        return taken

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many."""
        if selection.where is not None:
            return self._remove_keys([entry.key for entry, _ in self.scan(selection)])
        where, values = clauses(selection, self._clock())
        with self._database.write() as db:
            return db.execute(
                f"DELETE FROM entries WHERE {where}",  # noqa: S608 - our own clauses
                values,
            ).rowcount

    def scan(
        self, selection: Selection | None = None, *, batch: int = 500
    ) -> Iterator[tuple[Entry, Vector | None]]:
        """Go through entries and their vectors, the oldest row first.

        Args:
            selection: Which entries; `None` for all.
            batch: How many to read at once.
        """
        selection = selection or Selection()
        where, values = clauses(selection, self._clock())
        predicate = selection.where or (lambda _: True)
        last = 0
        while True:
            with self._reading() as rows:
                found = rows.after(last, where, values, batch)
                items = [rows.whole(row[1:]) for row in found]
            if not found:
                return
            last = found[-1][0]
            # While nobody waits: the predicate is the caller's, and so is what follows.
            for item in items:
                if item is not None and predicate(item[0].metadata):
                    yield item

    def sweep(self, limit: int = 10_000) -> int:
        """Remove some entries whose time is over; return how many.

        Bounds are kept at every entry that is added.
        """
        with self._database.write() as db:
            expired = writing.sweep(db, self._clock(), limit)
        with self._noting:
            self._expired += expired
        return expired

    def _remove_keys(self, keys: Sequence[str]) -> int:
        with self._database.write() as db:
            return db.executemany(
                "DELETE FROM entries WHERE key = ?", [(key,) for key in keys]
            ).rowcount

    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        """Add to the counters of a cell, and to those of all partitions together."""
        with self._database.write(_VERDICT_SECONDS) as db:
            notes.add_tally(db, partition, cell, right, wrong)

    def tallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Return what was right and wrong, a cell; `None` for all partitions."""
        with self._database.read() as db:
            return notes.read_tallies(db, partition)

    def adopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        """Take over a partition's counters, unless it has some; return whether."""
        with self._database.write() as db:
            return notes.adopt_tallies(db, partition, tallies)

    def reset_tallies(self, partition: str | None) -> None:
        """Forget the counters of a partition, in the sums too, or all of them."""
        with self._database.write() as db:
            notes.forget_tallies(db, partition)

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Try to be the only one, in all processes, who does something."""
        with self._database.write(_VERDICT_SECONDS) as db:
            return notes.claim(db, name, holder, self._clock(), seconds)

    def release(self, name: str, holder: str) -> None:
        """Give a claim back, if the holder has it."""
        with self._database.write(_VERDICT_SECONDS) as db:
            notes.release(db, name, holder)

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        self._put_aside({key: reason}, patience=_VERDICT_SECONDS)

    def _put_aside(self, damaged: Mapping[Any, str], patience: float) -> None:
        with self._database.write(patience) as db:
            count = writing.put_aside(db, damaged)
        with self._noting:
            self._quarantined += count

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair, tally and the embedding model."""
        with self._database.write() as db:
            writing.forget_all(db)
            notes.forget_tallies(db, None)

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        with self._database.read() as db:
            entries, held = db.execute("SELECT entries, bytes FROM totals").fetchone()
            (aliases,) = db.execute("SELECT count(*) FROM aliases").fetchone()
            (rejected,) = db.execute("SELECT count(*) FROM rejected").fetchone()
        return StoreCounts(
            entries=entries,
            evicted=self._evicted,
            quarantined=self._quarantined,
            aliases=aliases,
            rejected=rejected,
            bytes=held,
            expired=self._expired,
            indexed=self._indexer.size,
            building=self._indexer.is_building,
        )

    def census(self, largest: int = 10) -> Census:
        """Return what there is, by namespace and for the largest partitions.

        Args:
            largest: Of how many partitions to tell.
        """
        with self._database.read() as db:
            return read_census(db, self._clock(), largest)

    def vacuum(self) -> int:
        """Give the room of removed entries back to the disk; return how many bytes.

        Nobody can write meanwhile, and the file is written anew: that takes as much
        room once more for a while.

        Raises:
            StoreError: When another process writes, or the disk is full.
        """
        return self._database.vacuum()

    def close(self) -> None:
        """Release the file, and end what goes on in the background."""
        self._indexer.stop()
        if self._hits:
            self._try_to_note_hits()
        self._database.close()
