"""No part of a value is let go, and a stream equals one look at the whole."""

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard import GuardRunnable, PatternDetector
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.scanning import Record, Scanner, note, replaced
from langchain_prodpatterns.guard.streaming import TextStream
from tests.unit_tests.guard.planted import JWT, LONG_URL, PEM, VALUES, leaks

OWN = PatternDetector("own", r"ab{1,5}(?:-[0-9]{2}){0,3}c?")


@cache
def scanner() -> Scanner:
    detectors = [*resolve_detectors(None), OWN]
    return Scanner(detectors, {each.name: "redact" for each in detectors})


def one_shot(text: str, using: Scanner) -> tuple[str, Record]:
    record = Record()
    spans = using.find(text, record)
    for span in spans:
        note(text, span, 0, record)
    return replaced(text, spans, 0, len(text)), record


def cut(text: str, sizes: list[int]) -> list[str]:
    """Cut a text into chunks of these sizes, over and over."""
    chunks, start, turn = [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        chunks.append(text[start : start + size])
        start, turn = start + size, turn + 1
    return chunks


def stream(chunks: list[str], using: Scanner) -> tuple[list[str], Record]:
    record = Record()
    guard = TextStream(using, record)
    return [*(guard.feed(chunk) for chunk in chunks), guard.finish()], record


FILLERS = [
    " ", "", ", ", "-", "\n", ".", "call me at ", "version ", "order #", "1", "12 34 ",
    "ABCD EFGH ", "aws secret: ", "(", "x", "@", "é", "-----BEGIN ", "eyJ", "https://",
    "\\n", "\\u00e9", "\\", "\u2011", "\u202f", "1234 ", "\\x0a", "code:", "a" * 700, "0" * 50, "?token=", "%", "abbb-1", "ab-12-34", "the quick brown fox ",
]  # fmt: skip
pieces = st.one_of(
    st.sampled_from([value for _, value in VALUES]),
    st.sampled_from(FILLERS),
    st.text(alphabet="a1b. @-:/+é\n\\un", max_size=8),
)
texts = st.lists(pieces, min_size=1, max_size=8).map("".join)
chunkings = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(texts, chunkings)
@example("a@corp.example.co.uk", [16])
@example(LONG_URL + LONG_URL, [7])
@example(f"{JWT}.{JWT} {PEM}", [3])
@example("4111 1111 1111 1111 5500005555555559", [1])
@example("+44 121 234 7786 4111 1111 1111 1111", [1])
@example("see 1.6.3.2. or 10.0.0.1", [9, 1])
@example("x" * 5000 + "jane@example.com", [50])
def test_a_stream_equals_one_look(text: str, sizes: list[int]) -> None:
    expected, seen = one_shot(text, scanner())
    out, record = stream(cut(text, sizes), scanner())
    assert "".join(out) == expected
    assert record.findings == seen.findings


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=4),
    st.sampled_from([" and ", ", ", "\n", " "]),
    chunkings,
)
def test_no_piece_of_a_planted_value_is_let_go(
    values: list[tuple[str, str]], between: str, sizes: list[int]
) -> None:
    planted = [value for _, value in values]
    out, _ = stream(cut(between.join(planted), sizes), scanner())
    assert leaks("".join(out), planted) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17])
@pytest.mark.parametrize(("name", "value"), VALUES)
def test_each_value_in_chunks_of_one_size(name: str, value: str, size: int) -> None:
    out, record = stream(cut(f"It is {value} then.", [size]), scanner())
    assert "".join(out) == f"It is [{name.upper()}] then."
    assert [finding.type for finding in record.findings] == [name]
    start, end = record.findings[0].start, record.findings[0].end
    assert (start, end) == (6, 6 + len(value))


def test_prose_flows_word_by_word() -> None:
    guard = TextStream(scanner(), Record())
    assert guard.feed("Hello wor") == "Hello "
    assert guard.held == 3
    assert guard.feed("ld, my") == "world, "
    assert guard.finish() == "my"
    assert guard.held == 0
    assert not guard.touched


def test_a_text_that_was_hidden_is_looked_at_once_again() -> None:
    guard = TextStream(scanner(), Record())
    guard.feed("It is \uff21nn, ")
    assert guard._plain is not None
    out = [guard.feed("some words that flow by, ") for _ in range(6)]
    assert guard._plain is None
    out += [guard.feed("\uff41nn@exam"), guard.feed("ple.com"), guard.finish()]
    assert "".join(out).endswith("flow by, [EMAIL]")


CALM_PIECES = st.sampled_from(
    [
        "jane at example dot com", "at", "dot", "com", "password is ", "Correcthorse",
        "RSSMRAUR", "AURMRURR", "the ", "MAC ", "dead", "ZXhhb", "XBsZUBleGFtcGxl",
        "LmNvbQ", "aws secret ", "x", "\n", " ", "7", "@", ".", "key ", "akia",
    ]
)  # fmt: skip


@cache
def default_scanner() -> Scanner:
    detectors = resolve_detectors(None)
    return Scanner(detectors, {each.name: "redact" for each in detectors})


