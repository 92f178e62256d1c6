"""Runs work on a database: within a deadline, through a breaker, sync or async."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import psycopg
import tenacity
from psycopg import AsyncCursor, Cursor
from psycopg.pq import ExecStatus
from psycopg.rows import tuple_row

from langchain_prodpatterns.cache.stores.postgres.breaking import Breaker
from langchain_prodpatterns.cache.stores.postgres.connections import (
    AsyncConnection,
    Connections,
    SyncConnection,
    running_loop,
)
from langchain_prodpatterns.cache.stores.postgres.indexing import index_all
from langchain_prodpatterns.cache.stores.postgres.migrations import (
    State,
    Wanted,
    check,
    migrate,
    state_of,
)
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Names,
    Result,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.postgres.tables import TABLES, TENANT, VERSION
from langchain_prodpatterns.cache.stores.sealing import as_blob
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.deadlines import LateCalls, call_with_deadline
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from langchain_prodpatterns.forking import guard

T = TypeVar("T")

Kind = Literal["read", "write", "bulk"]
"""A read or a write that somebody waits for, or what takes as long as it takes."""

_FAILURES = 3
_TRIES = 3
_REFUSED_SECONDS = 30.0
_LOOP_SECONDS = 1.0
_AGAIN: dict[str, Any] = {
    "retry": tenacity.retry_if_exception_type(
        (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
    ),
    "stop": tenacity.stop_after_attempt(_TRIES),
    "reraise": True,
}
_TENANT = f"SELECT set_config('{TENANT}', %(blob)s, true)"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited."""

    seconds: float
    """For the database, at most, by who waits for a lookup or an update."""
    bulk: float
    """By who fills, empties or goes through the store."""
    recovery: float
    """How long a database that is away is not asked."""


