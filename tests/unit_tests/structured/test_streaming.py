"""A stream grows, ends with what `parse` gives, and takes linear work."""

import json
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from pydantic import BaseModel

from langchain_prodpatterns import SchemaParser
from langchain_prodpatterns.errors import (
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.structured import Partial, streaming
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.testing import Reply
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Node,
    Ticket,
    scripted,
)

TEXTS = [
    VALID,
    f"Here:\n```json\n{VALID}\n```\nBye",
    f"<think>{{'title': [</think>{VALID}",
    f"{VALID} no, {VALID.replace('2', '3')}",
    VALID.replace('"', "'"),
    VALID[:-1],
    INVALID,
    "I don't know",
    "",
    '{"title": "a \\"} \\u00e9 [", "priority": "low"}',
    "Use {name} and [0, n) and [x]. " + VALID,
]


class Line(BaseModel):
    text: str
    amount: int


class Bill(BaseModel):
    lines: list[Line]
    total: int


def stream(model: Any, chunks: Iterable[Any], **kwargs: Any) -> list[Any]:
    return list(SchemaParser(model, **kwargs).transform(iter(chunks)))


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def outcome(values: Any) -> Any:
    """The last value, or the error."""
    try:
        return values()
    except StructuredOutputError as error:
        return type(error), str(error), error.llm_output, error.attempts


def message(text: str) -> AIMessageChunk:
    return AIMessageChunk(content=text)


def blocks(text: str) -> AIMessageChunk:
    return AIMessageChunk(content=[{"type": "text", "text": text, "index": 0}])


def call(text: str) -> AIMessageChunk:
    return AIMessageChunk(
        content="", tool_call_chunks=[tool_call_chunk(args=text, index=0)]
    )


def test_a_model_grows() -> None:
    values = stream(Ticket, cut(VALID, 6))

    assert [value.title for value in values[:3]] == [None, "b", "broken"]
    assert [value.priority for value in values[-3:]] == [None, "high", "high"]
    assert all(isinstance(value, Partial) for value in values[:-1])
    assert values[-1] == TICKET


def test_each_value_is_new() -> None:
    values = stream(Ticket, VALID)

    assert all(one != other for one, other in pairwise(values))
    assert all(isinstance(value, Ticket) for value in values)


def test_numbers_appear_when_they_are_complete() -> None:
    values = stream(Bill, '{"total": 1205, "lines": []}')

    assert {value.total for value in values} == {None, 1205}


def test_a_key_that_grows_takes_nothing_back() -> None:
    values = stream(Ticket, '{"priority": "low", "title": "x", "count": 1}')
    priorities = [value.priority for value in values]

    assert priorities == sorted(priorities, key=lambda one: one is not None)


@pytest.mark.parametrize("make", [str, message, blocks, call])
def test_every_kind_of_chunk(make: Any) -> None:
    text = f"```\n{VALID}\n```" if make is not call else VALID
    values = stream(Ticket, [make(part) for part in cut(text, 5)])

    assert {"brok", "broke"} & {value.title for value in values}
    assert values[-1] == TICKET


def test_several_tool_calls_and_text_before_them() -> None:
    def part(args: str, name: str | None, index: int) -> AIMessageChunk:
        calls = [tool_call_chunk(name=name, args=args, id=name, index=index)]
        return AIMessageChunk(content="", tool_call_chunks=calls)

    chunks = [
        message("Well [x]"),
        part("", "Ticket", 0),
        *[part(one, None, 0) for one in cut(VALID, 9)],
        part('{"other"', "search", 1),
        part(": 1}", None, 1),
    ]
    values = stream(Ticket, chunks, prefer="first")

    assert values[-1] == TICKET
    assert len(values) > 3


def test_a_tool_call_that_breaks_off_is_not_closed() -> None:
    chunks = [call(part) for part in cut(VALID[:-1], 5)]

    with pytest.raises(OutputTruncated):
        stream(Ticket, chunks)


def test_one_complete_chunk_gives_one_value() -> None:
    assert stream(Ticket, [VALID]) == [TICKET]
    assert stream(Ticket, [AIMessage(VALID)]) == [TICKET]
    assert stream(Ticket, [AIMessage(VALID[:20]), AIMessage(VALID[20:])])[-1] == TICKET
    assert (
        stream(Ticket, [HumanMessageChunk(content=part) for part in cut(VALID, 30)])[-1]
        == TICKET
    )


@pytest.mark.parametrize(
    ("model", "text", "early"),
    [
        (list[int], "[1, 22, 3]", [1, 22]),
        (list[Line], '[{"text": "a", "amount": 1}, {"text": "b", "amount": 2}]', None),
        (tuple[int, str], '[1, "two"]', [1]),
        (set[int], "[1, 2]", [1]),
        (dict[str, list[int]], '{"a": [1, 2], "b": [3]}', {"a": [1, 2]}),
        (Node, '{"name": "a", "children": [{"name": "b"}]}', None),
        (TICKET_SCHEMA, VALID, {"title": "broken"}),
        ({"type": "array"}, "[1, [2, 3]]", [1, [2]]),
    ],
)
def test_every_kind_of_target(model: Any, text: str, early: Any) -> None:
    values = stream(model, text)

    assert early is None or early in values
    assert len(values) > 2
    assert values[-1] == SchemaParser(model).parse(text)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Color, "red"),
        (Literal["a", "b"], '"a"'),
        (int, "12"),
        (bool, "true"),
        (str, "some text"),
    ],
)
def test_a_scalar_comes_at_once(model: Any, text: str) -> None:
    assert stream(model, text) == [SchemaParser(model).parse(text)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("prefer", ["first", "last"])
@given(data=st.data())
def test_a_stream_ends_as_parse_does(text: str, prefer: str, data: Any) -> None:
    cuts = st.lists(st.integers(0, len(text)), max_size=12)
    ends = [0, *sorted(data.draw(cuts)), len(text)]
    chunks = [text[a:b] for a, b in pairwise(ends)]

    streamed = outcome(lambda: stream(Ticket, chunks, prefer=prefer)[-1])

    parser = SchemaParser(Ticket, prefer=prefer)  # type: ignore[arg-type]  # one of the two
    assert streamed == outcome(lambda: parser.parse(text))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values), st.integers(1, 9), st.booleans())
