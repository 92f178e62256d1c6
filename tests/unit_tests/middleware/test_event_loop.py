"""No hook of a middleware blocks the event loop."""

from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain.agents import create_agent
from pydantic import BaseModel

from langchain_prodpatterns import SemanticJudgeCache
from langchain_prodpatterns.middleware import (
    RefineMiddleware,
    SemanticCacheMiddleware,
    StructuredRetryMiddleware,
)
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from tests.unit_tests.refine.scripts import Cast, number_in


class Hours(BaseModel):
    """Hours."""

    text: str


async def _twice(agent: Any) -> list[str]:
    """Ask once to do what a process does once, and once more with an eye on it."""
    states = [await agent.ainvoke({"messages": "when?"})]
    with blockbuster_ctx(scanned_modules=["langchain_prodpatterns"]):
        states.append(await agent.ainvoke({"messages": "when then?"}))
    return [state["messages"][-1].text for state in states]


async def test_structured_retry() -> None:
    replies = [{"words": "nine"}, {"text": "nine"}]
    llm = ScriptedChatModel(replies=replies, cycle=True)
    retry = StructuredRetryMiddleware()
    agent = create_agent(llm, middleware=[retry], response_format=Hours)
    await _twice(agent)
    assert llm.calls == 4


async def test_refine() -> None:
    def high(text: str) -> float:
        return min(1.0, number_in(text) / 2)

    refine = RefineMiddleware(critics=[high])
    agent = create_agent(Cast().model(), middleware=[refine])
    assert await _twice(agent) == ["draft 2", "draft 2"]


@pytest.mark.parametrize("file", [None, "answers.db"])
async def test_semantic_cache(file: str | None, tmp_path: Path) -> None:
    path = None if file is None else tmp_path / file
    llm = ScriptedChatModel(default="at nine")
    with SemanticJudgeCache(
        LexicalEmbeddings(), judge=lambda _: False, path=path
    ) as cache:
        agent: Any = create_agent(llm, middleware=[SemanticCacheMiddleware(cache)])
        assert await _twice(agent) == ["at nine", "at nine"]
        # It would fail softly: the second one was looked up and stored all the same.
        await agent.ainvoke({"messages": "where is it, and when then?"})
        assert llm.calls == 3
        assert [await _again(agent) for _ in range(2)] == ["at nine"] * 2
        assert llm.calls == 3


async def _again(agent: Any) -> str:
    with blockbuster_ctx(scanned_modules=["langchain_prodpatterns"]):
        state = await agent.ainvoke({"messages": "when then?"})
    return str(state["messages"][-1].text)
