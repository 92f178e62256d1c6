"""One SQLite database, read by many threads while one writes."""

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_prodpatterns.cache.stores.schema import (
    BUSY_SECONDS,
    UNREADABLE,
    connect,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.forking import guard


class Database:
    """The connections to a file, or to a database in memory. Safe for many threads.

    A file has one connection to read and one to write: in WAL mode a reader never waits
    for a writer, here or in another process. In memory one connection does both, and
    nobody else writes.
    """

    def __init__(self, path: Path | None, content: bytes | None = None) -> None:
        """Open a database, and make its tables if there are none.

        Args:
            path: The file, or `None` for memory.
            content: What a database in memory begins with, as `content` gives it.

        Raises:
            StoreError: When the file cannot be opened, or is not of this version.
        """
        self._path = path
        self._closed = False
        self._patience = BUSY_SECONDS
        self.is_lost = False
        """Whether this process was forked in the middle of what another thread did."""
        self._writing = self._reading = threading.RLock()
        if path is not None:
            self._reading = threading.RLock()
        # All that SQLite does is done with a lock held, so that no fork comes in the
        # middle: a child would wait for ever for the locks that SQLite has itself.
        guard(self, "_writing", "_reading", lost=Database._lose)
        with self._writing, self._reading:
            self._writer = self._reader = connect(path)
            if path is not None:
                self._reader = connect(path)
            if content is not None:
                self._writer.deserialize(content)
        # Closes what nobody closed, without a `ResourceWarning`.
        self._finalizer = weakref.finalize(self, _close, self._reader, self._writer)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection to read from.

        Raises:
            StoreError: When SQLite cannot do what is asked in the block.
        """
        with self._reading:
            try:
                yield self._reader
            except UNREADABLE as error:
                raise self._trouble(error) from error

    @contextmanager
    def write(self, patience: float = BUSY_SECONDS) -> Iterator[sqlite3.Connection]:
        """Hold the connection to write to, in one transaction.

        Args:
            patience: Seconds to wait, at most, for another thread that writes, and
                then for another process.

        Raises:
            StoreError: When SQLite cannot do what is asked in the block, or another
                writes for so long. Nothing is written then.
        """
        if not self._writing.acquire(timeout=patience):
            msg = f"the cache at {self._name} is being written to: try again"
            raise StoreError(msg)
        try:
            with self._transaction(patience):
                yield self._writer
        except UNREADABLE as error:
            raise self._trouble(error) from error
        finally:
            self._writing.release()

    def version(self, db: sqlite3.Connection) -> int:
        """Return a number that is another once anybody has written.

        Args:
            db: The connection that is held to read from.
        """
        if self._path is None:
            return db.total_changes
        (version,) = db.execute("PRAGMA data_version").fetchone()
        return int(version)

    @contextmanager
    def _transaction(self, patience: float) -> Iterator[None]:
        db = self._writer
        try:
            if patience != self._patience:
                db.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")
                self._patience = patience
            # Inside: an interrupt may come while it waits for another process.
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _trouble(self, error: Exception) -> StoreError:
        """Tell of SQLite's error in this package's own, with what to do."""
        if self._closed:
            return StoreError(f"the cache at {self._name} is closed: open another")
        return StoreError(
            f"the cache at {self._name} failed ({error}): if that stays so, remove the "
            "file or give another path"
        )

    @property
    def _name(self) -> str:
        return str(self._path or "memory")

    def vacuum(self) -> int:
        """Write the database anew, without free pages; return how much smaller it is.

        Raises:
            StoreError: When another writes, or the disk is full. All is as before then.
        """
        before = self._size()
        with self._writing:
            try:
                self._writer.execute("VACUUM")
                # What is in the log is no less on the disk than what is in the file.
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except UNREADABLE as error:
                raise self._trouble(error) from error
        return max(before - self._size(), 0)

    def _size(self) -> int:
        """Return the bytes of the file and its log, or of the pages in memory."""
        if self._path is None:
            return len(self.content())
        log = self._path.with_name(f"{self._path.name}-wal")
        return sum(part.stat().st_size for part in (self._path, log) if part.exists())

    def content(self) -> bytes:
        """Return all of a database in memory."""
        with self.read() as db:
            return db.serialize()

    def close(self) -> None:
        """Close the connections. Nothing may be asked after it."""
        with self._writing, self._reading:
            self._closed = True
            self._finalizer()

    def _lose(self) -> None:
        self.is_lost = True

    def abandon(self) -> None:
        """Leave the connections as they are: they are of the process that forked."""
        self._finalizer.detach()


def _close(*connections: sqlite3.Connection) -> None:
    for connection in connections:
        connection.close()
