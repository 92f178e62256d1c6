"""What is known of partitions is known for a while, and counted by nobody's lookup."""

from typing import Any

import pytest

from langchain_prodpatterns.cache.stores.postgres import sizes
from langchain_prodpatterns.cache.stores.postgres.sizes import PartitionSizes
from tests.unit_tests.cache.conftest import CLONES, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_that_one_is_in_the_index_is_known_for_a_while(clock: Clock) -> None:
    known = PartitionSizes(clock)
    assert not known.is_indexed("p")

    known.note_indexed("p")

    clock.now += 3_599
    assert known.is_indexed("p")
    assert not known.is_indexed("q")
    clock.now += 1
    assert not known.is_indexed("p")


def test_what_was_searched_is_counted_now_and_then(clock: Clock) -> None:
    known = PartitionSizes(clock)
    for name in "pqp":
        known.note_searched(name)

    assert known.take_searched(1) == ["p"]
    assert known.take_searched(9) == ["q"]
    known.note_counted("p", large=False)
    known.note_counted("q", large=True)
    for _ in range(2):
        for name in "pq":
            known.note_searched(name)
        assert known.take_searched(9) == []
        clock.now += 59
    clock.now -= 58
    for name in "pq":
        known.note_searched(name)

    # One that is large is given to the index without that.
    assert known.take_searched(9) == ["p"]
    assert known.some_large(9) == ["q"]


def test_one_that_is_searched_all_the_time_does_not_wait_for_ever(clock: Clock) -> None:
    known = PartitionSizes(clock)
    for name in "pqpp":
        known.note_searched(name)

    assert known.take_searched(1) == ["p"]


def test_all_is_found_out_again_after_a_removal(clock: Clock) -> None:
    known = PartitionSizes(clock)
    for name in "pq":
        known.note_indexed(name)
        known.note_counted(name, large=True)

    known.forget("p")
    assert [known.is_indexed(name) for name in "pq"] == [False, True]
    assert known.some_large(9) == ["q"]
    known.note_searched("p")
    assert known.take_searched(9) == ["p"]

    known.forget(None)
    assert not known.is_indexed("q")
    assert known.some_large(9) == []


def test_large_ones_are_told_of_in_turn(clock: Clock) -> None:
    known = PartitionSizes(clock)
    known.note_counted("a", large=True)
    known.note_indexed("b")
    known.note_counted("c", large=True)
    known.note_counted("small", large=False)

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
        known.note_indexed(name)

    # The one that was noted longest ago.
    assert [known.is_indexed(name) for name in "pqr"] == [True, False, True]
    assert known.some_large(9) == ["p", "r"]


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_finds_out_again(clone: Any) -> None:
    known = PartitionSizes()
    known.note_indexed("p")

    copied = clone(known)

    assert not copied.is_indexed("p")
    assert known.is_indexed("p")
