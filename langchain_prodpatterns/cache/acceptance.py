"""The chance that the judge accepts a near answer: a curve over the cosine."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.cache.evidence import Evidence, middles

_CENTER = 0.85
_SCALE = 0.1
_ROUNDS = 200
_STILL = 1e-6


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A logistic curve over the cosine, apart for pairs with a difference."""

    level: float
    """Log-odds for a clean pair at a cosine of 0.85."""
    slope: float
    """Log-odds that 0.1 more of the cosine adds."""
    guarded: float
    """Log-odds that a guard's finding adds."""

    def chance(self, similarity: float, *, guarded: bool) -> float:
        """Return the chance that the judge says yes."""
        odds = self.level + self.slope * (similarity - _CENTER) / _SCALE
        return _logistic(odds + (self.guarded if guarded else 0.0))

    def similarity_at(self, chance: float) -> float:
        """Return the cosine from which a clean pair has a chance."""
        if not 0 < chance < 1 or self.slope <= 0:
            return 0.0 if self.chance(0.0, guarded=False) >= chance else 1.0
        odds = math.log(chance / (1 - chance))
        return min(max(_CENTER + _SCALE * (odds - self.level) / self.slope, 0.0), 1.0)


UNSEEN = Acceptance(level=0.4, slope=1.3, guarded=-0.5)
"""What is taken for likely before there is evidence.

About as on Quora questions, whose pairs are hard; on support questions, far more near
answers are right, and on medical ones, too.
"""

_SPREAD = Acceptance(level=1.5, slope=0.7, guarded=0.7)
"""How far evidence is expected to lead away from that: one standard deviation."""

_SPREAD_WITHIN = Acceptance(level=0.7, slope=0.35, guarded=0.35)
"""How far a partition is expected to lead away from all of them together."""


def shared_curve(everywhere: Evidence) -> Acceptance:
    """Return the curve of all partitions together."""
    return _fit(everywhere, UNSEEN, _SPREAD)


def own_curve(own: Evidence, shared: Acceptance) -> Acceptance:
    """Return the curve of a partition; without evidence of its own, the shared one."""
    return _fit(own, shared, _SPREAD_WITHIN)


def _fit(evidence: Evidence, prior: Acceptance, spread: Acceptance) -> Acceptance:
    """Find the likeliest curve under a normal prior.

    By Newton's method, damped as is safe for a logistic curve (Sun and Tran-Dinh,
    Mathematical Programming 2019).
    """
    seen = np.argwhere(evidence.right + evidence.wrong > 0)
    if not len(seen):
        return prior
    rows, columns = seen.T
    points = np.column_stack(
        [np.ones(len(rows)), (middles()[rows] - _CENTER) / _SCALE, columns]
    )
    right = evidence.right[rows, columns]
    total = right + evidence.wrong[rows, columns]
    start, precision = _vector(prior), _vector(spread) ** -2.0
    curve = start.copy()
    for _ in range(_ROUNDS):
        chances = np.exp(-np.logaddexp(0.0, -points @ curve))
        gradient = points.T @ (total * chances - right) + precision * (curve - start)
        weights = total * chances * (1 - chances)
        curvature = (points * weights[:, None]).T @ points + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        furthest = float(np.abs(points @ step).max())
        if furthest < _STILL:
            break
        # A full step from far away overshoots, and may never come back.
        curve = curve - step * math.log1p(furthest) / furthest
    return Acceptance(*(float(value) for value in curve))


def _vector(curve: Acceptance) -> npt.NDArray[np.float64]:
    return np.array([curve.level, curve.slope, curve.guarded])


def _logistic(odds: float) -> float:
    # Either way round, so that the exponential never overflows.
    if odds >= 0:
        return 1 / (1 + math.exp(-odds))
    return math.exp(odds) / (1 + math.exp(odds))
