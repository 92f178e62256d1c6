"""Claims that are renewed while they are wanted, and given back as soon as not."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from langchain_prodpatterns.cache.stores import CacheStore

_RENEWALS = 4
"""Times that a lease is renewed before it would be over."""
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the only one, in all processes, who makes a call."""

    name: str
    """The request."""
    seconds: float
    """How long it holds without a renewal: so long others wait for a dead holder."""
    is_wanted: Callable[[], bool]
    """Whether the call goes on."""
    holder: str = field(default_factory=lambda: uuid4().hex)
    """Who has it."""


class Renewals:
    """Renews leases in one thread, which is there while there is a lease.

    A lease is given back by that thread, too: so nobody who ends a call has to wait for
    the store, be it in an event loop or in the garbage collector.
    """

    def __init__(
        self,
        store: CacheStore,
        quiet: Callable[[str], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without a lease.

        Args:
            store: Where the claims are.
            quiet: Swallows what the store raises, and counts it.
            clock: Seconds, from any point in time.
        """
        self._store = store
        self._quiet = quiet
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._due: dict[Lease, float] = {}
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __reduce__(self) -> Any:
        # A copy holds no lease.
        return Renewals, (self._store, self._quiet, self._clock)

    def add(self, lease: Lease) -> None:
        """Renew a lease, just claimed, for as long as it is wanted."""
        if self._process != os.getpid():
            # A forked process has no thread of its parent's, and none of its calls.
            self._begin()
        with self._lock:
            self._due[lease] = self._next_time(lease)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="prodpatterns-cache-leases", daemon=True
                )
                self._thread.start()
        self.wake()

    def _next_time(self, lease: Lease) -> float:
        return self._clock() + lease.seconds / _RENEWALS

    def wake(self) -> None:
        """Give back at once what is not wanted any more."""
        # A simple queue may be put into from anywhere, even from the garbage collector.
        if self._due:
            self._woken.put(None)

    def _work(self) -> None:
        while (seconds := self.look_after()) is not None:
            with suppress(Empty):
                self._woken.get(timeout=seconds)

    def look_after(self) -> float | None:
        """Give back leases that are not wanted, and renew those that are due.

        Returns:
            Seconds until the next look, or `None` when there is nothing left to do.
        """
        with self._lock:
            due = dict(self._due)
        now = self._clock()
        gone = [lease for lease, at in due.items() if not self._keeps(lease, at <= now)]
        with self._lock:
            for lease in gone:
                del self._due[lease]
            if not self._due:
                self._thread = None
                return None
            return max(min(self._due.values()) - self._clock(), 0.0)

    def _keeps(self, lease: Lease, due: bool) -> bool:  # noqa: FBT001 - one caller
        """Renew a lease or give it back; return whether it is still held."""
        if self._closed or not lease.is_wanted():
            with self._quiet("giving back a lease"):
                self._store.release(lease.name, lease.holder)
            return False
        if not due:
            return True
        held = True
        with self._quiet("renewing a lease"):
            held = self._store.claim(lease.name, lease.holder, lease.seconds)
        with self._lock:
            self._due[lease] = self._next_time(lease)
        return held

    def close(self) -> None:
        """Give back every lease."""
        self._closed = True
        self.wake()
        thread = self._thread
        if thread is not None and self._process == os.getpid():
            thread.join(_CLOSING_SECONDS)
