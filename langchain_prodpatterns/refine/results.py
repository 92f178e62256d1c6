"""What a refinement found out: scores, rounds and the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_prodpatterns.usage import Usage

StopReason = Literal[
    "all_met",
    "target_score",
    "unchanged",
    "no_improvement",
    "max_rounds",
    "budget",
    "reviser_failed",
]
"""Why a refinement stopped.

- `all_met`: every critic gives the best draft full marks.
- `target_score`: the best draft's score has reached `target_score`.
- `unchanged`: the reviser gave back a text that was already weighed.
- `no_improvement`: `patience` rounds in a row did not better the best.
- `max_rounds`: the rounds are used up.
- `budget`: the `Budget` left no room for the next call.
- `reviser_failed`: the reviser raised, or gave nothing usable `patience` times in
  a row.
"""

CriticKind = Literal["verifier", "criteria"]
"""A verifier is code that checks; criteria are judged by a model."""


@dataclass(frozen=True, slots=True)
class CriterionMark:
    """What a judge says of one criterion."""

    criterion: str
    """The criterion, in the words of the developer."""
    mark: int | bool
    """From 1 to 5, or whether it is met."""
    evidence: str = ""
    """The words of the draft that the mark rests on, verbatim; code has checked that
    they are there. Empty where there is nothing to quote."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one critic says of one draft."""

    critic: str
    """The critic's name."""
    kind: CriticKind
    """Whether it checks or judges."""
    value: float | None
    """From 0 to 1; `None` is unscored: the critic was skipped, late or broken."""
    weight: float = 1.0
    """Its weight in the draft's score."""
    feedback: str = ""
    """What to change, in the critic's words."""
    note: str = ""
    """Why it is unscored."""
    marks: tuple[CriterionMark, ...] = ()
    """The judge's marks, one a criterion; empty for verifiers."""
    fields: tuple[str, ...] = ()
    """Of an object: the JSON Pointers of what failed, such as `/title`, as far as the
    critic tells; empty where it speaks of the whole."""

    @property
    def passed(self) -> bool:
        """Whether the critic gives full marks."""
        return self.value is not None and self.value >= 1.0

    @property
    def failed(self) -> bool:
        """Whether the critic is known to give less than full marks."""
        return self.value is not None and self.value < 1.0


Scores = tuple[Score, ...]
"""The scores of one draft: verifiers first, in an order that all drafts share."""


def deciding(scores: Scores) -> Scores:
    """Return the scores that make up a draft's score.

    Where something is judged, that is the score, and verifiers are gates before it; a
    weighted mean of both would let a draft buy quality with a passed check.

    Args:
        scores: All scores of a draft.

    Returns:
        The scores of the criteria, or of the verifiers where there are no criteria.
    """
    judged = tuple(score for score in scores if score.kind == "criteria")
    return judged or scores


def overall(scores: Scores) -> float | None:
    """Sum the scores of a draft up in one number.

    Args:
        scores: All scores of a draft.

    Returns:
        The weighted mean, from 0 to 1; `None` where a part of it is unscored.
    """
    parts = deciding(scores)
    if not parts or any(part.value is None for part in parts):
        return None
    return weighted_mean([(part.value or 0.0, part.weight) for part in parts])


def weighted_mean(parts: list[tuple[float, float]]) -> float:
    """Return the mean of values by their weights.

    Args:
        parts: (value, weight) pairs, at least one; weights are above 0.

    Returns:
        The mean.
    """
    total = sum(weight for _, weight in parts)
    return sum(value * weight for value, weight in parts) / total


@dataclass(frozen=True, slots=True)
class RefineRound:
    """One draft and what became of it. Round 0 is the first draft."""

    number: int
    """0 for the first draft, then the revisions from 1. Candidates share it."""
    draft: Any
    """The draft in its own type; `None` where the revision failed."""
    scores: Scores
    """What the critics say; empty where the draft was not criticized."""
    feedback: tuple[str, ...]
    """What the critics want changed."""
    accepted: bool
    """Whether it became the best so far."""
    reason: str
    """Why it was accepted or not, in words, without any text of the draft."""
    usage: Usage
    """What the calls of this round used."""
    seconds: float
    """Wall-clock seconds of this round, those of its other candidates included."""
    candidate: int = 0
    """Which candidate of its round it is, from 0."""

    @property
    def written(self) -> bool:
        """Whether there is a draft."""
        return self.draft is not None

    @property
    def score(self) -> float | None:
        """The draft's score from 0 to 1, or `None` where it is unscored."""
        return overall(self.scores)


@dataclass(frozen=True, slots=True)
class RefineResult:
    """The best draft and how it came about."""

    best: Any
    """The best draft, in the type of the first one."""
    rounds: tuple[RefineRound, ...]
    """Every round, the first draft's included."""
    stop_reason: StopReason
    """Why it stopped."""
    usage: Usage
    """What all calls used, those of patterns nested in the generator included."""
    task: str = ""
    """What the draft is for, as the reviser is told: `resume` needs it."""

    @property
    def score(self) -> float | None:
        """The score of the best draft, or `None` where it is unscored."""
        return best_of(self.rounds).score


def best_of(rounds: Sequence[RefineRound]) -> RefineRound:
    """Return the round whose draft is the best: the last one that was accepted.

    Args:
        rounds: Rounds in order, of which at least one was accepted.
    """
    return [entry for entry in rounds if entry.accepted and entry.written][-1]
