"""The walk up the ladder, apart from how calls are made.

It is told once, by a generator that yields an `Ask` and gets its `Outcome`; below are
the two ways to make the calls, sync and async.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.structured.answers import (
    answer_in,
    is_retryable,
    names_temperature,
)
from langchain_prodpatterns.structured.assessing import Assessment
from langchain_prodpatterns.structured.attempts import Attempt, FieldError
from langchain_prodpatterns.structured.ladder import (
    Plan,
    Rung,
    State,
    Step,
    model_name,
    next_step,
    prepared,
    takes_temperature,
)
from langchain_prodpatterns.structured.prompts import reask
from langchain_prodpatterns.usage import NO_USAGE, Usage, UsageProbe

sleep: Callable[[float], None] = time.sleep
"""How to wait before a retry; a test puts its own here."""
asleep = asyncio.sleep
"""How to wait in a coroutine."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to make."""

    number: int
    """The number of the attempt, from 1, which names its run."""
    model: Runnable[Any, Any]
    """The model, with what the step binds to it."""
    messages: list[BaseMessage]
    """What to ask."""
    wait: float = 0.0
    """Seconds to wait before it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    answer: Any = None
    """What the model answered."""
    error: Exception | None = None
    """What it raised instead."""
    spent: BudgetSpent | None = None
    """The limit because of which it was not made at all."""
    usage: Usage = NO_USAGE
    """What it used."""
    model: str | None = None
    """The model that answered, as far as the provider says."""
    seconds: float = 0.0
    """Seconds it took."""


@dataclass(frozen=True, slots=True)
class Walked:
    """How the walk ended."""

    attempts: tuple[Attempt, ...]
    """Every attempt, in order."""
    value: Any = None
    """The valid value, where the last attempt is `ok`."""
    cause: BaseException | None = None
    """The error that ended it, if it was one."""

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt is valid."""
        return bool(self.attempts) and self.attempts[-1].kind == "ok"


class Walk:
    """One walk: it asks, has the answers judged, and asks again."""

    def __init__(
        self,
        rungs: Sequence[Rung],
        plans: tuple[Plan, ...],
        *,
        messages: list[BaseMessage],
        judge: Callable[[Any], Assessment],
        meter: BudgetMeter,
        reminder: str | None = None,
        without_temperature: set[int] | None = None,
        given: tuple[Attempt, ...] = (),
    ) -> None:
        """Stand before the first rung.

        Args:
            rungs: The ladder.
            plans: The plan of each rung.
            messages: What to ask, with the instructions.
            judge: Tells what an answer is worth.
            meter: The budget.
            reminder: What every re-ask ends with.
            without_temperature: The rungs whose model rejects a temperature; those
                found out on the way are added.
            given: The attempts before the walk.
        """
        self._rungs = rungs
        self._state = State(plans)
        self._messages = messages
        self._judge = judge
        self._meter = meter
        self._reminder = reminder
        self._without = set() if without_temperature is None else without_temperature
        self._attempts = list(given)
        self._failure: Assessment | None = None
        self._asked = 0

    def asks(self) -> Generator[Ask, Outcome, Walked]:
        """Yield what to ask until an answer is valid, or nothing is left to ask."""
        cause: BaseException | None = None
        step = next_step(self._state)
        while step is not None:
            outcome = yield self._ask(step)
            if outcome.spent is not None:
                outcome.spent.__cause__ = cause
                return self._end(cause=outcome.spent)
            if outcome.error is not None:
                cause = outcome.error
                if self._rejects_temperature(step, outcome.error):
                    continue
                self._note_error(step, outcome, outcome.error)
            else:
                assessment = self._judge(outcome.answer)
                cause = assessment.cause
                self._note(step, outcome, assessment)
                if assessment.kind == "ok":
                    return self._end(value=assessment.value)
            step = next_step(self._state)
        return self._end(cause=cause)

    def _ask(self, step: Step) -> Ask:
        self._asked += 1
        model = self._rungs[step.rung].model
        temperature = self._temperature(step)
        return Ask(
            number=self._asked,
            model=prepared(model, temperature, raised=step.raised),
            messages=self._prompt(),
            wait=step.wait,
        )

    def _prompt(self) -> list[BaseMessage]:
        failure = self._failure
        if failure is None:
            return self._messages
        return reask(
            self._messages,
            failure.text,
            failure.errors,
            cut_off=failure.cut_off,
            reminder=self._reminder,
        )

    def _temperature(self, step: Step) -> float | None:
        allowed = takes_temperature(self._rungs[step.rung].model)
        return step.temperature if allowed and step.rung not in self._without else None

    def _rejects_temperature(self, step: Step, error: Exception) -> bool:
        """Drop the temperature if that is what the provider rejects."""
        if self._temperature(step) is None or not names_temperature(error):
            return False
        model = self._rungs[step.rung].model
        self._without.update(
            number for number, rung in enumerate(self._rungs) if rung.model is model
        )
        self._meter.return_attempt()
        return True

    def _note(self, step: Step, outcome: Outcome, assessment: Assessment) -> None:
        if assessment.kind not in {"ok", "refused"}:
            self._failure = assessment
        attempt = self._attempt(step, outcome)
        self._attempts.append(
            replace(
                attempt,
                kind=assessment.kind,
                errors=assessment.errors,
                repairs=assessment.repairs,
                text=assessment.text,
            )
        )
        self._state = replace(
            self._state,
            step=step,
            kind=assessment.kind,
            cut_off=assessment.cut_off,
            left=self._left(),
        )

    def _note_error(self, step: Step, outcome: Outcome, error: Exception) -> None:
        self._attempts.append(self._attempt(step, outcome, errors=(_in_words(error),)))
        self._state = replace(
            self._state,
            step=step,
            kind="provider",
            cut_off=False,
            retryable=is_retryable(error),
            left=self._left(),
        )

    def _left(self) -> int | None:
        """How many attempts the budget has room for, as far as it sets a number."""
        budget = self._meter.budget
        room = []
        if budget.attempts is not None:
            room.append(budget.attempts - self._meter.attempts)
        if budget.calls is not None:
            room.append(budget.calls - self._asked)
        return min(room, default=None)

    def _attempt(
        self, step: Step, outcome: Outcome, errors: tuple[FieldError, ...] = ()
    ) -> Attempt:
        return Attempt(
            rung=step.rung,
            model=outcome.model or model_name(self._rungs[step.rung].model),
            temperature=self._temperature(step),
            kind="provider",
            errors=errors,
            usage=outcome.usage,
            seconds=outcome.seconds,
        )

    def _end(self, *, value: Any = None, cause: BaseException | None = None) -> Walked:
        return Walked(tuple(self._attempts), value, cause)


