"""What a process knows of a store in PostgreSQL, and the work that is done there."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.eviction import Bounds
from langchain_prodpatterns.cache.stores.postgres import (
    counting,
    entries,
    indexing,
    notes,
    searching,
    sweeping,
)
from langchain_prodpatterns.cache.stores.postgres.announcing import (
    Hearing,
    announce,
)
from langchain_prodpatterns.cache.stores.postgres.columns import (
    has_direction,
    size_of_item,
)
from langchain_prodpatterns.cache.stores.postgres.migrations import State
from langchain_prodpatterns.cache.stores.postgres.recent import Recent
from langchain_prodpatterns.cache.stores.postgres.sizes import PartitionSizes
from langchain_prodpatterns.cache.stores.postgres.statements import Work
from langchain_prodpatterns.cache.stores.postgres.tables import SIDE_BY_SIDE
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.forking import guard

_NOTED_AT_MOST = 10_000
_MORE = 8
_NUMBERS = 1_000_000
"""Numbers in all vectors of a partition that are compared in some milliseconds."""
_NUMBERS_SIDE_BY_SIDE = 4_000_000
"""The same where the vectors lie side by side."""
_TRIES = 4
_ASKED_AT_ONCE = 100
_COUNTED_AT_ONCE = 1_000
_LEFT = 16
"""Beside what is in the index, a part of what would all be looked at stays out of it:
those came last, and are compared as well."""


@dataclass(frozen=True, slots=True)
class Searching:
    """How near entries are looked for."""

    scan_rows: int | None
    """Vectors of a partition that are all looked at; more are searched by the index."""
    breadth: int
    """`hnsw.ef_search`: candidates that the index keeps in view."""
    state: Callable[[], State | None]
    """What is known of the tables."""

    def rows(self, dimensions: int) -> int:
        """How many vectors of a partition, of so many dimensions, are all looked at."""
        if self.scan_rows is not None:
            return self.scan_rows
        is_long = dimensions > SIDE_BY_SIDE
        return (_NUMBERS if is_long else _NUMBERS_SIDE_BY_SIDE) // dimensions

    def is_indexed(self, dimensions: int) -> bool:
        """Whether there is an index for larger partitions."""
        state = self.state()
        return state is not None and dimensions in state.indexed


class Keeper:
    """Puts the work of each method together. Safe to use from many threads.

    It asks nothing itself: who runs the work does.
    """

    def __init__(
        self,
        bounds: Bounds,
        searching: Searching,
        recent: Recent,
        *,
        namespace: str | None = None,
    ) -> None:
        """Begin without knowing anything.

        Args:
            bounds: How much is held, at most.
            searching: How near entries are looked for.
            recent: What was found lately.
            namespace: The only one that it sees; `None` sees all there is.
        """
        self.origin = uuid4().hex
        """Names this process's use of the store."""
        self.embedder: Fingerprint | None = None
        """The embedding model that it was opened with."""
        self.known: Fingerprint | None = None
        """The embedding model of the vectors, where it was read."""
        self.recent = recent
        """What was found lately."""
        self.listeners: list[Callable[[Selection], None]] = []
        """Who is told what other processes remove."""
        self._bounds = bounds
        self._searching = searching
        self._namespace = namespace
        self._sizes = PartitionSizes()
        self._hearing = Hearing(self.origin)
        self._lock = threading.Lock()
        guard(self, "_lock", in_child=Keeper._begin_anew)
        self._hits: Counter[str] = Counter()
        self._gone: Counter[Literal["evicted", "expired", "quarantined"]] = Counter()

    def _begin_anew(self) -> None:
        """Be another than the process that this one is forked from."""
        # What it heard stays heard; what its parent says is news from now on.
        self.origin = self._hearing.origin = uuid4().hex
        # They are its parent's, which writes them down.
        self._hits.clear()

    # Reading

    def find(self, exact: str) -> Work[Found | None]:
        """Return the entry of a request, or of its alias."""
        age, held = self.recent.age, self.recent.get(exact)
        if held is not None:
            return held
        seen = yield from entries.find(exact)
        yield from self._put_damaged_aside(seen.damaged)
        if seen.found is not None:
            self.recent.put(exact, seen.found, seen.left, age)
        return seen.found

    def get(self, key: str) -> Work[Entry | None]:
        """Return an entry by its key."""
        entry, damaged = yield from entries.get(key)
        yield from self._put_damaged_aside(damaged)
        return entry

    def nearest(self, search: searching.Search) -> Work[Sequence[Neighbor]]:
        """Return the nearest entries of a partition, the nearest first."""
        stored = self.known or (yield from self.fingerprint())
        if stored is None or not self._compares(stored, search.vector):
            return []
        self._sizes.note_searched(search.partition)
        indexed = self._sizes.is_indexed(search.partition)
        for _ in range(_TRIES):
            found = yield from searching.nearest(
                search, self._searching.breadth, indexed=indexed
            )
            yield from self._put_damaged_aside(found.damaged)
            if not found.damaged:
                break
            # They have hidden the next nearest.
        if found.indexed and not indexed:
            self._sizes.note_indexed(search.partition)
        return found.neighbors

    def _compares(self, stored: Fingerprint, vector: Vector) -> bool:
        """Whether a vector has a direction, and is of the model of the stored ones."""
        own = stored.name if self.embedder is None else self.embedder.name
        return stored == Fingerprint(own, vector.size) and has_direction(vector)

    def fingerprint(self) -> Work[Fingerprint | None]:
        """Return the embedding model of the vectors, once there is one."""
        self.known = yield from entries.fingerprint()
        return self.known

    def counts(self) -> Work[StoreCounts]:
        """Return what the store did, and what is in it."""
        totals = yield from counting.totals()
        with self._lock:
            gone = self._gone.copy()
        return StoreCounts(
            entries=totals.entries,
            evicted=gone["evicted"],
            quarantined=gone["quarantined"],
            aliases=totals.aliases,
            rejected=totals.rejected,
            bytes=totals.bytes,
            expired=gone["expired"],
        )

    # Writing

    def add(self, items: Sequence[tuple[Entry, Vector | None]]) -> Work[int]:
        """Store entries in place of those of the same requests; return how many.

        Raises:
            StoreError: When a vector is not of the store's embedding model, or an entry
                of another namespace than it may write.
        """
        others = {entry.namespace for entry, _ in items} - {self._namespace}
        if self._namespace is not None and others:
            msg = (
                f"a store with namespace={self._namespace!r} keeps no entries of "
                f"others: open one for each, or give the cache that namespace"
            )
            raise StoreError(msg)
        fits = [one for one in items if self._has_room(one)]
        sizes = {vector.size for _, vector in fits if vector is not None}
        if len(sizes) > 1:
            msg = f"vectors of one length are needed, got {sorted(sizes)}"
            raise StoreError(msg)
        yield from self.write_hits()
        name = self.embedder.name if self.embedder else ""
        exacts = [entry.exact for entry, _ in items]
        added = yield from entries.add(fits, name, exacts)
        self.known = added.embedder
        for exact in exacts:
            self.recent.forget(exact)
        self._count("evicted", len(items) - len(fits))
        yield from self._make_room([entry.key for entry, _ in fits])
        # What was removed while this was being stored has to be known now.
        yield from self.hear()
        return added.stored

    def _has_room(self, item: tuple[Entry, Vector | None]) -> bool:
        return not self._bounds or self._bounds.allow(1, size_of_item(*item))

    def _make_room(self, added: Sequence[str]) -> Work[None]:
        """Remove others for what came; of these only where they are too many."""
        if not self._bounds:
            return
        for spared in (added, ()):
            limit = len(added) + _MORE
            evicted = yield from sweeping.make_room(limit, self._bounds, spared)
            self._count("evicted", evicted)

    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str
    ) -> Work[None]:
        """Remember that an entry answers this request, too."""
        yield from notes.approve(exact, asked, key, nearness)
        self.recent.forget(exact)

    def reject(self, exact: str, key: str) -> Work[bool]:
        """Remember that an entry does not answer this request; return if it is news."""
        is_news = yield from notes.reject(exact, key, self.origin)
        self.recent.forget(exact)
        return is_news

    def remove(
        self, selection: Selection, keys: Sequence[str] | None = None
    ) -> Work[int]:
        """Remove entries, of those of some keys; return how many."""
        removed = yield from entries.remove(selection, self.origin, keys)
        self._forget_removed(selection)
        return removed

    def _forget_removed(self, selection: Selection) -> None:
        self.recent.forget_removed(selection)
        if selection.key is None:
            self._sizes.forget(selection.partition)

    def clear(self) -> Work[None]:
        """Forget every entry, alias, rejected pair, tally and the embedding model."""
        yield from entries.remove(Selection(), self.origin)
        announced = announce(Selection(), self.origin)
        yield from sweeping.forget_all(announced, is_alone=self._namespace is None)
        self._forget_removed(Selection())
        self.known = None

    def quarantine(self, damaged: Mapping[str, str]) -> Work[None]:
        """Put damaged entries, key to reason, where they are never served."""
        count = yield from notes.put_aside(damaged)
        self._count("quarantined", count)
        for key in damaged:
            self.recent.forget_removed(Selection(key=key))

    def _put_damaged_aside(self, keys: Iterable[str]) -> Work[None]:
        damaged = dict.fromkeys(keys, "wrong checksum")
        if damaged:
            yield from self.quarantine(damaged)

    def sweep(self, limit: int) -> Work[int]:
        """Remove what is past and what there is no room for; return how many."""
        yield from self.write_hits()
        swept = yield from sweeping.sweep(limit, self._bounds)
        self._count("expired", swept.expired)
        self._count("evicted", swept.evicted)
        return swept.expired + swept.evicted

    def index_some(self, limit: int) -> Work[int]:
        """Give some vectors of a large partition to the index; return how many.

        Args:
            limit: How many at most.
        """
        size = self.known.dimensions if self.known else None
        if size is None or not self._searching.is_indexed(size):
            return 0
        rows = self._searching.rows(size)
        while searched := self._sizes.take_searched(_COUNTED_AT_ONCE):
            large = yield from indexing.large_ones(searched, size, rows)
            for partition in searched:
                self._sizes.note_counted(partition, large=partition in large)
        for partition in self._sizes.some_large(_ASKED_AT_ONCE):
            moved = yield from indexing.index_some(
                partition, size, rows // _LEFT, limit
            )
            if moved:
                return moved
        return 0

    # Hits, and what others do

    def touch(self, key: str) -> None:
        """Note that an entry was served; it is written down with the next writing."""
        with self._lock:
            if key in self._hits or len(self._hits) < _NOTED_AT_MOST:
                self._hits[key] += 1

    def write_hits(self) -> Work[None]:
        """Write down which entries were served."""
        with self._lock:
            hits, self._hits = self._hits, Counter()
        if not hits:
            return
        try:
            yield from sweeping.note_hits(hits)
        except GeneratorExit:
            # The database is away: they are written down when it is back.
            with self._lock:
                self._hits.update(hits)
            raise

    def hear(self) -> Work[None]:
        """Take note of what other processes removed."""
        low = self._hearing.low
        results = yield self._hearing.ask(low)
        with self._lock:
            news = self._hearing.news(low, results[0])
        for selection in news:
            self._forget_removed(selection)
            if selection == Selection():
                self.known = None
            for listener in self.listeners:
                listener(selection)

    def _count(
        self, what: Literal["evicted", "expired", "quarantined"], times: int
    ) -> None:
        with self._lock:
            self._gone[what] += times
