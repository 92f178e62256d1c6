"""The calls a refinement makes, apart from how they are made.

The story is told once, by generators that yield a `Step` and get its `Outcome`; here
are the two ways to make the calls, sync and async. A story may also tell several at
once (`together`), and announce a round that has ended (`Announced`).
"""

import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.utils import gather_with_concurrency

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
    """The name of the child run, without the pattern's. It is always the same, so that
    a listener can ask for it; what differs is in `facts`."""
    call: Callable[[RunnableConfig, Ticket], Any]
    """The call."""
    acall: Callable[[RunnableConfig, Ticket], Awaitable[Any]]
    """The call, natively async."""
    hidden: bool = False
    """Whether to keep it out of the view of the conversation."""
    metered: bool = True
    """Whether it is a call to the budget: code without a model costs only time."""
    owed: bool = False
    """Whether it is made even when the time is up."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the metadata of the child run: of which round it is."""


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


@dataclass(frozen=True, slots=True)
class Announced:
    """A round that has ended, for whoever listens."""

    entry: Any
    """The round, of whatever kind of story it is."""


@dataclass(frozen=True, slots=True)
class _Together:
    """Parts of the story that are told at once; what they return is sent back."""

    stories: Sequence["Steps[Any]"]


Steps = Generator[Step | Announced | _Together, Any, T]
"""A part of the story: it yields steps, gets outcomes and returns a `T`."""


def making(step: Step) -> Steps[Outcome]:
    """Make one call."""
    outcome: Outcome = yield step
    return outcome


def together(stories: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Tell parts of the story at once, as many as `max_concurrency` allows.

    They must not change what another one reads.

    Args:
        stories: The parts.

    Returns:
        What they return, in their order.
    """
    if len(stories) == 1:
        return [(yield from stories[0])]
    return cast("list[T]", (yield _Together(stories)))


def invoking(
    name: str,
    runnable: Runnable[Any, Any],
    value: Any,
    facts: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Step:
    """Return the step that invokes a runnable.

    Args:
        name: The step's name.
        runnable: What to invoke.
        value: Its input.
        facts: Of which round it is.
        **kwargs: Passed on to it.

    Returns:
        The step.
    """
    return Step(
        name,
        lambda config, _: runnable.invoke(value, config, **kwargs),
        lambda config, _: runnable.ainvoke(value, config, **kwargs),
        facts=facts or {},
    )


def asking(
    name: str,
    judge: BoundJudge[Any, Any],
    request: JudgeRequest,
    facts: Mapping[str, Any] | None = None,
) -> Step:
    """Return the step that asks a judge.

    Args:
        name: The step's name.
        judge: Whom to ask.
        request: The texts to judge.
        facts: Of which round it is.

    Returns:
        The step, whose outcome's value is a `Judgement`.
    """
    return Step(
        name,
        lambda config, ticket: judge.ask(request, config, may_repair=ticket.extend),
        lambda config, ticket: judge.aask(request, config, may_repair=ticket.extend),
        hidden=True,
        facts=facts or {},
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
    *_, result = performing(steps, run, meter)
    return cast("T", result)


async def aperform(steps: Steps[T], run: PatternRun, meter: BudgetMeter) -> T:
    """Make the calls of a story, natively async.

    Args:
        steps: The story.
        run: The run whose children the calls are.
        meter: The budget.

    Returns:
        What the story returns.
    """
    result: Any = None
    async for result in aperforming(steps, run, meter):  # noqa: B007 - the last one counts
        pass
    return cast("T", result)


def performing(steps: Steps[T], run: PatternRun, meter: BudgetMeter) -> Iterator[Any]:
    """Make the calls of a story, and tell of it on the way.

    Args:
        steps: The story.
        run: The run whose children the calls are.
        meter: The budget.

    Yields:
        Each round that it announces, and at the end what it returns.
    """
    made: Any = None
    while True:
        try:
            step = steps.send(made)
        except StopIteration as end:
            yield end.value
            return
        if isinstance(step, Announced):
            yield step.entry
            made = None
        elif isinstance(step, Step):
            made = _make(step, run, meter)
        else:
            made = run.in_threads(
                lambda story: perform(story, run, meter), step.stories
            )


async def aperforming(
    steps: Steps[T], run: PatternRun, meter: BudgetMeter
) -> AsyncIterator[Any]:
    """Make the calls of a story, natively async, and tell of it on the way.

    Args:
        steps: The story.
        run: The run whose children the calls are.
        meter: The budget.

    Yields:
        Each round that it announces, and at the end what it returns.
    """
    made: Any = None
    while True:
        try:
            step = steps.send(made)
        except StopIteration as end:
            yield end.value
            return
        if isinstance(step, Announced):
            yield step.entry
            made = None
        elif isinstance(step, Step):
            made = await _amake(step, run, meter)
        else:
            stories = (aperform(story, run, meter) for story in step.stories)
            limit = run.config.get("max_concurrency")
            made = await gather_with_concurrency(limit, *stories)


def _make(step: Step, run: PatternRun, meter: BudgetMeter) -> Outcome:
    try:
        leave = meter.call() if step.metered else nullcontext(_free(step, meter))
        with leave as ticket:
            config = _config_of(step, run, ticket)
            try:
                return Outcome(step.call(config, ticket), usage=ticket.usage)
            except Exception as error:
                if _is_for_the_graph(error):
                    raise
                return Outcome(error=error, usage=ticket.usage)
    except BudgetSpent as spent:
        return Outcome(spent=spent)


async def _amake(step: Step, run: PatternRun, meter: BudgetMeter) -> Outcome:
    try:
        leave = meter.acall() if step.metered else nullcontext(_free(step, meter))
        async with leave as ticket:
            config = _config_of(step, run, ticket)
            try:
                return Outcome(await step.acall(config, ticket), usage=ticket.usage)
            except Exception as error:
                if _is_for_the_graph(error):
                    raise
                return Outcome(error=error, usage=ticket.usage)
    except BudgetSpent as spent:
        return Outcome(spent=spent)


def _is_for_the_graph(error: Exception) -> bool:
    """Whether it is an interrupt: that is no failure, and LangGraph has to see it.

    It is not imported here: without it, there is none.
    """
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)


def _config_of(step: Step, run: PatternRun, ticket: Ticket) -> RunnableConfig:
    return run.child(step.name, ticket.probe, hidden=step.hidden, facts=step.facts)


def _free(step: Step, meter: BudgetMeter) -> Ticket:
    """Give leave to code without a model: it costs nothing but time."""
    if meter.seconds_left == 0.0 and not step.owed:
        limit, detail = "seconds", f"{meter.budget.seconds:.2f} seconds gone"
        raise BudgetSpent(limit, detail)
    return Ticket()
