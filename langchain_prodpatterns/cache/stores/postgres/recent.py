"""Answers that this process found lately, in front of the database.

They are of use only while this process hears what the others remove: `trusted` says so.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from langchain_prodpatterns.cache.stores.base import Found, Selection
from langchain_prodpatterns.forking import guard


@dataclass(frozen=True, slots=True)
class _Held:
    found: Found
    until: float


class Recent:
    """Some answers by the request. Safe to use from many threads."""

    def __init__(
        self,
        entries: int,
        seconds: float,
        trusted: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without an answer.

        Args:
            entries: How many to hold at most; 0 holds none.
            seconds: How long each, at most.
            trusted: Whether what others remove would be known.
            clock: Seconds, from any point in time.
        """
        self._entries = entries
        self._seconds = seconds
        self._trusted = trusted
        self._clock = clock
        self._lock = threading.Lock()
        guard(self, "_lock", in_child=Recent.clear)
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._age = 0

    def __reduce__(self) -> Any:
        # A copy holds nothing.
        return Recent, (self._entries, self._seconds, self._trusted, self._clock)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def age(self) -> int:
        """How often something was forgotten: to note before the database is read."""
        return self._age

    def get(self, exact: str) -> Found | None:
        """Return what answers a request."""
        if not self._entries or not self._trusted():
            return None
        with self._lock:
            held = self._held.get(exact)
            if held is None:
                return None
            if held.until <= self._clock():
                del self._held[exact]
                return None
            self._held.move_to_end(exact)
            return held.found

    def put(self, exact: str, found: Found, left: float | None, age: int) -> None:
        """Hold what was read from the database.

        Args:
            exact: The request.
            found: What answers it.
            left: Seconds that the entry has left; `None` is for ever.
            age: What `age` was before it was read: what was forgotten since then may
                have been this.
        """
        if not self._entries:
            return
        seconds = self._seconds if left is None else min(left, self._seconds)
        with self._lock:
            if age != self._age:
                return
            self._held[exact] = _Held(found, self._clock() + seconds)
            self._held.move_to_end(exact)
            while len(self._held) > self._entries:
                self._held.popitem(last=False)

    def forget(self, exact: str) -> None:
        """Forget the answer to a request, also where it answers others."""
        with self._lock:
            self._age += 1
            for other, held in tuple(self._held.items()):
                if exact in {other, held.found.entry.exact}:
                    del self._held[other]

    def forget_removed(self, selection: Selection) -> None:
        """Forget what somebody removed, and more where only a text or code tells it."""
        # A host's clock says nothing of the database's.
        broad = replace(selection, text=None, where=None, older_than=None)
        with self._lock:
            self._age += 1
            for exact, held in tuple(self._held.items()):
                if broad.fits(held.found.entry, 0.0):
                    del self._held[exact]

    def clear(self) -> None:
        """Forget everything."""
        self.forget_removed(Selection())
