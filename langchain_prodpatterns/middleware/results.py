"""The messages in what a tool gives, and how to put others in their place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import BaseMessage, ToolMessage, convert_to_messages
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
    # A tool may give several at once, which the type of a handler does not say.
    if isinstance(result, list):
        return [message for each in result for message in messages_of(each)]
    if isinstance(result, BaseMessage):
        return [result]
    found = result.update.get("messages") if isinstance(result.update, dict) else None
    # They may be written as dicts, which the state would read later.
    return convert_to_messages(found) if isinstance(found, list) else []


def with_messages(result: ToolResult, messages: Sequence[Any]) -> ToolResult:
    """Put other messages in the place of those in a result.

    Args:
        result: The result.
        messages: As many as `messages_of` gave.

    Returns:
        The result, or a copy.
    """
    if isinstance(result, list):
        rest = iter(messages)
        put = [
            with_messages(each, [next(rest) for _ in messages_of(each)])
            for each in result
        ]
        return cast("ToolResult", put)
    if isinstance(result, BaseMessage):
        only: ToolMessage = messages[0]
        return only
    if not messages or not isinstance(result.update, dict):
        return result
    return replace(result, update={**result.update, "messages": list(messages)})
