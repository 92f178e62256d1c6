"""Connections that nobody waits for longer than a deadline.

A statement ends in time, is canceled or is interrupted: in the last two cases its
connection is closed rather than asked what became of it, for a network that is half
open would never answer.
"""

import asyncio
import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langchain_prodpatterns.cache.stores.postgres.columns import teach
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.forking import guard

T = TypeVar("T")

SyncConnection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
AsyncConnection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

_POOL = "prodpatterns"
_TICK = 0.02
_LATE = "the database did not answer in time"
_CLOSING_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0
_DEFAULTS = {
    "autocommit": True,
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "prodpatterns",
}
_PLAIN: dict[str, Any] = {
    "autocommit": True,
    "row_factory": tuple_row,
    "cursor_factory": psycopg.Cursor,
}
"""What a connection of our own use is like, whatever a user's are."""


class _LateError(Exception):
    """Raised when a statement is late.

    No `TimeoutError`: that is an `OSError`, which psycopg takes for a closed socket.
    """


def _until(gen: PQGen[T], deadline: float) -> PQGen[T]:
    """Do as a generator of psycopg does, but not after a point in time.

    Raises:
        _LateError: When it is over.
    """
    try:
        state = next(gen)
        while True:
            ready = yield state
            if time.monotonic() >= deadline:
                raise _LateError
            state = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class TimelyConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements end in time."""

    deadline = math.inf
    """When nobody waits any more, by `time.monotonic`."""

    def wait(self, gen: PQGen[T], *_: Any, **__: Any) -> T:
        """Wait for a statement, for as long as somebody does."""
        try:
            return waiting.wait(_until(gen, self.deadline), self.pgconn.socket, _TICK)
        except _LateError:
            self.pgconn.finish()
            raise TimeoutError(_LATE) from None
        except KeyboardInterrupt:
            self.pgconn.finish()
            raise


class TimelyAsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection of an event loop whose statements end in time."""

    deadline = math.inf
    """When nobody waits any more, by `time.monotonic`."""

    async def wait(self, gen: PQGen[T], *_: Any, **__: Any) -> T:
        """Wait for a statement, for as long as somebody does."""
        try:
            return await waiting.wait_async(
                _until(gen, self.deadline), self.pgconn.socket, _TICK
            )
        except _LateError:
            self.pgconn.finish()
            raise TimeoutError(_LATE) from None
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.pgconn.finish()
            raise


class _Quiet(logging.Filter):
    """Keeps back what psycopg warns of our pools: the breaker tells it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be logged."""
        said = record.args if isinstance(record.args, tuple) else ()
        is_ours = any(one == _POOL or isinstance(one, _OURS) for one in said)
        return record.levelno != logging.WARNING or not is_ours


_OURS = (TimelyConnection, TimelyAsyncConnection)
logging.getLogger("psycopg.pool").addFilter(_Quiet())


class Connections(Protocol):
    """Lends connections, and opens one that is not of a pool."""

    def lend(self, deadline: float) -> AbstractContextManager[SyncConnection]:
        """Lend a connection to a thread.

        Args:
            deadline: When nobody waits any more, by `time.monotonic`.
        """
        ...

    def alend(self, deadline: float) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection to the running event loop."""
        ...

    @property
    def native(self) -> bool:
        """Whether there are connections for the running event loop."""
        ...

    @property
    def timely(self) -> bool:
        """Whether what is done with a connection ends at the deadline by itself."""
        ...

    @property
    def only_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that alone has connections; `None` where threads have some."""
        ...

    def open_one(self) -> SyncConnection:
        """Open a connection that its caller keeps, and closes."""
        ...

    def tidy(self) -> None:
        """Close what nobody can use any more."""
        ...

    def close(self) -> None:
        """Close what is this object's own."""
        ...


