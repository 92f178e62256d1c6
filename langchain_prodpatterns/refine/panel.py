"""The critics of one chain together: what they say of a draft, and whom they prefer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from langchain_prodpatterns.refine.critics import (
    SKIPPED,
    BoundCriteria,
    Criteria,
    Verifier,
    as_verifier,
)
from langchain_prodpatterns.refine.drafts import Draft
from langchain_prodpatterns.refine.prompts import numbered
from langchain_prodpatterns.refine.results import Score, Scores
from langchain_prodpatterns.refine.steps import Steps, asking
from langchain_prodpatterns.usage import NO_USAGE, Usage

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
        criteria = [critic for critic in critics if isinstance(critic, Criteria)]
        checks = [critic for critic in critics if not isinstance(critic, Criteria)]
        self.verifiers = _distinct([as_verifier(check) for check in checks])
        self.judged = tuple(BoundCriteria(entry, model) for entry in criteria)
        self.texts = tuple(text for entry in criteria for text in entry.texts)
        self.tests = tests
        self._pairwise = self._pairwise_judge(criteria, model)
        self._check_tests()

    def critique(
        self, draft: Draft, task: str, number: int, known: Scores = ()
    ) -> Steps[Critique]:
        """Have a draft checked, then judged if no check failed: cheap ones first.

        Args:
            draft: The draft.
            task: What it is for.
            number: Its number.
            known: The scores it has already; those critics are not asked again.

        Returns:
            The critique.
        """
        name = f"critique:{number}"
        scores: list[Score] = []
        used = NO_USAGE
        cut_short = False
        failing = False
        critics: Sequence[Verifier | BoundCriteria] = (*self.verifiers, *self.judged)
        for at, critic in enumerate(critics):
            if known and known[at].value is not None:
                score = known[at]
            elif failing and isinstance(critic, BoundCriteria):
                score = critic.unscored(SKIPPED)
            else:
                outcome = yield critic.step(draft, task, name)
                score = critic.read(outcome)
                used += outcome.usage
                cut_short = cut_short or outcome.spent is not None
            scores.append(score)
            failing = failing or (score.failed and score.kind == "verifier")
        return Critique(tuple(scores), used, cut_short)

    def compare(
        self, best: "Weighed", new: "Weighed", task: str, number: int
    ) -> Steps[tuple[bool, str, Usage]]:
        """Ask the acceptance tests in order, until one decides.

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
                comparison, cost = yield from self._prefer(best, new, task, number)
                used += cost
            if comparison != "undecided":
                return comparison == "better", f"{comparison} by {test}", used
        return False, "no test shows it to be better", used

    def _prefer(
        self, best: "Weighed", new: "Weighed", task: str, number: int
    ) -> Steps[tuple[Comparison, Usage]]:
        """Ask the pairwise judge in both orders; the second only if it may matter."""
        judge = self._pairwise
        if judge is None or not new.critique.clean:
            return "undecided", NO_USAGE
        name, texts = f"compare:{number}", (best.draft.text, new.draft.text)
        request = PairRequest(task=task, first=texts[0], second=texts[1])
        first, used = yield from _ask(judge, request, name, ("best", "revision"))
        if first != "revision":
            return by_preference(first), used
        request = PairRequest(task=task, first=texts[1], second=texts[0])
        swapped, cost = yield from _ask(judge, request, name, ("revision", "best"))
        return by_preference(first, swapped), used + cost

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
    number: int
    """The number of its round."""
    asked_again: bool = False
    """Whether the critics that gave no score had their second chance."""


def _ask(
    judge: BoundJudge[PairRequest, PairVerdict],
    request: PairRequest,
    name: str,
    order: tuple[Preference, Preference],
) -> Steps[tuple[Preference | None, Usage]]:
    """Ask for a preference, and name what stands in the place that is preferred."""
    outcome = yield asking(name, judge, request)
    verdict = outcome.value.verdict if outcome.value is not None else None
    if verdict is None:
        return None, outcome.usage
    places: dict[str, Preference] = {"first": order[0], "second": order[1]}
    return places.get(verdict.better, "neither"), outcome.usage


def _distinct(verifiers: Sequence[Verifier]) -> tuple[Verifier, ...]:
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
