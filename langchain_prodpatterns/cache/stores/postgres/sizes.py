"""Which partitions are in the index, and which are to be: nobody's lookup asks.

A search tells whether vectors of its partition are in the index. How many are not is
counted by the thread that keeps house, of partitions that were searched lately.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from langchain_prodpatterns.forking import guard

T = TypeVar("T")

_MAX_PARTITIONS = 16_384
_COUNTED_SECONDS = 60.0
_INDEXED_SECONDS = 3_600.0


class PartitionSizes:
    """What is known of some partitions. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without knowing one.

        Args:
            clock: Seconds, from any point in time.
        """
        self._clock = clock
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._indexed: OrderedDict[str, float] = OrderedDict()
        self._counted: OrderedDict[str, float] = OrderedDict()
        self._searched: OrderedDict[str, None] = OrderedDict()
        self._large: OrderedDict[str, None] = OrderedDict()

    def __reduce__(self) -> Any:
        # A copy finds out again.
        return PartitionSizes, (self._clock,)

    def is_indexed(self, partition: str) -> bool:
        """Return whether vectors of a partition are known to be in the index."""
        with self._lock:
            return self._clock() < self._indexed.get(partition, float("-inf"))

    def note_indexed(self, partition: str) -> None:
        """Remember that some are: what comes to them is to be given to the index."""
        with self._lock:
            _put(self._indexed, partition, self._clock() + _INDEXED_SECONDS)
            _put(self._large, partition, None)

    def note_searched(self, partition: str) -> None:
        """Have the vectors of a partition counted, if that was not done lately."""
        with self._lock:
            if partition in self._large or partition in self._searched:
                return
            if self._clock() >= self._counted.get(partition, float("-inf")):
                _put(self._searched, partition, None)

    def take_searched(self, count: int) -> list[str]:
        """Return partitions that are to be counted.

        Args:
            count: How many at most; the rest is for the next time.
        """
        with self._lock:
            some = list(islice(self._searched, count))
            for partition in some:
                del self._searched[partition]
        return some

    def note_counted(self, partition: str, *, large: bool) -> None:
        """Remember whether a partition has more vectors than are all looked at."""
        with self._lock:
            _put(self._counted, partition, self._clock() + _COUNTED_SECONDS)
            if large:
                _put(self._large, partition, None)

    def some_large(self, count: int) -> list[str]:
        """Return some partitions that are to be in the index, others each time.

        Args:
            count: How many at most.
        """
        with self._lock:
            some = list(islice(self._large, count))
            for partition in some:
                self._large.move_to_end(partition)
        return some

    def forget(self, partition: str | None) -> None:
        """Find out again: entries were removed, and what was large may be small.

        Args:
            partition: Of which partition; `None` for all.
        """
        with self._lock:
            for known in (self._indexed, self._counted, self._searched, self._large):
                if partition is None:
                    known.clear()
                else:
                    known.pop(partition, None)


def _put(known: OrderedDict[str, T], partition: str, value: T) -> None:
    """Remember of a partition, and forget the one that was noted longest ago."""
    known[partition] = value
    known.move_to_end(partition)
    if len(known) > _MAX_PARTITIONS:
        known.popitem(last=False)
