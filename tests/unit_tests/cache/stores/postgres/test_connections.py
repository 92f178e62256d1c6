"""Waiting for a connection, and for what is asked of it, ends in time."""

import asyncio
import copy
import gc
import math
import os
import pickle
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langchain_prodpatterns.cache.stores.postgres import connections
from langchain_prodpatterns.cache.stores.postgres.connections import (
    BroughtPools,
    LoopPool,
    OwnPools,
    TimelyAsyncConnection,
    TimelyConnection,
    _LateError,
    _left,
    _until,
    running_loop,
)
from langchain_prodpatterns.errors import StoreError

NOWHERE = "postgresql://user@127.0.0.1:1/db"


def _asking(*states: int) -> Any:
    """A generator as psycopg has them: it yields what to wait for."""
    told = []
    for state in states:
        ready = yield state
        told.append(ready)
    return told


def _drive(gen: Any, *ready: str) -> Any:
    try:
        state = next(gen)
        for one in ready:
            state = gen.send(one)
    except StopIteration as end:
        return end.value
    return state


def test_a_generator_is_done_as_it_is_while_there_is_time() -> None:
    assert _drive(_until(_asking(1, 2), math.inf), "a", "b") == ["a", "b"]


def test_what_waits_for_nothing_is_done_at_any_time() -> None:
    assert _drive(_until(_asking(), -math.inf)) == []


def test_nothing_goes_on_after_the_deadline() -> None:
    gen: Any = _until(_asking(1, 2), time.monotonic() - 1.0)

    assert next(gen) == 1
    with pytest.raises(_LateError):
        gen.send("ready")


def test_what_a_generator_raises_comes_out() -> None:
    def failing() -> Any:
        yield 1
        raise psycopg.OperationalError("cut")

    with pytest.raises(psycopg.OperationalError, match="cut"):
        _drive(_until(failing(), math.inf), "ready")


class Ended:
    """The state of a connection to the server."""

    socket = 0

    def __init__(self) -> None:
        self.finished = False

    def finish(self) -> None:
        self.finished = True


class Lent:
    """What a connection has of a connection."""

    def __init__(self) -> None:
        self.pgconn = Ended()
        self.deadline = math.inf


