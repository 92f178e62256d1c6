"""Answers as JSON and back."""

import contextlib
import datetime as dt
import enum
import json
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables.utils import AddableDict
from pydantic import BaseModel, Field, create_model

from langchain_prodpatterns.cache.values import (
    UnknownType,
    Unreadable,
    Unstorable,
    answer_in,
    answer_text,
    as_served,
    messages_in,
    pack,
    texts_in,
    unpack,
)
from langchain_prodpatterns.usage import CACHE_KEY


class Color(enum.StrEnum):
    RED = "red"


class Shouting(str):
    """Equal to the plain text, and more."""

    __slots__ = ()


class Listed(list[int]):
    """Equal to the plain list, and more."""


class Answer(BaseModel):
    text: str
    when: dt.date
    color: Color = Color.RED
    renamed: int = Field(default=0, alias="camelName")


class Calling(BaseModel):
    """A model whose fields compare equal to nothing."""

    value: float


CALL = {"name": "f", "args": {"x": [1, {"$": "y"}]}, "id": "c1", "type": "tool_call"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(json_values)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    returned = unpack(pack(value))

    assert returned == value
    assert repr(returned) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        AIMessage("hi", id="1", response_metadata={"a": 1}, name="bob"),
        AIMessage("", tool_calls=[CALL]),
        AIMessage([{"type": "text", "text": "a"}, {"type": "reasoning", "x": 1}]),
        AIMessageChunk(content="part", id="1", chunk_position="last"),
        HumanMessage([{"type": "image_url", "image_url": {"url": "data:x"}}]),
        ToolMessage("r", tool_call_id="c1", artifact={"a": 1}, status="error"),
        SystemMessage("s"),
        Document("text", metadata={"source": "a"}, id="7"),
        Answer(text="x", when=dt.date(2026, 1, 2), camelName=3),
        [
            Generation(text="a", generation_info={"x": 1}),
            ChatGeneration(message=AIMessage("b")),
        ],
        {"messages": [HumanMessage("q"), AIMessage("a")], "docs": [Document("d")]},
        ({"$": "tuple"}, {"$": "mapping", "items": {}}),
        "broken \ud800",
        AddableDict(answer="a", docs=[Document("d")]),
        AIMessage("hi").text,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_langchain_gives_comes_back_equal(value: Any) -> None:
    returned = unpack(pack(value))

    assert returned == value
    assert type(returned) is type(value)


def test_metadata_comes_back_in_plain_types() -> None:
    document = Document("d", metadata={"score": np.float64(0.5), "n": Shouting("a")})

    (returned,) = unpack(pack([document]))

    assert returned == document
    assert {type(value) for value in returned.metadata.values()} == {float, str}


def test_every_copy_is_fresh() -> None:
    packed = pack([AIMessage("hi", response_metadata={"a": [1]})])

    first = unpack(packed)
    first[0].response_metadata["a"].append(2)

    assert unpack(packed)[0].response_metadata == {"a": [1]}


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: "a"},
        {"a": {1, 2}},
        b"bytes",
        Color.RED,
        float("nan"),
        float("inf"),
        Calling(value=float("nan")),
        dt.date(2026, 1, 1),
        OrderedDict(a=1),
        Shouting("a"),
        [Shouting("a")],
        Listed([1]),
        np.float64(1.5),
        AIMessage("x", response_metadata={"client": object()}),
        [[]] * 3 + [lambda: None],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(Unstorable) as caught:
        pack(value)
    assert "0x" not in str(caught.value)


def test_a_value_without_an_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(Unstorable):
        pack(endless)


def test_a_local_class_is_refused() -> None:
    class Local(BaseModel):
        x: int = 1

    with pytest.raises(Unstorable):
        pack(Local())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"$": "subprocess.Popen", "fields": {"args": "ls"}}',
        '{"$": "model"}',
        '{"$": "model", "class": ["os"], "fields": {}}',
        '{"$": "AIMessage"}',
        '{"$": "AIMessage", "fields": {"content": 1}}',
        '{"$": "AIMessage", "fields": []}',
        '{"$": "tuple", "items": 3}',
        '{"$": "mapping", "items": 3}',
        '{"$": ["x"]}',
        "[" * 100_000,
    ],
)
def test_what_pack_did_not_write_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        unpack(text)


@pytest.mark.parametrize(
    "name", [["os", "system"], ["builtins", "dict"], ["this", "x"]]
)
def test_only_imported_pydantic_models_are_built(name: list[str]) -> None:
    with pytest.raises(UnknownType):
        unpack(json.dumps({"$": "model", "class": name, "fields": {}}))
    assert "this" not in sys.modules


@given(st.text())
def test_random_text_never_crashes_the_reader(text: str) -> None:
    with contextlib.suppress(Unreadable):
        unpack(text)