class OwnPools:
    """A pool for the threads of this process, and one for each of its event loops."""

    def __init__(self, dsn: str, size: int, connect: Mapping[str, Any]) -> None:
        """Take note of what to connect to; nothing is opened yet.

        Args:
            dsn: As libpq reads it.
            size: Connections of each pool, at most.
            connect: More for `psycopg.connect`: TLS, or `prepare_threshold=None`
                behind a pooler.
        """
        self._dsn = dsn
        self._size = size
        self._connect = {**_DEFAULTS, **connect}
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._pool: ConnectionPool[TimelyConnection] | None = None
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = (
            WeakKeyDictionary()
        )
        self._closed = False

    def _check(self) -> None:
        if self._process != os.getpid():
            # A forked process must not use its parent's connections.
            self._begin()
        if self._closed:
            msg = "the store is closed"
            raise StoreError(msg)

    def _sync_pool(self) -> ConnectionPool[TimelyConnection]:
        self._check()
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._dsn, connection_class=TimelyConnection, **self._options()
                )
                self._pool.open()
            return self._pool

    def _options(self) -> dict[str, Any]:
        return {
            "kwargs": self._connect,
            "min_size": 1,
            "max_size": self._size,
            "open": False,
            "name": _POOL,
            # Longer, it would wait for its next try when the database is back.
            "reconnect_timeout": _RECONNECT_SECONDS,
            "num_workers": 1,
        }

    @contextlib.contextmanager
    def lend(self, deadline: float) -> Iterator[SyncConnection]:
        """Lend a connection to a thread."""
        pool = self._sync_pool()
        # Not by its context manager: there is no transaction to end.
        connection = pool.getconn(timeout=_left(deadline))
        connection.deadline = deadline
        try:
            yield connection
        finally:
            connection.deadline = math.inf
            pool.putconn(connection)

    native = True
    timely = True
    only_loop = None

    @contextlib.asynccontextmanager
    async def alend(self, deadline: float) -> AsyncIterator[AsyncConnection]:
        """Lend a connection to the running event loop."""
        pool = self._async_pool().pool
        await pool.open()
        connection = await pool.getconn(timeout=_left(deadline))
        connection.deadline = deadline
        try:
            yield connection
        finally:
            connection.deadline = math.inf
            await pool.putconn(connection)

    def _async_pool(self) -> "_OfLoop":
        self._check()
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._of_loops:
                self._of_loops[loop] = _OfLoop(self._dsn, self._options())
            return self._of_loops[loop]

    def tidy(self) -> None:
        """Close the connections of event loops that are no more."""
        with self._lock:
            for loop in [loop for loop in self._of_loops if loop.is_closed()]:
                self._of_loops.pop(loop).drop()

    def open_one(self) -> SyncConnection:
        """Open a connection that its caller keeps, and closes."""
        self._check()
        return psycopg.connect(self._dsn, **{**self._connect, **_PLAIN})

    def close(self) -> None:
        """Close every pool."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
            of_loops, self._of_loops = dict(self._of_loops), WeakKeyDictionary()
        if pool is not None:
            pool.close(_CLOSING_SECONDS)
        for loop, of_loop in of_loops.items():
            of_loop.close(loop)


class LoopPool(AsyncConnectionPool[TimelyAsyncConnection]):
    """A pool that the end of its event loop does not wait for.

    A worker of psycopg's that is canceled while it connects takes that for a failure to
    connect, and goes on: `asyncio.run` would wait for it for ever.
    """

    @classmethod
    async def worker(cls, q: Any) -> None:
        """Work until it is canceled, or told to end."""
        until_canceled: Any = _UntilCanceled(q)
        await super().worker(until_canceled)


class _UntilCanceled:
    """The tasks of a worker, for as long as nobody has canceled it."""

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    async def get(self) -> Any:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return await self._tasks.get()


class _OfLoop:
    """The pool of an event loop."""

    def __init__(self, dsn: str, options: dict[str, Any]) -> None:
        self._connections: WeakSet[TimelyAsyncConnection] = WeakSet()
        self.pool = LoopPool(
            dsn,
            connection_class=TimelyAsyncConnection,
            configure=self._take_note,
            **options,
        )

    async def _take_note(self, connection: TimelyAsyncConnection) -> None:
        self._connections.add(connection)

    def drop(self) -> None:
        """Close the connections of a loop that is no more, and could not close them."""
        for connection in tuple(self._connections):
            connection.pgconn.finish()

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the pool, from any thread."""
        if loop.is_closed() or not loop.is_running():
            self.drop()
            return
        closing = asyncio.run_coroutine_threadsafe(self.pool.close(), loop)
        if running_loop() is not loop:
            with contextlib.suppress(TimeoutError):
                closing.result(_CLOSING_SECONDS)


class BroughtPools:
    """Pools of the user's own, who opens and closes them."""

    def __init__(
        self,
        pool: ConnectionPool[Any] | None,
        async_pool: AsyncConnectionPool[Any] | None,
    ) -> None:
        """Take the pools.

        Args:
            pool: For threads.
            async_pool: For an event loop.

        Raises:
            ConfigurationError: When it cannot be told from them where the database is.
        """
        one = pool or async_pool
        assert one is not None  # noqa: S101 - there is one
        if callable(one.conninfo) or callable(one.kwargs):
            msg = "give a pool whose conninfo and kwargs are no functions, or a DSN"
            raise ConfigurationError(msg)
        self._where = one.conninfo, dict(one.kwargs or {})
        self._pool = pool
        self._async_pool = async_pool
        self._loop = running_loop() if pool is None else None

    timely = False

    @property
    def only_loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of an async pool that came alone, as far as it is known.

        Raises:
            StoreError: When it is not.
        """
        if self._pool is None and self._loop is None:
            msg = (
                "a store with an async pool alone must be opened, or used first, in "
                "the event loop of that pool: or give it a pool for threads, too"
            )
            raise StoreError(msg)
        return self._loop

    @contextlib.contextmanager
    def lend(self, deadline: float) -> Iterator[SyncConnection]:
        """Lend a connection to a thread."""
        assert self._pool is not None  # noqa: S101 - its caller has looked
        with self._pool.connection(timeout=_left(deadline)) as connection:
            # It may have been opened before this package was imported.
            teach(connection.adapters)
            yield connection

    @property
    def native(self) -> bool:
        """Whether there are connections for the running event loop."""
        return self._async_pool is not None

    @contextlib.asynccontextmanager
    async def alend(self, deadline: float) -> AsyncIterator[AsyncConnection]:
        """Lend a connection to the running event loop."""
        assert self._async_pool is not None  # noqa: S101 - its caller has looked
        if self._pool is None and self._loop is None:
            self._loop = asyncio.get_running_loop()
        async with self._async_pool.connection(timeout=_left(deadline)) as connection:
            teach(connection.adapters)
            yield connection

    def open_one(self) -> SyncConnection:
        """Open a connection as the pools would."""
        conninfo, kwargs = self._where
        return psycopg.connect(conninfo, **{**kwargs, **_PLAIN})

    def tidy(self) -> None:
        """Do nothing: what is in the pools is the user's."""

    def close(self) -> None:
        """Leave the pools open: they are not this object's own."""


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that this thread is in, if it is in one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
