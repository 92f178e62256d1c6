"""What goes on in the background: hearing of the others, sweeping, noting hits."""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakMethod

import psycopg

from langchain_prodpatterns.cache.stores.postgres.announcing import CHANNEL
from langchain_prodpatterns.cache.stores.postgres.connections import SyncConnection
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.forking import guard

logger = logging.getLogger(__name__)

_JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Chores:
    """What is done, and how often."""

    connect: Callable[[], SyncConnection]
    """Opens the connection that hears notifications."""
    hear: "WeakMethod[Callable[[], None]]"
    """Reads what other processes removed."""
    tidy: "WeakMethod[Callable[[], None]]"
    """Sweeps, and writes down what was only noted."""
    hear_seconds: float
    """Seconds from one reading to the next, where no notification comes."""
    tidy_seconds: float
    """Seconds from one sweep to the next."""


class Housekeeping:
    """A thread that does the chores, from `begin` on, until it is stopped."""

    def __init__(
        self, chores: Chores, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the chores.

        Args:
            chores: What is to be done.
            clock: Seconds, from any point in time.
        """
        self._chores = chores
        self._seconds = chores.hear_seconds
        self._clock = clock
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._process = 0
        self._thread: threading.Thread | None = None
        self._heard_at = float("-inf")
        self._told = set[str]()

    def __reduce__(self) -> Any:
        # A copy has no thread.
        return Housekeeping, (self._chores, self._clock)

    @property
    def hears(self) -> bool:
        """Whether what others removed was read lately, as it is all the time."""
        lately = self._clock() - 2 * self._seconds
        return self._process == os.getpid() and self._heard_at >= lately

    def begin(self) -> None:
        """Begin, unless it goes on already in this process."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._heard_at = float("-inf")
            self._stopping = threading.Event()
            self._bell, self._ring = socket.socketpair()
            self._thread = threading.Thread(
                target=self._work, name="prodpatterns-postgres", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        if self._process != os.getpid() or self._thread is None:
            return
        self._stopping.set()
        with suppress(OSError):
            self._ring.send(b"x")
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        with closing(self._bell), closing(self._ring):
            tidy_at = self._clock() + self._chores.tidy_seconds
            while not self._stopping.is_set():
                tidy_at = self._listen(tidy_at)

    def _listen(self, tidy_at: float) -> float:
        """Do the chores, and listen for as long as the connection holds."""
        connection: SyncConnection | None = None
        try:
            connection = self._chores.connect()
            connection.execute(f"LISTEN {CHANNEL}")
        except (psycopg.Error, OSError, StoreError):
            # It is the chores that tell, once, that the database is away.
            logger.debug("no connection to hear notifications by")
        try:
            while not self._stopping.is_set():
                self._hear()
                if self._clock() >= tidy_at:
                    self._do(self._chores.tidy)
                    tidy_at = self._clock() + self._chores.tidy_seconds
                self._wait(connection)
                if connection is None or connection.closed:
                    break
        finally:
            if connection is not None:
                with suppress(psycopg.Error, OSError):
                    connection.close()
        return tidy_at

    def _hear(self) -> None:
        if self._do(self._chores.hear):
            self._heard_at = self._clock()

    def _do(self, chore: "WeakMethod[Callable[[], None]]") -> bool:
        method = chore()
        if method is None:
            # Nobody has the store any more, and nobody has closed it.
            self._stopping.set()
            return False
        try:
            method()
        except (StoreError, psycopg.Error, OSError):
            return False
        except Exception as error:  # noqa: BLE001 - a listener's own, which others would miss
            kind = type(error).__name__
            if kind not in self._told:
                self._told.add(kind)
                logger.warning("a chore failed (%s): it is done again", kind)
            return False
        return True

    def _wait(self, connection: SyncConnection | None) -> None:
        """Wait for a notification, for the time to look, or for the end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            if connection is not None:
                selector.register(connection.fileno(), selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(self._seconds)}
        if connection is not None and ready - {self._bell}:
            try:
                # Whatever it is, it says that there is something to read.
                for _ in connection.notifies(timeout=0):
                    pass
            except psycopg.Error:
                connection.close()
