"""What tests of middleware ask agents for."""

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

Run = Callable[..., dict[str, Any]]


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
