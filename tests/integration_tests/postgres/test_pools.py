"""Connections of the store's own, or of a user's: none is left behind, none is taken."""

import asyncio
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from tests.integration_tests.postgres.cases import (
    FIRST,
    MODEL,
    PATIENCE,
    OpenStore,
    entry,
    one,
    stores,
    use,
)

ROOT = Path(__file__).parents[3]
NAME = "a_test_s_own"
COUNT = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'a_test_s_own'"
)
KINDS: list[dict[str, Any]] = [
    {"autocommit": True},
    {"autocommit": False},
    {"row_factory": dict_row, "autocommit": True},
    {"cursor_factory": psycopg.ClientCursor, "autocommit": True},
    {"cursor_factory": psycopg.RawCursor},
    {"prepare_threshold": None, "autocommit": True},
]


def _until(condition: Callable[[], bool]) -> None:
    """Wait for what the server does a moment later."""
    done = threading.Event()
    for _ in range(500):
        if condition():
            return
        done.wait(0.02)
    pytest.fail("it did not happen")


def _named(dsn: str) -> dict[str, Any]:
    return {"conninfo": dsn, "min_size": 1, "max_size": 4, "open": False}


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def pool(dsn: str, kind: dict[str, Any]) -> Iterator[ConnectionPool[Any]]:
    with ConnectionPool[Any](**_named(dsn), kwargs=kind) as pool:
        yield pool


def _async_kind(kind: dict[str, Any]) -> dict[str, Any]:
    other: dict[Any, Any] = {
        psycopg.ClientCursor: psycopg.AsyncClientCursor,
        psycopg.RawCursor: psycopg.AsyncRawCursor,
    }
    return {
        name: other.get(value, value) if isinstance(value, type) else value
        for name, value in kind.items()
    }


@pytest.fixture
async def async_pool(
    dsn: str, kind: dict[str, Any]
) -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with AsyncConnectionPool[Any](
        **_named(dsn), kwargs=_async_kind(kind)
    ) as pool:
        yield pool


async def _use_async(store: PostgresStore, name: str = "a") -> None:
    assert await store.aadd(entry(name), FIRST)
    assert await store.afind(f"x{name}") is not None
    assert await store.anearest("p", FIRST, exact="q")
    await store.aadd_alias("q", None, f"k{name}")
    assert await store.aadd_many([(entry(f"{name}2"), FIRST)]) == 1
    assert await store.aclaim("c", "me", 60.0)
    await store.arelease("c", "me")


def test_a_pool_for_threads(open_store: OpenStore, pool: ConnectionPool[Any]) -> None:
    store = open_store(pool)
    use(store)
    # Coroutines go by threads.
    asyncio.run(_use_async(store))

    store.close()

    with pool.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() in ((1,), {"?column?": 1})


async def test_an_async_pool_alone(
    open_store: OpenStore, async_pool: AsyncConnectionPool[Any]
) -> None:
    store = open_store(async_pool)
    store._keeper.embedder = MODEL

    await _use_async(store)
    await store.aclear()
    await asyncio.to_thread(use, store)
    with pytest.raises(StoreError, match="await the async one"):
        store.find("xa")

    await store.aclose()

    async with async_pool.connection() as connection:
        await connection.execute("SELECT 1")


async def test_both_pools(
    open_store: OpenStore,
    async_pool: AsyncConnectionPool[Any],
    dsn: str,
    kind: dict[str, Any],
) -> None:
    with ConnectionPool[Any](**_named(dsn), kwargs=kind) as pool:
        store = open_store(pool, async_pool=async_pool)
        use(store)
        await _use_async(store)
        store.close()
        assert not pool.closed
    assert not async_pool.closed


def test_a_pool_that_was_open_before_the_package_was_imported(dsn: str) -> None:
    """What it adds to psycopg is not known to connections that were there."""
    script = """
        import sys, numpy as np, psycopg, psycopg_pool
        pool = psycopg_pool.ConnectionPool(sys.argv[1], min_size=1, open=True)
        pool.wait()
        from langchain_prodpatterns.cache.stores import PostgresStore
        from langchain_prodpatterns.cache.stores.base import Entry
        store = PostgresStore(pool, timeout=30.0)
        vector = np.array([1, 0], np.float32)
        assert store.add(Entry("k", "p", "x", "t", "v", "n"), vector)
        assert store.nearest("p", vector, exact="q")
        store.close()
        pool.close()
    """
    _python(script, dsn)


