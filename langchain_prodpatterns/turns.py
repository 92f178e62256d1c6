"""One holder at a time, for threads and asyncio tasks alike."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

Grant = Callable[[], bool]
"""Hands the turn to a waiter; `False` when the waiter is gone."""


class Turn:
    """A fair lock that threads and tasks of any event loop can share.

    A task that waits does not block its loop, and a waiter that is cancelled or
    interrupted leaves the queue without losing the turn for those behind it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._queue: deque[Grant] = deque()

    def acquire(self) -> None:
        """Wait for the turn, blocking this thread."""
        granted = threading.Event()

        def grant() -> bool:
            granted.set()
            return True

        if not self._enter(grant):
            return
        try:
            granted.wait()
        except BaseException:
            self._leave(grant)
            raise

    async def aacquire(self) -> None:
        """Wait for the turn without blocking the event loop."""
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()
        gone = False

        def arrive() -> None:
            if gone or granted.cancelled():
                # Given up between the grant and its arrival: pass the turn on.
                self.release()
            else:
                granted.set_result(None)

        def grant() -> bool:
            try:
                loop.call_soon_threadsafe(arrive)
            except RuntimeError:  # the waiter's loop is closed
                return False
            return True

        if not self._enter(grant):
            return
        try:
            await granted
        except BaseException:
            gone = True
            if granted.done() and not granted.cancelled():
                self.release()
            else:
                self._forget(grant)
            raise

    def release(self) -> None:
        """Hand the turn to the next waiter that is still there."""
        while True:
            with self._lock:
                if not self._queue:
                    self._held = False
                    return
                grant = self._queue.popleft()
            if grant():
                return

    def _enter(self, grant: Grant) -> bool:
        """Take the turn if it is free, else queue up; `True` means wait."""
        with self._lock:
            if not self._held:
                self._held = True
                return False
            self._queue.append(grant)
            return True

    def _leave(self, grant: Grant) -> None:
        """Give up waiting in a thread: the turn may just have arrived."""
        if not self._forget(grant):
            self.release()

    def _forget(self, grant: Grant) -> bool:
        """Leave the queue; `False` when no longer in it."""
        with self._lock:
            if grant in self._queue:
                self._queue.remove(grant)
                return True
            return False
