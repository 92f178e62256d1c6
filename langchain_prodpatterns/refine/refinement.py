"""One refinement of one input, told once for sync and async.

The story: a first draft and its critique; then rounds of revision, critique and the
question whether the revision is better; until there is a reason to stop.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from langchain_core.runnables import Runnable

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.refine.drafts import (
    Draft,
    read_answer,
    read_draft,
    read_reply,
)
from langchain_prodpatterns.refine.objects import RevisionError
from langchain_prodpatterns.refine.panel import Critique, Panel, Weighed
from langchain_prodpatterns.refine.prompts import (
    RevisionRequest,
    revision_prompt,
    task_text,
)
from langchain_prodpatterns.refine.results import (
    RefineResult,
    RefineRound,
    StopReason,
)
from langchain_prodpatterns.refine.steps import Outcome, Steps, invoking
from langchain_prodpatterns.refine.stopping import given_up, good_enough
from langchain_prodpatterns.usage import NO_USAGE, Usage

UNCRITICIZED = Critique((), NO_USAGE)
"""The critique of a revision that was not worth one."""


@dataclass(kw_only=True)
class Refinement:
    """One input on its way from the first draft to the result."""

    value: Any
    """The input: what the generator takes, or the draft."""
    generator: Runnable[Any, Any] | None
    """What drafts."""
    generator_kwargs: dict[str, Any]
    """What `bind` added for it."""
    reviser: Runnable[Any, Any]
    """What revises."""
    panel: Panel
    """Who criticizes and compares."""
    target_score: float | None
    """The score that is good enough."""
    max_rounds: int
    """How many revisions to try."""
    meter: BudgetMeter
    """The budget."""
    rounds: list[RefineRound] = field(default_factory=list)
    """What happened so far."""
    seen: set[str] = field(default_factory=set)
    """The fingerprints and the texts of all drafts that were weighed."""

    def story(self) -> Steps[RefineResult]:
        """Tell the whole story.

        Returns:
            The result.

        Raises:
            Exception: Whatever keeps the first draft from being made.
        """
        best = yield from self._first_round()
        reason = self._reason_to_stop(best, best.critique)
        while reason is None:
            best, reason = yield from self._next_round(best)
        used = sum((entry.usage for entry in self.rounds), NO_USAGE)
        return RefineResult(best.draft.value, tuple(self.rounds), reason, used)

    @cached_property
    def task(self) -> str:
        """What the draft is for; nobody knows where the draft came from elsewhere."""
        return "" if self.generator is None else task_text(self.value)

    def _first_round(self) -> Steps[Weighed]:
        """Make the first draft and have it criticized."""
        log = _Log(self, 0)
        _ = self.task  # an input that is no text must fail here, not after the draft
        if self.generator is None:
            draft = read_draft(self.value)
        else:
            self.meter.begin_attempt()
            outcome = yield invoking(
                "draft", self.generator, self.value, **self.generator_kwargs
            )
            failure = outcome.error or outcome.spent
            if failure is not None:
                raise failure
            log.used += outcome.usage
            draft = read_draft(outcome.value)
        self.seen |= {draft.fingerprint, draft.text}
        critique = yield from self.panel.critique(draft, self.task, 0)
        log.write("first draft", draft, critique, accepted=True)
        return Weighed(draft, critique, log.number)

    def _next_round(self, best: Weighed) -> Steps[tuple[Weighed, StopReason | None]]:
        """Revise the best; return the best then, and the reason to stop, if any."""
        try:
            self.meter.begin_attempt()
        except BudgetSpent:
            return best, "budget"
        if best.critique.incomplete and not best.asked_again:
            best = yield from self._ask_again(best)
            enough = good_enough(best.critique.scores, self.target_score)
            if enough is not None:
                return best, enough
        log = _Log(self, len(self.rounds))
        outcome = yield from self._revise(best, log.number)
        log.used += outcome.usage
        if outcome.spent is not None:
            return best, "budget"
        if outcome.error is not None:
            log.write(f"the reviser raised {type(outcome.error).__name__}")
            return best, "reviser_failed"
        return (yield from self._take(best, outcome.value, log))

    def _take(
        self, best: Weighed, answer: Any, log: "_Log"
    ) -> Steps[tuple[Weighed, StopReason | None]]:
        """Read what the reviser gave, and weigh it if it is new."""
        try:
            draft = self._read(best.draft, answer)
        except RevisionError as error:
            log.write(f"no usable revision: {error}")
            return best, self._reason_to_stop(best)
        # Where a verifier fails, blanks and line ends may be all there is to mend.
        if (draft.fingerprint if best.critique.clean else draft.text) in self.seen:
            log.write("unchanged from an earlier draft", draft)
            return best, "unchanged"
        self.seen |= {draft.fingerprint, draft.text}
        return (yield from self._weigh(best, draft, log))

    def _ask_again(self, best: Weighed) -> Steps[Weighed]:
        """Give the critics of the best that gave no score a second chance.

        What is not known of the best cannot speak for it: without that score the
        reviser works without feedback, and no revision can be shown to be better.
        """
        began = self.meter.seconds
        critique = yield from self.panel.critique(
            best.draft, self.task, best.number, best.critique.scores
        )
        entry = self.rounds[best.number]
        self.rounds[best.number] = replace(
            entry,
            scores=critique.scores,
            feedback=critique.feedback,
            usage=entry.usage + critique.usage,
            seconds=entry.seconds + self.meter.seconds - began,
        )
        return replace(best, critique=critique, asked_again=True)

    def _weigh(
        self, best: Weighed, draft: Draft, log: "_Log"
    ) -> Steps[tuple[Weighed, StopReason | None]]:
        """Have a revision criticized, and compare it with the best."""
        critique = yield from self.panel.critique(draft, self.task, log.number)
        new = Weighed(draft, critique, log.number)
        accepted, reason, used = yield from self.panel.compare(
            best, new, self.task, log.number
        )
        log.used += used
        log.write(reason, draft, critique, accepted=accepted)
        best = new if accepted else best
        return best, self._reason_to_stop(best, critique)

    def _revise(self, best: Weighed, number: int) -> Steps[Outcome]:
        """Ask for a revision of the best."""
        draft, feedback = best.draft, best.critique.feedback
        request = RevisionRequest(task=self.task, draft=draft.text, feedback=feedback)
        asked: Any = request
        if is_language_model(self.reviser):
            try:
                asked = revision_prompt(request, draft, self.panel.texts)
            except Exception as error:  # noqa: BLE001 - the schema of a user's type may raise anything
                return Outcome(error=error)
        return (yield invoking(f"revision:{number}", self.reviser, asked))

    def _read(self, draft: Draft, answer: Any) -> Draft:
        read = read_reply if is_language_model(self.reviser) else read_answer
        try:
            return read(draft, answer)
        except RevisionError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
            raise RevisionError(type(error).__name__) from None

    def _reason_to_stop(
        self, best: Weighed, last: Critique = UNCRITICIZED
    ) -> StopReason | None:
        enough = good_enough(best.critique.scores, self.target_score)
        if enough is None and last.cut_short:
            return "budget"
        return enough or given_up(self.rounds, self.max_rounds)


class _Log:
    """Keeps the account of one round and writes it down at its end."""

    def __init__(self, refinement: Refinement, number: int) -> None:
        self.number = number
        self.used: Usage = NO_USAGE
        self._refinement = refinement
        self._began = refinement.meter.seconds

    def write(
        self,
        reason: str,
        draft: Draft | None = None,
        critique: Critique = UNCRITICIZED,
        *,
        accepted: bool = False,
    ) -> None:
        entry = RefineRound(
            number=self.number,
            draft=None if draft is None else draft.value,
            scores=critique.scores,
            feedback=critique.feedback,
            accepted=accepted,
            reason=reason,
            usage=self.used + critique.usage,
            seconds=self._refinement.meter.seconds - self._began,
        )
        self._refinement.rounds.append(entry)
