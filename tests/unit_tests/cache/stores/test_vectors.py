"""The vectors of a partition."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores.vectors import (
    HALF_ERROR,
    Divided,
    Few,
    Flat,
    Indexed,
    Matrix,
    Partition,
    one_thread,
)

SIZE = 24


def some(count: int, seed: int = 0) -> Matrix:
    matrix = np.random.default_rng(seed).standard_normal((count, SIZE), np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix


def filled(kind: str, matrix: Matrix) -> Partition:
    made: dict[str, Partition] = {
        "few": Few(SIZE),
        "flat": Flat(SIZE),
        "divided": Divided(some(8, seed=1)),
    }
    partition = made[kind]
    if len(matrix):
        partition.add(np.arange(len(matrix)), matrix)
    return partition


every_kind = pytest.mark.parametrize("kind", ["few", "flat", "divided"])


@every_kind
def test_the_nearest_come_first_and_cosines_are_nearly_right(kind: str) -> None:
    matrix, query = some(200), some(1, seed=2)[0]

    found = filled(kind, matrix).search(query, 5)

    exact = matrix @ query
    assert [row for row, _ in found] == np.argsort(-exact)[:5].tolist()
    assert all(abs(score - exact[row]) < HALF_ERROR for row, score in found)


@every_kind
def test_an_empty_one_finds_nothing(kind: str) -> None:
    assert filled(kind, some(0)).search(some(1)[0], 3) == []
    assert filled(kind, some(0)).is_empty


@every_kind
def test_a_vector_of_another_length_is_near_to_nothing(kind: str) -> None:
    assert filled(kind, some(5)).search(np.ones(3, np.float32), 3) == []


@every_kind
@settings(deadline=None, max_examples=60)
@given(
    removals=st.lists(st.sets(st.integers(0, 59), max_size=40), max_size=4),
    wanted=st.integers(1, 60),
)
def test_what_was_removed_is_not_found_and_all_else_is(
    kind: str, removals: list[set[int]], wanted: int
) -> None:
    partition, living = filled(kind, some(60)), set(range(60))
    for removed in removals:
        partition.remove(removed & living)
        living -= removed

        found = [row for row, _ in partition.search(some(1, seed=3)[0], wanted)]

        assert len(found) == min(wanted, len(living))
        assert set(found) <= living
        assert partition.ids() == living
        assert len(partition) == len(living)
    assert partition.is_empty == (not living)


@every_kind
def test_rows_that_it_never_had_do_not_make_it_empty(kind: str) -> None:
    partition = filled(kind, some(5))
    partition.remove({100, 101, 102, 103, 104})

    assert not partition.is_empty
    assert len(partition) == 5


def test_few_become_more() -> None:
    few, flat = Few(SIZE), Flat(SIZE)
    few.into(flat)
    assert flat.is_empty
    few.add(np.array([3, 9]), some(2))

    few.into(flat)

    assert flat.ids() == {3, 9}
    found, before = flat.search(some(1)[0], 2), few.search(some(1)[0], 2)
    assert [row for row, _ in found] == [row for row, _ in before] == [3, 9]
    assert [score for _, score in found] == pytest.approx([s for _, s in before])


@pytest.mark.parametrize("kind", ["flat", "divided"])
def test_removed_vectors_are_dropped_once_they_are_many(kind: str) -> None:
    partition = filled(kind, some(1000))
    assert isinstance(partition, Indexed)
    partition.remove(range(200))
    assert partition.removed() == set(range(200))

    partition.remove(range(200, 400))

    assert partition.removed() == set()
    assert len(partition) == 600


def test_the_positions_of_one_that_is_held_stay() -> None:
    flat = Flat(SIZE)
    matrix = some(100)
    flat.add(np.arange(100), matrix)
    flat.hold()
    flat.remove(range(90))

    ids, halves = flat.halves(np.array([95, 5]))

    assert ids.tolist() == [95, 5]
    assert halves.view(np.float16) == pytest.approx(matrix[[95, 5]], abs=1e-3)
    assert flat.piece(98, 10) == pytest.approx(matrix[98:], abs=1e-3)
    assert {row for row, _ in flat.search(matrix[0], 50)} == set(range(90, 100))


def test_memory_that_is_reserved_holds_nothing() -> None:
    flat = Flat(SIZE)
    flat.reserve(1000)
    assert flat.is_empty
    flat.add(np.array([7]), some(1))
    assert [row for row, _ in flat.search(some(1)[0], 3)] == [7]


def test_a_list_is_filled_with_what_a_flat_one_has() -> None:
    flat, divided, matrix = Flat(SIZE), Divided(some(8, seed=1)), some(50)
    flat.add(np.arange(50) + 100, matrix)
    lists = divided.lists_of(matrix)
    for number in range(8):
        divided.fill(number, *flat.halves(np.flatnonzero(lists == number)))

    assert divided.ids() == flat.ids()
    assert divided.search(matrix[3], 4) == flat.search(matrix[3], 4)


def test_the_setting_of_threads_is_left_as_it_was() -> None:
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        with one_thread():
            assert faiss.omp_get_max_threads() == 1
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)
