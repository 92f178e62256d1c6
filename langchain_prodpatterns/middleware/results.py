"""The messages in what a tool gives, and how to put others in their place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import BaseMessage, ToolMessage, convert_to_messages
from langgraph.types import Command

_MESSAGES = "messages"

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
    found = (value for key, value in updates_of(result) if key == _MESSAGES)
    return [message for value in found for message in _read(value)]


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
    if not messages:
        return result
    rest = iter(messages)
    pairs = [
        (key, [next(rest) for _ in _read(value)] if key == _MESSAGES else value)
        for key, value in updates_of(result)
    ]
    is_dict = isinstance(result.update, dict)
    return replace(result, update=dict(pairs) if is_dict else pairs)


def updates_of(command: Command[Any]) -> Sequence[tuple[str, Any]]:
    """Return what a command writes: key and value, however that is written.

    LangGraph takes a dict, pairs, and objects with annotated fields.
    """
    return command._update_as_tuples()  # noqa: SLF001 - the very reading of LangGraph


def _read(value: Any) -> list[BaseMessage]:
    """Read messages as the state will: they may be written as dicts, or be just one."""
    if value is None:
        return []
    return convert_to_messages(value if isinstance(value, list) else [value])
