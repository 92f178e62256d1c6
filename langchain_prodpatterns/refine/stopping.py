"""When to stop, and why. Pure."""

from collections.abc import Sequence
from typing import Protocol

from langchain_prodpatterns.refine.results import (
    Scores,
    StopReason,
    overall,
)

PATIENCE = 2
"""Rounds in a row that by default may fail to better the best. Two, because one may be
bad luck of the sampling, and each more costs a revision and a critique."""


def good_enough(scores: Scores, target_score: float | None) -> StopReason | None:
    """Say whether the best needs no further work.

    Args:
        scores: The scores of the best.
        target_score: The score to reach, if there is one. A draft that fails a
            verifier never reaches it where criteria are judged, since it has no score.

    Returns:
        `all_met`, `target_score` or `None`.
    """
    if scores and all(score.passed for score in scores):
        return "all_met"
    score = overall(scores)
    if target_score is not None and score is not None and score >= target_score:
        return "target_score"
    return None


class Tried(Protocol):
    """A round of any kind."""

    @property
    def number(self) -> int:
        """Which round it is."""
        ...

    @property
    def accepted(self) -> bool:
        """Whether it bettered the best."""
        ...

    @property
    def written(self) -> bool:
        """Whether anything usable was written."""
        ...


def given_up(
    rounds: Sequence[Tried],
    max_rounds: int,
    *,
    patience: int = PATIENCE,
    since: int = 0,
) -> StopReason | None:
    """Say whether another round is not worth it.

    Args:
        rounds: The rounds so far, the first draft's included.
        max_rounds: How many rounds of revision may be tried.
        patience: Rounds in a row that may fail to better the best.
        since: The number of the last round that was there before, where a refinement
            is resumed: those are not counted.

    Returns:
        `reviser_failed`, `no_improvement`, `max_rounds` or `None`.
    """
    tried: dict[int, list[Tried]] = {}
    for entry in rounds:
        if entry.number > since:
            tried.setdefault(entry.number, []).append(entry)
    last = [entry for each in list(tried.values())[-patience:] for entry in each]
    if len(tried) >= patience and not any(entry.accepted for entry in last):
        failed = not any(entry.written for entry in last)
        return "reviser_failed" if failed else "no_improvement"
    return "max_rounds" if len(tried) >= max_rounds else None
