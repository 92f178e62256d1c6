"""How a query stands to every route."""

import numpy as np
import numpy.typing as npt
import pytest

from langchain_prodpatterns.routing.scores import Known, Scorer

Floats = npt.NDArray[np.float32]


def _unit(rows: object) -> Floats:
    found = np.asarray(rows, dtype=np.float32)
    unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def _known(routes: int = 3, texts: int = 4, seed: int = 0) -> Known:
    chance = np.random.default_rng(seed)
    owners = np.repeat(np.arange(routes), texts)
    rows = 0.3 * chance.normal(size=(routes * texts, 24))
    rows[np.arange(len(rows)), owners % 24] += 2
    said = [f"word{owner} {at}" for at, owner in enumerate(owners)]
    return Known(said, owners, _unit(rows), np.zeros((0, 24), dtype=np.float32))


def test_each_measure_is_highest_for_the_route_that_it_is_about() -> None:
    known = _known()
    scores = Scorer(known, 3).score(known.rows[5], "word1")

    assert scores.measures.shape == (3, 5)
    assert scores.measures.argmax(axis=0).tolist() == [1] * 5
    assert scores.measures[1, 0] == pytest.approx(1, abs=1e-5)
    assert scores.measures[:, 4].sum() == pytest.approx(1)


def test_the_similarity_is_the_highest_cosine() -> None:
    known = _known()
    vector = _unit(np.random.default_rng(1).normal(size=(1, 24)))[0]

    found = Scorer(known, 3).score(vector, "").measures[:, 0]

    expected = (known.rows @ vector).reshape(3, 4).max(axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_order_of_the_texts_does_not_matter() -> None:
    known = _known()
    order = np.random.default_rng(2).permutation(len(known.rows))
    mixed = Known(
        [known.texts[at] for at in order],
        known.owners[order],
        known.rows[order],
        known.none_rows,
    )
    one = Scorer(known, 3).score(known.rows[0], "word0")
    other = Scorer(mixed, 3).score(known.rows[0], "word0")

    np.testing.assert_allclose(one.measures, other.measures, atol=1e-5)
    np.testing.assert_allclose(one.own, other.own, atol=1e-5)


def test_texts_that_no_route_fits_are_compared_too() -> None:
    known = _known()
    nowhere = _unit(np.eye(24)[20:22])
    more = known.with_more(
        ["x", "y", "word2"],
        np.array([-1, -1, 2]),
        np.concatenate([nowhere, known.rows[-1:]]),
    )

    scorer = Scorer(more, 3)
    far, near = scorer.score(nowhere[0], "").none, scorer.score(known.rows[0], "").none

    assert len(more.texts) == len(known.texts) + 1
    assert far[0] == pytest.approx(1)
    assert all(one > other for one, other in zip(far, near, strict=True))
    assert Scorer(known, 3).score(nowhere[0], "").none == (0, 0, 0)


def test_a_query_far_from_everything_has_a_low_density() -> None:
    known = _known()
    scorer = Scorer(known, 3)

    assert scorer.score(known.rows[0], "").density > 0.6
    assert scorer.score(_unit(np.eye(24)[20:21])[0], "").density < 0.4


def test_of_very_many_routes_only_the_near_and_the_named_come_into_question() -> None:
    known = _known(routes=400, texts=2)
    scores = Scorer(known, 400).score(known.rows[7], "word399")

    assert 64 <= len(scores.routes) <= 128
    assert {3, 399} <= set(scores.routes.tolist())
    best = scores.routes[scores.measures[:, 0].argmax()]
    assert best == 3
    assert scores.measures[:, 0].max() == pytest.approx(1, abs=1e-5)


def test_routes_of_one_text_that_cancel_out_are_no_error() -> None:
    rows = _unit([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    known = Known(["x", "y", "z"], np.array([0, 0, 1]), rows, rows[:0])

    scores = Scorer(known, 2).score(rows[2], "z")

    assert np.isfinite(scores.measures).all()
    assert np.isfinite(scores.own).all()


def test_a_route_of_one_text_is_as_near_to_itself_as_routes_are() -> None:
    known = _known()
    lonely = known.with_more(["x"], np.array([3]), _unit(np.eye(24)[10:11]))

    own = Scorer(lonely, 4).score(known.rows[0], "").own

    assert 0.5 < own[:3].mean() < 1
    assert own[3].tolist() == pytest.approx(own[:3].mean(axis=0).tolist(), abs=0.02)
