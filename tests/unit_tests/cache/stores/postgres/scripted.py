"""Connections that answer by a script, so that a test needs no server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.pq import ExecStatus

from langchain_prodpatterns.cache.stores.postgres import database
from langchain_prodpatterns.cache.stores.postgres.migrations import State

STATE = State(1, "public", False, False, True, frozenset())


class ScriptedConnection:
    """Remembers what it was told; `answer` gives rows, or raises."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self.answer = answer
        self.told: list[str] = []
        self.autocommit = True
        self.closed = False

    def execute(self, query: bytes) -> SimpleNamespace:
        text = query.decode()
        self.told.append(text)
        rows = self.answer(text)
        status = ExecStatus.COMMAND_OK if rows is None else ExecStatus.TUPLES_OK
        return SimpleNamespace(
            rows=rows or [],
            rowcount=len(rows or []),
            pgresult=SimpleNamespace(status=status),
        )

    @contextmanager
    def _within(self, what: str) -> Iterator[None]:
        self.told.append(f"begin {what}")
        try:
            yield
        except BaseException:
            self.told.append(f"abort {what}")
            raise
        self.told.append(f"end {what}")

    def transaction(self) -> "_Both":
        return _Both(self._within("transaction"))

    def pipeline(self) -> "_Both":
        return _Both(self._within("pipeline"))

    def close(self) -> None:
        self.closed = True


class _Both:
    """A context of threads, as one of event loops too."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __enter__(self) -> None:
        self._inner.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)

    async def __aenter__(self) -> None:
        self._inner.__enter__()

    async def __aexit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)


class ScriptedCursor:
    """A cursor of a `ScriptedConnection`."""

    def __init__(self, connection: ScriptedConnection, **_: Any) -> None:
        self._connection = connection
        self._gave: Any = None

    def execute(self, query: bytes, values: Any, *, binary: bool) -> Any:
        assert binary
        self._gave = self._connection.execute(query)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gave, name)

    def fetchall(self) -> Any:
        return self._gave.rows


class ScriptedAsyncCursor(ScriptedCursor):
    """The same for an event loop."""

    async def execute(self, query: bytes, values: Any, *, binary: bool) -> Any:
        await asyncio.sleep(0)
        return ScriptedCursor.execute(self, query, values, binary=binary)

    async def fetchall(self) -> Any:
        return self._gave.rows


class ScriptedConnections:
    """Lends one connection to all."""

    native = True
    timely = True
    only_loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self.connection = ScriptedConnection(answer)
        self.lent = 0
        self.refusal: BaseException | None = None

    def _lend(self) -> Any:
        self.lent += 1
        if self.refusal is not None:
            raise self.refusal
        return self.connection

    @contextmanager
    def lend(self, deadline: float) -> Iterator[Any]:
        yield self._lend()

    @asynccontextmanager
    async def alend(self, deadline: float) -> AsyncIterator[Any]:
        yield self._lend()

    def open_one(self) -> Any:
        return self._lend()

    def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a database read through scripted cursors, and find tables as they are."""
    monkeypatch.setattr(database, "Cursor", ScriptedCursor)
    monkeypatch.setattr(database, "AsyncCursor", ScriptedAsyncCursor)
    monkeypatch.setattr(database, "state_of", lambda *_: STATE)
