"""What is not worth keeping."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_prodpatterns.cache.admission import objection

CALL = {"name": "f", "args": {}, "id": "1"}


def _chat(message: AIMessage, info: dict[str, Any] | None = None) -> list[Any]:
    return [ChatGeneration(message=message, generation_info=info)]


@pytest.mark.parametrize(
    "output",
    [
        [Generation(text="hi")],
        _chat(AIMessage("hi")),
        _chat(AIMessage("hi", response_metadata={"finish_reason": "stop"})),
        _chat(AIMessage("", tool_calls=[CALL])),
        _chat(AIMessage([{"type": "image", "url": "x"}])),
        _chat(AIMessage(["a"])),
        _chat(AIMessage("", additional_kwargs={"function_call": {"name": "f"}})),
        _chat(AIMessage("", additional_kwargs={"audio": {"data": "AAAA"}})),
        _chat(AIMessage("a", response_metadata={"finish_reason": "FinishReason.STOP"})),
        _chat(AIMessage("a", response_metadata={"status": "completed"})),
        AIMessage("hi"),
        "text",
        0,
        False,
        {"found": False, "note": ""},
        {"answer": 0},
        {"answer": "a", "sources": []},
        [HumanMessage("q"), AIMessage("a")],
        [AIMessage(""), HumanMessage("q"), AIMessage("a")],
        {"messages": [HumanMessage("q"), AIMessage("", tool_calls=[CALL])]},
        {"messages": [HumanMessage("q")]},
    ],
)
def test_an_answer_is_kept(output: Any) -> None:
    assert objection(output) is None


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ([], "empty"),
        (None, "empty"),
        (" \n", "empty"),
        ({}, "empty"),
        ({"answer": ""}, "empty"),
        ({"text": " ", "sources": []}, "empty"),
        ({"question": "q", "answer": ""}, "empty"),
        ({"input": "q", "output": None}, "empty"),
        ([HumanMessage("q"), AIMessage("")], "empty"),
        ({"messages": [HumanMessage("q"), AIMessage("")], "n": 1}, "empty"),
        (AIMessage(""), "empty"),
        ([Generation(text=" ")], "empty"),
        (_chat(AIMessage("  ")), "empty"),
        (_chat(AIMessage([{"type": "text", "text": ""}])), "empty"),
        (_chat(AIMessage([" "])), "empty"),
        (_chat(AIMessage([{"type": "reasoning", "reasoning": "So"}])), "empty"),
        (_chat(AIMessage([{"type": "thinking", "thinking": "So"}])), "empty"),
        ([Generation(text="a"), Generation(text="")], "empty"),
        (_chat(AIMessage("", additional_kwargs={"refusal": "No."})), "refused"),
        (_chat(AIMessage([{"type": "refusal", "refusal": "No."}])), "refused"),
        (
            _chat(AIMessage("a", response_metadata={"finish_reason": "length"})),
            "length",
        ),
        (
            _chat(
                AIMessage("a", response_metadata={"finish_reason": "content_filter"})
            ),
            "content_filter",
        ),
        (
            _chat(AIMessage("a", response_metadata={"stop_reason": "max_tokens"})),
            "max_tokens",
        ),
        (
            _chat(AIMessage("a", response_metadata={"finish_reason": "SAFETY"})),
            "safety",
        ),
        *(
            (_chat(AIMessage("a", response_metadata={key: reason})), reason.lower())
            for key, reason in (
                ("finish_reason", "MALFORMED_FUNCTION_CALL"),
                ("finish_reason", "error"),
                ("status", "cancelled"),
                ("status", "failed"),
                ("status", "in_progress"),
                ("status", "incomplete"),
                ("status", "queued"),
                ("stop_reason", "pause_turn"),
            )
        ),
        (
            _chat(AIMessage("a", response_metadata={"finish_reason": "Reason.SAFETY"})),
            "safety",
        ),
        (_chat(AIMessage("a"), {"finish_reason": "length"}), "length"),
        ([Generation(text="a", generation_info={"finish_reason": "length"})], "length"),
        (
            _chat(
                AIMessage(
                    "",
                    invalid_tool_calls=[
                        {"name": "f", "args": "{", "id": "1", "error": None}
                    ],
                )
            ),
            "invalid tool calls",
        ),
        (
            {"raw": AIMessage("a", response_metadata={"finish_reason": "length"})},
            "length",
        ),
    ],
)
def test_an_answer_is_not_kept(output: Any, reason: str) -> None:
    assert reason in str(objection(output))
