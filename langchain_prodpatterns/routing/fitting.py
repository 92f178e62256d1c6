"""Fitting on labeled queries, none of which is judged by what it taught."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.routing.certificate import Bar, certify
from langchain_prodpatterns.routing.scores import Known, Scorer, Scores
from langchain_prodpatterns.routing.selector import (
    FEATURES,
    WEIGHTS,
    Choice,
    Selector,
    choose,
    fit_weights,
)

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

FOLDS = 5
"""Parts that labeled queries are cut into: each is judged by what the others teach."""


@dataclass(frozen=True, slots=True)
class Labeled:
    """Labeled queries."""

    texts: Sequence[str]
    """The queries."""
    rows: Floats
    """Their vectors, unit length."""
    owners: Ints
    """The number of the route of each, -1 for none."""

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, at: Ints) -> "Labeled":
        """Return some of them."""
        return Labeled(
            [self.texts[n] for n in at.tolist()], self.rows[at], self.owners[at]
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """What the certificate stands on: labeled queries, judged by what others taught."""

    scores: Reals
    """The confidence in each query's best route."""
    right: Bools
    """Whether that was the right one."""
    hints: Reals
    """Confidences to begin the tests by."""

    def bar(self, precision: float, confidence: float) -> Bar | None:
        """Return the bar for a precision, if there is one."""
        return certify(self.scores, self.right, precision, confidence, self.hints)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What decides after `fit`."""

    scorer: Scorer
    """Compares a query with the routes."""
    weights: Reals
    """What each measure counts."""
    selector: Selector
    """How sure the best route is."""
    proof: Proof
    """What the bar is certified on."""

    def judge(self, vector: Floats, text: str) -> tuple[Scores, Choice, float]:
        """Return how a query stands, its best route and the confidence in it."""
        scores = self.scorer.score(vector, text)
        choice = choose(scores, self.weights)
        return scores, choice, float(self.selector.confidence(choice.features))


def fit(known: Known, labeled: Labeled, routes: int, *, held_out: float) -> Fitted:
    """Fit a head, weights and a selector, and prove them on labeled queries.

    Args:
        known: The texts of the routes.
        labeled: Labeled queries, in random order.
        routes: How many routes there are.
        held_out: The share to prove on, learning from the rest. With 0 all are learned
            from, and each fold is proven on what the others teach.

    Returns:
        What decides.
    """
    learned, proving = _split(labeled, held_out=held_out)
    rows = _cross_scores(known, learned, routes)
    weights = _weights(rows, learned.owners)
    features, right = _features(rows, weights, learned.owners)
    selector = Selector.fit(features, right)
    scorer = Scorer(_taught(known, learned), routes)
    if held_out:
        others = [
            scorer.score(*each)
            for each in zip(proving.rows, proving.texts, strict=True)
        ]
        shown, correct = _features(others, weights, proving.owners)
        hints = _cross_confidence(features, right)
        proof = Proof(selector.confidence(shown), correct, hints)
    else:
        scores = _cross_confidence(features, right)
        proof = Proof(scores, right, scores)
    return Fitted(scorer, weights, selector, proof)


def scorer_of(
    known: Known, labeled: Labeled, routes: int, *, held_out: float
) -> Scorer:
    """Return the scorer that `fit` makes of the same, without fitting anything else."""
    learned, _ = _split(labeled, held_out=held_out)
    return Scorer(_taught(known, learned), routes)


def _split(labeled: Labeled, *, held_out: float) -> tuple[Labeled, Labeled]:
    """Return what is learned from, and what is only for the certificate."""
    every = np.arange(len(labeled))
    count = len(labeled) - int(held_out * len(labeled))
    return labeled.part(every[:count]), labeled.part(every[count:])


def _taught(known: Known, labeled: Labeled) -> Known:
    return known.with_more(labeled.texts, labeled.owners, labeled.rows)


def _folds(count: int) -> Ints:
    return np.arange(count) % FOLDS


def _cross_scores(known: Known, labeled: Labeled, routes: int) -> list[Scores]:
    """Score each query by a scorer that has not seen it."""
    folds = _folds(len(labeled))
    found: list[Scores | None] = [None] * len(labeled)
    for fold in range(FOLDS):
        scorer = Scorer(
            _taught(known, labeled.part(np.flatnonzero(folds != fold))), routes
        )
        for at in np.flatnonzero(folds == fold).tolist():
            found[at] = scorer.score(labeled.rows[at], labeled.texts[at])
    return [scores for scores in found if scores is not None]


def _weights(rows: Sequence[Scores], owners: Ints) -> Reals:
    """Fit the weights on the queries whose route came into question."""
    pairs = [
        (scores, int(np.flatnonzero(scores.routes == owner)[0]))
        for scores, owner in zip(rows, owners, strict=True)
        if owner in scores.routes
    ]
    if not pairs:
        return np.array(WEIGHTS)
    return fit_weights([scores for scores, _ in pairs], [place for _, place in pairs])


def _features(
    rows: Sequence[Scores], weights: Reals, owners: Ints
) -> tuple[Reals, Bools]:
    if not rows:
        return np.zeros((0, FEATURES)), np.zeros(0, dtype=bool)
    choices = [choose(scores, weights) for scores in rows]
    best = [
        scores.routes[choice.ranking[0]]
        for scores, choice in zip(rows, choices, strict=True)
    ]
    return np.array([choice.features for choice in choices]), np.array(best) == owners


def _cross_confidence(features: Reals, right: Bools) -> Reals:
    """Judge each fold by a selector fitted on the others."""
    folds = _folds(len(right))
    scores = np.zeros(len(right))
    for fold in range(FOLDS):
        mine = folds == fold
        selector = Selector.fit(features[~mine], right[~mine])
        scores[mine] = selector.confidence(features[mine])
    return scores
