"""One refinement of one input, told once for sync and async.

The story: a first draft and its critique; then rounds of revision, critique and the
question whether the revision is better; until there is a reason to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.refine.acceptance import leading
from langchain_prodpatterns.refine.checkpoints import (
    Checkpoint,
    Recorded,
    checkpointed,
)
from langchain_prodpatterns.refine.drafts import Draft, read_draft
from langchain_prodpatterns.refine.ideas import failed_ideas
from langchain_prodpatterns.refine.panel import Critique, Panel, Weighed
from langchain_prodpatterns.refine.prompts import RevisionRequest, task_text
from langchain_prodpatterns.refine.results import (
    RefineResult,
    RefineRound,
    StopReason,
    best_of,
)
from langchain_prodpatterns.refine.steps import Announced, Steps, together
from langchain_prodpatterns.refine.stopping import given_up, good_enough
from langchain_prodpatterns.refine.writing import Writers, Written, begin
from langchain_prodpatterns.usage import NO_USAGE, Usage

UNCRITICIZED = Critique((), NO_USAGE)
"""The critique of a revision that was not worth one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Who takes part in a refinement, and when it stops."""

    writers: Writers
    """Who drafts and revises."""
    panel: Panel
    """Who criticizes and compares."""
    target_score: float | None
    """The score that is good enough."""
    max_rounds: int
    """How many rounds of revision to try."""
    patience: int
    """Rounds in a row that may fail to better the best."""
    failed_ideas: int
    """How many failed revisions the reviser is told of."""
    checkpoint: Checkpoint | None
    """Who is given each round when it has ended."""


@dataclass(kw_only=True)
class Refinement:
    """One input on its way from the first draft to the result."""

    plan: Plan
    """Who takes part."""
    value: Any
    """What the generator takes, or the draft, or what was `Recorded`."""
    meter: BudgetMeter
    """The budget."""
    rounds: list[RefineRound] = field(default_factory=list)
    """What happened so far."""
    seen: set[str] = field(default_factory=set)
    """The fingerprints and the texts of all drafts that were weighed."""
    since: int = 0
    """The number of the last round that was there before."""

    def story(self) -> Steps[RefineResult]:
        """Tell the whole story.

        Returns:
            The result.

        Raises:
            Exception: Whatever keeps the first draft from being made.
        """
        if isinstance(self.value, Recorded):
            best = yield from self._pick_up(self.value)
        else:
            best = yield from self._first_round()
        reason = self._reason_to_stop(best, cut_short=best.critique.cut_short)
        while reason is None:
            best, reason = yield from self._next_round(best)
        used = sum((entry.usage for entry in self.rounds), NO_USAGE)
        rounds = tuple(self.rounds)
        return RefineResult(best.draft.value, rounds, reason, used, self.task)

    @property
    def given(self) -> Any:
        """What the draft was made from, as far as that is known."""
        if isinstance(self.value, Recorded):
            return self.value.given
        return None if self.plan.writers.generator is None else self.value

    @cached_property
    def task(self) -> str:
        """What the draft is for; nobody knows where the draft came from elsewhere."""
        if isinstance(self.value, Recorded):
            return self.value.task
        return "" if self.plan.writers.generator is None else task_text(self.value)

    def _first_round(self) -> Steps[Weighed]:
        """Make the first draft, or several, and have them criticized."""
        began = self.meter.seconds
        _ = self.task  # an input that is no text must fail here, not after the draft
        written = yield from self.plan.writers.draft(self.value, self.meter)
        candidates = yield from self._criticize(written, 0, clean=True)
        lead = self._lead(candidates)
        entries = [
            self._entry(0, each, began, accepted=True, reason="first draft")
            if each is lead
            else self._entry(0, each, began)
            for each in candidates
        ]
        at = yield from self._write(entries)
        return Weighed(lead.draft, lead.critique, at)

    def _next_round(self, best: Weighed) -> Steps[tuple[Weighed, StopReason | None]]:
        """Revise the best; return the best then, and the reason to stop, if any."""
        try:
            begun = begin(self.plan.writers.candidates, self.meter)
        except BudgetSpent:
            return best, "budget"
        if best.critique.incomplete and not best.asked_again:
            best = yield from self._ask_again(best)
            enough = good_enough(best.critique.scores, self.plan.target_score)
            if enough is not None:
                return best, enough
        began, number = self.meter.seconds, self.rounds[-1].number + 1
        written = yield from self.plan.writers.revise(
            best.draft, self._request(best), number, begun
        )
        if not written:
            return best, "budget"
        candidates = yield from self._criticize(
            written, number, clean=best.critique.clean
        )
        if any(each.fresh for each in candidates):
            return (yield from self._weigh(best, candidates, number, began))
        yield from self._write(
            [self._entry(number, each, began) for each in candidates]
        )
        if all(each.written.raised for each in candidates):
            return best, "reviser_failed"
        unchanged = all(each.written.draft is not None for each in candidates)
        return best, "unchanged" if unchanged else self._reason_to_stop(best)

    def _request(self, best: Weighed) -> RevisionRequest:
        """Say what the reviser is told: it does not grow with the rounds."""
        return RevisionRequest(
            task=self.task,
            draft=best.draft.text,
            feedback=best.critique.feedback,
            fields=best.critique.places(best.draft),
            failed_ideas=failed_ideas(
                self.rounds, best.draft.text, self.plan.failed_ideas
            ),
        )

    def _criticize(
        self, written: Sequence[Written], number: int, *, clean: bool
    ) -> Steps[list["_Candidate"]]:
        """Have those criticized that are new."""
        candidates = [
            _Candidate(each, self._note(each, clean=clean)) for each in written
        ]
        fresh = [at for at, each in enumerate(candidates) if each.fresh]
        critiques = yield from together(
            [
                self.plan.panel.critique(
                    candidates[at].draft,
                    self.task,
                    self.plan.writers.facts(number, candidates[at].written.candidate),
                    given=self.given,
                )
                for at in fresh
            ]
        )
        for at, critique in zip(fresh, critiques, strict=True):
            candidates[at] = replace(candidates[at], critique=critique)
        return candidates

    def _note(self, written: Written, *, clean: bool) -> str:
        """Say why a candidate is not worth a critique, if it is not.

        Where a verifier fails, blanks and line ends may be all there is to mend.
        """
        draft = written.draft
        if draft is None:
            return written.problem
        if (draft.fingerprint if clean else draft.text) in self.seen:
            return "unchanged from an earlier draft"
        self.seen |= {draft.fingerprint, draft.text}
        return ""

    def _lead(self, candidates: Sequence["_Candidate"]) -> "_Candidate":
        """Return the best of the candidates that are new."""
        fresh = [each for each in candidates if each.fresh]
        scores = [each.critique.scores for each in fresh]
        return fresh[leading(scores, self.plan.panel.tests)]

    def _weigh(
        self,
        best: Weighed,
        candidates: Sequence["_Candidate"],
        number: int,
        began: float,
    ) -> Steps[tuple[Weighed, StopReason | None]]:
        """Compare the best of the candidates with the best so far."""
        lead = self._lead(candidates)
        new = Weighed(lead.draft, lead.critique, len(self.rounds))
        accepted, reason, used = yield from self.plan.panel.compare(
            best, new, self.task, self.plan.writers.facts(number)
        )
        entries = [
            self._entry(number, each, began, used, accepted=accepted, reason=reason)
            if each is lead
            else self._entry(number, each, began)
            for each in candidates
        ]
        at = yield from self._write(entries)
        best = replace(new, at=at) if accepted else best
        cut_short = any(each.critique.cut_short for each in candidates)
        return best, self._reason_to_stop(best, cut_short=cut_short)

    def _ask_again(self, best: Weighed) -> Steps[Weighed]:
        """Give the critics of the best that gave no score a second chance.

        What is not known of the best cannot speak for it: without that score the
        reviser works without feedback, and no revision can be shown to be better.
        """
        began = self.meter.seconds
        entry = self.rounds[best.at]
        critique = yield from self.plan.panel.critique(
            best.draft,
            self.task,
            self.plan.writers.facts(entry.number, entry.candidate),
            best.critique.scores,
            given=self.given,
        )
        self.rounds[best.at] = replace(
            entry,
            scores=critique.scores,
            feedback=critique.feedback,
            usage=entry.usage + critique.usage,
            seconds=entry.seconds + self.meter.seconds - began,
        )
        yield from checkpointed(self.plan.checkpoint, self.rounds[best.at])
        return replace(best, critique=critique, asked_again=True)

    def _pick_up(self, recorded: Recorded) -> Steps[Weighed]:
        """Go on from what happened before, with the critics of today."""
        self.rounds = list(recorded.rounds)
        self.since = max(entry.number for entry in self.rounds)
        for entry in self.rounds:
            if entry.draft is not None:
                draft = read_draft(entry.draft)
                self.seen |= {draft.fingerprint, draft.text}
        entry = best_of(self.rounds)
        at = max(at for at, each in enumerate(self.rounds) if each is entry)
        best = Weighed(read_draft(entry.draft), Critique(entry.scores, NO_USAGE), at)
        if not self.plan.panel.gave(entry.scores):
            unknown = replace(best, critique=UNCRITICIZED)
            best = replace((yield from self._ask_again(unknown)), asked_again=False)
        return best

    def _entry(
        self,
        number: int,
        candidate: "_Candidate",
        began: float,
        used: Usage = NO_USAGE,
        *,
        accepted: bool = False,
        reason: str = "another candidate is better",
    ) -> RefineRound:
        """Put down what came of a candidate."""
        written, critique = candidate.written, candidate.critique
        return RefineRound(
            number=number,
            draft=None if written.draft is None else written.draft.value,
            scores=critique.scores,
            feedback=critique.feedback,
            accepted=accepted,
            reason=candidate.note or reason,
            usage=written.usage + critique.usage + used,
            seconds=self.meter.seconds - began,
            candidate=written.candidate,
        )

    def _write(self, entries: Sequence[RefineRound]) -> Steps[int]:
        """Write a round down; return where the accepted candidate of it stands."""
        first = len(self.rounds)
        self.rounds += entries
        for entry in entries:
            yield from checkpointed(self.plan.checkpoint, entry)
            yield Announced(entry)
        accepted = [at for at, entry in enumerate(entries) if entry.accepted]
        return first + (accepted[0] if accepted else 0)

    def _reason_to_stop(
        self, best: Weighed, *, cut_short: bool = False
    ) -> StopReason | None:
        enough = good_enough(best.critique.scores, self.plan.target_score)
        if enough is None and cut_short:
            return "budget"
        return enough or given_up(
            self.rounds,
            self.plan.max_rounds,
            patience=self.plan.patience,
            since=self.since,
        )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One candidate of a round, on its way to an entry."""

    written: Written
    """What came of writing it."""
    note: str
    """Why it is out of the running; empty where it is not."""
    critique: Critique = UNCRITICIZED
    """What the critics say of it."""

    @property
    def fresh(self) -> bool:
        """Whether it is a new draft."""
        return not self.note

    @property
    def draft(self) -> Draft:
        """The draft, of a candidate that has one."""
        if self.written.draft is None:
            msg = "a candidate without a draft has been asked for it"
            raise RuntimeError(msg)
        return self.written.draft
