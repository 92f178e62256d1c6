"""Dividing a partition into lists."""

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import clusters
from langchain_prodpatterns.cache.stores.clusters import Move, centers_of
from langchain_prodpatterns.cache.stores.vectors import Flat, Matrix

SIZE = 16


def some(count: int, seed: int = 0) -> Matrix:
    matrix = np.random.default_rng(seed).standard_normal((count, SIZE), np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix


def test_centers_are_where_the_vectors_gather() -> None:
    poles = np.eye(SIZE, dtype=np.float32)[:4]
    around = np.repeat(poles, 200, axis=0) + 0.1 * some(800)
    around /= np.linalg.norm(around, axis=1, keepdims=True)

    centers = centers_of(around, 12, lambda: False)

    assert centers is not None
    assert np.linalg.norm(centers, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    assert (around @ centers.T).max(axis=1).min() > 0.9


def test_a_center_that_nothing_is_nearest_to_stays() -> None:
    centers = centers_of(np.repeat(some(1), 20, axis=0), 5, lambda: False)

    assert centers is not None
    assert np.isfinite(centers).all()


def test_to_look_for_centers_can_be_stopped() -> None:
    assert centers_of(some(100), 5, lambda: True) is None


def moved(flat: Flat) -> Move:
    centers = centers_of(some(100, seed=1), 8, lambda: False)
    assert centers is not None
    return Move(flat, centers)


def test_all_that_comes_and_goes_during_a_move_is_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clusters, "_AT_ONCE", 32)
    flat, matrix = Flat(SIZE), some(200)
    flat.add(np.arange(150), matrix[:150])
    flat.remove([1])
    move = moved(flat)
    while (taken := move.take()) is not None:
        flat.remove([2, 149])
        move.put(taken)
    flat.add(np.arange(150, 200), matrix[150:])
    for number, positions in move.positions():
        flat.remove([number + 10])
        move.fill(number, positions)
    left = flat.ids()

    divided = move.finish()

    assert divided.ids() == left
    assert {1, 2, 149}.isdisjoint(left)
    for query in some(10, seed=2):
        assert divided.search(query, 200) == flat.search(query, 200)


def test_few_vectors_are_moved_at_the_end() -> None:
    flat = Flat(SIZE)
    flat.add(np.arange(3), some(3))
    move = moved(flat)

    assert move.take() is None
    assert move.positions() == []
    assert move.finish().ids() == {0, 1, 2}


def test_the_largest_list_is_filled_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_AT_ONCE", 32)
    flat = Flat(SIZE)
    flat.add(np.arange(320), some(320))
    move = moved(flat)
    while (taken := move.take()) is not None:
        move.put(taken)

    sizes = [len(positions) for _, positions in move.positions()]

    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 320
