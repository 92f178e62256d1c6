"""What one process hears of the others, whatever the order of the numbers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.postgres.announcing import (
    KEPT_SECONDS,
    Hearing,
    announce,
    selection_of,
)
from langchain_prodpatterns.cache.stores.postgres.statements import Result
from tests.unit_tests.cache.conftest import Clock

OWN, OTHER = "own", "other"
TEXTS = st.text(st.characters(), max_size=20)


def _rows(
    *ids: int,
    origin: str = OTHER,
    at: float = 0.0,
    age: float = 0.0,
    bound: int | None = None,
    low_at: float | None = None,
) -> Result:
    """Return what asking gives: one row without an announcement, if need be.

    Its last columns are the time of the number that is asked with, and the greatest
    number that there is, where none is given.
    """
    last = max(ids, default=0) if bound is None else bound
    rows = [
        (i, at, origin, json.dumps({"key": f"k{i}"}), age, low_at, last) for i in ids
    ]
    return Result(rows or [(None,) * 5 + (low_at, last)], len(rows))


def _first(low: int, *ids: int, age: float = 0.0) -> Result:
    return _rows(*ids, age=age, bound=low)


def _keys(selections: list[Selection]) -> list[str | None]:
    return [selection.key for selection in selections]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hearing(clock: Clock) -> Hearing:
    """One that has asked for the first time, when number 10 was the last old one."""
    hearing = Hearing(OWN, clock)
    hearing.news(None, _first(10))
    return hearing


def test_who_begins_has_nothing_that_was_removed_before(clock: Clock) -> None:
    hearing = Hearing(OWN, clock)
    clock.now += 3

    assert hearing.news(None, _first(10)) == []
    assert hearing.low == 10


def test_what_was_removed_since_it_began_is_news_the_first_time(clock: Clock) -> None:
    hearing = Hearing(OWN, clock)
    clock.now += 3

    assert hearing.news(None, _first(10, 11, age=3.1)) == []
    assert _keys(hearing.news(None, _first(10, 11, 12, age=2.9))) == ["k12"]
    assert hearing.news(10, _rows(11, 12)) == []


def test_what_began_long_before_the_first_time_has_heard_nothing(clock: Clock) -> None:
    hearing = Hearing(OWN, clock)
    clock.now += 61

    assert hearing.news(None, _first(10, 11)) == [Selection()]
    assert _keys(hearing.news(10, _rows(11, 12))) == ["k12"]


def test_the_first_time_begins_below_what_may_still_be_on_its_way() -> None:
    (statement,) = Hearing.ask(None).statements

    assert "WHERE at < now() -" in statement.text
    assert "r.id > old.low" in statement.text
    assert statement.values == {"late": 60.0}


def test_two_that_ask_for_the_first_time_at_once_begin_at_the_lower_number(
    hearing: Hearing,
) -> None:
    assert hearing.news(None, _first(15)) == []
    assert hearing.low == 10


def test_what_is_new_is_asked_for() -> None:
    (statement,) = Hearing.ask(7).statements

    assert statement.values == {"low": 7}
    assert "id > %(low)s" in statement.text


def test_who_reads_a_database_of_before_hears_from_there_on(hearing: Hearing) -> None:
    assert hearing.news(10, _rows(bound=0)) == []
    assert hearing.news(10, _rows(bound=10)) == []

    assert hearing.news(10, _rows(bound=9)) == [Selection()]

    assert hearing.low is None
    assert _keys(hearing.news(None, _first(8, 9))) == ["k9"]
    assert _keys(hearing.news(8, _rows(9, 10))) == ["k10"]


def test_who_reads_that_its_number_came_again_hears_from_there_on(
    clock: Clock,
) -> None:
    hearing = Hearing(OWN, clock)
    hearing.news(None, _rows(bound=10, low_at=5.0))
    assert _keys(hearing.news(10, _rows(11, at=6.0, low_at=5.0))) == ["k11"]
    assert hearing.news(10, _rows(bound=11)) == []  # The row was old, and is gone.

    assert hearing.news(10, _rows(bound=10, low_at=7.0)) == [Selection()]
    assert hearing.low is None


def test_a_number_that_is_passed_is_known_with_its_time(
    hearing: Hearing, clock: Clock
) -> None:
    hearing.news(10, _rows(11, at=6.0))
    clock.now += 61
    assert hearing.news(10, _rows(11, at=6.0)) == []
    assert hearing.low == 11
    assert _keys(hearing.news(11, _rows(12, low_at=6.0))) == ["k12"]

    # Who has asked with an older number knows nothing of its time.
    assert hearing.news(10, _rows(12, low_at=9.0)) == []
    assert hearing.news(11, _rows(12, low_at=9.0)) == [Selection()]


def test_two_that_read_a_database_of_before_at_once_hear_from_there_on(
    hearing: Hearing,
) -> None:
    assert hearing.news(10, _rows(bound=9)) == [Selection()]
    assert hearing.news(10, _rows(bound=9)) == [Selection()]
    assert _keys(hearing.news(None, _first(8, 9))) == ["k9"]


def test_a_number_that_comes_again_at_another_time_is_heard(hearing: Hearing) -> None:
    assert _keys(hearing.news(10, _rows(11))) == ["k11"]
    assert _keys(hearing.news(10, _rows(11, at=1.0))) == ["k11"]
    assert hearing.news(10, _rows(11, at=1.0)) == []


def test_what_others_say_is_heard_once(hearing: Hearing) -> None:
    assert _keys(hearing.news(10, _rows(11, 12))) == ["k11", "k12"]
    assert hearing.news(10, _rows(11, 12)) == []


def test_what_this_process_says_is_no_news(hearing: Hearing) -> None:
    assert hearing.news(10, _rows(11, origin=OWN)) == []


def test_a_lower_number_that_comes_later_is_heard(hearing: Hearing) -> None:
    assert _keys(hearing.news(10, _rows(12))) == ["k12"]
    assert _keys(hearing.news(10, _rows(11, 12))) == ["k11"]


def test_a_gap_is_waited_for_and_then_passed(hearing: Hearing, clock: Clock) -> None:
    hearing.news(10, _rows(14))
    clock.now += 59
    hearing.news(10, _rows(14))
    assert hearing.low == 10

    clock.now += 2
    hearing.news(10, _rows(14, 15))

    assert hearing.low == 14
    assert hearing.news(14, _rows(15)) == []
    assert _keys(hearing.news(14, _rows(15, 16))) == ["k16"]


def test_who_has_not_asked_for_long_has_heard_nothing(
    hearing: Hearing, clock: Clock
) -> None:
    clock.now += KEPT_SECONDS / 2 + 1

    assert hearing.news(10, _rows(11)) == [Selection()]
    # From then on it hears again.
    assert _keys(hearing.news(10, _rows(11, 12))) == ["k12"]


def test_who_asks_all_the_time_hears_to_the_end(hearing: Hearing, clock: Clock) -> None:
    for id_ in range(11, 31):
        clock.now += KEPT_SECONDS / 2
        low = hearing.low
        assert _keys(hearing.news(low, _rows(id_))) == [f"k{id_}"]


@given(st.lists(st.integers(1, 60), unique=True), st.data())
def test_each_is_heard_exactly_once_in_whatever_order_they_come(
    order: list[int], data: st.DataObject
) -> None:
    clock = Clock()
    hearing = Hearing(OWN, clock)
    hearing.news(None, _first(0))
    visible: list[int] = []
    heard: list[str | None] = []
    while len(visible) < len(order):
        visible = order[: len(visible) + data.draw(st.integers(1, 5))]
        low = hearing.low
        assert low is not None
        shown = _rows(*(i for i in visible if i > low), bound=max(visible))
        heard += _keys(hearing.news(low, shown))

    assert sorted(heard, key=str) == sorted((f"k{id_}" for id_ in order), key=str)


@given(
    st.builds(
        Selection,
        key=st.none() | TEXTS,
        namespace=st.none() | TEXTS,
        older_than=st.none() | st.floats(0, 1e9),
        partition=st.none() | TEXTS,
    )
)
def test_a_selection_is_announced_as_it_is(selection: Selection) -> None:
    insert, notify = announce(selection, OWN).statements

    assert selection_of(insert.values["selection"]) == selection
    assert insert.values["selection"].isascii()
    assert notify.values["origin"] == OWN


def test_a_text_and_a_predicate_are_not_announced() -> None:
    selection = Selection(text="what I asked", where=lambda _: True, namespace="n")

    insert, notify = announce(selection, OWN).statements

    assert selection_of(insert.values["selection"]) == Selection(namespace="n")
    assert "asked" not in f"{insert.values}{notify.values}"


@pytest.mark.parametrize("text", ["", "no json", "[]", "3", '"key"', "null"])
def test_what_cannot_be_read_may_be_anything(text: str) -> None:
    assert selection_of(text) == Selection()


def test_what_a_newer_release_says_beside_is_left_out() -> None:
    assert selection_of('{"key": "k", "color": 1}') == Selection(key="k")
