"""The messages in what a tool gives, and how to put others in their place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import is_dataclass, replace
from typing import Any, cast

from langchain_core.messages import BaseMessage, ToolMessage, convert_to_messages
from langgraph.types import Command, Send
from pydantic import BaseModel

_MESSAGES = "messages"

ToolResult = ToolMessage | Command[Any]
"""What a tool gives to an agent."""


def messages_of(result: ToolResult) -> list[Any]:
    """Return the messages in a result.

    Args:
        result: A message, or a command whose update may hold some, or what it sends to
            other nodes.

    Returns:
        The messages, in order.
    """
    # A tool may give several at once, which the type of a handler does not say.
    if isinstance(result, list):
        return [message for each in result for message in messages_of(each)]
    if isinstance(result, BaseMessage):
        return [result]
    found = [value for key, value in updates_of(result) if key == _MESSAGES]
    own = [message for value in found for message in _read(value)]
    return own + [message for each in _sent(result) for message in _carried(each)]


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
    pairs = _pairing(updates_of(result), rest)
    is_dict = isinstance(result.update, dict)
    update = dict(pairs) if is_dict else pairs or result.update
    return replace(result, update=update, goto=_resent(result, rest))


def _pairing(
    pairs: Sequence[tuple[str, Any]], messages: Iterable[Any]
) -> list[tuple[str, Any]]:
    """Put other messages in pairs of a key and a value."""
    rest = iter(messages)
    return [
        (key, [next(rest) for _ in _read(value)] if key == _MESSAGES else value)
        for key, value in pairs
    ]


def _sent(command: Command[Any]) -> list[Send]:
    """Return what a command sends to nodes, each with a state of its own."""
    goto = command.goto if isinstance(command.goto, list | tuple) else [command.goto]
    return [each for each in goto if isinstance(each, Send)]


def _carried(send: Send) -> list[Any]:
    """Return the messages in the state that a node gets, or those that it gets bare."""
    if isinstance(send.arg, BaseMessage) or _are_messages(send.arg):
        return _read(send.arg)
    return messages_of(Command(update=send.arg))


def _are_messages(state: Any) -> bool:
    return isinstance(state, list) and all(isinstance(m, BaseMessage) for m in state)


def _resent(command: Command[Any], messages: Iterator[Any]) -> Any:
    """Put other messages in the place of those that are sent to nodes."""

    def resent(each: Any) -> Any:
        if not isinstance(each, Send):
            return each
        taken = [next(messages) for _ in _carried(each)]
        state = _stating(each.arg, taken) if taken else each.arg
        return Send(each.node, state, timeout=each.timeout)

    goto = command.goto
    return [*map(resent, goto)] if isinstance(goto, list | tuple) else resent(goto)


def _stating(state: Any, messages: list[Any]) -> Any:
    """Put other messages in a state: a dict, pairs, a model or any object."""
    if isinstance(state, BaseMessage):
        return messages[0]
    if isinstance(state, list | tuple):
        return messages if _are_messages(state) else _pairing(state, messages)
    if isinstance(state, Mapping):
        return {**state, _MESSAGES: messages}
    if isinstance(state, BaseModel):
        return state.model_copy(update={_MESSAGES: messages})
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{_MESSAGES: messages})
    stated = copy(state)
    stated.messages = messages
    return stated


def updates_of(command: Command[Any]) -> Sequence[tuple[str, Any]]:
    """Return what a command writes: key and value, however that is written.

    LangGraph takes a dict, pairs, and objects with annotated fields.
    """
    return command._update_as_tuples()  # noqa: SLF001 - the very reading of LangGraph


def _read(value: Any) -> list[BaseMessage]:
    """Read messages as the state will: they may be written as dicts, or be just one."""
    if value is None:
        return []
    return convert_to_messages(value if _are_many(value) else [value])


def _are_many(value: Any) -> bool:
    """Tell several messages from one that is written as a pair of role and text."""
    return isinstance(value, list) or (
        isinstance(value, tuple) and all(isinstance(m, BaseMessage) for m in value)
    )
