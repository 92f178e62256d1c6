"""The certificate keeps what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.bounds import clopper_pearson
from langchain_prodpatterns.routing.certificate import (
    BARS,
    certify,
    fewest,
    measure,
    more_needed,
)


@pytest.mark.parametrize(
    ("precision", "confidence", "expected"),
    [(0.95, 0.9, 45), (0.95, 0.95, 59), (0.99, 0.9, 230), (0.99, 0.95, 299)],
)
def test_so_many_decisions_without_an_error_are_the_least(
    precision: float, confidence: float, expected: int
) -> None:
    assert fewest(precision, confidence) == expected
    assert 1 - clopper_pearson(0, expected, confidence) >= precision
    assert 1 - clopper_pearson(0, expected - 1, confidence) < precision


def test_the_bar_is_the_lowest_that_passes() -> None:
    scores = np.concatenate([np.full(100, 0.99), np.full(100, 0.8), np.full(50, 0.5)])
    right = np.concatenate([np.ones(200, bool), np.zeros(50, bool)])

    bar = certify(scores, right, 0.95, 0.9, scores)

    assert bar is not None
    assert 0.5 < bar.confidence <= 0.8
    assert (bar.decided, bar.wrong) == (200, 0)
    assert bar.certified == pytest.approx(1 - clopper_pearson(0, 200, 0.9))
    lower = BARS[bar.confidence > BARS].max()
    assert lower <= 0.5


@pytest.mark.parametrize("count", [0, 1, 44])
def test_too_few_labels_have_no_bar(count: int) -> None:
    scores, right = np.full(count, 0.999), np.ones(count, bool)

    assert certify(scores, right, 0.95, 0.9, scores) is None
    assert more_needed(scores, right, 0.95, 0.9) == 45 - count


def test_the_least_number_of_labels_has_one() -> None:
    scores, right = np.full(45, 0.999), np.ones(45, bool)

    assert certify(scores, right, 0.95, 0.9, scores) is not None


def test_errors_that_are_too_frequent_are_not_helped_by_more_labels() -> None:
    scores, right = np.full(100, 0.9), np.arange(100) % 2 == 0

    assert certify(scores, right, 0.95, 0.9, scores) is None
    assert more_needed(scores, right, 0.95, 0.9) is None


def test_some_errors_need_more_labels() -> None:
    scores, right = np.full(60, 0.9), np.arange(60) > 0

    needed = more_needed(scores, right, 0.95, 0.9)

    assert certify(scores, right, 0.95, 0.9, scores) is None
    assert needed is not None
    assert 1 <= needed < 200


def test_the_first_bar_that_fails_ends_the_sequence() -> None:
    # Fine above .9, bad down to .7, and so many right ones below that the sum is fine.
    scores = np.concatenate([np.full(60, 0.95), np.full(30, 0.8), np.full(2_000, 0.6)])
    right = np.concatenate(
        [np.ones(60, bool), np.zeros(30, bool), np.ones(2_000, bool)]
    )
    hints = np.full(200, 0.93)

    bar = certify(scores, right, 0.95, 0.9, hints)

    assert measure(scores, right, 0.6, 0.9).certified > 0.95
    assert bar is not None
    assert bar.confidence > 0.8


def test_the_bars_are_fixed_and_fall() -> None:
    assert (np.diff(BARS) < 0).all()
    assert BARS[0] == pytest.approx(0.9995)


def test_a_precision_that_is_not_kept_is_rarely_certified() -> None:
    # The truth at every bar is 93%: whoever asks for 95% must mostly be refused.
    chance = np.random.default_rng(0)
    passed = 0
    for _ in range(400):
        scores = chance.uniform(0.5, 1, 300)
        right = chance.random(300) < 0.93
        passed += certify(scores, right, 0.95, 0.9, scores) is not None

    assert passed / 400 <= 0.1


@settings(max_examples=50)
@given(
    seed=st.integers(0, 1_000),
    precision=st.sampled_from([0.8, 0.9, 0.95]),
    count=st.integers(0, 400),
)
def test_what_is_certified_is_what_was_asked_for(
    seed: int, precision: float, count: int
) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.random(count)
    right = chance.random(count) < scores

    bar = certify(scores, right, precision, 0.9, scores)

    if bar is not None:
        assert bar.certified >= precision
        assert bar == measure(scores, right, bar.confidence, 0.9)
        assert bar.decided >= fewest(precision, 0.9)
