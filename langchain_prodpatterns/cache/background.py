"""Work that nobody waits for: bounded, and done before the cache is closed."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

_LIMIT = 64
_THREADS = 2


class Background:
    """A few threads that are there while there is work. Safe to use from many threads.

    What a job raises is the job's own to handle: here it would reach nobody.
    """

    def __init__(self, limit: int = _LIMIT, threads: int = _THREADS) -> None:
        """Begin without work.

        Args:
            limit: How many jobs may wait.
            threads: How many are done at once.
        """
        self._limit = limit
        self._threads = threads
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._jobs: deque[Callable[[], Any]] = deque()
        self._busy = 0
        self._closed = False
        self._changed = threading.Condition()

    def __reduce__(self) -> Any:
        # A copy has nothing to do yet.
        return Background, (self._limit, self._threads)

    def submit(self, job: Callable[[], Any]) -> bool:
        """Do a job soon, with the context variables of the caller.

        Args:
            job: What to do.

        Returns:
            Whether it will be done: not if too many are waiting, nor after `close`.
        """
        self._own()
        with self._changed:
            if self._closed or len(self._jobs) >= self._limit:
                return False
            context = copy_context()
            self._jobs.append(lambda: context.run(job))
            if self._busy < self._threads:
                self._busy += 1
                threading.Thread(
                    target=self._work, name="prodpatterns-cache-judge", daemon=True
                ).start()
        return True

    def _own(self) -> None:
        """Begin anew in a forked process: it has no thread of its parent's."""
        if self._process != os.getpid():
            self._begin()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._jobs:
                    self._busy -= 1
                    self._changed.notify_all()
                    return
                job = self._jobs.popleft()
            job()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until there is nothing left to do.

        Args:
            timeout: Seconds to wait at most; `None` waits for ever.

        Returns:
            Whether all is done.
        """
        self._own()
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._jobs or self._busy), timeout
            )

    def close(self, timeout: float | None = None) -> bool:
        """Take no more jobs, and wait for those that are there; drop them after that.

        Args:
            timeout: Seconds to wait at most; `None` waits for ever.

        Returns:
            Whether all was done.
        """
        self._own()
        with self._changed:
            self._closed = True
        done = self.drain(timeout)
        with self._changed:
            self._jobs.clear()
        return done
