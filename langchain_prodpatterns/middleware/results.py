"""The messages in what a tool gives, and how to put others in their place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.types import Command

ToolResult = ToolMessage | Command[Any]
"""What a tool gives to an agent."""


def messages_of(result: ToolResult) -> list[Any]:
    """Return the messages in a result.

    Args:
        result: A message, or a command whose update may hold some.

    Returns:
        The messages, in order.
    """
    if isinstance(result, BaseMessage):
        return [result]
    found = result.update.get("messages") if isinstance(result.update, dict) else None
    listed = found if isinstance(found, list) else []
    return [each for each in listed if isinstance(each, BaseMessage)]


def with_messages(result: ToolResult, messages: Sequence[Any]) -> ToolResult:
    """Put other messages in the place of those in a result.

    Args:
        result: The result.
        messages: As many as `messages_of` gave.

    Returns:
        The result, or a copy.
    """
    if isinstance(result, BaseMessage):
        only: ToolMessage = messages[0]
        return only
    if not messages or not isinstance(result.update, dict):
        return result
    rest = iter(messages)
    put = [
        next(rest) if isinstance(each, BaseMessage) else each
        for each in result.update["messages"]
    ]
    return replace(result, update={**result.update, "messages": put})
