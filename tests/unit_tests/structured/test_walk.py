"""The walk is a function of what to ask and of how to call a model."""

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_prodpatterns import Budget
from langchain_prodpatterns.structured import walk as walking
from langchain_prodpatterns.structured.assessing import Assessment, assess
from langchain_prodpatterns.structured.climb import Ask, Ladder, Request
from langchain_prodpatterns.structured.ladder import Rung, plan
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.structured.walk import awalk, walk
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    VALID,
    Ticket,
    kinds,
    scripted,
)

TARGET = make_target(Ticket)
RUNGS = (Rung(scripted("never asked")),)
REQUEST = Request([HumanMessage("my door")])


def judge(answer: Any) -> Assessment:
    return assess(answer, TARGET)


def ladder() -> Ladder:
    return Ladder(RUNGS, RUNGS, plan(RUNGS, endless=True), TARGET, judge)


def test_any_function_can_make_the_calls() -> None:
    asked: list[Ask] = []

    def call(ask: Ask, probe: object) -> AIMessage:
        asked.append(ask)
        return AIMessage([INVALID, VALID][len(asked) - 1])

    walked = walk(ladder(), REQUEST, call, Budget(attempts=3).start())

    assert (walked.value, kinds(walked)) == (TICKET, ["schema", "ok"])
    assert [ask.number for ask in asked] == [1, 2]
    assert asked[0].messages == REQUEST.messages
    assert len(asked[1].messages) == 3


@pytest.mark.parametrize(("words", "asks"), [(1, "again"), (40, "JSON Patch")])
def test_a_short_answer_is_sooner_written_again(words: int, asks: str) -> None:
    told: list[str] = []

    def call(ask: Ask, probe: object) -> AIMessage:
        told.append(str(ask.messages[-1].text))
        return AIMessage(INVALID.replace("broken", "broken " * words))

    request = Request(REQUEST.messages, bare=REQUEST.messages)
    walk(ladder(), request, call, Budget(attempts=2).start())

    assert ("JSON Patch" in told[1], asks in told[1]) == (words > 1, True)


async def test_also_in_a_coroutine() -> None:
    replies = iter([INVALID, VALID])

    async def call(ask: Ask, probe: object) -> AIMessage:
        return AIMessage(next(replies))

    walked = await awalk(ladder(), REQUEST, call, Budget(attempts=3).start())

    assert (walked.value, kinds(walked)) == (TICKET, ["schema", "ok"])


async def test_those_who_failed_together_come_back_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(walking, "sleep", waits.append)
    monkeypatch.setattr(walking, "asleep", asleep)

    def call(ask: Ask, probe: object) -> AIMessage:
        raise TimeoutError

    async def acall(ask: Ask, probe: object) -> AIMessage:
        raise TimeoutError

    for _ in range(20):
        walk(ladder(), REQUEST, call, Budget(attempts=2).start())
        await awalk(ladder(), REQUEST, acall, Budget(attempts=2).start())

    assert len(set(waits)) > 1
    assert all(0.5 <= wait <= 1.0 for wait in waits)


class FailedError(Exception):
    """What a client raises."""

    def __init__(self, status: int, param: str | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status
        self.param = param


def test_what_is_repeated_without_a_temperature_does_not_wait_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(walking, "sleep", waits.append)
    errors = [FailedError(429), FailedError(400, "temperature")]

    def call(ask: Ask, probe: object) -> AIMessage:
        if errors:
            raise errors.pop(0)
        return AIMessage(VALID)

    rungs = (Rung(scripted("never asked"), temperatures=(0.5,)),)
    warm = replace(ladder(), rungs=rungs, formed=rungs, plans=plan(rungs, endless=True))
    walked = walk(warm, REQUEST, call, Budget(attempts=3).start())

    assert kinds(walked) == ["provider", "ok"]
    assert len(waits) == 1


async def test_what_a_call_raises_is_an_attempt() -> None:
    def call(ask: Ask, probe: object) -> AIMessage:
        raise LookupError("no such model")

    async def acall(ask: Ask, probe: object) -> AIMessage:
        return call(ask, probe)

    for walked in (
        walk(ladder(), REQUEST, call, Budget(attempts=3).start()),
        await awalk(ladder(), REQUEST, acall, Budget(attempts=3).start()),
    ):
        assert kinds(walked) == ["provider"]
        assert isinstance(walked.cause, LookupError)