def test_partial_values_are_beginnings(value: Any, size: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    target: Any = {"type": "object"}
    *partials, final = stream(target, cut(text, size))

    assert final == value
    for one, other in zip(partials, [*partials, final][1:], strict=True):
        assert _begins(one, other)


def _begins(early: Any, late: Any) -> bool:
    """Whether a value can grow into another one."""
    if isinstance(early, dict):
        known = list(early)
        return known == list(late)[: len(known)] and all(
            _begins(early[key], late[key]) for key in known
        )
    if isinstance(early, list):
        return len(early) <= len(late) and all(map(_begins, early, late))
    if isinstance(early, str):
        return isinstance(late, str) and late.startswith(early)
    return bool(early == late)


@given(st.text(alphabet='{}[]"\\,:1at <think>/', max_size=60), st.integers(1, 4))
def test_any_text_is_streamed_as_it_is_parsed(text: str, size: int) -> None:
    streamed = outcome(lambda: stream(Bill, cut(text, size))[-1])

    assert streamed == outcome(lambda: SchemaParser(Bill).parse(text))


def test_a_later_object_takes_the_place_of_a_draft() -> None:
    text = '{"title": "one", "priority": "low"} or {"title": "two", "priority": "low"}'

    titles = [value.title for value in stream(Ticket, cut(text, 8))]
    assert titles.index("one") < titles.index("two")
    only = [value.title for value in stream(Ticket, cut(text, 8), prefer="first")]
    assert "two" not in only


def test_brackets_in_prose_and_in_thoughts_are_no_object() -> None:
    for text in (TEXTS[2], TEXTS[-1]):
        values = stream(Ticket, text)
        assert values[0].model_dump() == {}
        assert next(value.title for value in values if value.title) == "b"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply.truncated(VALID[:-5]), OutputTruncated),
        (Reply.refused(), ModelRefused),
        (INVALID, StructuredOutputError),
    ],
)
async def test_what_is_never_complete_raises(
    reply: Any, error: type[Exception]
) -> None:
    chain = scripted(*[reply] * 2) | SchemaParser(Ticket)

    with pytest.raises(error):
        list(chain.stream("x"))
    with pytest.raises(error):
        async for _ in chain.astream("x"):
            pass


async def test_async_gives_the_same() -> None:
    async def chunks() -> AsyncIterator[str]:
        for part in cut(VALID, 7):
            yield part

    values = [value async for value in SchemaParser(Ticket).atransform(chunks())]

    assert values == stream(Ticket, cut(VALID, 7))


@pytest.mark.parametrize(("model", "text"), [(list[int], "[1, 2, 3]"), (Ticket, VALID)])
async def test_a_step_that_does_not_stream_gets_the_whole(
    model: Any, text: str
) -> None:
    seen: list[Any] = []
    parser = SchemaParser(model)
    chain = scripted(*[Reply(text, chunk_size=2)] * 2) | parser | seen.append

    list(chain.stream("x"))
    async for _ in chain.astream("x"):
        pass

    assert seen == [parser.parse(text)] * 2
    assert not any(isinstance(value, Partial) for value in seen)


async def test_the_run_ends_with_the_validated_value() -> None:
    chain = scripted(Reply("[1, 2, 3]", chunk_size=2)) | SchemaParser(list[int])
    ends = [
        event["data"]["output"]
        async for event in chain.astream_events("x", version="v2")
        if event["event"] == "on_parser_end"
    ]

    assert ends == [[1, 2, 3]]


def test_a_stream_goes_through_a_generator() -> None:
    def titles(values: Any) -> Any:
        yield from (value.title for value in values)

    chain = scripted(Reply(VALID, chunk_size=4)) | SchemaParser(Ticket) | titles

    assert [*chain.stream("x")][-2:] == ["broken", "broken"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"lines": [{"text": "abc", "amount": 123}] * 2_000, "total": 1}),
        json.dumps({"lines": [{"text": "x" * 60_000, "amount": 1}], "total": 1}),
        "no JSON " * 8_000,
        "{" * 60_000,
        '{"' * 30_000,
        "<think>" + "{ " * 30_000,
    ],
)
def test_work_is_linear(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    find = streaming.Finder.find

    def counted(self: Any, whole: str) -> Any:
        nonlocal read
        read += len(whole)
        return find(self, whole)

    monkeypatch.setattr(streaming.Finder, "find", counted)
    reader = streaming.PartialReader(make_target(Bill))
    for part in cut(text, 4):
        reader.feed(part)

    short = streaming.EACH_CHUNK**2 // 8
    assert read <= 20 * len(text) + short + streaming.EACH_CHUNK * 20


def test_a_surrogate_pair_may_be_cut_between_chunks() -> None:
    values = stream(Line, ['{"text": "a\ud83d', '\ude00b", "amount": 1}'])

    assert [value.text for value in values] == ["a", "a\U0001f600b"]


def test_half_of_a_surrogate_pair_ends_no_stream() -> None:
    values = stream(Line, ['{"text": "a', "\ud83d", 'b", "amount"', ": 1}"])

    assert [value.text for value in values] == ["a", "a?b", "a?b"]
