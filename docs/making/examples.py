"""Small chains, one a pattern, that the diagrams are drawn from. All are scripted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_prodpatterns import (
    CompressingRetriever,
    GuardRunnable,
    RefineChain,
    Route,
    SemanticJudgeCache,
    StructuredRetryParser,
    ToolRouter,
)
from langchain_prodpatterns.middleware import (
    GuardMiddleware,
    SemanticCacheMiddleware,
    StructuredRetryMiddleware,
    ToolRouterMiddleware,
)
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel


@dataclass(frozen=True)
class Example:
    """A chain, and what to ask it."""

    graph: Runnable[Any, Any]
    """What `get_graph` is asked of."""
    inputs: list[Any] = field(default_factory=list)
    """What is asked of it, one after another."""
    watched: str = ""
    """The name of the run whose calls are drawn."""


class City(BaseModel):
    """A typed answer."""

    name: str
    people: int


_SHORT = 20
PROMPT = ChatPromptTemplate.from_template("{question}")


def _model(name: str, *replies: Any) -> ScriptedChatModel:
    return ScriptedChatModel(model=name, replies=list(replies), cycle=True)


def _cache() -> Example:
    cache = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)
    chain = cache.wrap(PROMPT | _model("model", "20 euros."))
    asked = ["What does a kayak cost?", "What does a kayak cost today?"]
    return Example(
        chain, [{"question": text} for text in (*asked, asked[0])], "CachedRunnable"
    )


def _structured() -> Example:
    small = _model("small", {"name": "Lyon", "people": "half a million"})
    large = _model("large", {"name": "Lyon", "people": 522000})
    chain = PROMPT | StructuredRetryParser(City, ladder=[small, large])
    return Example(chain, [{"question": "Lyon?"}], "StructuredRetryParser")


def _is_short(text: str) -> bool:
    return len(text) <= _SHORT


def _refine() -> Example:
    draft, revision = "Our new kayak is out, and it is a good one.", "New kayak!"
    writer = _model("writer", draft, {"revision": revision})
    chain = PROMPT | RefineChain(writer, critics=[_is_short])
    return Example(chain, [{"question": "Announce the kayak."}], "RefineChain")


def _compression() -> Example:
    embeddings = LexicalEmbeddings()
    texts = ["A kayak costs 20 euros. It is red.", "We open at nine."]
    store = InMemoryVectorStore.from_texts(texts, embeddings)
    retriever = CompressingRetriever(
        store.as_retriever(), embeddings=embeddings, token_budget=10
    )
    return Example(retriever, ["What does a kayak cost?"], "CompressingRetriever")


def _routing() -> Example:
    router = ToolRouter(
        [Route("calculator", "Arithmetic."), Route("handbook", "Rules and prices.")],
        LexicalEmbeddings(),
        examples={"calculator": ["What is 12% of 850?"]},
        fallback=lambda _: "handbook",
    )
    return Example(router, ["What is 12% of 860?", "May I bring my dog?"], "ToolRouter")


def _guard() -> Example:
    guard = GuardRunnable(judge=lambda _: False)
    chain = guard.wrap(PROMPT | _model("model", "Sure."))
    return Example(chain, [], "GuardRunnable")


def _guarded() -> Example:
    guard: Runnable[Any, Any] = GuardRunnable(judge=lambda _: False)
    inner: Runnable[Any, Any] = PROMPT | _model("model", "Sure.")
    chain = guard | inner | GuardRunnable(direction="output")
    return Example(chain, ["Mail ann@example.com"], "RunnableSequence")


def _agent() -> Example:
    @tool
    def search(query: str) -> str:
        """Search the handbook."""
        return query

    embeddings, model = LexicalEmbeddings(), _model("model", "x")
    middleware: list[AgentMiddleware[Any, Any, Any]] = [
        StructuredRetryMiddleware([model]),
        GuardMiddleware(),
        SemanticCacheMiddleware(SemanticJudgeCache(embeddings, lambda _: True)),
        ToolRouterMiddleware([search], embeddings),
    ]
    return Example(create_agent(model, [search], middleware=middleware))


EXAMPLES: Mapping[str, Callable[[], Example]] = {
    "agent": _agent,
    "cache": _cache,
    "compression": _compression,
    "guard": _guard,
    "guarded": _guarded,
    "refine": _refine,
    "routing": _routing,
    "structured": _structured,
}
"""The examples, by the names that directives give them."""
