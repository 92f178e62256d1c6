"""Fits the injection classifier: windows, and which of them is the attack.

Of a text with an injection, nobody has marked where it is. So all its windows are
taken for attacks at first, then only the one that looks worst (multiple-instance
learning, as in MI-SVM: Andrews, Tsochantaridis and Hofmann, NIPS 2002), three times
over. Every source counts by the root of its size, so that none is the whole of the
matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from injection_rows import Row
from injection_templates import made_up
from numpy.typing import NDArray

from langchain_prodpatterns.guard.ngrams import features, windows

BITS = 15
ROUNDS = 3
STRENGTH = 3.0
"""The inverse of the regularization."""
MADE_UP = "made up"


@dataclass(frozen=True)
class Bags:
    """Texts as bags of windows, as a sparse matrix."""

    matrix: Any
    """A row for each window; not yet weighed by rarity."""
    owner: NDArray[np.int64]
    """The text that each window is from."""
    rows: list[Row]
    """The texts."""


@dataclass(frozen=True)
class Fit:
    """What was learned."""

    rarity: NDArray[np.float32]
    """The inverse document frequency of each feature."""
    slope: NDArray[np.float32]
    """What each feature says."""
    bias: float
    """What speaks for an attack before any feature."""

    def scores(self, bags: Bags) -> NDArray[np.float64]:
        """Score texts: the highest logit of their windows, from 0 to 1."""
        logits = _unit(bags.matrix, self.rarity) @ self.slope + self.bias
        worst = np.full(len(bags.rows), -np.inf)
        np.maximum.at(worst, bags.owner, logits)
        return np.asarray(1.0 / (1.0 + np.exp(-worst)))


def bags_of(rows: Sequence[Row]) -> Bags:
    """Cut texts into windows and count their n-grams."""
    from scipy.sparse import csr_matrix

    indices, values, ends, owner = [], [], [0], []
    for number, row in enumerate(rows):
        for part in windows(row.text):
            found, counts = features(row.text[part.start : part.end], BITS)
            indices.append(found)
            values.append(counts)
            ends.append(ends[-1] + len(found))
            owner.append(number)
    data = (np.concatenate(values), np.concatenate(indices), np.array(ends))
    matrix = csr_matrix(data, shape=(len(owner), 2**BITS))
    return Bags(matrix, np.array(owner), list(rows))


def training_rows(rows: Sequence[Row], *, seed: int = 7) -> list[Row]:
    """Return permitted rows, and attacks and harmless texts of our own making."""
    permitted = [row for row in rows if row.permitted]
    carriers = [row.text for row in permitted if row.source == "fed_dialogue"]
    carriers += [row.text for row in permitted if "email_clean" in row.source]
    own = [
        Row(text, attack, MADE_UP, "MIT", text)
        for text, attack in made_up(carriers, seed=seed)
    ]
    return permitted + own


def fit(bags: Bags, *, leave_out: Callable[[Row], bool] | None = None) -> Fit:
    """Learn from texts.

    Args:
        bags: The texts.
        leave_out: Which of them to leave out.

    Returns:
        The weights.
    """
    from sklearn.linear_model import LogisticRegression

    rows = bags.rows
    attack = np.array([row.attack for row in rows])[bags.owner]
    family = np.array([row.family for row in rows])[bags.owner]
    kept = np.array([leave_out is None or not leave_out(row) for row in rows])
    used = kept[bags.owner]
    rarity = _rarity(bags.matrix[used])
    matrix = _unit(bags.matrix, rarity)
    chosen = used
    for again in range(ROUNDS + 1):
        model = LogisticRegression(C=STRENGTH, solver="liblinear")
        labels, weights = attack[chosen], _weights(attack[chosen], family[chosen])
        model.fit(matrix[chosen], labels, weights)
        if again < ROUNDS:
            logits = model.decision_function(matrix)
            worst = np.full(len(rows), -np.inf)
            np.maximum.at(worst, bags.owner, logits)
            chosen = used & (~attack | (logits >= worst[bags.owner]))
    slope = model.coef_[0].astype(np.float32)
    return Fit(rarity, slope, float(model.intercept_[0]))


def _rarity(matrix: Any) -> NDArray[np.float32]:
    seen = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rarity = np.log((1 + matrix.shape[0]) / (1 + seen)) + 1
    return np.asarray(rarity, np.float32)


def _unit(matrix: Any, rarity: NDArray[np.float32]) -> Any:
    weighed = matrix.multiply(rarity).tocsr()
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    norms[norms == 0.0] = 1.0
    weighed.data /= np.repeat(norms, np.diff(weighed.indptr))
    return weighed


def _weights(attack: NDArray[np.bool_], family: NDArray[Any]) -> NDArray[np.float64]:
    """Weigh windows: both labels alike, each family by the root of its size."""
    weights = np.ones(len(attack))
    for label in (False, True):
        members = attack == label
        for name in set(family[members]):
            chosen = members & (family == name)
            weights[chosen] = chosen.sum() ** -0.5
        weights[members] *= len(attack) / 2 / weights[members].sum()
    return weights
