"""Who writes: first drafts and revisions, several candidates at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.runnables import Runnable

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.models import at_temperature
from langchain_prodpatterns.refine.drafts import (
    Draft,
    read_answer,
    read_draft,
    read_reply,
)
from langchain_prodpatterns.refine.objects import RevisionError
from langchain_prodpatterns.refine.prompts import RevisionRequest, revision_prompt
from langchain_prodpatterns.refine.steps import (
    Outcome,
    Steps,
    invoking,
    making,
    together,
)
from langchain_prodpatterns.usage import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one candidate of a round."""

    candidate: int
    """Which one it is, from 0."""
    draft: Draft | None = None
    """What was written, if it can be used."""
    error: Exception | None = None
    """What the writer raised, or what kept the answer from being read."""
    raised: bool = False
    """Whether it was the writer that raised."""
    problem: str = ""
    """Why there is no draft, without any text of it."""
    usage: Usage = NO_USAGE
    """What the call used."""


@dataclass(frozen=True, slots=True)
class Writers:
    """Who drafts and who revises, how many at once, and how warm."""

    generator: Runnable[Any, Any] | None
    """What drafts."""
    generator_kwargs: Mapping[str, Any]
    """What `bind` added for it."""
    reviser: Runnable[Any, Any]
    """What revises."""
    criteria: Sequence[str]
    """By what drafts are judged, in the words of the developer."""
    candidates: int = 1
    """How many are written at once."""
    temperatures: Sequence[float | None] = ()
    """The temperature of each candidate; none for the models' own."""

    def draft(self, value: Any, meter: BudgetMeter) -> Steps[list[Written]]:
        """Make the first drafts.

        Args:
            value: What the generator takes; the draft, where there is none.
            meter: The budget, in which each counts as an attempt.

        Returns:
            What came of each that was begun: at least one is a draft.

        Raises:
            Exception: What kept the first of them from being made, if none was.
        """
        generator = self.generator
        if generator is None:
            return [Written(0, read_draft(value))]
        steps = [
            invoking(
                "draft",
                self.warmed(generator, at),
                value,
                self.facts(0, at),
                **self.generator_kwargs,
            )
            for at in range(begin(self.candidates, meter))
        ]
        outcomes = yield from together([making(step) for step in steps])
        written = [
            _read("generator", at, each, read_draft) for at, each in enumerate(outcomes)
        ]
        failures = [each.error for each in written if each.error is not None]
        if len(failures) == len(written):
            raise failures[0]
        return written

    def revise(
        self, draft: Draft, request: RevisionRequest, number: int, begun: int
    ) -> Steps[list[Written]]:
        """Revise a draft.

        Args:
            draft: The draft.
            request: What the reviser is asked.
            number: The number of the round.
            begun: How many candidates to write.

        Returns:
            What came of each; nothing of those that the budget had no room for.
        """
        revisions = [self._revise(draft, request, number, at) for at in range(begun)]
        outcomes = yield from together(revisions)
        read = partial(self._read_revision, draft, places=request.fields)
        return [
            _read("reviser", at, outcome, read)
            for at, outcome in enumerate(outcomes)
            if outcome.spent is None
        ]

    def facts(self, number: int, candidate: int = 0) -> dict[str, Any]:
        """Return what the metadata of a run says of its place in the story."""
        place = {"candidate": candidate} if self.candidates > 1 else {}
        return {"round": number, **place}

    def _revise(
        self, draft: Draft, request: RevisionRequest, number: int, candidate: int
    ) -> Steps[Outcome]:
        asked: Any = request
        reviser = self.warmed(self.reviser, candidate)
        if is_language_model(self.reviser):
            try:
                asked = revision_prompt(request, draft, self.criteria)
            except Exception as error:  # noqa: BLE001 - the schema of a user's type may raise anything
                return Outcome(error=error)
        step = invoking("revision", reviser, asked, self.facts(number, candidate))
        return (yield from making(step))

    def _read_revision(self, draft: Draft, answer: Any, places: Sequence[str]) -> Draft:
        read = read_reply if is_language_model(self.reviser) else read_answer
        return read(draft, answer, places)

    def warmed(self, writer: Runnable[Any, Any], candidate: int) -> Runnable[Any, Any]:
        """Return a writer at the temperature of a candidate, if it is a model."""
        if not self.temperatures or not is_language_model(writer):
            return writer
        return at_temperature(writer, self.temperatures[candidate])


def begin(wanted: int, meter: BudgetMeter) -> int:
    """Begin as many attempts as are wanted and as the budget has room for.

    Args:
        wanted: How many, at least one.
        meter: The budget.

    Returns:
        How many have begun.

    Raises:
        BudgetSpent: When it has room for none.
    """
    meter.begin_attempt()
    for begun in range(1, wanted):
        try:
            meter.begin_attempt()
        except BudgetSpent:
            return begun
    return wanted


def _read(
    who: str, candidate: int, outcome: Outcome, read: Callable[[Any], Draft]
) -> Written:
    """Read what a writer gave, or say why it is no draft."""
    written = Written(candidate, error=outcome.error, usage=outcome.usage)
    if outcome.error is not None:
        problem = f"the {who} raised {type(outcome.error).__name__}"
        return replace(written, raised=True, problem=problem)
    if outcome.spent is not None:
        return replace(written, error=outcome.spent, problem="budget spent")
    try:
        return replace(written, draft=read(outcome.value))
    except RevisionError as error:
        return replace(written, error=error, problem=f"no usable revision: {error}")
    except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
        problem = f"no usable revision: {type(error).__name__}"
        return replace(written, error=error, problem=problem)
