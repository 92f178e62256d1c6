"""`RefineMiddleware` with the real `ChatOpenAI` over real HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_prodpatterns import track
from langchain_prodpatterns.middleware import RefineMiddleware
from langchain_prodpatterns.refine import Criteria
from langchain_prodpatterns.testing import (
    Reply,
    ScriptedProvider,
    ScriptedRequest,
    ToolCall,
)
from tests.unit_tests.middleware.agents import kinds, last, streamed
from tests.unit_tests.refine.scripts import Cast, kind, number_in


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"a door in {where}"


def marks(draft: str) -> list[int]:
    return [min(5, 2 + number_in(draft))]


def respond(request: ScriptedRequest) -> Any:
    """Look first, and then draft."""
    if kind(request) != "draft":
        return Cast(marks=marks).respond(request)
    looked = "a door in Bath" in request.prompt_text
    call = Reply(tool_calls=[ToolCall("look", {"where": "Bath"})])
    return "draft 0" if looked else call


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(respond=respond) as server:
        yield server


async def test_in_a_tool_loop(provider: ScriptedProvider) -> None:
    refine = RefineMiddleware(
        critics=[Criteria("high")], accept="verifier>score", max_rounds=5
    )
    agent: Any = create_agent(provider.chat_model(), [look], middleware=[refine])
    with track() as ledger:
        states = [
            agent.invoke({"messages": "count"}),
            await agent.ainvoke({"messages": "count"}),
        ]
    for state in states:
        assert kinds(state) == ["human", "ai", "tool", "ai"]
        assert last(state).text == "draft 3"
    summary = ledger.summary()
    assert (summary.calls, summary.output_tokens) == (
        provider.calls,
        provider.output_tokens,
    )


def test_no_token_of_a_draft_or_a_critic_is_streamed(
    provider: ScriptedProvider,
) -> None:
    refine = RefineMiddleware(
        critics=[Criteria("high")], accept="verifier>score", max_rounds=5
    )
    agent = create_agent(provider.chat_model(), [look], middleware=[refine])
    assert streamed(agent, "count") == ["", "draft 3"]
