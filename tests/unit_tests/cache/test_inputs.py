"""What identifies the input of a wrapped chain."""

from dataclasses import dataclass
from datetime import date
from enum import Enum, IntEnum
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.inputs import NotCanonical, as_json, read_input
from langchain_prodpatterns.cache.prompts import PLACEHOLDER


class Query(BaseModel):
    question: str


@dataclass
class Point:
    x: int


class Color(str, Enum):  # noqa: UP042 - `StrEnum` is written as its text
    RED = "red"


class Paint(str, Enum):  # noqa: UP042 - as above
    RED = "red"


class Level(IntEnum):
    LOW = 1


def _member(**members: int) -> Any:
    make: Any = Enum
    return next(iter(make("Made", members)))


CALL = {"name": "search", "args": {}, "id": "1"}


def _returned(artifact: Any) -> ToolMessage:
    return ToolMessage("x", tool_call_id="1", artifact=artifact)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Why?", "Why?"),
        ({"question": "Why?", "lang": "en"}, "Why?"),
        ({"input": "Why?"}, "Why?"),
        ({"query": "Why?"}, "Why?"),
        ({"question": "Why?", "input": "other"}, "Why?"),
        (HumanMessage("Why?"), "Why?"),
        ([SystemMessage("s"), HumanMessage("Why?")], "Why?"),
        (ChatPromptValue(messages=[HumanMessage("Why?")]), "Why?"),
        (StringPromptValue(text="Why?"), "Why?"),
        ({"messages": [HumanMessage("Why?")], "user": 7}, "Why?"),
        ({"topic": "Why?"}, None),
        ({"question": 7}, None),
        ([HumanMessage("Why?"), AIMessage("So.")], None),
        ([], None),
        ("  ", None),
        (7, None),
        (["Why?"], None),
        (Query(question="Why?"), None),
    ],
    ids=repr,
)
def test_the_default_text(value: Any, text: str | None) -> None:
    read = read_input(value, None)

    assert read.text == text
    if text is None:
        assert read.rest == read.whole
    else:
        assert "Why?" not in str(read.rest)


def test_everything_else_is_the_rest() -> None:
    read = read_input({"question": "Why?", "lang": "en", "input": "more"}, None)

    assert read.rest == {"question": PLACEHOLDER, "lang": "en", "input": "more"}


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("Why?", PLACEHOLDER),
        ("x Why? y", f"x {PLACEHOLDER} y"),
        ({"a": "Why?", "b": "x Why? y"}, {"a": PLACEHOLDER, "b": "x Why? y"}),
        ({"a": ["x Why? y", {"n": 1}]}, {"a": [f"x {PLACEHOLDER} y", {"n": 1}]}),
    ],
)
def test_a_key_s_text_leaves_a_placeholder(value: Any, rest: Any) -> None:
    read = read_input(value, lambda _: "Why?")

    assert (read.text, read.rest) == ("Why?", rest)


@pytest.mark.parametrize(
    "value",
    [
        "Why? Why?",
        {"a": "Why?", "b": "Why?"},
        {"a": "x Why?", "b": "y Why?"},
        {"a": "Why? Why?"},
        {"a": "How?"},
        {"Why?": "x"},
    ],
)
def test_a_key_s_text_that_could_be_several_leaves_the_whole(value: Any) -> None:
    read = read_input(value, lambda _: "Why?")

    assert (read.text, read.rest) == ("Why?", value)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_key_without_text_leaves_the_exact_tier(text: str | None) -> None:
    read = read_input("Why?", lambda _: text)

    assert (read.text, read.rest) == (None, "Why?")


@pytest.mark.parametrize(
    "pair",
    [
        (AIMessage("a", id="1"), AIMessage("a", id="2")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (("a", "b"), ["a", "b"]),
        (Point(1), Point(1)),
        (Query(question="a"), Query(question="a")),
        ({"d": [Document("a")]}, {"d": (Document("a"),)}),
    ],
)
def test_what_means_the_same_is_the_same(pair: tuple[Any, Any]) -> None:
    assert as_json(pair[0]) == as_json(pair[1])


@pytest.mark.parametrize(
    "pair",
    [
        (Point(1), Point(2)),
        (Point(1), {"x": 1}),
        (Document("a"), Document("b")),
        (Document("a"), Document("a", metadata={"x": 1})),
        (Document("a", id="1"), Document("a", id="2")),
        (Color.RED, "red"),
        (Color.RED, Paint.RED),
        (Level.LOW, 1),
        (_member(A=1), _member(B=1)),
        (_member(A=1), _member(A=2)),
        (_returned("a"), _returned("b")),
        (_returned(None), _returned([Document("a")])),
        (True, 1),
        (1, 1.0),
        ("\u00e9", "e\u0301"),
        (AIMessage("a"), HumanMessage("a")),
        ([AIMessage("a")], [AIMessage("a"), AIMessage("b")]),
        (1, "1"),
        (None, ""),
    ],
)
def test_what_differs_differs(pair: tuple[Any, Any]) -> None:
    assert digest(as_json(pair[0])) != digest(as_json(pair[1]))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: 2},
        {"a": {1, 2}},
        b"x",
        [object()],
        Point,
        RemoveMessage(id="1"),
        _returned(object()),
    ],
)
def test_what_cannot_be_told_apart_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical, match="cannot tell"):
        read_input(value, None)


class Account(BaseModel):
    tenant: str = Field(default="", exclude=True)
    token: SecretStr | None = None
    since: date | None = None
    _role: str = PrivateAttr(default="")

    def __iter__(self) -> Any:
        return iter(())


@dataclass
class Place:
    x: int


@dataclass
class Holder:
    inner: Any


def _as(role: str) -> Account:
    account = Account()
    account._role = role
    return account


@pytest.mark.parametrize(
    "pair",
    [
        (Account(tenant="a"), Account(tenant="b")),
        (Account(since=date(2026, 1, 1)), Account(since=date(2026, 1, 2))),
        (_as("admin"), _as("guest")),
        (Holder(Point(1)), Holder(Place(1))),
        (Holder(date(2026, 1, 1)), Holder("2026-01-01")),
    ],
)
def test_what_a_dump_would_leave_out_differs_too(pair: tuple[Any, Any]) -> None:
    assert as_json(pair[0]) != as_json(pair[1])


def test_a_secret_is_neither_masked_nor_shown() -> None:
    with pytest.raises(NotCanonical, match="cannot tell one SecretStr") as refused:
        as_json(Account(token=SecretStr("s3cret")))

    assert "s3cret" not in str(refused.value)


def test_what_a_tool_returned_beside_its_text_partitions() -> None:
    def of(source: str) -> Any:
        document = Document("Refunds take 14 days.", metadata={"source": source})
        history = [AIMessage("", tool_calls=[CALL]), _returned([document])]
        return read_input({"messages": [*history, HumanMessage("Why?")]}, None)

    assert of("a").text == of("b").text == "Why?"
    assert of("a").rest == of("a").rest
    assert of("a").rest != of("b").rest
