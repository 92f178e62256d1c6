"""How sure a share is: upper bounds on a probability, from what was counted."""

import math
from collections.abc import Callable

CONFIDENCE = 0.95
"""How sure a bound is, unless it is said otherwise."""

_FRACTIONS = (0.0, 0.25, 0.5)
_HALVINGS = 50
_NEGLIGIBLE = 1e-17


def clopper_pearson(count: int, total: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided upper bound on a probability.

    The bound of Clopper and Pearson (Biometrika 1934): for independent draws whose
    number was fixed beforehand, the probability is below it with at least the given
    confidence.

    Args:
        count: How often it happened.
        total: Of how many draws.
        confidence: How sure the bound is.

    Returns:
        The bound; 1 without any draw.
    """
    if count >= total:
        return 1.0
    return _first(
        lambda rate: _chance_of_at_most(count, total, rate) <= 1 - confidence,
        low=count / total,
    )


def evidence_below(wrong: float, total: float, rate: float) -> float:
    """Weigh the evidence that something goes wrong less often than at a rate.

    The logarithm of an e-value: a mixture of the likelihood ratios of a quarter and a
    half of the rate, and of never, against the rate. If the true rate is not below the
    given one, the e-value is a test supermartingale, so that it ever exceeds
    `1 / (1 - confidence)` with a probability of at most `1 - confidence` (Ville's
    inequality; Ramdas et al., Statistical Science 2023). So one may look after every
    single draw and stop whenever one likes, which a Clopper-Pearson bound does not
    allow.

    Args:
        wrong: How often it went wrong; a fraction where it is estimated.
        total: How often it was tried.
        rate: The rate to compare with, above 0 and below 1.

    Returns:
        The logarithm of the e-value.
    """
    right = total - wrong
    ratios = [
        _times_log(wrong, fraction) + right * _log_ratio(rate * fraction, rate)
        for fraction in _FRACTIONS
    ]
    highest = max(ratios)
    mean = sum(math.exp(ratio - highest) for ratio in ratios) / len(ratios)
    return highest + math.log(mean)


def enough(confidence: float = CONFIDENCE) -> float:
    """Return the logarithm of the e-value from which one may be so sure."""
    return -math.log(1 - confidence)


def anytime_bound(wrong: float, total: float, confidence: float = CONFIDENCE) -> float:
    """Return an upper bound on a rate that holds however often one looks.

    Args:
        wrong: How often it went wrong; a fraction where it is estimated.
        total: How often it was tried.
        confidence: How sure the bound is.

    Returns:
        The least rate that `evidence_below` rules out; 1 without any draw.
    """
    if wrong >= total:
        return 1.0
    needed = enough(confidence)
    return _first(
        lambda rate: evidence_below(wrong, total, rate) >= needed, low=wrong / total
    )


def _times_log(count: float, factor: float) -> float:
    """Return `count * log(factor)`, where nothing times minus infinity is nothing."""
    if not count:
        return 0.0
    return count * math.log(factor) if factor else -math.inf


def _log_ratio(low: float, high: float) -> float:
    return math.log1p(-low) - math.log1p(-high)


def _chance_of_at_most(count: int, total: int, rate: float) -> float:
    """Return the chance of so few among independent draws.

    Args:
        count: How few.
        total: Of how many draws; more than that.
        rate: The chance at each, above `count / total` and below 1.
    """
    odds = (1 - rate) / rate
    # From the likeliest on down: after some square roots of the count, nothing is left.
    term = chance = 1.0
    for k in range(count, 0, -1):
        term *= odds * k / (total - k + 1)
        chance += term
        if term < _NEGLIGIBLE * chance:
            break
    likeliest = (
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(rate)
        + (total - count) * math.log1p(-rate)
    )
    return chance * math.exp(likeliest)


def _first(holds: Callable[[float], bool], low: float) -> float:
    """Return about the least number up to 1 for which something holds from there on."""
    high = 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
