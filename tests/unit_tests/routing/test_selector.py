"""The choice of a route, and how sure it is."""

import numpy as np
import pytest

from langchain_prodpatterns.routing.scores import Scores
from langchain_prodpatterns.routing.selector import (
    FEATURES,
    WEIGHTS,
    Selector,
    choose,
    fit_weights,
)


def _scores(*rows: list[float]) -> Scores:
    measures = np.array(rows, dtype=float)
    own = np.full((len(rows), 2), 0.5)
    return Scores(np.arange(len(rows)), measures, own, 0.4, (0.1, 0.2, 0.3))


CLEAR = _scores([0.9] * 5, [0.1] * 5, [0.2] * 5)
TORN = _scores([0.9] * 5, [0.89] * 5, [0.2] * 5)


def test_the_best_route_comes_first_and_its_leads_are_described() -> None:
    choice = choose(CLEAR, np.array(WEIGHTS))

    assert choice.ranking.tolist() == [0, 2, 1]
    assert choice.features.shape == (FEATURES,)
    assert choice.features[:5].tolist() == [0.9] * 5
    np.testing.assert_allclose(choice.features[5:10], 0.7)


def test_equals_keep_their_order() -> None:
    same = _scores([0.5] * 5, [0.5] * 5)

    assert choose(same, np.array(WEIGHTS)).ranking.tolist() == [0, 1]


def test_a_single_route_has_features_too() -> None:
    choice = choose(_scores([0.5] * 5), np.array(WEIGHTS))

    assert choice.features.shape == (FEATURES,)
    assert np.isfinite(choice.features).all()


def test_weights_go_to_the_measure_that_is_right() -> None:
    chance = np.random.default_rng(0)
    rows, places = [], []
    for _ in range(200):
        measures = chance.random((4, 5))
        place = int(chance.integers(4))
        measures[place, 3] = 1.2
        rows.append(_scores(*measures.tolist()))
        places.append(place)

    weights = fit_weights(rows, places)

    assert weights[3] > 3 * WEIGHTS[3]
    right = [choose(row, weights).ranking[0] for row in rows]
    assert np.mean(np.array(right) == places) > 0.95


def test_without_queries_the_weights_stay() -> None:
    assert fit_weights([], []).tolist() == list(WEIGHTS)


def test_the_confidence_is_calibrated() -> None:
    chance = np.random.default_rng(1)
    features = chance.normal(size=(4_000, 3))
    likely = 1 / (1 + np.exp(-2 * features[:, 0] - 0.5))
    right = chance.random(4_000) < likely

    found = Selector.fit(features, right).confidence(features)

    assert np.abs(found - likely).mean() < 0.03


@pytest.mark.parametrize("right", [True, False])
def test_queries_that_are_all_alike_are_no_error(*, right: bool) -> None:
    features = np.ones((30, 2))
    found = Selector.fit(features, np.full(30, right)).confidence(features)

    assert np.isfinite(found).all()
    assert (found > 0.9).all() if right else (found < 0.1).all()


def test_without_queries_nothing_is_known() -> None:
    selector = Selector.fit(np.zeros((0, 4)), np.zeros(0, dtype=bool))

    assert selector.confidence(np.ones((1, 4))).tolist() == [0.5]
