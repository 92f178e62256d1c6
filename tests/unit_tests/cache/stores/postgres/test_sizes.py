"""Whether a partition is large is asked now and then."""

from typing import Any

import pytest

from langchain_prodpatterns.cache.stores.postgres import sizes
from langchain_prodpatterns.cache.stores.postgres.sizes import PartitionSizes
from tests.unit_tests.cache.conftest import CLONES, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_one_that_nobody_has_asked_of_is_to_be_asked(clock: Clock) -> None:
    assert PartitionSizes(clock).is_large("p") is None


@pytest.mark.parametrize(("large", "seconds"), [(False, 60), (True, 3_600)])
def test_an_answer_holds_for_a_while(clock: Clock, large: bool, seconds: int) -> None:
    known = PartitionSizes(clock)
    known.note("p", large=large)

    clock.now += seconds - 1
    assert known.is_large("p") is large
    clock.now += 1
    assert known.is_large("p") is None


def test_an_answer_is_of_one_partition(clock: Clock) -> None:
    known = PartitionSizes(clock)
    known.note("p", large=True)
    known.note("q", large=False)

    assert [known.is_large(name) for name in "pqr"] == [True, False, None]


def test_all_are_asked_again_after_a_removal(clock: Clock) -> None:
    known = PartitionSizes(clock)
    known.note("p", large=True)
    known.note("q", large=True)

    known.forget("p")
    assert [known.is_large(name) for name in "pq"] == [None, True]
    assert known.some_large(9) == ["q"]

    known.forget(None)
    assert known.is_large("q") is None
    assert known.some_large(9) == []


def test_large_ones_are_told_of_in_turn(clock: Clock) -> None:
    known = PartitionSizes(clock)
    for name in "abc":
        known.note(name, large=True)
    known.note("small", large=False)

    assert [known.some_large(2) for _ in range(3)] == [
        ["a", "b"],
        ["c", "a"],
        ["b", "c"],
    ]


def test_a_bounded_number_is_known(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "_MAX_PARTITIONS", 2)
    known = PartitionSizes(clock)

    for name in ("p", "q", "p", "r"):
        known.note(name, large=True)

    # The one that was noted longest ago.
    assert [known.is_large(name) for name in "pqr"] == [True, None, True]


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_asks_again(clone: Any) -> None:
    known = PartitionSizes()
    known.note("p", large=True)

    copied = clone(known)

    assert copied.is_large("p") is None
    assert known.is_large("p") is True
