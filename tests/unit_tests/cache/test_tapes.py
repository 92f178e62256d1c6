"""Recording a stream."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

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


def tape_of(*chunks: Any) -> Tape:
    tape = Tape()
    for chunk in chunks:
        tape.record(chunk)
    return tape


def test_nothing_streamed_is_nothing_to_store() -> None:
    assert tape_of().value() is None


@pytest.mark.parametrize(
    ("chunks", "output"),
    [
        (["a", "b"], "ab"),
        ([{"a": 1}, {"a": 2}], {"a": 2}),
        ([AIMessageChunk(content="a"), AIMessageChunk(content="b")], AIMessage("ab")),
    ],
)
def test_the_sum_and_the_chunks_are_the_value(chunks: list[Any], output: Any) -> None:
    assert tape_of(*chunks).value() == {"output": output, "chunks": chunks}


def test_a_single_chunk_is_its_own_sum() -> None:
    assert tape_of("a").value() == {"output": "a", "chunks": None}


@pytest.mark.parametrize("chunks", [["a", Held(), "b"], [Apart(), "b"]])
def test_what_cannot_be_recorded_is_unstorable(chunks: list[Any]) -> None:
    with pytest.raises(Unstorable, match="Odd"):
        tape_of(*chunks).value()
