"""The walk up a ladder: a function of what to ask and of how to call a model.

What to ask next is decided in `climb`; here the calls are made, within the budget.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.deadlines import call_apart
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.structured.answers import answer_in, text_of
from langchain_prodpatterns.structured.climb import (
    Ask,
    Climb,
    Ladder,
    Outcome,
    Request,
)
from langchain_prodpatterns.structured.endings import Walked

T = TypeVar("T")

BRIEF = 4_000
"""Characters of an answer that is read at once, in ten milliseconds at worst. To mend a
long one takes too long for an event loop."""

Call = Callable[[Ask, UsageProbe], Any]
"""Makes a call: takes what to ask and the callback handler that counts it, and gives
the answer."""
AsyncCall = Callable[[Ask, UsageProbe], Awaitable[Any]]
"""The same in a coroutine."""


sleep: Callable[[float], None] = time.sleep
"""How to wait before a retry; a test puts its own here."""
asleep = asyncio.sleep
"""How to wait in a coroutine."""


def walk(ladder: Ladder, request: Request, call: Call, meter: BudgetMeter) -> Walked:
    """Ask until an answer is valid, or nothing is left to ask.

    Args:
        ladder: Whom to ask, and how to judge.
        request: What to ask.
        call: Makes a call.
        meter: The budget.

    Returns:
        How it ended.
    """
    asks = Climb(ladder, request, meter).asks()
    went: Ask | Walked = _after(asks, None)
    while isinstance(went, Ask):
        if went.wait:
            sleep(_within(went.wait, meter))
        went = _after(asks, _make(went, call, meter))
    return went


async def awalk(
    ladder: Ladder, request: Request, call: AsyncCall, meter: BudgetMeter
) -> Walked:
    """Ask until an answer is valid, or nothing is left to ask, natively async.

    Args:
        ladder: Whom to ask, and how to judge.
        request: What to ask.
        call: Makes a call.
        meter: The budget.

    Returns:
        How it ended.
    """
    asks = Climb(ladder, request, meter).asks()
    went: Ask | Walked = _after(asks, None)
    while isinstance(went, Ask):
        if went.wait:
            await asleep(_within(went.wait, meter))
        outcome = await _amake(went, call, meter)
        went = await judging(outcome.answer, partial(_after, asks, outcome))
    return went


async def judging(answer: Any, work: Callable[[], T]) -> T:
    """Have an answer judged, beside the event loop where that may take long.

    Args:
        answer: The answer.
        work: Reads and judges it.

    Returns:
        What comes of it.
    """
    if len(text_of(answer)) <= BRIEF:
        return work()
    return await call_apart(work)


def _after(
    asks: Generator[Ask, Outcome, Walked], outcome: Outcome | None
) -> Ask | Walked:
    """Return what to ask next, or how it ended: no future can hold `StopIteration`."""
    try:
        return next(asks) if outcome is None else asks.send(outcome)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value


class _Account:
    """What is known of a call that is being made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.answer: Any = None
        self.error: Exception | None = None

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Keep what a call raises: what a failure means is decided in `climb`."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self.answer = answer_in(error)
            self.error = error if self.answer is None else None

    def outcome(self, probe: UsageProbe) -> Outcome:
        """Sum the call up."""
        return Outcome(
            answer=self.answer,
            error=self.error,
            usage=probe.usage,
            model=probe.models[-1] if probe.models else None,
            seconds=time.perf_counter() - self._began,
        )


def _make(ask: Ask, call: Call, meter: BudgetMeter) -> Outcome:
    account = _Account()
    try:
        meter.begin_attempt()
        with meter.call() as ticket, account.noting_failure():
            account.answer = call(ask, ticket.probe)
    except BudgetSpent as spent:
        return Outcome(spent=spent)
    return account.outcome(ticket.probe)


async def _amake(ask: Ask, call: AsyncCall, meter: BudgetMeter) -> Outcome:
    account = _Account()
    try:
        meter.begin_attempt()
        async with meter.acall() as ticket:
            with account.noting_failure():
                account.answer = await call(ask, ticket.probe)
    except BudgetSpent as spent:
        return Outcome(spent=spent)
    return account.outcome(ticket.probe)


def _within(wait: float, meter: BudgetMeter) -> float:
    left = meter.seconds_left
    return wait if left is None else min(wait, left)
