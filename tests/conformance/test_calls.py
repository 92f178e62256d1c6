"""Every way to call a Runnable works, and they agree."""

import asyncio
import copy
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from tests.conformance.cases import CASES, Case
from tests.conformance.doubles import StrictModel

ONE_CALL = [case for case in CASES if case.one_call]


def test_invoke_gives_the_expected_output(case: Case, model: StrictModel) -> None:
    assert case.view(case.make(model).invoke(case.value)) == case.expected


async def test_ainvoke_agrees_and_is_natively_async(
    case: Case, model: StrictModel
) -> None:
    output = await case.make(model).ainvoke(case.value)

    assert case.view(output) == case.expected
    assert set(model.notes.kinds) <= {"async"}


def test_batch_keeps_the_order(case: Case, model: StrictModel) -> None:
    outputs = case.make(model).batch([case.value, case.other, case.value])

    views = [case.view(output) for output in outputs]
    assert views[0] == views[2] == case.expected
    assert views[1] == case.view(case.make(model).invoke(case.other))
    assert views[1] != case.expected


async def test_abatch_keeps_the_order(case: Case, model: StrictModel) -> None:
    outputs = await case.make(model).abatch([case.value, case.other])

    assert [case.view(output) for output in outputs] == [
        case.view(output) for output in case.make(model).batch([case.value, case.other])
    ]


def test_batch_returns_exceptions_in_place(case: Case, model: StrictModel) -> None:
    outputs = case.make(model).batch([case.value, case.bad], return_exceptions=True)

    assert case.view(outputs[0]) == case.expected
    assert isinstance(outputs[1], Exception)


async def test_abatch_returns_exceptions_in_place(
    case: Case, model: StrictModel
) -> None:
    outputs = await case.make(model).abatch(
        [case.bad, case.value], return_exceptions=True
    )

    assert isinstance(outputs[0], Exception)
    assert case.view(outputs[1]) == case.expected


@pytest.mark.parametrize("case", ONE_CALL, ids=repr)
def test_batch_is_concurrent_up_to_max_concurrency(
    case: Case, model: StrictModel
) -> None:
    runnable = case.make(model)
    model.notes.meeting = threading.Barrier(2)

    runnable.batch(case.distinct(4), {"max_concurrency": 2})

    assert model.notes.most_active == 2


@pytest.mark.parametrize("case", ONE_CALL, ids=repr)
async def test_abatch_is_concurrent_up_to_max_concurrency(
    case: Case, model: StrictModel
) -> None:
    runnable = case.make(model)
    model.notes.async_meeting = asyncio.Barrier(2)

    await runnable.abatch(case.distinct(4), {"max_concurrency": 2})

    assert model.notes.most_active == 2


def test_stream_adds_up_to_invoke(case: Case, model: StrictModel) -> None:
    chunks = list(case.make(model).stream(case.value))

    assert case.view(case.add(chunks)) == case.expected


async def test_astream_adds_up_to_invoke(case: Case, model: StrictModel) -> None:
    chunks = [chunk async for chunk in case.make(model).astream(case.value)]

    assert case.view(case.add(chunks)) == case.expected
    assert "sync on the event loop" not in model.notes.kinds


def test_transform_takes_the_input_in_pieces(case: Case, model: StrictModel) -> None:
    def pieces() -> Iterator[Any]:
        yield from case.pieces()

    chunks = list(case.make(model).transform(pieces()))

    assert case.view(case.add(chunks)) == case.expected


async def test_atransform_takes_the_input_in_pieces(
    case: Case, model: StrictModel
) -> None:
    async def pieces() -> AsyncIterator[Any]:
        for piece in case.pieces():
            yield piece

    chunks = [chunk async for chunk in case.make(model).atransform(pieces())]

    assert case.view(case.add(chunks)) == case.expected


def test_neither_input_nor_config_is_changed(case: Case, model: StrictModel) -> None:
    value = copy.deepcopy(case.value)
    config: RunnableConfig = {
        "tags": ["mine"],
        "metadata": {"mine": 1},
        "run_name": "mine",
        "callbacks": [],
    }
    before = copy.deepcopy(config)

    case.make(model).invoke(value, config)

    assert value == case.value
    assert config == before


def test_works_from_16_threads(case: Case, model: StrictModel) -> None:
    runnable = case.make(model)
    together = threading.Barrier(16)

    def call(_: int) -> Any:
        together.wait(timeout=30)
        return case.view(runnable.invoke(case.value))

    with ThreadPoolExecutor(16) as executor:
        outputs = list(executor.map(call, range(16)))

    assert outputs == [case.expected] * 16
