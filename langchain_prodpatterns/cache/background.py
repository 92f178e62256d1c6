"""Work that nobody waits for: bounded, and done before the cache is closed."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)

_LIMIT = 64
_THREADS = 2


@dataclass(slots=True)
class _Queue:
    """What one process has to do."""

    jobs: deque[Callable[[], Any]] = field(default_factory=deque)
    busy: int = 0
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)


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
        # A forked process has none of its parent's threads, and begins a queue of its
        # own: the lock of its parent's may be held by a thread that is not there.
        self._queues: dict[int, _Queue] = {}

    def __reduce__(self) -> Any:
        # A copy has nothing to do yet.
        return Background, (self._limit, self._threads)

    @property
    def _queue(self) -> _Queue:
        found = self._queues.get(os.getpid())
        return found or self._queues.setdefault(os.getpid(), _Queue())

    def submit(self, job: Callable[[], Any]) -> bool:
        """Do a job soon, with the context variables of the caller.

        Args:
            job: What to do.

        Returns:
            Whether it will be done: not if too many are waiting, nor after `close`, nor
            if no thread can be started for it.
        """
        queue, context = self._queue, copy_context()
        with queue.changed:
            if queue.closed or len(queue.jobs) >= self._limit:
                return False
            if queue.busy < self._threads and not self._start(queue) and not queue.busy:
                return False
            queue.jobs.append(lambda: context.run(job))
        return True

    def _start(self, queue: _Queue) -> bool:
        """Start one more thread, if the system has one."""
        worker = threading.Thread(
            target=_work, args=(queue,), name="prodpatterns-cache-judge", daemon=True
        )
        try:
            worker.start()
        except RuntimeError:
            return False
        queue.busy += 1
        return True

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until there is nothing left to do.

        Args:
            timeout: Seconds to wait at most; `None` waits for ever.

        Returns:
            Whether all is done.
        """
        queue = self._queue
        if timeout is not None:
            timeout = min(timeout, threading.TIMEOUT_MAX)
        with queue.changed:
            return queue.changed.wait_for(
                lambda: not (queue.jobs or queue.busy), timeout
            )

    def close(self, timeout: float | None = None) -> bool:
        """Take no more jobs, and wait for those that are there; drop them after that.

        Args:
            timeout: Seconds to wait at most; `None` waits for ever.

        Returns:
            Whether all was done.
        """
        queue = self._queue
        with queue.changed:
            queue.closed = True
        done = self.drain(timeout)
        with queue.changed:
            queue.jobs.clear()
        return done


def _work(queue: _Queue) -> None:
    """Do jobs until there are none."""
    while True:
        with queue.changed:
            if not queue.jobs:
                queue.busy -= 1
                queue.changed.notify_all()
                return
            job = queue.jobs.popleft()
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - an interrupt must not end the others' work
            logger.warning(
                "a job in the background ended with %s", type(error).__name__
            )
