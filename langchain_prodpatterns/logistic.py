"""Logistic regression with a penalty, in numpy."""

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

_STEPS = 50
_CLOSE = 1e-6


def chances(logits: Reals) -> Reals:
    """Return probabilities for logits, of which the extreme are cut off."""
    found: Reals = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return found


def fit_logistic(
    rows: Reals,
    labels: npt.NDArray[np.bool_],
    penalty: Reals,
    weights: Reals | None = None,
) -> Reals:
    """Fit a logistic regression by Newton's method.

    Args:
        rows: A row an example, a column a feature; the constant is one of them.
        labels: Which examples are of the class.
        penalty: How far each coefficient is held to 0; none may be 0.
        weights: How much each example counts; all alike by default.

    Returns:
        A coefficient a feature.
    """
    counts = np.ones(len(rows)) if weights is None else weights
    found = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chance = chances(rows @ found)
        slope = rows.T @ (counts * (labels - chance)) - penalty * found
        spread = rows * (counts * (chance * (1 - chance)))[:, np.newaxis]
        step = np.linalg.solve(spread.T @ rows + np.diag(penalty), slope)
        found = found + step
        if np.abs(step).max() < _CLOSE:
            break
    return found