def test_a_change_of_a_user_s_transaction_is_not_left_open(
    open_store: OpenStore, dsn: str
) -> None:
    with ConnectionPool[Any](**_named(dsn), kwargs={"autocommit": False}) as pool:
        use(open_store(pool))

        idle = (
            "SELECT count(*) FROM pg_stat_activity WHERE "
            "datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        _until(lambda: one(dsn, idle) == 0)


async def test_an_async_pool_whose_loop_is_gone(dsn: str) -> None:
    """A thread that keeps house, or an end, waits for nothing that never comes."""
    opened: list[PostgresStore] = []

    async def main() -> None:
        async with AsyncConnectionPool[Any](**_named(dsn)) as pool:
            opened.append(PostgresStore(pool, timeout=PATIENCE))
            await opened[0].aadd(entry(), None)

    await asyncio.to_thread(asyncio.run, main())
    (store,) = opened

    with pytest.raises(StoreUnavailable, match="does not run"):
        await asyncio.to_thread(store.find, "xa")
    await asyncio.to_thread(store.close)


def test_an_async_pool_without_a_loop_says_so(dsn: str) -> None:
    pool = AsyncConnectionPool[Any](**_named(dsn))
    store = PostgresStore(pool, timeout=PATIENCE)

    with pytest.raises(StoreError, match="give it a pool for threads, too"):
        store.find("xa")
    store.close()


CALLS: dict[str, Callable[[PostgresStore], Any]] = {
    "find": lambda store: store.find("x"),
    "nearest": lambda store: store.nearest("p", FIRST, exact="x"),
    "get": lambda store: store.get("k"),
    "add": lambda store: store.add(entry(), None),
    "add_many": lambda store: store.add_many([(entry(), None)]),
    "remove": lambda store: store.clear(),
    "scan": lambda store: list(store.scan()),
    "sweep": lambda store: store.sweep(),
    "claim": lambda store: store.claim("n", "h", 1.0),
    "counts": lambda store: store.counts(),
    "vacuum": lambda store: store.vacuum(),
    "bind": lambda store: store.bind(MODEL),
}


def test_after_its_end_everything_is_refused(open_store: OpenStore) -> None:
    store = open_store()
    use(store)
    store.close()
    store.close()

    for name, call in CALLS.items():
        with pytest.raises(StoreError, match="the store is closed"):
            call(store)
        assert name
    for coroutine in (store.afind("x"), store.aadd(entry(), None), store.acounts()):
        with pytest.raises(StoreError, match="the store is closed"):
            asyncio.run(coroutine)


def test_its_end_writes_down_what_was_noted(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.add(entry(), None)
    store.touch("ka")

    store.close()

    assert one(dsn, "SELECT hits FROM prodpatterns.uses") == 1


def test_its_end_closes_what_is_its_own(dsn: str) -> None:
    store = PostgresStore(dsn, timeout=PATIENCE, connect={"application_name": NAME})
    use(store)
    asyncio.run(_use_async(store))
    assert one(dsn, COUNT) > 0

    store.close()

    _until(lambda: one(dsn, COUNT) == 0)
    assert not _threads()


def _threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if "prodpatterns-postgres" in thread.name
        or thread.name.startswith("prodpatterns-worker")
    ]


@pytest.mark.parametrize("at_once", [False, True])
def test_event_loops_leave_nothing_behind(dsn: str, at_once: bool) -> None:
    store = PostgresStore(
        dsn, timeout=PATIENCE, connect={"application_name": NAME}, hear_seconds=0.05
    )
    store._keeper.embedder = MODEL

    def run(number: int) -> None:
        asyncio.run(_use_async(store, f"loop{number}"))

    with ThreadPoolExecutor(4 if at_once else 1) as pool:
        list(pool.map(run, range(6)))

    # Two that the thread which keeps house had, and the one that hears, are left.
    _until(lambda: one(dsn, COUNT) <= 3)
    assert not store._db.connections._of_loops  # type: ignore[attr-defined]
    asyncio.run(_find(store, "xloop0"))
    store.close()
    _until(lambda: one(dsn, COUNT) == 0)


async def _find(store: PostgresStore, exact: str) -> None:
    assert await store.afind(exact) is not None


async def test_it_may_be_closed_within_its_loop(dsn: str) -> None:
    for close in ("close", "aclose"):
        store = PostgresStore(dsn, timeout=PATIENCE, connect={"application_name": NAME})
        store._keeper.embedder = MODEL
        await _use_async(store)
        if close == "close":
            store.close()
            # What it left to the loop is done by it.
            await asyncio.sleep(0)
        else:
            await store.aclose()
        for _ in range(500):
            if one(dsn, COUNT) == 0:
                break
            await asyncio.sleep(0.02)
        assert one(dsn, COUNT) == 0


def test_it_may_be_closed_from_another_thread(dsn: str) -> None:
    store = PostgresStore(dsn, timeout=PATIENCE, connect={"application_name": NAME})
    store._keeper.embedder = MODEL
    ready, ended = threading.Event(), threading.Event()

    async def main() -> None:
        await _use_async(store)
        ready.set()
        await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait(60)
    store.close()
    _until(lambda: one(dsn, COUNT) == 0)
    ended.set()
    thread.join()


def test_one_that_nobody_closes_leaves_nothing_behind(dsn: str) -> None:
    with warnings.catch_warnings():
        # To leave it open is what is warned of.
        warnings.simplefilter("ignore", ResourceWarning)
        store = PostgresStore(
            dsn, timeout=PATIENCE, connect={"application_name": NAME}, hear_seconds=0.01
        )
        store.add(entry(), None)
        del store

        # The thread that keeps house may have had it at that moment.
        _until(lambda: gc.collect() >= 0 and one(dsn, COUNT) == 0)


@pytest.mark.parametrize(
    "clone",
    [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],  # noqa: S301 - written a moment ago
)
def test_a_copy_has_connections_of_its_own(
    open_store: OpenStore, dsn: str, clone: Callable[[Any], Any]
) -> None:
    store = open_store(connect={"application_name": NAME})
    store.add(entry(), None)

    copied = clone(store)

    store.close()
    assert copied.find("xa") is not None
    assert copied._keeper.origin != store._keeper.origin
    copied.close()
    _until(lambda: one(dsn, COUNT) == 0)


def test_a_store_of_pools_is_not_copied(dsn: str, open_store: OpenStore) -> None:
    with ConnectionPool[Any](**_named(dsn)) as pool:
        store = open_store(pool)
        for clone in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="give a DSN"):
                clone(store)


