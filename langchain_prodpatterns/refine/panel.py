"""The critics of one chain together: what they say of a draft, and whom they prefer."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from langchain_core.runnables import Runnable
from pydantic import Field

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    Judge,
    JudgeRequest,
    Verdict,
    is_language_model,
)
from langchain_prodpatterns.refine.acceptance import (
    AcceptTest,
    Comparison,
    Preference,
    by_preference,
    by_score,
    by_verifiers,
)
from langchain_prodpatterns.refine.criteria import SKIPPED, BoundCriteria, Criteria
from langchain_prodpatterns.refine.drafts import Draft
from langchain_prodpatterns.refine.fields import known_places
from langchain_prodpatterns.refine.prompts import numbered
from langchain_prodpatterns.refine.results import Score, Scores
from langchain_prodpatterns.refine.steps import Outcome, Steps, asking, making
from langchain_prodpatterns.refine.verifiers import BoundVerifier, as_verifier
from langchain_prodpatterns.usage import NO_USAGE, Usage

logger = logging.getLogger(__name__)

PAIRWISE_TIMEOUT = 30.0
"""Seconds for one verdict of the pairwise judge, as for criteria."""


class PairRequest(JudgeRequest):
    """What is put before the pairwise judge."""

    task: str
    """What the drafts are for; empty where it is unknown."""
    first: str
    """One draft."""
    second: str
    """The other."""


class PairVerdict(Verdict):
    """Which of two drafts is better."""

    better: Literal["first", "second", "neither"] = Field(
        description="the better draft; neither where they are equally good"
    )


@dataclass(frozen=True, slots=True)
class Critique:
    """What the critics say of one draft."""

    scores: Scores
    """The scores, verifiers first."""
    usage: Usage
    """What the calls used."""
    cut_short: bool = False
    """Whether the budget stopped it before all had their say."""

    @property
    def feedback(self) -> tuple[str, ...]:
        """What the critics want changed, each by name."""
        return tuple(
            score.feedback
            if score.kind == "criteria"
            else f"{score.critic}: {score.feedback}"
            for score in self.scores
            if score.feedback
        )

    @property
    def clean(self) -> bool:
        """Whether no verifier fails."""
        return not any(s.failed for s in self.scores if s.kind == "verifier")

    def places(self, draft: Draft) -> tuple[str, ...]:
        """Return what must change of an object, as far as those who say so tell.

        Args:
            draft: The draft that was criticized.

        Returns:
            JSON Pointers; none where the whole is to be revised.
        """
        failed = [score for score in self.scores if score.failed]
        if draft.is_text or not failed or not all(score.fields for score in failed):
            return ()
        places = [place for score in failed for place in score.fields]
        return known_places(places, draft.shown) or ()

    @property
    def incomplete(self) -> bool:
        """Whether a critic that was asked gave no score."""
        return any(s.value is None and s.note != SKIPPED for s in self.scores)


class Panel:
    """Verifiers, criteria with their judges, and the pairwise judge."""

    def __init__(
        self,
        critics: Sequence[Any],
        tests: tuple[AcceptTest, ...],
        model: Runnable[Any, Any] | None,
    ) -> None:
        """Seat the critics.

        Args:
            critics: `Criteria` and verifiers in any order.
            tests: The acceptance tests, which say whether a pairwise judge is needed.
            model: The chat model that judges where the criteria name none.

        Raises:
            ConfigurationError: When the critics cannot work, or a test has nobody to
                ask.
        """
        if Criteria in critics:
            msg = "critics holds the class Criteria: give it criteria, Criteria('...')"
            raise ConfigurationError(msg)
        criteria = [critic for critic in critics if isinstance(critic, Criteria)]
        checks = [critic for critic in critics if not isinstance(critic, Criteria)]
        self.verifiers = _distinct([as_verifier(check) for check in checks])
        self.judged = tuple(BoundCriteria(entry, model) for entry in criteria)
        self.texts = tuple(text for entry in criteria for text in entry.texts)
        self.tests = tests
        self._pairwise = self._pairwise_judge(criteria, model)
        self._check_tests()
        self._told: set[tuple[str, str]] = set()

    @property
    def _critics(self) -> tuple[BoundVerifier | BoundCriteria, ...]:
        """All critics in the order in which they are asked: cheap ones first."""
        return (*self.verifiers, *self.judged)

    def critique(
        self,
        draft: Draft,
        task: str,
        facts: Mapping[str, Any],
        known: Scores = (),
        given: Any = None,
    ) -> Steps[Critique]:
        """Have a draft checked, then judged if no check failed: cheap ones first.

        Args:
            draft: The draft.
            task: What it is for.
            facts: Of which round it is, for the metadata of the runs.
            known: The scores it has already; those critics are not asked again.
            given: What it was made from, for verifiers that take it.

        Returns:
            The critique.
        """
        scores: list[Score] = []
        used = NO_USAGE
        cut_short = False
        failing = False
        for at, critic in enumerate(self._critics):
            if known and known[at].value is not None:
                score = known[at]
            elif failing and isinstance(critic, BoundCriteria):
                score = critic.unscored(SKIPPED)
            else:
                outcome = yield from making(critic.step(draft, task, facts, given))
                score = self.scored(critic, outcome)
                used += outcome.usage
                cut_short = cut_short or outcome.spent is not None
            scores.append(score)
            failing = failing or (score.failed and score.kind == "verifier")
        return Critique(tuple(scores), used, cut_short)

    def scored(self, critic: BoundVerifier | BoundCriteria, outcome: Outcome) -> Score:
        """Read what a critic says, and log where that is nothing, once of a kind.

        Else nobody would hear of it who does not look at every round.

        Args:
            critic: Who was asked.
            outcome: What came of asking.

        Returns:
            The score.
        """
        score = critic.read(outcome)
        told = (score.critic, score.note)
        if score.value is None and outcome.spent is None and told not in self._told:
            self._told.add(told)
            logger.warning("critic '%s' gave no score: %s (told once)", *told)
        return score

    def gave(self, scores: Scores) -> bool:
        """Whether scores are those of these critics, so that others compare with them.

        Args:
            scores: All scores of a draft, recorded some time ago.
        """
        known = [(score.critic, score.kind, score.weight) for score in scores]
        blank = [critic.unscored("") for critic in self._critics]
        return known == [(score.critic, score.kind, score.weight) for score in blank]

    def compare(
        self, best: "Weighed", new: "Weighed", task: str, facts: Mapping[str, Any]
    ) -> Steps[tuple[bool, str, Usage]]:
        """Ask the acceptance tests in order, until one decides.

        Args:
            best: The best so far.
            new: The revision.
            task: What they are for.
            facts: Of which round it is, for the metadata of the runs.

        Returns:
            Whether the revision replaces the best, why, and what asking used.
        """
        used = NO_USAGE
        for test in self.tests:
            comparison: Comparison
            if test == "verifier":
                comparison = by_verifiers(best.critique.scores, new.critique.scores)
            elif test == "score":
                comparison = by_score(best.critique.scores, new.critique.scores)
            else:
                comparison, cost = yield from self._prefer(best, new, task, facts)
                used += cost
            if comparison != "undecided":
                return comparison == "better", f"{comparison} by {test}", used
        return False, "no test shows it to be better", used

    def _prefer(
        self, best: "Weighed", new: "Weighed", task: str, facts: Mapping[str, Any]
    ) -> Steps[tuple[Comparison, Usage]]:
        """Ask the pairwise judge in both orders, each only if it may still matter.

        A judge that errs by chance once in four calls lets one worse revision in
        sixteen pass so. Where the score does not say the same, it is asked all over
        again: then it is one in 256.
        """
        judge = self._pairwise
        if judge is None or not new.critique.clean:
            return "undecided", NO_USAGE
        ask = partial(_ask, judge, best.draft, new.draft, task, facts)
        by_marks = by_score(best.critique.scores, new.critique.scores)
        used, comparison = NO_USAGE, by_preference(None)
        for _ in range(1 if by_marks == "better" else 2):
            first, cost = yield from ask(best_first=True)
            used += cost
            if first != "revision":
                return by_preference(first), used
            swapped, cost = yield from ask(best_first=False)
            used += cost
            comparison = by_preference(first, swapped)
            if comparison != "better":
                break
        return comparison, used

    def _pairwise_judge(
        self, criteria: list[Criteria], model: Runnable[Any, Any] | None
    ) -> BoundJudge[PairRequest, PairVerdict] | None:
        """Return the judge, which is needed only where something is judged at all."""
        if "pairwise" not in self.tests or not criteria:
            return None
        own = (_model_of(entry) for entry in criteria)
        judge = next((found for found in own if found is not None), model)
        if judge is None:
            msg = (
                "accept='...pairwise...' needs a chat model to compare drafts, and "
                "neither the criteria nor the reviser has one: use "
                "accept='verifier>score'"
            )
            raise ConfigurationError(msg)
        question = (
            "Which of two drafts, 'first' or 'second', meets these criteria better for "
            "the task? Their order means nothing, and length alone is no merit.\n"
            f"{numbered(self.texts)}"
        )
        return BoundJudge(
            judge,
            question=question,
            verdict_type=PairVerdict,
            timeout=PAIRWISE_TIMEOUT,
            name="refine:pairwise",
        )

    def _check_tests(self) -> None:
        problem = None
        if not (self.verifiers or self.judged):
            problem = "critics must have at least one critic"
        elif self.tests == ("verifier",) and not self.verifiers:
            problem = (
                "accept='verifier' can accept nothing, since critics has no verifier: "
                "add one, or use accept='score'"
            )
        elif self.tests == ("pairwise",) and not self.judged:
            problem = (
                "accept='pairwise' can accept nothing, since critics has no Criteria: "
                "add some, or use accept='verifier'"
            )
        if problem is not None:
            raise ConfigurationError(problem)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A draft and what the critics say of it."""

    draft: Draft
    """The draft."""
    critique: Critique
    """Its critique."""
    at: int
    """Where its entry stands among the rounds."""
    asked_again: bool = False
    """Whether the critics that gave no score had their second chance."""


