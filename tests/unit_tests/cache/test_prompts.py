"""Messages in one form: what a model is sent counts, labels do not."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.content import create_image_block, create_text_block
from pydantic import BaseModel

from langchain_prodpatterns.cache.prompts import (
    canonical_messages,
    last_user_text,
    read_messages,
)
from tests.unit_tests.cache.conftest import prompt_of

HI = HumanMessage("Hi")
QUESTION = HumanMessage("Why?")


class Parsed(BaseModel):
    """What a client leaves beside a message, of its structured output."""

    x: int


def canonical(*messages: BaseMessage) -> list[dict[str, Any]]:
    raw = read_messages(prompt_of(*messages))
    assert raw is not None
    return canonical_messages(raw)


def said(content: Any = "", **fields: Any) -> AIMessage:
    return AIMessage(content, **fields)


def asked(*blocks: Any) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": "Why?"}, *blocks])


def called(args: dict[str, Any], number: str = "a", name: str = "f") -> AIMessage:
    return said(tool_calls=[{"name": name, "args": args, "id": number}])


def returned(content: Any = "r", **fields: Any) -> ToolMessage:
    return ToolMessage(content, tool_call_id="a", **fields)


def base64(kind: str, data: str) -> dict[str, Any]:
    return {"type": kind, "base64": data, "mime_type": f"{kind}/x"}


def url(address: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address, **fields}}


REASONED = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]}
TEXT = {"type": "text", "text": "t"}

DIFFERENT: dict[str, tuple[BaseMessage, BaseMessage]] = {
    "user's name": (HumanMessage("Hi", name="a"), HumanMessage("Hi", name="b")),
    "answer's name": (said("a", name="a"), said("a", name="b")),
    "tool's name": (returned(name="a"), returned(name="b")),
    "tool's status": (returned(status="success"), returned(status="error")),
    "tool's result": (returned("1"), returned("2")),
    "tool's blocks": (returned([url("a")]), returned([url("b")])),
    "which call": (returned(), ToolMessage("r", tool_call_id="b")),
    "tool that is called": (called({}), called({}, name="g")),
    "arguments": (called({"x": 1}), called({"x": 2})),
    "arguments' types": (called({"x": 1}), called({"x": "1"})),
    "arguments' list": (called({"x": [1, 2]}), called({"x": [2, 1]})),
    "an id as argument": (called({"id": "1"}), called({"id": "2"})),
    "cache_control as argument": (
        called({"cache_control": "1"}),
        called({"cache_control": "2"}),
    ),
    "role": (
        ChatMessage(content="a", role="critic"),
        ChatMessage(content="a", role="user"),
    ),
    "role that is a class": (ChatMessage(content="Hi", role="HumanMessage"), HI),
    "developer": (
        SystemMessage("a"),
        SystemMessage("a", additional_kwargs={"__openai_role__": "developer"}),
    ),
    "function's name": (
        FunctionMessage(content="a", name="f"),
        FunctionMessage(content="a", name="g"),
    ),
    "function call": (
        said(additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}}),
        said(additional_kwargs={"function_call": {"name": "g", "arguments": "{}"}}),
    ),
    "invalid call": (
        said(invalid_tool_calls=[{"name": "f", "args": "{", "id": "a", "error": None}]),
        said(invalid_tool_calls=[{"name": "f", "args": "[", "id": "a", "error": None}]),
    ),
    "image": (asked(url("a")), asked(url("b"))),
    "image's detail": (asked(url("a", detail="low")), asked(url("a", detail="high"))),
    "image's data": (asked(base64("image", "A")), asked(base64("image", "B"))),
    "audio's data": (asked(base64("audio", "A")), asked(base64("audio", "B"))),
    "file's data": (asked(base64("file", "A")), asked(base64("file", "B"))),
    "video's data": (asked(base64("video", "A")), asked(base64("video", "B"))),
    "file's id": (
        asked({"type": "file", "file": {"file_id": "1"}}),
        asked({"type": "file", "file": {"file_id": "2"}}),
    ),
    "file's bare id": (
        asked({"type": "file", "source_type": "id", "id": "1"}),
        asked({"type": "file", "source_type": "id", "id": "2"}),
    ),
    "order of blocks": (asked(url("a"), url("b")), asked(url("b"), url("a"))),
    "image that a model made": (
        said([{"type": "image_generation_call", "id": "ig_1"}]),
        said([{"type": "image_generation_call", "id": "ig_2"}]),
    ),
    "audio that a model said": (
        said(additional_kwargs={"audio": {"id": "audio_1"}}),
        said(additional_kwargs={"audio": {"id": "audio_2"}}),
    ),
    "hidden reasoning": (
        said([{"type": "reasoning", "id": "rs_1", "summary": []}, TEXT]),
        said([{"type": "reasoning", "id": "rs_2", "summary": []}, TEXT]),
    ),
    "sealed reasoning": (
        said([{"type": "reasoning", "encrypted_content": "a"}, TEXT]),
        said([{"type": "reasoning", "encrypted_content": "b"}, TEXT]),
    ),
    "thinking": (
        said([{"type": "thinking", "thinking": "a", "signature": "s"}, TEXT]),
        said([{"type": "thinking", "thinking": "b", "signature": "s"}, TEXT]),
    ),
    "reasoning is no answer": (said([{"type": "reasoning", "text": "t"}]), said("t")),
    "reasoning beside a text": (
        said("t", additional_kwargs={"reasoning_content": "a"}),
        said("t", additional_kwargs={"reasoning_content": "b"}),
    ),
    "normal forms of Unicode": (SystemMessage("\u00e9"), SystemMessage("e\u0301")),
    "spaces": (SystemMessage("a"), SystemMessage("a ")),
    "upper case": (SystemMessage("a"), SystemMessage("A")),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_a_model_is_sent_differs(one: BaseMessage, other: BaseMessage) -> None:
    history = [HI, called({}), called({}, "b")]

    assert canonical(*history, one, QUESTION) != canonical(*history, other, QUESTION)


SAME: dict[str, tuple[BaseMessage, BaseMessage]] = {
    "ids": (said("a", id="1"), said("a", id="2")),
    "response metadata": (
        said("a", response_metadata={"id": "1", "headers": {"lc": 1}}),
        said("a", response_metadata={"id": "2"}),
    ),
    "usage": (
        said("a"),
        said(
            "a",
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
    ),
    "order of arguments": (called({"x": 1, "y": 2}), called({"y": 2, "x": 1})),
    "invalid calls' ids": (
        said(invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "e"}]),
        said(invalid_tool_calls=[{"name": "f", "args": "{", "id": "2", "error": "e"}]),
    ),
    "artifact": (returned(artifact=[Document("a")]), returned(artifact={"b": 1})),
    "default status": (returned(), returned(status="success")),
    "parsed output": (
        said('{"x": 1}', additional_kwargs={"parsed": Parsed(x=1), "refusal": None}),
        said('{"x": 1}'),
    ),
    "chunk": (AIMessageChunk(content="a", chunk_position="last"), said("a")),
    "streamed block": (said([{**TEXT, "index": 0, "id": "msg_1"}]), said("t")),
    "block of text": (said([TEXT]), said("t")),
    "block without notes": (said([{**TEXT, "annotations": []}]), said("t")),
    "no content": (said([], name="a"), said("", name="a")),
    "input text": (
        HumanMessage([{"type": "input_text", "text": "a"}]),
        HumanMessage("a"),
    ),
    "cache_control": (
        HumanMessage(
            [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
        ),
        HumanMessage("a"),
    ),
    "ids of LangChain's own blocks": (
        HumanMessage(
            content_blocks=[create_text_block("a"), create_image_block(url="u")]
        ),
        HumanMessage(
            content_blocks=[create_text_block("a"), create_image_block(url="u")]
        ),
    ),
    "reasoning's id beside its text": (
        said([{**REASONED, "id": "rs_1"}, TEXT]),
        said([{**REASONED, "id": "rs_2"}, TEXT]),
    ),
    "ids of the provider's calls": (
        said(
            tool_calls=[{"name": "g", "args": {}, "id": "c1"}],
            additional_kwargs={"__openai_function_call_ids__": {"c1": "fc_1"}},
        ),
        said(
            tool_calls=[{"name": "g", "args": {}, "id": "c2"}],
            additional_kwargs={"__openai_function_call_ids__": {"c2": "fc_2"}},
        ),
    ),
    "calls as blocks": (
        said(
            [{"type": "tool_use", "id": "toolu_1", "name": "g", "input": {}}],
            tool_calls=[{"name": "g", "args": {}, "id": "toolu_1"}],
        ),
        said(
            [{"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}],
            tool_calls=[{"name": "g", "args": {}, "id": "toolu_2"}],
        ),
    ),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_a_model_is_not_sent_is_the_same(
    one: BaseMessage, other: BaseMessage
) -> None:
    history = [HI, called({})]

    assert canonical(*history, one, QUESTION) == canonical(*history, other, QUESTION)


def test_results_go_with_their_calls() -> None:
    def parallel(first: str, second: str) -> list[dict[str, Any]]:
        calls = [{"name": "f", "args": {"x": x}, "id": f"{x}"} for x in (1, 2)]
        results = [ToolMessage(f"r{number}", tool_call_id=number) for number in "12"]
        for result, number in zip(results, (first, second), strict=True):
            result.tool_call_id = number
        return canonical(said(tool_calls=calls), *results)

    assert parallel("1", "2") != parallel("2", "1")


def test_the_answer_to_an_invalid_call_goes_with_it() -> None:
    def refused(number: str) -> list[dict[str, Any]]:
        call = {"name": "f", "args": "{", "id": number, "error": None}
        told = ToolMessage("No JSON.", tool_call_id=number)
        return canonical(said(invalid_tool_calls=[call]), told)

    assert refused("1") == refused("2")


def test_an_id_that_looks_like_a_number_of_ours_is_an_id() -> None:
    stray = ToolMessage("r", tool_call_id="0")

    assert canonical(called({}), stray) != canonical(called({}), returned())


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": "a"},
        {"type": "input_text", "text": "a"},
        {"type": "text", "text": "a", "id": "lc_1"},
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        "a",
    ],
    ids=str,
)
def test_the_text_of_a_block_is_the_user_s_text(block: Any) -> None:
    image = base64("image", "AAAA")

    assert last_user_text(canonical(HumanMessage([image, block]))) == "a"


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(content="a", role="HumanMessage"),
        ChatMessage(content="a", role="user"),
    ],
)
def test_a_message_of_another_kind_is_no_user_s(message: BaseMessage) -> None:
    assert last_user_text(canonical(message)) is None
