"""No query is judged by what it taught."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from langchain_prodpatterns.routing.fitting import Labeled, fit, scorer_of
from langchain_prodpatterns.routing.scores import Known

Floats = npt.NDArray[np.float32]

ROUTES = 4


def _unit(rows: Any) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit


def _known() -> Known:
    chance = np.random.default_rng(0)
    owners = np.arange(ROUTES)
    rows = _unit(chance.normal(size=(ROUTES, 16)))
    return Known([f"text {at}" for at in owners], owners, rows, rows[:0])


def _noise(count: int) -> Labeled:
    """Queries whose labels are drawn by lot: nothing can be learned from them."""
    chance = np.random.default_rng(1)
    rows = _unit(chance.normal(size=(count, 16)))
    owners = chance.integers(-1, ROUTES, count)
    return Labeled([f"query {at}" for at in range(count)], rows, owners)


@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_labels_by_lot_are_right_by_chance_only(held_out: float) -> None:
    fitted = fit(_known(), _noise(300), ROUTES, held_out=held_out)

    # A router that had seen a query would know its label by heart.
    assert fitted.proof.right.mean() < 0.4
    assert fitted.proof.scores.mean() < 0.4
    assert fitted.proof.bar(0.9, 0.9) is None


@pytest.mark.parametrize(
    ("held_out", "proven", "taught"), [(0.0, 300, 300), (0.5, 150, 150), (0.8, 240, 60)]
)
def test_labels_teach_and_prove(held_out: float, proven: int, taught: int) -> None:
    labeled = _noise(300)
    fitted = fit(_known(), labeled, ROUTES, held_out=held_out)

    assert len(fitted.proof.scores) == proven
    known_by_heart = [
        fitted.scorer.score(row, "").measures[:, 0].max() > 0.999
        for row, owner in zip(labeled.rows, labeled.owners, strict=True)
        if owner >= 0
    ]
    assert sum(known_by_heart) == (labeled.owners[:taught] >= 0).sum()


@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_the_scorer_alone_is_that_of_the_fit(held_out: float) -> None:
    known, labeled = _known(), _noise(60)
    fitted = fit(known, labeled, ROUTES, held_out=held_out)
    scorer = scorer_of(known, labeled, ROUTES, held_out=held_out)

    one, other = (
        each.score(labeled.rows[0], "query 0") for each in (fitted.scorer, scorer)
    )

    assert (one.measures == other.measures).all()
    assert (one.density, one.none) == (other.density, other.none)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_very_few_labels_are_no_error(count: int, held_out: float) -> None:
    fitted = fit(_known(), _noise(count), ROUTES, held_out=held_out)

    assert fitted.proof.bar(0.9, 0.9) is None
    _, _, confidence = fitted.judge(_noise(1).rows[0], "query")
    assert 0 <= confidence <= 1
