"""The text to route by is what the user said last."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_prodpatterns.routing.queries import query_text

CONVERSATION = [
    SystemMessage("be kind"),
    HumanMessage("first"),
    AIMessage("answer"),
    HumanMessage(" second "),
    AIMessage("thinking"),
    ToolMessage("result", tool_call_id="1"),
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  what? ", "what?"),
        (CONVERSATION, "second"),
        (tuple(CONVERSATION), "second"),
        (ChatPromptValue(messages=CONVERSATION), "second"),
        (StringPromptValue(text="what?"), "what?"),
        (HumanMessage("what?"), "what?"),
        (AIMessageChunk(content="what?"), "what?"),
        ([("system", "be kind"), ("human", "what?")], "what?"),
        ([{"role": "user", "content": "what?"}], "what?"),
        ([HumanMessage([{"type": "text", "text": "what?"}])], "what?"),
    ],
)
def test_the_last_human_text(value: Any, expected: str) -> None:
    assert query_text(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        " \n",
        [],
        [SystemMessage("be kind")],
        [HumanMessage("first"), HumanMessage("")],
        [HumanMessage([{"type": "image", "url": "https://example.com/x.png"}])],
    ],
)
def test_no_text_is_empty(value: Any) -> None:
    assert query_text(value) == ""


def test_lone_surrogates_are_replaced() -> None:
    assert query_text("a \ud800 b").encode() == b"a ? b"


@pytest.mark.parametrize("value", [{"question": "what?"}, 3, None, object()])
def test_anything_else_is_refused_with_advice(value: Any) -> None:
    with pytest.raises(TypeError, match="itemgetter"):
        query_text(value)
