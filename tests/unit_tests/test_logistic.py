"""Logistic regression with a penalty."""

import numpy as np
import pytest

from langchain_prodpatterns.logistic import chances, fit_logistic


def test_without_features_the_constant_is_the_share() -> None:
    labels = np.array([True] * 3 + [False])
    (found,) = fit_logistic(np.ones((4, 1)), labels, np.array([1e-9]))
    assert chances(np.array([found]))[0] == pytest.approx(0.75, abs=1e-6)


def test_an_example_that_weighs_two_is_two_examples() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(20, 3)), rng.random(20) > 0.5
    penalty = np.ones(3)
    twice = np.concatenate([rows, rows[:5]]), np.concatenate([labels, labels[:5]])
    weights = np.where(np.arange(20) < 5, 2.0, 1.0)
    assert fit_logistic(rows, labels, penalty, weights) == pytest.approx(
        fit_logistic(*twice, penalty)
    )


def test_the_penalty_holds_back_what_could_be_told_apart_for_sure() -> None:
    rows = np.array([[-1.0], [1.0]])
    loose, tight = (
        fit_logistic(rows, np.array([False, True]), np.array([held]))[0]
        for held in (0.1, 10.0)
    )
    assert 0 < tight < loose < 10


def test_extreme_logits_are_cut_off() -> None:
    assert chances(np.array([-1e9, 0.0, 1e9])).tolist() == pytest.approx([0, 0.5, 1])