def test_a_copy_is_made_without_the_database(dsn: str, open_store: OpenStore) -> None:
    pickled = pickle.dumps(open_store())
    away = pickled.replace(b"127.0.0.1", b"127.0.0.9")

    store = pickle.loads(away)  # noqa: S301 - written a moment ago

    with pytest.raises(StoreError):
        store.find("xa")
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_connections_of_its_own(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.bind(MODEL)
    store.add(entry(), FIRST)
    gc.collect()
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            status = 1
            try:
                assert store.find("xa") is not None
                assert store.add(entry(f"child{number}"), FIRST)
                asyncio.run(_find(store, "xa"))
                store.close()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert store.find("xchild0") is not None
    assert store.find("xchild1") is not None
    assert store.nearest("p", FIRST, exact="q")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_parent_hears_what_its_child_removes(open_store: OpenStore) -> None:
    store, told = open_store(hear_seconds=0.01), threading.Event()
    store.add(entry(), None)
    store._hear()

    def note(selection: Selection) -> None:
        if selection.key == "ka":
            told.set()

    store.on_recall(note)
    gc.collect()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            assert store.remove(Selection(key="ka")) == 1
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert told.wait(60)


def _python(script: str, *arguments: str) -> None:
    result = subprocess.run(  # noqa: S603 - our own script
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            textwrap.dedent(script),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr


def test_a_process_ends_without_a_word(dsn: str) -> None:
    """Closed, it leaves neither a connection open nor a thread that runs."""
    script = """
        import asyncio, sys
        from langchain_prodpatterns.cache.stores import PostgresStore
        store = PostgresStore(sys.argv[1], timeout=30.0)
        store.find("x")
        asyncio.run(store.afind("x"))
        async def main():
            await store.afind("x")
            await store.aclose()
        asyncio.run(main())
    """
    _python(script, dsn)


def test_a_process_ends_where_nobody_closes_the_store(dsn: str) -> None:
    script = """
        import asyncio, sys
        from langchain_prodpatterns.cache.stores import PostgresStore
        store = PostgresStore(sys.argv[1], timeout=30.0)
        store.find("x")
    """
    result = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", textwrap.dedent(script), dsn],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )

    assert (result.returncode, result.stderr) == (0, "")
