"""`SemanticCacheMiddleware` with the real `ChatOpenAI` over real HTTP."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.middleware import SemanticCacheMiddleware
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    Reply,
    ScriptedProvider,
    ScriptedRequest,
    ToolCall,
)
from tests.unit_tests.middleware.agents import (
    Turn,
    async_run,
    kinds,
    last,
    streamed,
    sync_run,
)

ASKED = "what is the opening hour of the library in Bath"
AGAIN = "what is the opening hour of the Bath library"


@tool
def search(words: str) -> str:
    """Search the pages."""
    return f"found {words}"


def respond(request: ScriptedRequest) -> Any:
    """Search, and then answer."""
    if request.messages[-1]["role"] == "tool":
        return "From nine to five."
    return Reply(tool_calls=[ToolCall("search", {"words": "hours"})])


@pytest.mark.parametrize("run", [sync_run, async_run])
def test_a_turn_with_a_tool_in_two_threads(run: Turn) -> None:
    with (
        ScriptedProvider(respond=respond) as provider,
        SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: True) as cache,
    ):
        cached = SemanticCacheMiddleware(cache, side_effect_free=["search"])
        agent = create_agent(
            provider.chat_model(),
            [search],
            system_prompt="You know the library.",
            middleware=[cached],
            checkpointer=InMemorySaver(),
        )
        first = run(agent, ASKED, {"configurable": {"thread_id": "1"}})
        with track() as ledger:
            second = run(agent, AGAIN, {"configurable": {"thread_id": "2"}})
        assert provider.calls == 2
        (row,) = ledger.to_records()
        assert (row.saved_calls, row.saved_tokens) == (
            provider.calls,
            provider.input_tokens + provider.output_tokens,
        )
    assert kinds(first) == ["human", "ai", "tool", "ai"]
    assert kinds(second) == ["human", "ai"]
    assert last(second).text == "From nine to five."


def test_a_served_turn_streams() -> None:
    with (
        ScriptedProvider(respond=respond) as provider,
        SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: True) as cache,
    ):
        cached = SemanticCacheMiddleware(cache, side_effect_free=["search"])
        # Without usage in its stream, a model says nothing that could be saved.
        llm = provider.chat_model(stream_usage=True)
        agent = create_agent(llm, [search], middleware=[cached])
        assert streamed(agent, ASKED) == ["", "From nine to five."]
        assert streamed(agent, AGAIN) == ["From nine to five."]
        assert provider.calls == 2
