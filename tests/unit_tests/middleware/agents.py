"""Agents by the script, and the ways to run them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, tool

from langchain_prodpatterns.testing import ScriptedChatModel

Turn = Callable[..., dict[str, Any]]


def invoke(agent: Any, value: Any, config: Any = None) -> Any:
    return agent.invoke(value, config)


def ainvoke(agent: Any, value: Any, config: Any = None) -> Any:
    return asyncio.run(agent.ainvoke(value, config))


WAYS = (invoke, ainvoke)


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"a door in {where}"


def named_tool(name: str, ran: list[str] | None = None) -> BaseTool:
    """A tool that says its name, and puts down that it ran."""

    def run(text: str = "") -> str:
        if ran is not None:
            ran.append(name)
        return f"{name} says {text}"

    return StructuredTool.from_function(run, name=name, description=f"Tool {name}.")


def calling(*names: str, **args: Any) -> AIMessage:
    """A message that calls tools."""
    calls = [
        {"name": name, "args": args, "id": f"{name}-{at}"}
        for at, name in enumerate(names)
    ]
    return AIMessage("", tool_calls=calls)


def agent_of(
    replies: Any, tools: Sequence[Any], *middleware: Any, **kwargs: Any
) -> tuple[Any, ScriptedChatModel]:
    """An agent whose model answers with replies, or by a function."""
    if callable(replies):
        model = ScriptedChatModel(respond=replies)
    else:
        model = ScriptedChatModel(replies=[*replies, "never asked for"])
    agent = create_agent(model, list(tools), middleware=list(middleware), **kwargs)
    return agent, model


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def sync_run(
    agent: Any, text: Any, config: RunnableConfig | None = None
) -> dict[str, Any]:
    """Ask an agent something."""
    state: dict[str, Any] = agent.invoke({"messages": [("user", text)]}, config)
    return state


def async_run(
    agent: Any, text: Any, config: RunnableConfig | None = None
) -> dict[str, Any]:
    """Ask an agent something on an event loop."""
    return asyncio.run(agent.ainvoke({"messages": [("user", text)]}, config))


def kinds(state: dict[str, Any]) -> list[str]:
    """The types of an agent's messages."""
    return [message.type for message in state["messages"]]


def last(state: dict[str, Any]) -> BaseMessage:
    """The last message."""
    message: BaseMessage = state["messages"][-1]
    return message


def streamed(agent: Any, text: str, config: RunnableConfig | None = None) -> list[str]:
    """The texts that an agent streams, one for each message of a model."""
    texts: dict[str, str] = {}
    parts = agent.stream({"messages": [("user", text)]}, config, stream_mode="messages")
    for chunk, _ in parts:
        if chunk.type in {"ai", "AIMessageChunk"}:
            texts[chunk.id] = texts.get(chunk.id, "") + str(chunk.text)
    return list(texts.values())
