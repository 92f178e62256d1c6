"""Rounds that are kept as they end, so that a crash loses none that was paid for."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.runnables.utils import is_async_callable

from langchain_prodpatterns.budget import Ticket
from langchain_prodpatterns.callables import check_takes_one
from langchain_prodpatterns.deadlines import run_coroutine
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.refine.prompts import task_text
from langchain_prodpatterns.refine.results import RefineResult, RefineRound
from langchain_prodpatterns.refine.steps import Step, Steps, making

logger = logging.getLogger(__name__)

Checkpoint = Callable[[Any], Any]
"""Is given each round when it has ended; sync or async."""


def check_checkpoint(checkpoint: Any) -> None:
    """Refuse what cannot be given a round: rounds that are not kept are lost.

    Raises:
        ConfigurationError: When it is neither `None` nor a function of a round.
    """
    if checkpoint is None:
        return
    if not callable(checkpoint):
        msg = f"checkpoint must be a callable or None, got {checkpoint!r}"
        raise ConfigurationError(msg)
    check_takes_one("checkpoint", checkpoint, "the round that has ended")


def checkpointed(checkpoint: Checkpoint | None, entry: Any) -> Steps[None]:
    """Hand a round to a checkpoint, whose failure must not lose the answer.

    Args:
        checkpoint: Who keeps it, if anybody does.
        entry: The round.
    """
    if checkpoint is None:
        return
    outcome = yield from making(keeping(checkpoint, entry))
    if outcome.error is not None:
        kind = type(outcome.error).__name__
        logger.warning("the checkpoint of a RefineChain raised %s", kind)


def keeping(checkpoint: Checkpoint, entry: Any) -> Step:
    """Return the step that hands a round to a checkpoint.

    It is made even when the budget is spent: the round has been paid for.

    Args:
        checkpoint: Who keeps it.
        entry: The round.

    Returns:
        The step.
    """

    def call(_: RunnableConfig, __: Ticket) -> Any:
        answer = checkpoint(entry)
        if not inspect.isawaitable(answer):
            return answer
        return run_coroutine(lambda: answer)

    async def acall(config: RunnableConfig, _: Ticket) -> Any:
        if is_async_callable(checkpoint):
            return await checkpoint(entry)
        answer = await run_in_executor(config, checkpoint, entry)
        return await answer if inspect.isawaitable(answer) else answer

    return Step("checkpoint", call, acall, metered=False, owed=True)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A refinement that began before, to go on from."""

    rounds: tuple[RefineRound, ...]
    """What happened then, with one accepted draft at least."""
    task: str
    """What the draft is for."""
    given: Any
    """What it was made from: the text of it, where nothing else was kept."""


def recorded_before(
    recorded: RefineResult | Iterable[RefineRound], task: Any
) -> Recorded:
    """Read what is to be gone on from.

    Args:
        recorded: A result, or rounds in any order, of which one that is there again
            replaces the one before.
        task: What the draft is for, where that is not recorded.

    Returns:
        The rounds in order.

    Raises:
        ValueError: When no round has an accepted draft.
        TypeError: When it is neither a result nor rounds.
    """
    result = recorded if isinstance(recorded, RefineResult) else None
    rounds = _rounds_of(recorded)
    if not all(isinstance(entry, RefineRound) for entry in rounds):
        msg = f"resume takes a RefineResult or RefineRounds, got {recorded!r:.200}"
        raise TypeError(msg)
    latest = {(entry.number, entry.candidate): entry for entry in rounds}
    if not any(entry.accepted and entry.written for entry in latest.values()):
        msg = "there is nothing to resume: no round has a draft that was accepted"
        raise ValueError(msg)
    known = result.task if result is not None and not task else task_text(task)
    entries = tuple(latest[key] for key in sorted(latest))
    return Recorded(entries, known, task or known)


def _rounds_of(recorded: Any) -> tuple[Any, ...]:
    """Return what should be rounds; what holds none counts as one that is none."""
    if isinstance(recorded, RefineResult):
        return recorded.rounds
    if isinstance(recorded, Iterable) and not isinstance(recorded, str | Mapping):
        return tuple(recorded)
    return (recorded,)