def perform(
    asks: Generator[Ask, Outcome, Walked],
    run: PatternRun,
    meter: BudgetMeter,
    kwargs: dict[str, Any],
) -> Walked:
    """Make the calls of a walk.

    Args:
        asks: The walk.
        run: The run whose children the calls are.
        meter: The budget.
        kwargs: Passed on to the models.

    Returns:
        How it ended.
    """
    try:
        ask = next(asks)
        while True:
            if ask.wait:
                sleep(_within(ask.wait, meter))
            ask = asks.send(_make(ask, run, meter, kwargs))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value


async def aperform(
    asks: Generator[Ask, Outcome, Walked],
    run: PatternRun,
    meter: BudgetMeter,
    kwargs: dict[str, Any],
) -> Walked:
    """Make the calls of a walk, natively async.

    Args:
        asks: The walk.
        run: The run whose children the calls are.
        meter: The budget.
        kwargs: Passed on to the models.

    Returns:
        How it ended.
    """
    try:
        ask = next(asks)
        while True:
            if ask.wait:
                await asleep(_within(ask.wait, meter))
            ask = asks.send(await _amake(ask, run, meter, kwargs))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value


def _make(
    ask: Ask, run: PatternRun, meter: BudgetMeter, kwargs: dict[str, Any]
) -> Outcome:
    began = time.perf_counter()
    answer, failed = None, None
    try:
        meter.begin_attempt()
        with meter.call() as ticket:
            config = run.child(f"attempt:{ask.number}", ticket.probe)
            try:
                answer = ask.model.invoke(ask.messages, config, **kwargs)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                answer = answer_in(error)
                failed = error if answer is None else None
    except BudgetSpent as spent:
        return Outcome(spent=spent)
    return _outcome(answer, failed, ticket.probe, began)


async def _amake(
    ask: Ask, run: PatternRun, meter: BudgetMeter, kwargs: dict[str, Any]
) -> Outcome:
    began = time.perf_counter()
    answer, failed = None, None
    try:
        meter.begin_attempt()
        async with meter.acall() as ticket:
            config = run.child(f"attempt:{ask.number}", ticket.probe)
            try:
                answer = await ask.model.ainvoke(ask.messages, config, **kwargs)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                answer = answer_in(error)
                failed = error if answer is None else None
    except BudgetSpent as spent:
        return Outcome(spent=spent)
    return _outcome(answer, failed, ticket.probe, began)


def _outcome(
    answer: Any, failed: Exception | None, probe: UsageProbe, began: float
) -> Outcome:
    return Outcome(
        answer=answer,
        error=failed,
        usage=probe.usage,
        model=probe.models[-1] if probe.models else None,
        seconds=time.perf_counter() - began,
    )


def _within(wait: float, meter: BudgetMeter) -> float:
    left = meter.seconds_left
    return wait if left is None else min(wait, left)


def _in_words(error: Exception) -> FieldError:
    """Name the type only: a provider's message may quote the prompt."""
    return FieldError(path="", message=str(error)[:300], safe=type(error).__name__)
