"""Answers held in this process are never those that were forgotten."""

import gc
import os
import signal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from langchain_prodpatterns.cache.stores.base import Entry, Found, Selection
from langchain_prodpatterns.cache.stores.postgres.recent import Recent
from tests.unit_tests.cache.conftest import CLONES, Clock

SMALL = st.integers(0, 3)


def _trusting() -> bool:
    return True


def _found(exact: str, key: str = "k", **more: Any) -> Found:
    entry = Entry(key, "p", exact, "text", '"v"', "n", **more)
    return Found(entry, "exact")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> Recent:
    return Recent(2, 5.0, _trusting, clock)


def test_what_was_found_is_held_for_some_seconds(recent: Recent, clock: Clock) -> None:
    found = _found("x")
    recent.put("x", found, None, recent.age)

    clock.now += 4.9
    assert recent.get("x") is found
    clock.now += 0.2
    assert recent.get("x") is None
    assert len(recent) == 0


def test_an_entry_is_not_held_beyond_its_own_time(recent: Recent, clock: Clock) -> None:
    recent.put("x", _found("x"), 1.0, recent.age)

    clock.now += 1.0

    assert recent.get("x") is None


def test_who_cannot_hear_of_removals_serves_nothing(clock: Clock) -> None:
    trusted = True
    recent = Recent(2, 5.0, lambda: trusted, clock)
    recent.put("x", _found("x"), None, recent.age)

    trusted = False

    assert recent.get("x") is None


def test_none_is_held_where_none_shall_be(clock: Clock) -> None:
    recent = Recent(0, 5.0, _trusting, clock)
    recent.put("x", _found("x"), None, recent.age)

    assert len(recent) == 0
    assert recent.get("x") is None


def test_the_one_that_was_not_used_for_longest_goes(recent: Recent) -> None:
    for exact in "ab":
        recent.put(exact, _found(exact), None, recent.age)
    recent.get("a")

    recent.put("c", _found("c"), None, recent.age)

    assert [exact for exact in "abc" if recent.get(exact)] == ["a", "c"]


def test_what_is_replaced_is_forgotten_also_where_it_answers_others(
    recent: Recent,
) -> None:
    recent.put("alias", _found("x"), None, recent.age)
    recent.put("y", _found("y"), None, recent.age)

    recent.forget("x")

    assert recent.get("alias") is None
    assert recent.get("y") is not None


def test_what_is_forgotten_while_it_is_read_is_not_held(recent: Recent) -> None:
    age = recent.age
    recent.forget_removed(Selection(key="k"))

    recent.put("x", _found("x"), None, age)

    assert recent.get("x") is None


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(key="k"),
        Selection(namespace="n"),
        Selection(partition="p"),
        Selection(text="another"),
        Selection(older_than=1e6),
        Selection(where=lambda _: False),
    ],
    ids=["all", "key", "namespace", "partition", "text", "age", "function"],
)
def test_what_may_have_been_removed_is_forgotten(
    recent: Recent, selection: Selection
) -> None:
    recent.put("x", _found("x"), None, recent.age)

    recent.forget_removed(selection)

    assert recent.get("x") is None


@pytest.mark.parametrize(
    "selection",
    [Selection(key="o"), Selection(namespace="o"), Selection(partition="o")],
    ids=str,
)
def test_what_was_not_removed_stays(recent: Recent, selection: Selection) -> None:
    recent.put("x", _found("x"), None, recent.age)

    recent.forget_removed(selection)

    assert recent.get("x") is not None


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_holds_nothing(clone: Any) -> None:
    recent = Recent(2, 5.0, _trusting)
    recent.put("x", _found("x"), None, recent.age)

    copied = clone(recent)

    assert len(copied) == 0
    copied.put("x", _found("x"), None, copied.age)
    assert copied.get("x") is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_holds_nothing_of_its_parent(recent: Recent) -> None:
    recent.put("x", _found("x"), None, recent.age)
    gc.collect()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(len(recent))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(recent) == 1


class Held(RuleBasedStateMachine):
    """The database and a process that holds some of what it read there."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.recent = Recent(3, 5.0, _trusting, self.clock)
        self.rows: dict[str, Found] = {}
        self.reading: list[tuple[str, Found, int]] = []
        self.made = 0

    @rule(number=SMALL, owner=SMALL)
    def store(self, number: int, owner: int) -> None:
        self.made += 1
        exact = f"x{number}"
        entry = Entry(f"k{self.made}", f"p{owner}", exact, None, '"v"', f"n{owner}")
        self.rows[exact] = Found(entry, "exact")
        self.recent.forget(exact)

    @rule(number=SMALL)
    def begin_to_read(self, number: int) -> None:
        exact = f"x{number}"
        age = self.recent.age
        if exact in self.rows:
            self.reading.append((exact, self.rows[exact], age))

    @rule()
    def have_read(self) -> None:
        if self.reading:
            exact, found, age = self.reading.pop(0)
            self.recent.put(exact, found, None, age)

    @rule(owner=SMALL, field=st.sampled_from(["partition", "namespace"]))
    def remove(self, owner: int, field: str) -> None:
        given: dict[str, Any] = {field: f"{field[0]}{owner}"}
        selection = Selection(**given)
        for exact, found in tuple(self.rows.items()):
            if selection.fits(found.entry, 0.0):
                del self.rows[exact]
        self.recent.forget_removed(selection)

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def never_serves_what_is_gone(self) -> None:
        for number in range(4):
            held = self.recent.get(f"x{number}")
            assert held is None or held == self.rows.get(f"x{number}")
        assert len(self.recent) <= 3


TestHeld = Held.TestCase
TestHeld.settings = settings(max_examples=50, stateful_step_count=30)
