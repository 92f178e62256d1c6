"""No value is in a log, an exception, a trace, metadata, an event or the ledger."""

import logging
import re
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run

from langchain_prodpatterns.errors import GuardBlocked
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    GuardRunnable,
    InjectionRequest,
)
from langchain_prodpatterns.ledger import track
from tests.unit_tests.guard.planted import VALUES, leaks

PLANTED = [value for _, value in VALUES]
# The digits of a measured time may be those of a number by chance.
_SECONDS = re.compile(r"[0-9]\.[0-9]{8,}(?:e-[0-9]+)?")
TEXT = "\n".join(f"It is {value} then." for value in PLANTED)
CHUNKS = [TEXT[start : start + 7] for start in range(0, len(TEXT), 7)]


class Broken:
    """A detector that puts the text into its error."""

    name = "broken"

    def find(self, text: str) -> list[tuple[int, int]]:
        raise ValueError(text)


def broken_judge(request: InjectionRequest) -> bool:
    raise ValueError(request.text)


BLOCK_ALL = dict.fromkeys(DEFAULT_DETECTORS, "block")
GUARDS: dict[str, Callable[[], GuardRunnable]] = {
    "redact": GuardRunnable,
    "block": lambda: GuardRunnable(policy=BLOCK_ALL),
    "judged": lambda: GuardRunnable(judge=lambda request: False),
    "injection": lambda: GuardRunnable(judge=lambda request: True),
    "broken judge": lambda: GuardRunnable(judge=broken_judge),
    "broken detector": lambda: GuardRunnable([*DEFAULT_DETECTORS, Broken()]),
}


def _all(run: Run) -> list[Run]:
    return [run, *(each for child in run.child_runs for each in _all(child))]


def _everything(runs: list[Run]) -> str:
    return "\n".join(
        str((run.inputs, run.outputs, run.error, run.extra, run.events, run.tags))
        for root in runs
        for run in _all(root)
    )


async def _drain(source: AsyncIterator[Any]) -> None:
    async for _ in source:
        pass


async def _aiter(values: list[Any]) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def _run_every_way(guard: GuardRunnable, config: RunnableConfig) -> list[str]:
    """Run a guard in every way, and return what was raised, with all that hangs on."""
    messages: list[BaseMessage] = [HumanMessage(TEXT)]
    chunks: list[Any] = [AIMessageChunk(content=chunk) for chunk in CHUNKS]
    calls: list[Callable[[], Any]] = [
        lambda: guard.invoke(TEXT, config),
        lambda: guard.invoke(messages, config),
        lambda: guard.invoke([Document(TEXT)], config),
        lambda: list(guard.stream(TEXT, config)),
        lambda: list(guard.transform(iter(CHUNKS), config)),
        lambda: list(guard.transform(iter(chunks), config)),
    ]
    raised = [_caught(call) for call in calls]
    # Where the first of a batch raises, core may never begin the second.
    results = guard.batch([TEXT, TEXT], config, return_exceptions=True)
    results += await guard.abatch([TEXT], config, return_exceptions=True)
    raised += [_all_of(each) for each in results if isinstance(each, GuardBlocked)]
    for work in (
        guard.ainvoke(TEXT, config),
        _drain(guard.astream(TEXT, config)),
        _drain(guard.atransform(_aiter(CHUNKS), config)),
        _drain(guard.atransform(_aiter(chunks), config)),
    ):
        try:
            await work
        except GuardBlocked as error:
            raised.append(_all_of(error))
    return raised


def _caught(call: Callable[[], Any]) -> str:
    try:
        call()
    except GuardBlocked as error:
        return _all_of(error)
    return ""


def _all_of(error: BaseException) -> str:
    parts = [repr(error), str(error), str(vars(error))]
    parts += traceback.format_exception(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return "\n".join(parts)


@pytest.mark.parametrize("kind", GUARDS)
async def test_nothing_shows_a_value(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    guard = GUARDS[kind]()
    caplog.set_level(logging.DEBUG)
    collector = RunCollectorCallbackHandler()
    with track() as ledger:
        raised = await _run_every_way(guard, {"callbacks": [collector]})
    shown = "\n".join(
        [
            caplog.text,
            *raised,
            _everything(collector.traced_runs),
            repr(ledger.to_records()),
            ledger.table(),
            repr(guard),
        ]
    )
    assert len(collector.traced_runs) == 13
    assert leaks(_SECONDS.sub("", shown), PLANTED, 8) == []


@pytest.mark.parametrize("kind", GUARDS)
async def test_no_event_shows_a_value(kind: str) -> None:
    events: list[Any] = []
    try:
        async for event in GUARDS[kind]().astream_events(TEXT, version="v2"):
            events.append(event)  # noqa: PERF401 - what came before an error counts
    except GuardBlocked:
        pass
    assert events
    # The first event is made by core from the argument of `astream_events` itself.
    rest = [
        {**event, "data": {**event["data"], "input": None}}
        if event is events[0]
        else event
        for event in events
    ]
    assert leaks(_SECONDS.sub("", str(rest)), PLANTED, 8) == []


def test_the_trace_of_a_guard_shows_what_it_let_through() -> None:
    collector = RunCollectorCallbackHandler()
    GuardRunnable().invoke("I am ann@example.com", {"callbacks": [collector]})
    (run,) = collector.traced_runs
    assert run.inputs == {"input": "[hidden by the guard]"}
    assert run.outputs == {"output": "I am [EMAIL]"}


def test_the_trace_of_a_stream_too() -> None:
    collector = RunCollectorCallbackHandler()
    source = iter(["I am ann@", "example.com"])
    list(GuardRunnable().transform(source, {"callbacks": [collector]}))
    (run,) = collector.traced_runs
    assert run.inputs == {"input": "[hidden by the guard]"}
    assert run.outputs == {"output": "I am [EMAIL]"}
