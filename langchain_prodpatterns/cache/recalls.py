"""Answers that are invalidated while they are on their way."""

import threading
import time
from collections import deque
from typing import Any

from langchain_prodpatterns.cache.stores import Entry, Selection
from langchain_prodpatterns.forking import guard

_REMEMBERED = 64


class Recalls:
    """What was invalidated lately, in this process.

    A call that began before a document changed gives an answer of the old one; stored
    after the invalidation, it would be served for ever.

    Safe to use from many threads.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._latest: deque[tuple[float, Selection]] = deque()
        self._forgotten_at = float("-inf")

    def __reduce__(self) -> Any:
        # The calls of a copy have yet to begin.
        return Recalls, ()

    def note(self, selection: Selection) -> None:
        """Remember what is invalidated at this moment."""
        with self._lock:
            self._latest.append((time.perf_counter(), selection))
            if len(self._latest) > _REMEMBERED:
                self._forgotten_at, _ = self._latest.popleft()

    def cover(self, entry: Entry, since: float | None) -> bool:
        """Whether an answer was invalidated before it came.

        Args:
            entry: The answer.
            since: When its call began, by `time.perf_counter`; `None` where that is not
                known, and the answer is taken to be of this moment.

        Returns:
            Whether it was; also where that is no longer known.
        """
        if since is None:
            return False
        with self._lock:
            later = [(at, one) for at, one in self._latest if at >= since]
            forgotten = since <= self._forgotten_at
        return forgotten or any(one.fits(entry, at - since) for at, one in later)
