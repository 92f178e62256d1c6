"""Content blocks that are still being written."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.message_streaming import add_up

VALUES = ("jane.doe@example.com", "4111 1111 1111 1111", "+44 20 7946 0958")
GUARD = GuardRunnable(direction="output")


def chunk(*content: Any, **fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content=list(content), id="m", **fields)


def text(index: int | str, part: str, kind: str = "text", **fields: Any) -> Any:
    return {"type": kind, kind: part, "index": index, **fields}


def streamed(chunks: list[AIMessageChunk]) -> list[Any]:
    return list(GUARD.transform(iter(chunks)))


def contents(chunks: list[AIMessageChunk]) -> list[Any]:
    return [out.content for out in streamed(chunks)]


def assert_adds_up(chunks: list[AIMessageChunk]) -> None:
    out = streamed(chunks)
    whole = GUARD.invoke(add_up(chunks))
    assert add_up(out) == whole
    shown = str([each.content for each in out])
    assert not any(value in shown for value in VALUES if value not in str(whole))


def test_the_prose_of_blocks_flows_and_a_value_is_never_cut() -> None:
    chunks = [
        chunk(),
        chunk(text(0, "It says ", "thinking")),
        chunk(text(0, "jane@exam", "thinking")),
        chunk(text(0, "ple.com", "thinking")),
        chunk(text(1, "Mailing ")),
        chunk(text(1, "her now ")),
    ]
    assert contents(chunks) == [
        [],
        [text(0, "It ", "thinking")],
        [text(0, "says ", "thinking")],
        [text(1, "")],
        [text(1, "Mailing her ")],
        [
            text(0, "[EMAIL]", "thinking"),
            text(1, "now "),
        ],
    ]
    assert_adds_up(chunks)


def test_a_block_that_goes_on_after_another_was_opened_hides_its_value() -> None:
    chunks = [
        chunk(text(0, "jane.doe@exam")),
        chunk(text(1, "and")),
        chunk(text(0, "ple.com")),
    ]
    assert "jane" not in str(contents(chunks))
    assert_adds_up(chunks)


def test_other_fields_and_blocks_come_at_the_end_in_their_places() -> None:
    chunks = [
        chunk(
            {"type": "tool_use", "id": "c1", "name": "mail", "input": {}, "index": 0}
        ),
        chunk({"type": "input_json_delta", "partial_json": '{"to":"jane.', "index": 0}),
        chunk({"type": "input_json_delta", "partial_json": "doe@example", "index": 0}),
        chunk(text(1, "ok ", annotations=[{"note": "to jane.doe@example.com"}])),
        chunk({"type": "input_json_delta", "partial_json": '.com"}', "index": 0}),
    ]
    first, *_, last = contents(chunks)
    assert first == [{"type": "tool_use", "id": "c1", "index": 0}]
    assert [block["index"] for block in last] == [0, 1]
    assert_adds_up(chunks)


@pytest.mark.parametrize(
    "chunks",
    [
        [AIMessageChunk(content="so ", id="m"), chunk(text(0, "jane.doe@")),
         chunk(text(0, "example.com"))],
        [chunk(), chunk(text(0, "jane.doe@example.com")),
         AIMessageChunk(content=" tail", id="m"),
         AIMessageChunk(content=" end", id="m"), chunk(text(1, "more"))],
        [AIMessageChunk(content="", id="m"), chunk(text("lc_txt_0", "jane.doe@")),
         chunk(text("lc_txt_0", "example.com."))],
        [chunk(text(0, "a"), text(0, "b")), chunk(text(0, "c"))],
        [chunk(text(0, "a", id="x")), chunk(text(0, "b", id="y")),
         chunk(text(0, "c", id="x")), chunk(text(0, "d"))],
        [chunk({"type": "text", "text": "jane.doe@"}), chunk(text(0, "example.com"))],
        [chunk("jane.doe@", "example.com"), chunk(text(0, "b"))],
        [chunk(text(0, "")), chunk({"type": "text", "text": None, "index": 0})],
        [chunk({"type": "text", "index": 0, "extras": {"note": VALUES[0]}}),
         chunk({"type": "non_standard", "index": 0, "value": {"to": VALUES[0]}})],
        [chunk({"type": "image", "index": 4111_1111_1111_1111}), chunk(text(0, "b"))],
        [chunk({"type": VALUES[0], "index": 0}), chunk(text(1, "b"))],
    ],
    ids=["text first", "text behind", "text indices", "twins", "ids", "no index",
         "strings", "empty", "not standard", "index is a card", "type is a value"],
)  # fmt: skip
def test_whatever_the_blocks_are_the_stream_is_the_one_shot(
    chunks: list[AIMessageChunk],
) -> None:
    assert_adds_up(chunks)


def test_log_probabilities_go_with_a_value_in_a_block() -> None:
    spelled = {"logprobs": {"content": ["jane", "@"]}}
    chunks = [
        chunk(text(0, "jane.doe@"), response_metadata=spelled),
        chunk(text(0, "example.com")),
    ]
    assert "logprobs" not in str(streamed(chunks))
    assert_adds_up(chunks)


async def test_blocks_flow_from_a_coroutine_alike() -> None:
    async def source() -> Any:
        for part in ("hi ", "jane.doe@", "example.com", " bye"):
            yield chunk(text(0, part))

    out = [each async for each in GUARD.atransform(source())]
    assert add_up(out).text == "hi [EMAIL] bye"
    assert len(out) > 2


_words = st.sampled_from(["so ", "to ", "9", "@", ".", *VALUES])
_parts = st.tuples(st.integers(0, 2), st.sampled_from(["text", "reasoning"]), _words)


@settings(max_examples=150, deadline=None)
@given(st.lists(_parts, min_size=1, max_size=12), st.integers(1, 9))
def test_any_mixture_adds_up(parts: list[tuple[int, str, str]], size: int) -> None:
    kinds: dict[int, str] = {}
    assert_adds_up(
        [
            chunk(text(index, words[at : at + size], kinds.setdefault(index, kind)))
            for index, kind, words in parts
            for at in range(0, len(words), size)
        ]
    )