@given(st.lists(CALM_PIECES, max_size=12), st.lists(st.integers(1, 9), min_size=1))
@example(["jane at example dot com", " "], [5])
@example(["MAC ", "dead", ".", "dead", ".", "dead"], [3])
def test_what_is_calm_is_let_go_as_one_look_would(
    pieces: list[str], sizes: list[int]
) -> None:
    text, using = "".join(pieces), default_scanner()
    out, record = stream(cut(text, sizes), using)
    expected, seen = one_shot(text, using)
    assert "".join(out) == expected
    assert record == seen


def test_calm_words_are_not_looked_at() -> None:
    looks: list[str] = []

    class Watching(Scanner):
        def find(self, text: str, *rest: Any, **more: Any) -> Any:
            looks.append(text)
            return super().find(text, *rest, **more)

    detectors = resolve_detectors(None)
    using = Watching(detectors, {each.name: "redact" for each in detectors})
    guard = TextStream(using, Record())
    for word in ["the", "fox", "and", "the", "dog", "go", "to", "the", "sea"]:
        guard.feed(f"{word} ")
    assert looks == []
    guard.feed("in 1998 ")
    assert len(looks) == 1


def test_of_own_patterns_calm_words_may_be_values() -> None:
    fox = Scanner([PatternDetector("fox", r"\bfox\b")], {"fox": "redact"})
    assert "".join(stream(["a f", "ox ", "i", "s"], fox)[0]) == "a [FOX] is"


def test_a_detector_that_fails_is_noticed_though_all_is_calm() -> None:
    class Failing(PatternDetector):
        def find(self, text: str) -> Any:
            raise RuntimeError

    using = Scanner([Failing("own", "[0-9]{9}")], {"own": "redact"})
    _, record = stream(["a ", "b "], using)
    assert record.failures == ["own (RuntimeError)"]


def test_a_word_longer_than_any_value_flows_on() -> None:
    own = Scanner([OWN], {"own": "redact"})
    guard = TextStream(own, Record())
    out = [guard.feed("b") for _ in range(3000)]
    assert guard.held <= 256 + 20
    assert "".join([*out, guard.finish()]) == "b" * 3000


def test_memory_is_bounded_by_what_is_held() -> None:
    guard = TextStream(scanner(), Record())
    for _ in range(2000):
        guard.feed("some words that flow by, ")
    assert len(guard._window) < 200


def test_a_detector_without_bounds_holds_the_text_to_its_end() -> None:
    class Names:
        name = "person"

        def find(self, text: str) -> list[tuple[int, int]]:
            return [match.span() for match in re.finditer("Ann( Lee)?", text)]

    guard = TextStream(Scanner([Names()], {"person": "mask"}), Record())
    assert guard.feed("I met Ann") == ""
    assert guard.feed(" Lee yesterday") == ""
    assert guard.finish() == "I met *** *** yesterday"


def total(chunks: list[Any]) -> Any:
    return chunks[0] + chunks[1:] if len(chunks) > 1 else chunks[0]


@settings(max_examples=40, deadline=None)
@given(texts, chunkings, st.sampled_from([value for _, value in VALUES]))
def test_a_streamed_message_adds_up_to_the_one_shot(
    text: str, sizes: list[int], argument: str
) -> None:
    guard = GuardRunnable(direction="output")
    calls = cut(json.dumps({"to": argument}), [9, 14])
    chunks = [AIMessageChunk(content=part, id="m") for part in ["", *cut(text, sizes)]]
    chunks += [
        AIMessageChunk(
            content="",
            id="m",
            tool_call_chunks=[{"name": None, "args": part, "id": "c", "index": 0}],
        )
        for part in calls
    ]
    chunks.append(
        AIMessageChunk(
            content="",
            id="m",
            response_metadata={"finish_reason": "stop"},
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            chunk_position="last",
        )
    )
    out = list(guard.transform(iter(chunks)))
    assert total(out) == guard.invoke(total(chunks))


def test_the_text_of_a_message_flows_and_its_calls_wait() -> None:
    guard = GuardRunnable(direction="output")
    chunks = [
        AIMessageChunk(content="Mailing ", id="m"),
        AIMessageChunk(content="jane@exam", id="m"),
        AIMessageChunk(
            content="ple.com now",
            id="m",
            tool_call_chunks=[
                {"name": "mail", "args": '{"to": "jane@', "id": "c", "index": 0}
            ],
        ),
        AIMessageChunk(
            content="",
            id="m",
            tool_call_chunks=[
                {"name": None, "args": 'example.com"}', "id": None, "index": 0}
            ],
        ),
    ]
    out = [
        each
        for each in guard.transform(iter(chunks))
        if isinstance(each, AIMessageChunk)
    ]
    assert [chunk.content for chunk in out] == ["", "Mailing ", "[EMAIL] ", "now"]
    assert [bool(chunk.tool_call_chunks) for chunk in out] == [
        False,
        False,
        False,
        True,
    ]
    assert total(out).tool_calls[0]["args"] == {"to": "[EMAIL]"}


def test_streamed_log_probabilities_go_with_the_value() -> None:
    guard = GuardRunnable(direction="output")
    chunks = [
        AIMessageChunk(
            content="ann@ex", response_metadata={"logprobs": {"content": ["ann@ex"]}}
        ),
        AIMessageChunk(
            content="ample.com", response_metadata={"logprobs": {"content": ["am"]}}
        ),
    ]
    assert "ann@" not in str(list(guard.transform(iter(chunks))))