class Database:
    """A schema in a PostgreSQL database. Safe to use from threads and event loops."""

    def __init__(
        self,
        connections: Connections,
        wanted: Wanted,
        limits: Limits,
        *,
        may_migrate: bool,
        namespace: str | None,
    ) -> None:
        """Take the parts; nothing is asked yet.

        Args:
            connections: Where connections are.
            wanted: The schema.
            limits: How long is waited.
            may_migrate: Whether to make the tables where there are none.
            namespace: The only one whose rows are seen, by row-level security.
        """
        self.connections = connections
        """Where connections are."""
        self.limits = limits
        """How long is waited."""
        self._wanted = wanted
        self._may_migrate = may_migrate
        self._namespace = namespace
        self._breakers: dict[Kind, Breaker] = {
            "read": self._breaker("reading from PostgreSQL"),
            "write": self._breaker("writing to PostgreSQL"),
            "bulk": self._breaker("maintaining PostgreSQL"),
        }
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._late = LateCalls()
        self._names: Names | None = None
        self._state: State | None = None
        self._refused: tuple[StoreError | None, float] = (None, 0.0)

    def _breaker(self, what: str) -> Breaker:
        return Breaker(what, failures=_FAILURES, seconds=self.limits.recovery)

    # Getting ready

    def prepare(self) -> State:
        """Look at the schema, make or upgrade it if need be, and remember it.

        Raises:
            StoreError: When it cannot be used.
            psycopg.Error: When the database cannot be asked.
        """
        with closing(self.connections.open_one()) as connection:
            state = state_of(connection, self._wanted.schema)
            check(state, self._wanted)
            if self._lacks(state):
                self._migrate(connection, state)
                state = state_of(connection, self._wanted.schema)
            self._check_rights(connection, state)
        with self._lock:
            self._names = Names(self._wanted.schema, state.extension)
            self._state = state
        return state

    def _lacks(self, state: State) -> bool:
        return state.version < VERSION or (
            self._wanted.row_level_security and not state.secured
        )

    def _migrate(self, connection: SyncConnection, state: State) -> None:
        if not self._may_migrate:
            msg = (
                f"the schema {self._wanted.schema!r} has version {state.version}, "
                f"{VERSION} is needed, and migrate=False was given: run `prodpatterns "
                "cache migrate --store URL` once"
            )
            raise StoreError(msg)
        migrate(connection, self._wanted)

    def _check_rights(self, connection: SyncConnection, state: State) -> None:
        """Refuse a role that would see every namespace, or may not write."""
        if self._namespace is None:
            return
        row = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if not state.secured or state.owned or (row and row[0]):
            msg = (
                f"namespace={self._namespace!r} was given, and the database keeps this "
                f"role ({connection.info.user}) from no other one: row-level security "
                "must be on (`prodpatterns cache migrate --row-level-security`), and "
                "the role neither own the tables nor be a superuser"
            )
            raise StoreError(msg)

    @property
    def state(self) -> State | None:
        """What was found when it was looked at last; `None` before."""
        return self._state

    def index(self, dimensions: int) -> None:
        """Give the vectors their index, if this role may.

        Args:
            dimensions: Of the vectors.
        """
        state = self._state
        if state is None or dimensions in state.indexed:
            return
        if not state.owned or not self._may_migrate:
            # Another process may, and may have done it.
            self.prepare()
            return
        with closing(self.connections.open_one()) as connection:
            wanted = Wanted(self._wanted.schema, dimensions=dimensions)
            migrate(connection, wanted)
        self.prepare()

    def vacuum(self) -> None:
        """Have the database take back the room of what is gone, and count anew.

        Raises:
            StoreError: When it cannot, or may not.
        """
        refused: list[str | None] = []
        with _told():
            if self._state is None:
                self.prepare()
            with closing(self.connections.open_one()) as connection:
                # Where it may not, it says so, and goes on.
                connection.add_notice_handler(
                    lambda notice: refused.append(notice.severity_nonlocalized)
                )
                for table in TABLES:
                    text = "VACUUM (ANALYZE) {s}.{table}"
                    one = Statement(text, {}, {"table": table})
                    connection.execute(self._query(one))
        if "WARNING" in refused:
            msg = (
                "this role may not vacuum the tables: do it as their owner, or leave "
                "it to autovacuum"
            )
            raise StoreError(msg)

    def reindex(self, dimensions: int, rows: int) -> int:
        """Give all vectors of large partitions to their index, which is made anew.

        Args:
            dimensions: Of the vectors.
            rows: A partition with more vectors is large.

        Returns:
            How many were not in it before.

        Raises:
            StoreError: When it cannot be done, or by another role only.
        """
        with _told():
            state = self._state or self.prepare()
            if not state.owned:
                msg = (
                    "this role may not make the index anew: do it as the owner of the "
                    "tables"
                )
                raise StoreError(msg)
            names = Names(self._wanted.schema, state.extension)
            with closing(self.connections.open_one()) as connection:
                return index_all(connection, names, dimensions, rows)

    # Running work

    def run(self, work: Work[T], kind: Kind = "read") -> T:
        """Run work, blocking this thread for no longer than is allowed.

        Raises:
            StoreUnavailable: When the database is away.
            StoreError: When it refuses a statement.
        """
        loop = self.connections.only_loop
        if loop is not None:
            return self._run_there(work, kind, loop)
        with closing(work):
            try:
                first = next(work)
            except StopIteration as end:
                # What it knew already.
                return end.value  # type: ignore[no-any-return]
            seconds = self._seconds(kind)
            with _told(), self._breakers[kind].calling():
                self._be_ready(seconds)
                deadline = time.monotonic() + seconds
                run = partial(self._run, work, first, kind, deadline)
                if self.connections.timely:
                    return run()
                return call_with_deadline(run, seconds, self._late)

    def _seconds(self, kind: Kind) -> float:
        return self.limits.bulk if kind == "bulk" else self.limits.seconds

    def _run_there(
        self, work: Work[T], kind: Kind, loop: asyncio.AbstractEventLoop
    ) -> T:
        """Run work in the only event loop that has connections."""
        if running_loop() is loop:
            msg = (
                "a sync method was called in the event loop of an async pool that came "
                "alone: await the async one, or give the store a pool for threads, too"
            )
            raise StoreError(msg)
        msg = "the event loop of the store's only pool does not run (any more)"
        if not loop.is_running():
            work.close()
            raise StoreUnavailable(msg)
        running = asyncio.run_coroutine_threadsafe(self.arun(work, kind), loop)
        try:
            # It looks at the schema first, if need be, for as long.
            return running.result(2 * self._seconds(kind) + _LOOP_SECONDS)
        except (TimeoutError, CancelledError):
            running.cancel()
            raise StoreUnavailable(msg) from None

    def _be_ready(self, seconds: float) -> None:
        """Look at the schema, if that is still to be done.

        Raises:
            StoreError: When it cannot be used, also if that was found a moment ago.
        """
        if self._names is not None:
            return
        refusal, until = self._refused
        if refusal is not None and time.monotonic() < until:
            # Raised as it is, it would hold every frame that it ever came through.
            raise type(refusal)(*refusal.args)
        try:
            call_with_deadline(self.prepare, seconds, self._late)
        except StoreError as error:
            self._refused = error, time.monotonic() + _REFUSED_SECONDS
            raise

    def _run(self, work: Work[T], batch: Batch, kind: Kind, deadline: float) -> T:
        perform = self._perform
        if kind != "read":
            perform = partial(tenacity.Retrying(**_AGAIN), self._perform)
        with self.connections.lend(deadline) as connection:
            while True:
                try:
                    batch = work.send(perform(connection, batch))
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]

    def _perform(self, connection: SyncConnection, batch: Batch) -> list[Result]:
        statements, skipped = self._statements(batch)
        # What comes one after the other is not one transaction, whatever the mode.
        if len(statements) == 1 and connection.autocommit:
            return [_result(self._execute(connection, statements[0]))]
        with connection.pipeline(), connection.transaction():
            cursors = [self._execute(connection, one) for one in statements]
        return [_result(cursor) for cursor in cursors[skipped:]]

    def _execute(self, connection: SyncConnection, one: Statement) -> Any:
        # Not by the connection's own factories: they may be a user's.
        cursor = Cursor(connection, row_factory=tuple_row)
        return cursor.execute(self._query(one), one.values or None, binary=True)

    async def arun(self, work: Work[T], kind: Kind = "read") -> T:
        """Run work without blocking the event loop.

        Raises:
            StoreUnavailable: When the database is away.
            StoreError: When it refuses a statement.
        """
        if not self.connections.native:
            return await off_loop(partial(self.run, work, kind))
        with closing(work):
            try:
                first = next(work)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            seconds = self._seconds(kind)
            with _told(), self._breakers[kind].calling():
                if self._names is None:
                    await off_loop(partial(self._be_ready, seconds))
                deadline = time.monotonic() + seconds
                run = self._arun(work, first, kind, deadline)
                if self.connections.timely:
                    return await run
                return await _in_time(run, seconds)

    async def _arun(
        self, work: Work[T], batch: Batch, kind: Kind, deadline: float
    ) -> T:
        perform = self._aperform
        if kind != "read":
            perform = partial(tenacity.AsyncRetrying(**_AGAIN), self._aperform)
        async with self.connections.alend(deadline) as connection:
            while True:
                try:
                    batch = work.send(await perform(connection, batch))
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]

    async def _aperform(
        self, connection: AsyncConnection, batch: Batch
    ) -> list[Result]:
        statements, skipped = self._statements(batch)
        if len(statements) == 1 and connection.autocommit:
            cursor = await self._aexecute(connection, statements[0])
            return [await _aresult(cursor)]
        async with connection.pipeline(), connection.transaction():
            cursors = [await self._aexecute(connection, one) for one in statements]
        return [await _aresult(cursor) for cursor in cursors[skipped:]]

    async def _aexecute(self, connection: AsyncConnection, one: Statement) -> Any:
        cursor = AsyncCursor(connection, row_factory=tuple_row)
        return await cursor.execute(self._query(one), one.values or None, binary=True)

    def _statements(self, batch: Batch) -> tuple[tuple[Statement, ...], int]:
        """Return the statements of a batch, and how many of them only say who asks."""
        if self._namespace is None:
            return batch.statements, 0
        blob = as_blob(self._namespace).hex()
        return (Statement(_TENANT, {"blob": blob}), *batch.statements), 1

    def _query(self, statement: Statement) -> bytes:
        assert self._names is not None  # noqa: S101 - it is prepared
        return self._names.query(statement)


