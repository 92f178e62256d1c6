"""The curve of how likely the judge accepts."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.acceptance import (
    UNSEEN,
    Acceptance,
    own_curve,
    shared_curve,
)
from langchain_prodpatterns.cache.evidence import EDGES, Evidence, middles

STEPS = len(EDGES)
COUNTS = st.lists(
    st.tuples(
        st.integers(0, STEPS - 1),
        st.integers(0, 1),
        st.sampled_from([0, 1, 3, 1000, 10**6]),
        st.sampled_from([0, 1, 3, 1000, 10**6]),
    ),
    max_size=12,
)


def evidence_of(cells: list[tuple[int, int, int, int]]) -> Evidence:
    right, wrong = np.zeros((2, STEPS, 2))
    for step, guarded, rights, wrongs in cells:
        right[step, guarded] += rights
        wrong[step, guarded] += wrongs
    return Evidence(right, wrong)


def slope_at(curve: Acceptance, evidence: Evidence) -> float:
    """How steep the posterior still is: 0 at its peak, a share of the evidence."""
    odds = (
        curve.level
        + curve.slope * (middles()[:, None] - 0.85) / 0.1
        + curve.guarded * np.array([0.0, 1.0])
    )
    missing = (evidence.right + evidence.wrong) / (
        1 + np.exp(-np.clip(odds, -700, 700))
    ) - evidence.right
    gradient = np.array(
        [
            missing.sum() + (curve.level - 0.4) / 1.5**2,
            (missing * (middles()[:, None] - 0.85) / 0.1).sum()
            + (curve.slope - 1.3) / 0.7**2,
            missing[:, 1].sum() + (curve.guarded + 0.5) / 0.7**2,
        ]
    )
    return float(np.abs(gradient).max()) / (1 + evidence.total)


def test_without_evidence_the_curve_is_the_prior() -> None:
    none = Evidence.none()

    assert shared_curve(none) == UNSEEN
    assert own_curve(none, shared_curve(none)) == UNSEEN


@given(COUNTS)
def test_the_likeliest_curve_is_found_whatever_was_counted(
    cells: list[tuple[int, int, int, int]],
) -> None:
    evidence = evidence_of(cells)
    curve = shared_curve(evidence)

    # Overflow would be a warning, which is an error here.
    assert slope_at(curve, evidence) < 1e-6
    for similarity in (-1.0, 0.0, 0.5, 0.85, 1.0):
        for guarded in (False, True):
            assert 0 <= curve.chance(similarity, guarded=guarded) <= 1


@pytest.mark.parametrize(
    "cells",
    [
        [(step, 0, 10**6, 0) for step in range(STEPS)],
        [(step, 1, 0, 10**6) for step in range(STEPS)],
        [(39, 0, 10**6, 0)],
        [(0, 1, 0, 10**6)],
        [(step, 0, 10**6 * (step >= 20), 10**6 * (step < 20)) for step in range(STEPS)],
        [(step, 0, 10**6 * (step < 20), 10**6 * (step >= 20)) for step in range(STEPS)],
    ],
    ids=["all right", "all wrong", "one cell", "one cell wrong", "parted", "reversed"],
)
def test_extreme_evidence_is_fitted_too(
    cells: list[tuple[int, int, int, int]],
) -> None:
    evidence = evidence_of(cells)
    for curve in (shared_curve(evidence), own_curve(evidence, UNSEEN)):
        values = (curve.level, curve.slope, curve.guarded)
        assert all(map(math.isfinite, values))
        assert 0 <= curve.similarity_at(0.33) <= 1
    assert slope_at(shared_curve(evidence), evidence) < 1e-6


def test_a_curve_is_fitted_fast_enough_for_a_lookup() -> None:
    evidence = evidence_of([(n, n % 2, 10**6 * (n % 3), 7) for n in range(STEPS)])
    began = time.process_time()
    for _ in range(100):
        shared_curve(evidence)

    # A tenth of that is usual: CPU time, so that a loaded machine does not matter.
    assert (time.process_time() - began) / 100 < 0.02


@given(st.floats(0.01, 0.99))
def test_the_cosine_of_a_chance_is_where_the_curve_has_it(chance: float) -> None:
    similarity = UNSEEN.similarity_at(chance)

    if 0 < similarity < 1:
        assert UNSEEN.chance(similarity, guarded=False) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("curve", "chance", "similarity"),
    [
        (UNSEEN, 0.0, 0.0),
        (UNSEEN, 2.0, 1.0),
        (Acceptance(3.0, -1.0, 0.0), 0.5, 0.0),
        (Acceptance(-30.0, -1.0, 0.0), 0.5, 1.0),
        (Acceptance(-99.0, 0.1, 0.0), 0.5, 1.0),
        (Acceptance(99.0, 0.1, 0.0), 0.5, 0.0),
    ],
)
def test_what_no_cosine_has_is_at_an_end(
    curve: Acceptance, chance: float, similarity: float
) -> None:
    assert curve.similarity_at(chance) == similarity


def test_a_partition_bends_the_shared_curve_as_far_as_it_has_evidence() -> None:
    few, many = (evidence_of([(30, 0, 0, count)]) for count in (3, 300))
    at = middles()[30]

    chances = [
        own_curve(own, UNSEEN).chance(at, guarded=False)
        for own in (Evidence.none(), few, many)
    ]
    assert chances[0] > chances[1] > chances[2]
    assert chances[2] < 0.1


def test_odds_never_overflow() -> None:
    steep = Acceptance(0.0, 1e6, 0.0)

    assert steep.chance(0.0, guarded=False) == 0
    assert steep.chance(1.0, guarded=False) == 1
