"""Which partitions are large: told by how a search is made, and asked now and then."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any

from langchain_prodpatterns.forking import guard

_MAX_PARTITIONS = 16_384
_SMALL_SECONDS = 60.0
_LARGE_SECONDS = 3_600.0


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
        self._known: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._large: OrderedDict[str, None] = OrderedDict()

    def __reduce__(self) -> Any:
        # A copy asks again.
        return PartitionSizes, (self._clock,)

    def is_large(self, partition: str) -> bool | None:
        """Return whether a partition is large; `None` where that is to be asked."""
        with self._lock:
            large, until = self._known.get(partition, (False, float("-inf")))
            return large if self._clock() < until else None

    def some_large(self, count: int) -> list[str]:
        """Return some large partitions, others each time.

        Args:
            count: How many at most.
        """
        with self._lock:
            some = list(islice(self._large, count))
            for partition in some:
                self._large.move_to_end(partition)
        return some

    def note(self, partition: str, *, large: bool) -> None:
        """Remember an answer: a small one may soon be large, a large one stays so."""
        seconds = _LARGE_SECONDS if large else _SMALL_SECONDS
        with self._lock:
            self._known[partition] = large, self._clock() + seconds
            self._known.move_to_end(partition)
            if large:
                self._large[partition] = None
            while len(self._known) > _MAX_PARTITIONS:
                gone, _ = self._known.popitem(last=False)
                self._large.pop(gone, None)

    def forget(self, partition: str | None) -> None:
        """Ask again: entries were removed, and what was large may be small.

        Args:
            partition: Of which partition; `None` for all.
        """
        with self._lock:
            if partition is None:
                self._known.clear()
                self._large.clear()
            else:
                self._known.pop(partition, None)
                self._large.pop(partition, None)
