"""Agents of ChatOpenAI with our middleware, over real HTTP."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_prodpatterns.compression import ContextCompressor
from langchain_prodpatterns.guard import Vault
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.middleware import (
    CompressToolOutputMiddleware,
    GuardMiddleware,
    ToolRouterMiddleware,
)
from langchain_prodpatterns.routing import ToolRouter
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedProvider,
    ScriptedRequest,
)

MAIL = "ada.lovelace@example.org"
FACT = "Refunds are paid within fourteen days of the return."
PAGE = "Our shop sells lamps of many kinds, by the river. " * 40 + FACT
QUESTION = f"Look up within how many days refunds are paid, I am {MAIL}"


def _tools(seen: list[str]) -> list[BaseTool]:
    def handbook(question: str) -> str:
        """Look up how many days refunds take, rules and prices in the handbook."""
        seen.append(question)
        return f"{PAGE} Ask {MAIL}."

    def weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"sunny in {city}"

    def calculator(sum: str) -> str:
        """Calculate sums, products and percentages of numbers."""
        return sum

    return [StructuredTool.from_function(f) for f in (handbook, weather, calculator)]


def respond(request: ScriptedRequest) -> Any:
    """Call the handbook with the address in the question, then answer with it."""
    text = request.user_text
    stand_in = text[text.index("[") : text.index("]") + 1]
    results = sum(message["role"] == "tool" for message in request.messages)
    if results < 2:
        name = "weather" if results else "handbook"
        args = {"city" if results else "question": f"refunds of {stand_in}"}
        call = {"name": name, "args": args, "id": f"call-{results}"}
        return AIMessage("", tool_calls=[call])
    return f"Fourteen days, {stand_in}, and not one day more."


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(respond=respond) as server:
        yield server


Run = Callable[[Any, Any, Any], Any]


def _invoke(agent: Any, value: Any, config: Any) -> Any:
    return agent.invoke(value, config)


def _ainvoke(agent: Any, value: Any, config: Any) -> Any:
    return asyncio.run(agent.ainvoke(value, config))


def _agent(provider: ScriptedProvider, seen: list[str], **kwargs: Any) -> Any:
    tools = _tools(seen)
    router = ToolRouter(tools, LexicalEmbeddings(), threshold=0.2, margin=0.1)
    compressor = ContextCompressor(token_budget=60)
    guard = GuardMiddleware(policy={"email": "pseudonymize"}, vault=Vault())
    middleware: list[Any] = [
        guard,
        ToolRouterMiddleware(router),
        CompressToolOutputMiddleware(compressor, tools=["handbook"]),
    ]
    model = provider.chat_model()
    return guard.wrap(create_agent(model, tools, middleware=middleware, **kwargs))


@pytest.mark.parametrize("run", [_invoke, _ainvoke])
def test_all_three_on_one_agent(provider: ScriptedProvider, run: Run) -> None:
    seen: list[str] = []
    saver = InMemorySaver()
    agent = _agent(provider, seen, checkpointer=saver)
    value = {"messages": [{"role": "user", "content": QUESTION}]}
    thread = {"configurable": {"thread_id": "7"}}
    with track() as ledger:
        result = run(agent, value, thread)
    messages = result["messages"]
    # The tool got the value, the user sees it, and nobody else did.
    assert seen == [f"refunds of {MAIL}"]
    assert messages[-1].text == f"Fourteen days, {MAIL}, and not one day more."
    assert MAIL not in str([request.messages for request in provider.requests])
    stored = repr((dict(saver.storage), dict(saver.writes), dict(saver.blobs)))
    assert MAIL not in stored
    # What was found is quoted, and the other tool did not run.
    assert FACT in messages[2].text
    assert len(messages[2].text) < len(PAGE) / 3
    assert messages[4].status == "error"
    assert "On offer: handbook." in messages[4].text
    for request in provider.requests:
        offered = [each["function"]["name"] for each in request.params["tools"]]
        assert offered == ["handbook"]
    summary = ledger.summary()
    assert summary.calls == len(provider.requests) == 3
    assert summary.by_pattern["routing"].decisions == 1
    assert summary.input_tokens == provider.input_tokens


async def _collect(agent: Any, value: Any) -> list[Any]:
    return [chunk async for chunk in agent.astream(value, stream_mode="messages")]


@pytest.mark.parametrize("is_async", [False, True])
def test_tokens_stream_with_the_values(
    provider: ScriptedProvider, is_async: bool
) -> None:
    agent = _agent(provider, [])
    value = {"messages": [{"role": "user", "content": QUESTION}]}
    chunks = (
        asyncio.run(_collect(agent, value))
        if is_async
        else list(agent.stream(value, stream_mode="messages"))
    )
    tokens = [chunk.text for chunk, _ in chunks if isinstance(chunk, AIMessageChunk)]
    assert "".join(tokens) == f"Fourteen days, {MAIL}, and not one day more."
    assert sum(map(bool, tokens)) > 2
    assert all(request.streamed for request in provider.requests)


def test_the_model_says_a_value_of_its_own() -> None:
    guard = GuardMiddleware()
    with ScriptedProvider(replies=[f"Ask {MAIL} or nobody.", "x"]) as provider:
        agent = create_agent(provider.chat_model(), middleware=[guard])
        value: Any = {"messages": [{"role": "user", "content": "whom?"}]}
        chunks = list(agent.stream(value, stream_mode="messages"))
    text = "".join(c.text for c, _ in chunks if isinstance(c, AIMessageChunk))
    assert text == "Ask [EMAIL] or nobody."
