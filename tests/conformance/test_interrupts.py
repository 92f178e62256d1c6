"""An interrupt or a cancellation ends every way to call a Runnable at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable

from tests.conformance.cases import CASES, Case
from tests.conformance.doubles import StrictModel

CALLING = [case for case in CASES if case.calls_model]

Chain = Runnable[Any, Any]


def _invoke(runnable: Chain, case: Case) -> None:
    runnable.invoke(case.value)


def _batch(runnable: Chain, case: Case) -> None:
    runnable.batch([case.value, case.other], return_exceptions=True)


def _stream(runnable: Chain, case: Case) -> None:
    list(runnable.stream(case.value))


def _transform(runnable: Chain, case: Case) -> None:
    list(runnable.transform(iter(case.pieces())))


async def _ainvoke(runnable: Chain, case: Case) -> None:
    await runnable.ainvoke(case.value)


async def _abatch(runnable: Chain, case: Case) -> None:
    await runnable.abatch([case.value, case.other], return_exceptions=True)


async def _astream(runnable: Chain, case: Case) -> None:
    async for _ in runnable.astream(case.value):
        pass


async def _atransform(runnable: Chain, case: Case) -> None:
    async def pieces() -> AsyncIterator[Any]:
        for piece in case.pieces():
            yield piece

    async for _ in runnable.atransform(pieces()):
        pass


INPUTS: dict[Any, int] = {_batch: 2, _abatch: 2}
"""How many inputs a way has, where it is not one."""


@pytest.mark.parametrize("case", CALLING, ids=repr)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("way", [_invoke, _batch, _stream, _transform])
def test_an_interrupt_passes_at_once(
    case: Case,
    model: StrictModel,
    error: type[BaseException],
    way: Callable[[Chain, Case], None],
) -> None:
    model.notes.error = error()

    with pytest.raises(error):
        way(case.make(model), case)

    assert 1 <= len(model.notes.kinds) <= INPUTS.get(way, 1) * case.at_once


@pytest.mark.parametrize("case", CALLING, ids=repr)
@pytest.mark.parametrize("way", [_ainvoke, _abatch, _astream, _atransform])
async def test_a_cancellation_passes_at_once(
    case: Case, model: StrictModel, way: Callable[[Chain, Case], Awaitable[None]]
) -> None:
    model.notes.hold, model.notes.held = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(way(case.make(model), case))
    await model.notes.held.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.notes.active == 0
    assert 1 <= len(model.notes.kinds) <= INPUTS.get(way, 1) * case.at_once
