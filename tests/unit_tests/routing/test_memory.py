"""What the fallback decided is kept, within bounds."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.labels import Label, normal
from langchain_prodpatterns.routing.memory import LEARN_EVERY, Memory

ROW = np.ones(3, dtype=np.float32)
CHOSEN = RouteDecision(tool="a", decided_by="llm", reason="the fallback chose 'a'")
CORRECTED = RouteDecision(tool="b", decided_by="cache", reason="feedback")


def test_case_and_blanks_do_not_matter() -> None:
    assert normal("  Where IS\n my  parcel ") == "where is my parcel"


def test_a_decision_is_recalled_as_one_of_the_cache() -> None:
    memory = Memory()
    memory.remember("Where is it", CHOSEN, 10)

    found = memory.recall("where  is IT")

    assert found == RouteDecision(
        tool="a", decided_by="cache", reason="decided before: the fallback chose 'a'"
    )
    assert memory.recall("where") is None
    assert memory.correction("where is it") is None


def test_a_correction_is_told_from_a_decision() -> None:
    memory = Memory()
    memory.remember("q", CORRECTED, 10)

    assert memory.correction(" Q ") == memory.recall("q") == CORRECTED


def test_the_decision_not_used_for_longest_goes() -> None:
    memory = Memory()
    for query in ("one", "two"):
        memory.remember(query, CHOSEN, 2)
    memory.recall("one")
    memory.remember("three", CHOSEN, 2)

    assert list(memory.decisions()) == ["one", "three"]


def test_each_tool_learns_so_many_and_the_oldest_go() -> None:
    memory = Memory()
    for at in range(5):
        memory.learn(Label(f"a{at}", "a"), ROW, 2)
        memory.learn(Label(f"n{at}", None), ROW, 2)

    lesson = memory.learned()

    assert lesson is not None
    assert [label.query for label in lesson.labels] == ["a3", "n3", "a4", "n4"]


def test_a_query_is_learned_once_with_the_latest_tool() -> None:
    memory = Memory()
    assert not memory.learn(Label("q", "a"), ROW, 5)
    assert not memory.learn(Label("Q", "a"), ROW, 5)
    assert memory.learn(Label("q", "b"), ROW, 5)

    lesson = memory.learned()

    assert lesson is not None
    assert lesson.labels == (Label("q", "b"),)


def test_it_is_due_after_enough_and_then_counts_anew() -> None:
    memory = Memory()
    for at in range(LEARN_EVERY):
        assert not memory.due
        memory.learn(Label(str(at), "a"), ROW, 100)
    assert memory.due

    memory.lesson()

    assert not memory.due


def test_only_what_is_about_some_tools_is_handed_on() -> None:
    memory = Memory()
    for tool in ("a", "b", None):
        memory.learn(Label(f"about {tool}", tool), ROW, 5)

    lesson = memory.learned({"b"})

    assert lesson is not None
    assert [label.tool for label in lesson.labels] == ["b", None]
    assert Memory().learned() is None


def _pickled(memory: Memory) -> Memory:
    clone = pickle.loads(pickle.dumps(memory))  # noqa: S301 - our own bytes
    assert isinstance(clone, Memory)
    return clone


@pytest.mark.parametrize("clone", [copy.deepcopy, _pickled])
def test_a_copy_is_on_its_own(clone: Callable[[Memory], Memory]) -> None:
    memory = Memory()
    memory.remember("q", CHOSEN, 5)
    memory.learn(Label("q", "a"), ROW, 5)

    copied = clone(memory)
    copied.remember("other", CHOSEN, 5)

    assert list(memory.decisions()) == ["q"]
    assert copied.recall("q") == memory.recall("q")
    assert copied.learned() is not None


def test_many_threads_keep_to_the_bounds() -> None:
    memory = Memory()

    def work(at: int) -> None:
        memory.remember(f"q{at}", CHOSEN, 7)
        memory.recall(f"q{at}")
        memory.learn(Label(f"q{at}", "a"), ROW, 7)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(400)))

    lesson = memory.learned()
    assert lesson is not None
    assert len(memory.decisions()) == len(lesson.labels) == 7


def test_a_correction_that_is_used_outlasts_what_is_not() -> None:
    memory = Memory()
    said = RouteDecision(tool="a", decided_by="cache", reason="")
    memory.remember("q", said, 2)
    for at in range(5):
        assert memory.correction("q") == said
        memory.remember(str(at), said.model_copy(update={"decided_by": "llm"}), 2)
    assert memory.correction("q") == said
