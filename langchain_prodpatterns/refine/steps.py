"""The calls a refinement makes, apart from how they are made.

The story is told once, by generators that yield a `Step` and get its `Outcome`; here
are the two ways to make the calls, sync and async.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_prodpatterns.budget import BudgetMeter, Ticket
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.judging import BoundJudge, JudgeRequest
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.usage import NO_USAGE, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """One call to make: its name in traces, and how to make it."""

    name: str
    """The name of the child run, without the pattern's."""
    call: Callable[[RunnableConfig, Ticket], Any]
    """The call."""
    acall: Callable[[RunnableConfig, Ticket], Awaitable[Any]]
    """The call, natively async."""
    hidden: bool = False
    """Whether to keep it out of the view of the conversation."""
    metered: bool = True
    """Whether it is a call to the budget: code without a model costs only time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step."""

    value: Any = None
    """What it returned."""
    error: Exception | None = None
    """What it raised instead."""
    spent: BudgetSpent | None = None
    """The limit because of which it was not made at all."""
    usage: Usage = NO_USAGE
    """What it used."""


Steps = Generator[Step, Outcome, T]
"""A part of the story: it yields steps, gets outcomes and returns a `T`."""


def invoking(
    name: str, runnable: Runnable[Any, Any], value: Any, **kwargs: Any
) -> Step:
    """Return the step that invokes a runnable.

    Args:
        name: The step's name.
        runnable: What to invoke.
        value: Its input.
        **kwargs: Passed on to it.

    Returns:
        The step.
    """
    return Step(
        name,
        lambda config, _: runnable.invoke(value, config, **kwargs),
        lambda config, _: runnable.ainvoke(value, config, **kwargs),
    )


def asking(name: str, judge: BoundJudge[Any, Any], request: JudgeRequest) -> Step:
    """Return the step that asks a judge.

    Args:
        name: The step's name.
        judge: Whom to ask.
        request: The texts to judge.

    Returns:
        The step, whose outcome's value is a `Judgement`.
    """
    return Step(
        name,
        lambda config, ticket: judge.ask(request, config, may_repair=ticket.extend),
        lambda config, ticket: judge.aask(request, config, may_repair=ticket.extend),
        hidden=True,
    )


def perform(steps: Steps[T], run: PatternRun, meter: BudgetMeter) -> T:
    """Make the calls of a story.

    Args:
        steps: The story.
        run: The run whose children the calls are.
        meter: The budget.

    Returns:
        What the story returns.
    """
    try:
        step = next(steps)
        while True:
            step = steps.send(_make(step, run, meter))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value


async def aperform(steps: Steps[T], run: PatternRun, meter: BudgetMeter) -> T:
    """Make the calls of a story, natively async.

    Args:
        steps: The story.
        run: The run whose children the calls are.
        meter: The budget.

    Returns:
        What the story returns.
    """
    try:
        step = next(steps)
        while True:
            step = steps.send(await _amake(step, run, meter))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value


def _make(step: Step, run: PatternRun, meter: BudgetMeter) -> Outcome:
    try:
        with meter.call() if step.metered else nullcontext(_free(meter)) as ticket:
            config = run.child(step.name, ticket.probe, hidden=step.hidden)
            try:
                return Outcome(step.call(config, ticket), usage=ticket.usage)
            except Exception as error:  # noqa: BLE001 - the story decides what a failure means
                return Outcome(error=error, usage=ticket.usage)
    except BudgetSpent as spent:
        return Outcome(spent=spent)


async def _amake(step: Step, run: PatternRun, meter: BudgetMeter) -> Outcome:
    try:
        leave = meter.acall() if step.metered else nullcontext(_free(meter))
        async with leave as ticket:
            config = run.child(step.name, ticket.probe, hidden=step.hidden)
            try:
                return Outcome(await step.acall(config, ticket), usage=ticket.usage)
            except Exception as error:  # noqa: BLE001 - the story decides what a failure means
                return Outcome(error=error, usage=ticket.usage)
    except BudgetSpent as spent:
        return Outcome(spent=spent)


def _free(meter: BudgetMeter) -> Ticket:
    """Give leave to code without a model: it costs nothing but time."""
    if meter.seconds_left == 0.0:
        limit, detail = "seconds", f"{meter.budget.seconds:.2f} seconds gone"
        raise BudgetSpent(limit, detail)
    return Ticket()
