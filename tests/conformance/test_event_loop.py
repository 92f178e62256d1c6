"""Nothing blocks the event loop: no sleep, no file, no database, no lock, no socket.

What is constructed outside the loop may block there: a cache opens its database.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError, blockbuster_ctx
from langchain_core.runnables import Runnable

from langchain_prodpatterns import SemanticJudgeCache
from tests.conformance.cases import CASES, Case
from tests.conformance.doubles import StrictEmbeddings, StrictModel

CALLING = [case for case in CASES if case.calls_model]

Chain = Runnable[Any, Any]


async def _ainvoke(runnable: Chain, case: Case) -> Any:
    return await runnable.ainvoke(case.value)


async def _abatch(runnable: Chain, case: Case) -> Any:
    return (await runnable.abatch([case.value, case.other]))[0]


async def _astream(runnable: Chain, case: Case) -> Any:
    return case.add([chunk async for chunk in runnable.astream(case.value)])


async def _atransform(runnable: Chain, case: Case) -> Any:
    async def pieces() -> AsyncIterator[Any]:
        for piece in case.pieces():
            yield piece

    return case.add([chunk async for chunk in runnable.atransform(pieces())])


async def _astream_events(runnable: Chain, case: Case) -> Any:
    events = [event async for event in runnable.astream_events(case.value)]
    return events[-1]["data"]["output"]


WAYS = [_ainvoke, _abatch, _astream, _atransform, _astream_events]

Way = Callable[[Chain, Case], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Have done what a process does once: a first call imports optional packages."""
    for case in CASES:
        model = StrictModel(respond=case.respond)
        asyncio.run(case.make(model).ainvoke(case.value))


@pytest.fixture
def blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make every blocking call on an event loop's thread raise, and note it.

    A pattern that fails soft may swallow what is raised; the note stays.
    """
    noted: list[str] = []

    class NotedError(BlockingError):
        def __init__(self, function: str) -> None:
            noted.append(function)
            super().__init__(function)

    monkeypatch.setattr("blockbuster.blockbuster.BlockingError", NotedError)
    with blockbuster_ctx() as watch:
        # Where logs go is the user's choice.
        for function in watch.functions.values():
            function.can_block_in("logging/__init__.py", {"emit"})
        yield noted


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_call_it_blocks(
    case: Case, model: StrictModel, way: Way, blocking: list[str]
) -> None:
    output = asyncio.run(way(case.make(model), case))

    assert case.view(output) == case.expected
    assert blocking == []


def test_a_failure_does_not_block(
    case: Case, model: StrictModel, blocking: list[str]
) -> None:
    with contextlib.suppress(Exception):
        asyncio.run(case.make(model).ainvoke(case.bad))

    assert blocking == []


def test_a_cache_on_disk_does_not_block(tmp_path: Path, blocking: list[str]) -> None:
    model = StrictModel(respond=lambda request: request.user_text.upper())
    cache = SemanticJudgeCache(
        StrictEmbeddings(), band=(0.8, 0.999), path=tmp_path / "answers.sqlite"
    )
    chain = cache.wrap(model)

    async def twice() -> list[str]:
        messages = [await chain.ainvoke("when do bikes come back") for _ in range(2)]
        await cache.aclear()
        return [message.text for message in messages]

    assert asyncio.run(twice()) == ["WHEN DO BIKES COME BACK"] * 2
    assert model.calls == 1
    assert blocking == []


def _ask_a_database() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("SELECT 1")


@pytest.mark.parametrize(
    "block",
    [
        lambda: time.sleep(0.01),
        lambda: Path(__file__).read_text("utf-8"),
        _ask_a_database,
        # Of a thread that is not done, however long a busy machine takes.
        lambda: Future[None]().result(0.01),
    ],
    ids=["sleep", "file", "database", "thread"],
)
def test_a_call_that_blocks_is_noted(
    block: Callable[[], object], blocking: list[str]
) -> None:
    async def swallow() -> None:
        with contextlib.suppress(BlockingError):
            block()

    asyncio.run(swallow())

    assert len(blocking) == 1


@pytest.mark.parametrize("case", CALLING, ids=repr)
async def test_the_event_loop_goes_on_while_a_model_answers(
    case: Case, model: StrictModel
) -> None:
    model.notes.hold, model.notes.held = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(case.make(model).ainvoke(case.value))
    await model.notes.held.wait()
    assert not task.done()

    model.notes.hold.set()

    assert case.view(await task) == case.expected
