"""The certificate: from which confidence on is the promised precision shown?"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.bounds import clopper_pearson

Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BARS: Reals = np.round(1 - np.geomspace(5e-4, 0.6, 80), 6)
"""The bars that are tried, from the highest down: fixed before any label is seen."""

_MOST = 1_000_000
"""Where the search for a number of labels ends."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What labeled queries show from one confidence on."""

    confidence: float
    """The least confidence of a decision."""
    decided: int
    """Labeled queries at or above it."""
    wrong: int
    """How many of these would have been decided wrongly."""
    certified: float
    """The exact lower bound on the precision (Clopper and Pearson)."""


def certify(
    scores: Reals, right: Bools, precision: float, confidence: float, hints: Reals
) -> Bar | None:
    """Find the lowest bar that is shown to keep a precision.

    Fixed-sequence testing: bars are tested downwards, each at the full level, up to the
    first that fails, so that the chance of ever passing a bar that does not keep the
    precision is at most `1 - confidence` without dividing it by the number of bars
    (Angelopoulos et al., Learn then Test, 2021). The sequence begins where `hints` let
    most expect to pass. Where these come from other labels than those that are tested,
    the bound is exact.

    Args:
        scores: The confidence in each labeled query's best route, of a router that has
            not learned from this query.
        right: Whether that route is the right one.
        precision: The share of decisions that must be right.
        confidence: How sure to be of it.
        hints: Confidences to choose the first bar by.

    Returns:
        The bar, or `None` if the labels do not show the precision for any.
    """
    found = None
    for bar in BARS[_first(hints, len(scores), precision, confidence) :].tolist():
        seen = measure(scores, right, bar, confidence)
        if seen.certified < precision:
            break
        found = seen
    return found


def _first(hints: Reals, labels: int, precision: float, confidence: float) -> int:
    """Return the place of the bar whose test is the likeliest to be passed."""
    if not len(hints):
        return len(BARS)
    ordered = np.sort(hints)[::-1]
    counts = np.searchsorted(-ordered, -BARS, side="right")
    expected = np.cumsum(ordered)[np.maximum(counts, 1) - 1] - precision * counts
    # In standard errors, of as many labels as will be tested.
    evidence = expected / np.sqrt(np.maximum(counts, 1))
    tested = counts * labels / len(hints)
    evidence[tested < fewest(precision, confidence)] = -math.inf
    return int(np.argmax(evidence)) if np.isfinite(evidence).any() else len(BARS)


def measure(scores: Reals, right: Bools, bar: float, confidence: float) -> Bar:
    """Count what is decided from a bar on, and bound its precision."""
    decided = scores >= bar
    count = int(decided.sum())
    wrong = int((decided & ~right).sum())
    certified = 1 - clopper_pearson(wrong, count, confidence)
    return Bar(bar, count, wrong, certified)


def fewest(precision: float, confidence: float) -> int:
    """Return how many decisions without a single error show a precision."""
    if precision >= 1:
        return _MOST
    return math.ceil(math.log(1 - confidence) / math.log(precision))


def more_needed(
    scores: Reals, right: Bools, precision: float, confidence: float
) -> int | None:
    """Estimate how many more labels like these a bar would need.

    Args:
        scores: As for `certify`.
        right: As for `certify`.
        precision: As for `certify`.
        confidence: As for `certify`.

    Returns:
        The least number over the bars, at least 1; `None` if the labels keep the
        precision from no bar on, so that more of them would not help.
    """
    best: int | None = None if len(scores) else fewest(precision, confidence)
    for bar in BARS.tolist():
        seen = measure(scores, right, bar, confidence)
        if not seen.decided or seen.wrong > (1 - precision) * seen.decided:
            continue
        decisions = _decisions(seen.wrong / seen.decided, precision, confidence)
        if decisions is None:
            continue
        labels = math.ceil(decisions * len(scores) / seen.decided) - len(scores)
        best = min(labels, best) if best is not None else labels
    return None if best is None else max(1, best)


def _decisions(rate: float, precision: float, confidence: float) -> int | None:
    """Return how many decisions, so often wrong, would show a precision."""
    count = fewest(precision, confidence)
    while count < _MOST:
        if 1 - clopper_pearson(math.ceil(rate * count), count, confidence) >= precision:
            return count
        count = math.ceil(count * 1.1)
    return None