def _ask(
    judge: BoundJudge[PairRequest, PairVerdict],
    best: Draft,
    new: Draft,
    task: str,
    facts: Mapping[str, Any],
    *,
    best_first: bool,
) -> Steps[tuple[Preference | None, Usage]]:
    """Ask for a preference, and name what stands in the place that is preferred."""
    first, second = (best, new) if best_first else (new, best)
    request = PairRequest(task=task, first=first.text, second=second.text)
    outcome = yield from making(asking("compare", judge, request, facts))
    verdict = outcome.value.verdict if outcome.value is not None else None
    if verdict is None:
        return None, outcome.usage
    if verdict.better == "neither":
        return "neither", outcome.usage
    better = best_first == (verdict.better == "first")
    return "best" if better else "revision", outcome.usage


def _distinct(verifiers: Sequence[BoundVerifier]) -> tuple[BoundVerifier, ...]:
    """Number verifiers of one name, such as lambdas: feedback is by name."""
    names = [verifier.name for verifier in verifiers]
    return tuple(
        replace(verifier, name=f"{verifier.name} {names[:at].count(verifier.name) + 1}")
        if names.count(verifier.name) > 1
        else verifier
        for at, verifier in enumerate(verifiers)
    )


def _model_of(criteria: Criteria) -> Runnable[Any, Any] | None:
    judge = criteria.judge
    if isinstance(judge, Judge):
        return judge.model
    return judge if isinstance(judge, Runnable) and is_language_model(judge) else None