@pytest.mark.parametrize("error", [_LateError, KeyboardInterrupt])
def test_what_is_late_or_interrupted_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def wait(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("psycopg.waiting.wait", wait)
    one: Any = Lent()

    with pytest.raises(TimeoutError if error is _LateError else error):
        TimelyConnection.wait(one, _asking(1))

    assert one.pgconn.finished


def test_what_fails_leaves_its_connection_to_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wait(*_: Any) -> Any:
        raise psycopg.DataError("wrong")

    monkeypatch.setattr("psycopg.waiting.wait", wait)
    one: Any = Lent()

    with pytest.raises(psycopg.DataError):
        TimelyConnection.wait(one, _asking(1))

    assert not one.pgconn.finished


@pytest.mark.parametrize(
    "error", [_LateError, KeyboardInterrupt, asyncio.CancelledError]
)
def test_what_is_late_or_canceled_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    async def wait(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("psycopg.waiting.wait_async", wait)
    one: Any = Lent()

    with pytest.raises(TimeoutError if error is _LateError else error):
        _drive(TimelyAsyncConnection.wait(one, _asking(1)).__await__())

    assert one.pgconn.finished


def test_a_connection_waits_for_ever_unless_it_is_lent() -> None:
    assert TimelyConnection.deadline == TimelyAsyncConnection.deadline == math.inf


def test_some_time_is_always_left() -> None:
    assert _left(time.monotonic() - 10.0) == 0.001
    assert 9.0 < _left(time.monotonic() + 10.0) <= 10.0


def test_the_running_loop_is_told() -> None:
    async def main() -> None:
        assert running_loop() is asyncio.get_running_loop()

    assert running_loop() is None
    asyncio.run(main())


@pytest.fixture
def own() -> Iterator[OwnPools]:
    pools = OwnPools(NOWHERE, 2, {})
    yield pools
    pools.close()


def test_nothing_is_opened_before_it_is_used(own: OwnPools) -> None:
    assert own._pool is None
    assert not own._of_loops


def test_after_the_end_nothing_is_lent(own: OwnPools) -> None:
    own.close()
    own.close()

    with pytest.raises(StoreError, match="the store is closed"), own.lend(math.inf):
        """It does not come to that."""
    with pytest.raises(StoreError, match="the store is closed"):
        own.open_one()

    async def main() -> None:
        with pytest.raises(StoreError, match="the store is closed"):
            async with own.alend(math.inf):
                """It does not come to that."""

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_closes_nothing_of_its_parent(own: OwnPools) -> None:
    closed = list[str]()
    own._pool = _Pool(closed)  # type: ignore[assignment]
    gc.collect()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        own.close()
        os._exit(len(closed))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    own.close()
    assert closed == ["closed"]


class _Pool:
    """A pool that tells when it is closed."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def close(self, *_: Any) -> None:
        self._told.append("closed")


def test_a_loop_that_does_not_run_any_more_is_not_waited_for() -> None:
    told = list[str]()
    of_loop = connections._OfLoop(NOWHERE, OwnPools(NOWHERE, 2, {})._options())
    of_loop.pool = _Pool(told)  # type: ignore[assignment]
    one: Any = Lent()
    of_loop._connections.add(one)
    loop = asyncio.new_event_loop()

    of_loop.close(loop)
    loop.close()

    assert one.pgconn.finished
    assert told == []


def test_a_pool_that_came_alone_is_of_the_loop_it_is_in() -> None:
    async def main() -> None:
        pools = BroughtPools(None, AsyncConnectionPool(NOWHERE, open=False))
        assert pools.only_loop is asyncio.get_running_loop()
        assert pools.native

    asyncio.run(main())


def test_a_pool_that_came_alone_and_outside_says_so() -> None:
    pools = BroughtPools(None, AsyncConnectionPool(NOWHERE, open=False))

    with pytest.raises(StoreError, match="give it a pool for threads, too"):
        assert pools.only_loop


def test_a_pool_for_threads_has_no_coroutines() -> None:
    pool = ConnectionPool[Any](NOWHERE, open=False)
    pools = BroughtPools(pool, None)

    assert pools.only_loop is None
    assert not pools.native
    assert not pools.timely
    pools.close()
    assert pool.closed is True  # as it was: nobody has opened it


def test_a_connection_of_a_user_s_pool_is_as_we_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("psycopg.connect", lambda c, **kw: made.append((c, kw)))
    given = {
        "row_factory": psycopg.rows.dict_row,
        "cursor_factory": psycopg.ClientCursor,
        "autocommit": False,
        "sslmode": "require",
    }
    pool = ConnectionPool[Any](NOWHERE, open=False, kwargs=given)

    BroughtPools(pool, None).open_one()

    assert made == [
        (
            NOWHERE,
            {
                "row_factory": psycopg.rows.tuple_row,
                "cursor_factory": psycopg.Cursor,
                "autocommit": True,
                "sslmode": "require",
            },
        )
    ]
    # The user's own are as they were.
    assert pool.kwargs == given


def test_pools_are_not_copied() -> None:
    for clone in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            clone(OwnPools(NOWHERE, 2, {}))


def test_a_worker_that_is_canceled_while_it_connects_ends() -> None:
    async def main() -> None:
        connecting = asyncio.Event()

        class Connect:
            async def run(self) -> None:
                connecting.set()
                await asyncio.Event().wait()

        tasks: asyncio.Queue[Any] = asyncio.Queue()
        tasks.put_nowait(Connect())
        worker = asyncio.create_task(LoopPool.worker(tasks))
        await connecting.wait()

        worker.cancel()

        done, _ = await asyncio.wait({worker}, timeout=60)
        assert done
        with pytest.raises(asyncio.CancelledError):
            await worker

    asyncio.run(main())