@contextmanager
def _told() -> Iterator[None]:
    """Say what the database refused without what it says: that may hold a user's text.

    Raises:
        StoreError: In place of an error of psycopg.
    """
    try:
        yield
    except psycopg.Error as error:
        msg = f"PostgreSQL refused a statement ({type(error).__name__})"
        raise StoreError(msg) from None


def _has_rows(cursor: Any) -> bool:
    # Not by `description`, which takes as long as the rows.
    return bool(cursor.pgresult.status == ExecStatus.TUPLES_OK)


def _result(cursor: Any) -> Result:
    return Result(cursor.fetchall() if _has_rows(cursor) else [], cursor.rowcount)


async def _aresult(cursor: Any) -> Result:
    rows = await cursor.fetchall() if _has_rows(cursor) else []
    return Result(rows, cursor.rowcount)


async def _in_time(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Await something, and leave it behind when time is up.

    To cancel it is not to wait for it: over a network that is half open, psycopg would
    wait for an answer to that.

    Raises:
        TimeoutError: When it is not done in time.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.add_done_callback(_drop)
        task.cancel()
        msg = "the database did not answer in time"
        raise TimeoutError(msg)
    return task.result()


def _drop(task: "asyncio.Task[Any]") -> None:
    """Look at the outcome of what nobody waits for, or asyncio would complain."""
    if not task.cancelled():
        task.exception()
