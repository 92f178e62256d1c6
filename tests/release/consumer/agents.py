"""An agent with all middleware."""

# Types of langgraph that are not complete.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from langchain_prodpatterns import (
    Budget,
    ContextCompressor,
    Criteria,
    SemanticJudgeCache,
)
from langchain_prodpatterns.middleware import (
    CompressToolOutputMiddleware,
    GuardMiddleware,
    RefineMiddleware,
    SemanticCacheMiddleware,
    StructuredRetryMiddleware,
    ToolRouterMiddleware,
)


class Answer(BaseModel):
    """What the agent answers."""

    text: str


def run(llm: BaseChatModel, embeddings: Embeddings, tools: list[BaseTool]) -> int:
    cache = SemanticJudgeCache(embeddings, llm)
    # Middleware that differ in their state have no common type but this one.
    middleware: list[AgentMiddleware[Any, Any, Any]] = [
        SemanticCacheMiddleware(cache, side_effect_free=["search"]),
        GuardMiddleware(policy={"card": "block"}),
        ToolRouterMiddleware(tools, embeddings),
        CompressToolOutputMiddleware(ContextCompressor(embeddings), tools=["search"]),
        RefineMiddleware(critics=[Criteria("polite")]),
        StructuredRetryMiddleware(ladder=[llm], budget=Budget(attempts=3)),
    ]
    agent = create_agent(llm, tools, response_format=Answer, middleware=middleware)
    state = agent.invoke({"messages": [HumanMessage("Hello")]})
    return len(state["messages"])
