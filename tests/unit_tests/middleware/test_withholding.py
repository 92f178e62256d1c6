"""What is left of a message that was blocked."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_prodpatterns.middleware import GuardMiddleware
from langchain_prodpatterns.middleware.withholding import (
    WITHHELD,
    is_withheld,
    withheld,
)
from tests.unit_tests.middleware.agents import Turn, agent_of
from tests.unit_tests.middleware.test_guard import MAIL, both_ways

SAID: dict[str, Any] = {
    "content": f"Write to {MAIL}",
    "id": "7",
    "additional_kwargs": {"note": MAIL},
    "response_metadata": {"logprobs": {"content": [{"token": MAIL}]}},
}
CALL: Any = {"name": "lookup", "args": {"who": MAIL}, "id": "1"}


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage(**SAID, name=MAIL),
        SystemMessage(**SAID, name=MAIL),
        AIMessage(**SAID, name=MAIL, tool_calls=[CALL]),
        ToolMessage(**SAID, name="lookup", tool_call_id="1", artifact=[MAIL]),
    ],
    ids=lambda message: message.type,
)
def test_nothing_that_was_said_is_left(message: BaseMessage) -> None:
    left = withheld(message)
    assert MAIL not in left.model_dump_json()
    assert (left.content, left.id, left.type) == (WITHHELD, "7", message.type)
    assert is_withheld(left) is (message.type != "tool")
    assert MAIL in message.content


def test_a_call_and_its_answer_still_belong_together() -> None:
    asked = withheld(AIMessage("", tool_calls=[CALL]))
    given = withheld(ToolMessage(MAIL, name="lookup", tool_call_id="1"))
    assert isinstance(asked, AIMessage)
    assert isinstance(given, ToolMessage)
    assert asked.tool_calls[0]["id"] == given.tool_call_id
    assert asked.tool_calls[0]["name"] == given.name == "lookup"


@both_ways
def test_the_name_of_who_spoke_does_not_stay_in_the_state(run: Turn) -> None:
    guard = GuardMiddleware(policy={"email": "block"}, on_block="end")
    agent, _ = agent_of(["fine"], [], guard)
    asked = {"messages": [HumanMessage("How are you?", name=MAIL)]}
    assert MAIL not in repr(run(agent, asked))
