"""Recording a stream."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from langchain_prodpatterns.cache.tapes import Tape
from langchain_prodpatterns.cache.values import Unstorable


class Odd(Exception):
    """What nobody expects."""


class Held:
    def __deepcopy__(self, _: Any) -> Any:
        raise Odd


class Apart:
    def __add__(self, _: Any) -> Any:
        raise Odd


class Answer(BaseModel):
    text: str


def tape_of(*chunks: Any, steps: bool = False) -> Tape:
    tape = Tape(steps=steps)
    for chunk in chunks:
        tape.record(chunk)
    return tape


def test_nothing_streamed_is_nothing_to_store() -> None:
    assert tape_of().value() is None


@pytest.mark.parametrize(
    ("chunks", "output"),
    [
        (["a", "b"], "ab"),
        ([["a"], ["b"]], ["a", "b"]),
        # Item by item, as a parser of lists streams it.
        ([["a"], ["ab"]], ["a", "ab"]),
        ([[0], [0, 1], [0]], [0, 0, 1, 0]),
        ([["a"], ["a"]], ["a", "a"]),
        ([AIMessageChunk(content="a"), AIMessageChunk(content="b")], AIMessage("ab")),
    ],
)
def test_the_sum_and_the_chunks_are_the_value(chunks: list[Any], output: Any) -> None:
    assert tape_of(*chunks).value() == {"output": output, "chunks": chunks}


@pytest.mark.parametrize(
    "chunks",
    [
        [{"a": 1}, {"a": 2}],
        [{}, {"a": "x"}, {"a": "xy", "b": {}}],
        [{"text": "x"}, Answer(text="x")],
        [Answer(text="x"), Answer(text="xy")],
        [[], [1], [1, "a"], [1, "ab", {"c": 1}], [1, "ab", {"c": 1, "d": 2}]],
        [[""], ["a"], ["ab"]],
        [[[1]], [[1, 2]], [[1, 2], [3]]],
        [[1], [12], [12, 3]],
    ],
)
def test_of_what_grows_the_last_is_all_of_it(chunks: list[Any]) -> None:
    assert tape_of(*chunks).value() == {"output": chunks[-1], "chunks": None}


def test_steps_are_not_added() -> None:
    chunks = [{"a": 1}, {"a": 2}]

    assert tape_of(*chunks, steps=True).value() == {"chunks": chunks}


def test_plain_data_is_copied() -> None:
    chunk = {"a": [{"b": 1}]}
    tape = tape_of(chunk)
    chunk["a"][0]["b"] = 2

    assert tape.value() == {"output": {"a": [{"b": 1}]}, "chunks": None}


def test_a_single_chunk_is_its_own_sum() -> None:
    assert tape_of("a").value() == {"output": "a", "chunks": None}


@pytest.mark.parametrize(
    "chunks",
    [["a", Held(), "b"], [Apart(), "b"], [{"a": 1}, {"b": 2}], [Document("a")] * 2],
)
def test_what_cannot_be_recorded_is_unstorable(chunks: list[Any]) -> None:
    with pytest.raises(Unstorable, match=r"Odd|TypeError"):
        tape_of(*chunks).value()
