"""From measures to one route and the probability that it is the right one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.logistic import chances, fit_logistic
from langchain_prodpatterns.routing.scores import Scores

Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WEIGHTS = (4.0, 8.5, 2.5, 2.5, 2.0)
"""What the measures count for a choice before anything is fitted. Found on utterances
of CLINC150, BANKING77 and MetaTool that no benchmark here reports on."""

FEATURES = 23
"""How many features a `Choice` has."""

_WEIGHTS_PRIOR = 0.1
"""How far fitted weights are held to those: in labeled queries, for a unit squared."""
_PENALTY = 2.0
"""How far the selector's coefficients are held to 0."""
_STEPS = 50
_HALVINGS = 10
_NEARLY = 1e-3
_CONSTANT = 1e-9
_FAR_AHEAD = 10.0
_SURE = 1e-6


@dataclass(frozen=True, slots=True)
class Choice:
    """The best route for a query, and what speaks for it."""

    ranking: npt.NDArray[np.int64]
    """The routes' places among the candidates, the best first."""
    features: Reals
    """What the selector looks at."""


def choose(scores: Scores, weights: Reals) -> Choice:
    """Rank the routes, and describe how the best one stands out.

    High in one and low in all others: the best route's measures, its lead over the best
    of the others by each measure, how many measures agree, and how near the query is to
    anything known and to what fits no route.

    Args:
        scores: How the query stands to the routes.
        weights: What each measure counts.

    Returns:
        The ranking and the features.
    """
    total = np.round(scores.measures @ weights, 6)
    ranking = np.argsort(-total, kind="stable")
    best = ranking[0]
    mine = scores.measures[best]
    others = np.delete(scores.measures, best, axis=0)
    leads = mine - others.max(axis=0) if len(others) else mine
    shares = np.exp(total - total[best])
    share = min(max(1 / shares.sum(), _SURE), 1 - _SURE)
    lead = total[best] - total[ranking[1]] if len(others) else _FAR_AHEAD
    features = [
        *mine,
        *leads,
        min(lead, _FAR_AHEAD),
        np.log(share),
        np.log1p(-share),
        total[best],
        (leads > 0).sum(),
        scores.density,
        mine[0] - scores.density,
        *scores.none,
        mine[0] - scores.none[0],
        *(mine[:2] - scores.own[best]),
    ]
    return Choice(ranking, np.array(features, dtype=float))


def fit_weights(rows: Sequence[Scores], places: Sequence[int]) -> Reals:
    """Fit what each measure counts: a conditional logit, held to `WEIGHTS`.

    Args:
        rows: How each query stands to the routes.
        places: The place of the right route among each one's candidates.

    Returns:
        A weight a measure.
    """
    weights = np.array(WEIGHTS)
    height, slope, curve = _likelihood(rows, places, weights)
    for _ in range(_STEPS):
        step = np.linalg.solve(curve, slope)
        if np.abs(step).max() < _NEARLY:
            break
        # A whole step of Newton's may go too far, from where it does not come back.
        for halving in range(_HALVINGS):
            tried = weights + step / 2**halving
            found = _likelihood(rows, places, tried)
            if found[0] > height:
                weights, (height, slope, curve) = tried, found
                break
        else:
            break
    return weights


def _likelihood(
    rows: Sequence[Scores], places: Sequence[int], weights: Reals
) -> tuple[float, Reals, Reals]:
    """Return the logarithm of the likelihood with the prior, its slope and curve."""
    away = weights - np.array(WEIGHTS)
    height = -_WEIGHTS_PRIOR * float(away @ away) / 2
    slope = -_WEIGHTS_PRIOR * away
    curve = _WEIGHTS_PRIOR * np.eye(len(weights))
    for scores, place in zip(rows, places, strict=True):
        total = scores.measures @ weights
        total -= total.max()
        chance = np.exp(total)
        height += float(total[place] - np.log(chance.sum()))
        chance /= chance.sum()
        mean = chance @ scores.measures
        spread = scores.measures - mean
        slope = slope + scores.measures[place] - mean
        curve += (spread * chance[:, np.newaxis]).T @ spread
    return height, slope, curve


@dataclass(frozen=True, slots=True)
class Selector:
    """A logistic regression: how likely the best route is the right one."""

    mean: Reals
    """What is taken off each feature."""
    scale: Reals
    """What it is then divided by."""
    coefficients: Reals
    """One a feature, and the constant."""

    @classmethod
    def fit(cls, features: Reals, right: Bools) -> "Selector":
        """Fit on labeled queries.

        Args:
            features: A row a query.
            right: Whether its best route was the right one.

        Returns:
            The selector.
        """
        if not len(features):
            nothing = np.zeros(features.shape[1])
            return cls(nothing, nothing + 1, np.zeros(features.shape[1] + 1))
        mean, scale = features.mean(axis=0), features.std(axis=0)
        # What never varies says nothing; it must not be divided by nearly nothing.
        scale = np.where(scale > _CONSTANT, scale, 1.0)
        rows = np.column_stack([(features - mean) / scale, np.ones(len(features))])
        penalty = np.full(rows.shape[1], _PENALTY)
        penalty[-1] = 1e-3
        coefficients = fit_logistic(rows, right, penalty)
        return cls(mean, scale, coefficients)

    def confidence(self, features: Reals) -> Reals:
        """Return the probability that the best route is right, for each row."""
        rows = (features - self.mean) / self.scale
        chance = chances(rows @ self.coefficients[:-1] + self.coefficients[-1])
        rounded: Reals = np.round(chance, 6)
        return rounded