MARK = {"decision": "exact", "hit_id": "a.b"}
USED = {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
FREE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def _answered(text: str = "hi", id_: str | None = "stored") -> AIMessage:
    return AIMessage(
        text,
        id=id_,
        usage_metadata=USED,
        response_metadata={"token_usage": {"total_tokens": 11}, "model_name": "m"},
    )


def test_a_served_answer_has_a_new_id_no_usage_and_the_mark() -> None:
    served = as_served(_answered(), MARK)

    assert served.id not in {None, "stored"}
    assert served.usage_metadata == FREE
    assert served.response_metadata == {"model_name": "m", CACHE_KEY: MARK}


def test_a_served_answer_without_usage_and_id_gets_both() -> None:
    served = as_served(AIMessage("hi"), MARK)

    assert served.id
    assert served.usage_metadata == FREE


def test_only_the_first_answer_is_marked() -> None:
    value = {"m": [HumanMessage("q", id="q"), _answered(), _answered()]}

    question, first, second = as_served(value, MARK)["m"]

    assert question.id != "q"
    assert CACHE_KEY in first.response_metadata
    assert CACHE_KEY not in second.response_metadata
    assert second.usage_metadata == FREE


def test_chunks_of_one_message_keep_one_id_and_add_up() -> None:
    chunks = [
        AIMessageChunk(content="a", id="stored"),
        AIMessageChunk(content="b", id="stored"),
        AIMessageChunk(content="", id="stored", usage_metadata=USED),
    ]

    first, *rest = as_served(chunks, MARK)
    total = first + rest[0] + rest[1]

    assert total.content == "ab"
    assert total.id.startswith("cache-")
    assert total.usage_metadata == FREE
    assert total.response_metadata[CACHE_KEY] == MARK


@pytest.mark.parametrize("value", ["text", 3, None, {"a": [1]}, [Document("d")]])
def test_other_values_are_served_as_they_are(value: Any) -> None:
    assert as_served(value, MARK) == value


def test_messages_are_found_in_any_depth() -> None:
    deep = {"a": [({"b": ChatGeneration(message=AIMessage("x"))},), HumanMessage("y")]}

    found: Sequence[BaseMessage] = list(messages_in(deep))

    assert [message.content for message in found] == ["x", "y"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ([Generation(text="a"), Generation(text="b")], "a\n\nb"),
        ([ChatGeneration(message=AIMessage("hi"))], "hi"),
        (AIMessage([{"type": "text", "text": "block"}]), "block"),
        (Document("page"), "page"),
        ({"answer": "x"}, '{"answer": "x"}'),
    ],
)
def test_an_answer_as_the_judge_reads_it(value: Any, text: str) -> None:
    assert answer_text(value) == text


def test_a_tool_call_is_an_answer_to_read() -> None:
    text = answer_text([ChatGeneration(message=AIMessage("", tool_calls=[CALL]))])

    assert json.loads(text)[0]["name"] == "f"


def test_a_model_in_a_mapping_is_readable() -> None:
    value = {"x": Answer(text="seen", when=dt.date(2026, 1, 2))}

    assert "seen" in answer_text(value)


def _hidden() -> type[BaseModel]:
    class Hidden(BaseModel):
        value: int = Field(alias="camelName")

    return Hidden


def test_a_parsed_answer_comes_back_with_its_message() -> None:
    parsed = Answer(text="x", when=dt.date(2026, 1, 2))
    message = AIMessage("{}", additional_kwargs={"parsed": parsed})

    assert unpack(pack(message)) == message


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (_hidden(), "in a function"),
        (create_model("Made", camelName=int), "at run time"),
    ],
)
def test_a_class_that_cannot_be_found_is_named(
    kind: type[BaseModel], place: str
) -> None:
    parsed = kind(camelName=3)
    message = AIMessage("{}", additional_kwargs={"parsed": parsed})

    with pytest.raises(Unstorable) as caught:
        pack({"output": [ChatGeneration(message=message)]})
    assert f"{kind.__name__} (defined {place})" in str(caught.value)
    assert "at module level" in str(caught.value)


def test_only_the_keys_that_are_asked_for_are_read() -> None:
    text = pack({"output": "a", "chunks": ["b"], "more": 1})

    assert unpack(text, {"output", "more"}) == {"output": "a", "more": 1}
    for other in (pack([1]), pack({"$": "x"}), pack({"a": 1})):
        with pytest.raises(Unreadable):
            unpack(other, {"output"})


def test_texts_are_found_in_any_depth() -> None:
    value = {
        "a": [("x", HumanMessage("y"))],
        "b": Document("z", metadata={"source": "w"}),
        "c": Answer(text="v", when=dt.date(2026, 1, 2)),
        "d": {"u"},
        "e": 3,
    }

    assert {"x", "y", "z", "w", "v", "u"} <= set(texts_in(value))


def test_of_a_stream_of_steps_the_chunks_are_the_answer() -> None:
    assert answer_in({"output": "a", "chunks": ["b"]}) == "a"
    assert answer_in({"chunks": ["b"]}) == ["b"]
