"""Keeping the vectors in memory as the table has them, if need be in the background."""

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.clusters import LISTS, Move, centers_of
from langchain_prodpatterns.cache.stores.loading import load_faiss
from langchain_prodpatterns.cache.stores.rows import Added, Rows
from langchain_prodpatterns.cache.stores.vectors import (
    FEW,
    Few,
    Flat,
    Matrix,
    Partition,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.forking import guard

AT_ONCE_AT_MOST = 5_000
"""Rows that a search takes in before it looks; more come in the background."""

CROWD = 50_000
"""Vectors from which on a partition is divided into lists."""

_PIECE = 512
_SAMPLED_A_LIST = 24
_BREATH = 0.001

Reading = Callable[[], AbstractContextManager[Rows]]


class Indexer:
    """The partitions' vectors, and the thread that takes many of them in.

    Whoever calls it holds the lock that `reading` takes; but for `wait` and `stop`.
    """

    def __init__(self, reading: Reading) -> None:
        """Start with nothing in memory.

        Args:
            reading: Holds the rows of the database, and keeps others from them and
                from the vectors.
        """
        self._reading = reading
        self._partitions: dict[str, Partition] = {}
        self._last_id = 0
        self._last_grave: int | None = None
        self._seen: int | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        guard(self, in_child=Indexer._begin_in_child)

    def _begin_in_child(self) -> None:
        """In a forked process there is no thread of the parent's: begin another."""
        # A new event: the old one's lock may be held.
        is_stopped, self._stopped = self._stopped.is_set(), threading.Event()
        if is_stopped:
            self._stopped.set()
        self._thread = self._seen = None

    @property
    def size(self) -> int:
        """Vectors in memory."""
        return sum(map(len, list(self._partitions.values())))

    @property
    def is_building(self) -> bool:
        """Whether vectors are being taken in or divided in the background."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, rows: Rows) -> None:
        """Start to take the rows in, if there are too many to do so in a search."""
        if rows.backlog(self._last_id) > AT_ONCE_AT_MOST:
            self._start()

    def refresh(self, rows: Rows, version: int) -> None:
        """Do as the table does.

        Args:
            rows: The rows now.
            version: Differs from that of the last time if anything was written.
        """
        if version == self._seen:
            return
        more = True
        while more:
            if rows.backlog(self._last_id) > AT_ONCE_AT_MOST:
                self._start()
                return
            more = self._take_in(rows, AT_ONCE_AT_MOST)
        self._seen = version
        if self._crowded() is not None:
            self._start()

    def _take_in(self, rows: Rows, limit: int) -> bool:
        """Take in some rows that are new and drop those that went."""
        if self._last_grave is None:
            self._last_grave = rows.last_grave()
        added = rows.added(self._last_id, limit)
        if added is not None:
            self._add(added, rows)
        # After the new ones: one of them may have gone already.
        buried = rows.buried(self._last_grave)
        if buried is None:
            self._begin_anew()
            return True
        for grave, row, partition in buried:
            self._last_grave = grave
            self.remove(partition, [row])
        return added is not None

    def _add(self, added: Added, rows: Rows) -> None:
        self._last_id = added.last_id
        for name, (ids, vectors) in added.groups.items():
            matrix = np.vstack(vectors)
            self._fitting(name, matrix, rows).add(np.array(ids, np.int64), matrix)

    def _fitting(self, name: str, matrix: Matrix, rows: Rows) -> Partition:
        """Return the partition of a name, of a kind for so many more vectors."""
        partition = self._partitions.get(name)
        count, dimensions = matrix.shape
        if partition is None or partition.dimensions != dimensions:
            partition = Few(dimensions)
        if isinstance(partition, Few) and len(partition) + count > FEW:
            flat = Flat(dimensions)
            if count > FEW:
                flat.reserve(rows.count(name))
            partition.into(flat)
            partition = flat
        self._partitions[name] = partition
        return partition

    def _begin_anew(self) -> None:
        self._partitions.clear()
        self._last_id = 0
        self._last_grave = None

    def search(
        self, partition: str, vector: Vector, count: int
    ) -> list[tuple[int, float]]:
        """Return row ids and about the cosines, the nearest first."""
        held = self._partitions.get(partition)
        return [] if held is None else held.search(vector, count)

    def remove(self, partition: str, ids: list[int]) -> None:
        """Drop rows that are gone or past."""
        held = self._partitions.get(partition)
        if held is not None:
            held.remove(ids)
            if held.is_empty:
                del self._partitions[partition]

    def _crowded(self) -> str | None:
        """Name a partition that is to be divided."""
        return next(
            (
                name
                for name, partition in self._partitions.items()
                if isinstance(partition, Flat) and len(partition) >= CROWD
            ),
            None,
        )

    def _start(self) -> None:
        if self._stopped.is_set() or self.is_building:
            return
        self._thread = threading.Thread(
            target=self._build, name="prodpatterns-index", daemon=True
        )
        # Else the interpreter would go from under it at exit.
        weakref.finalize(self, _stop, self._stopped, self._thread, os.getpid())
        self._thread.start()

    def _build(self) -> None:
        # Takes long the first time: not while others wait for the rows.
        load_faiss()
        try:
            self._take_in_all()
        except StoreError:
            # Closed meanwhile, or unreadable: who searches next is told.
            return

    def _take_in_all(self) -> None:
        more, crowded = True, None
        # To divide comes last: each list then takes no more memory than it needs.
        while (more or crowded) and not self._stopped.wait(_BREATH):
            with self._reading() as rows:
                more = self._take_in(rows, _PIECE)
                crowded = None if more else self._crowded()
            if crowded is not None:
                self._divide(crowded)

    def _divide(self, name: str) -> None:
        """Divide a partition into lists, which then take its place."""
        with self._reading():
            flat = self._partitions.get(name)
            if not isinstance(flat, Flat):
                return
            sample = flat.sample(_SAMPLED_A_LIST * LISTS)
        centers = centers_of(sample, LISTS, self._stopped.is_set)
        if centers is None:
            return
        with self._reading():
            move = Move(flat, centers)
        if self._move(move):
            with self._reading():
                divided = move.finish()
                # Not if all of it was forgotten meanwhile.
                if self._partitions.get(name) is flat:
                    self._partitions[name] = divided

    def _move(self, move: Move) -> bool:
        """Move vectors bit by bit, so that nobody waits long; say if it was stopped."""
        matrix: Matrix | None = None
        while not self._stopped.wait(_BREATH):
            with self._reading():
                matrix = move.take()
            if matrix is None:
                break
            move.put(matrix)
        for number, positions in move.positions():
            if self._stopped.is_set():
                return False
            with self._reading():
                move.fill(number, positions)
        return not self._stopped.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Wait for the background; return whether it is done."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.is_building

    def stop(self) -> None:
        """End the background soon, and wait for its end."""
        _stop(self._stopped, self._thread, os.getpid())

    def ids(self, partition: str) -> set[int]:
        """Return the rows of a partition in memory."""
        held = self._partitions.get(partition)
        return set() if held is None else held.ids()


def _stop(
    stopped: threading.Event, thread: threading.Thread | None, process: int
) -> None:
    if process != os.getpid():
        # A forked process has a copy of the event, and its lock may be taken for good.
        return
    stopped.set()
    if thread is not None and thread is not threading.current_thread():
        thread.join()
