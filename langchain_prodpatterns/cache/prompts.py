"""Reading the prompt that LangChain hands to a cache.

A chat model's prompt is the JSON of its messages. It is read here as data, by a small
allow-list: nothing in it is imported, called or built that is not a message.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

KeyFunction: TypeAlias = Callable[[list[BaseMessage]], str | None]
"""Names the semantic text of a prompt; `None` for the exact tier only."""

PLACEHOLDER = "\ue000text\ue000"
"""Stands for the semantic text in what partitions; of Unicode's private use."""

_TYPES: dict[str, type[BaseMessage]] = {
    "AIMessage": AIMessage,
    "AIMessageChunk": AIMessage,
    "ChatMessage": ChatMessage,
    "ChatMessageChunk": ChatMessage,
    "FunctionMessage": FunctionMessage,
    "FunctionMessageChunk": FunctionMessage,
    "HumanMessage": HumanMessage,
    "HumanMessageChunk": HumanMessage,
    "SystemMessage": SystemMessage,
    "SystemMessageChunk": SystemMessage,
    "ToolMessage": ToolMessage,
    "ToolMessageChunk": ToolMessage,
}
# What a message says of its own past, which a model is not sent, or says twice.
_PAST = frozenset(
    {
        "artifact",
        "chunk_position",
        "example",
        "id",
        "response_metadata",
        "tool_call_chunks",
        "type",
        "usage_metadata",
    }
)
_OF_CHUNKS = frozenset({"chunk_position", "tool_call_chunks", "type"})
_ID_KEYS = frozenset({"id", "tool_call_id", "tool_use_id", "call_id"})
_CHAT_JSON = '[{"lc":'
_MAX_DEPTH = 100

RawMessage: TypeAlias = tuple[str, dict[str, Any]]
"""The name of a message's class and its fields, as they are in the prompt."""


def read_messages(prompt: str) -> list[RawMessage] | None:
    """Read a chat model's prompt.

    Args:
        prompt: What LangChain handed over.

    Returns:
        The messages, or `None` for what is not entirely made of known messages.
    """
    try:
        data = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, list) or not data:
        return None
    messages = [_read_message(item) for item in data]
    known = [message for message in messages if message is not None]
    return known if len(known) == len(data) and _is_plain(data) else None


def looks_like_chat(prompt: str) -> bool:
    """Whether a prompt is a chat model's, also where it cannot be read.

    The prompt of a plain language model is its text, whatever that looks like.
    """
    return prompt.replace(" ", "", 2).startswith(_CHAT_JSON) or prompt == "[]"


def _read_message(item: Any) -> RawMessage | None:
    if not isinstance(item, dict) or item.get("type") != "constructor":
        return None
    path, fields = item.get("id"), item.get("kwargs")
    if not isinstance(path, list) or not path or not isinstance(fields, dict):
        return None
    if path[0] not in {"langchain", "langchain_core"} or path[-1] not in _TYPES:
        return None
    return path[-1], fields


def _is_plain(data: list[dict[str, Any]]) -> bool:
    """Whether the messages hold JSON alone, no object that could not be written."""
    return not any(
        "lc" in inner for item in data for inner in _dicts(item.get("kwargs"), 0)
    )


def _dicts(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield the mappings in a value; what LangChain escaped is a user's own."""
    if depth > _MAX_DEPTH:
        yield {"lc": "too deep"}
    elif isinstance(value, dict) and "__lc_escaped__" not in value:
        yield value
        for inner in value.values():
            yield from _dicts(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner, depth + 1)


def build_messages(raw: Sequence[RawMessage]) -> list[BaseMessage]:
    """Build the messages for a user's `key` function; a chunk becomes a message."""
    return [
        _TYPES[name](**{k: v for k, v in fields.items() if k not in _OF_CHUNKS})
        for name, fields in raw
    ]


def canonical_messages(raw: Sequence[RawMessage]) -> list[dict[str, Any]]:
    """Return what a model is sent, in one form for prompts that mean the same.

    Ids, usage and response metadata are left out; calls of tools are numbered in
    their order, so that a provider's random ids do not tell two histories apart.

    Args:
        raw: The messages as they were read.

    Returns:
        One mapping a message.
    """
    calls: dict[str, str] = {}
    return [_canonical(name, fields, calls) for name, fields in raw]


def _canonical(
    name: str, fields: dict[str, Any], calls: dict[str, str]
) -> dict[str, Any]:
    role = _TYPES[name].__name__
    kept = {key: value for key, value in fields.items() if key not in _PAST}
    for call in fields.get("tool_calls") or []:
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            calls.setdefault(call["id"], f"call {len(calls)}")
    extra = dict(kept.pop("additional_kwargs", None) or {})
    if fields.get("tool_calls"):
        extra.pop("tool_calls", None)
    kept["additional_kwargs"] = {k: v for k, v in extra.items() if v is not None}
    kept["content"] = _plain_content(kept.get("content"))
    present = {key: value for key, value in kept.items() if value not in (None, [], {})}
    renamed = _number_calls(present, calls, drop=role == "AIMessage")
    return {"role": role, **renamed}


def _plain_content(content: Any) -> Any:
    """Bring a text to one form: as `str`, also where it is a single block."""
    if not isinstance(content, list) or len(content) != 1:
        return content
    block = content[0]
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and set(block) == {"type", "text"}:
        return block["text"]
    return content


def _number_calls(value: Any, calls: dict[str, str], *, drop: bool) -> Any:
    """Replace the ids of tool calls; drop other ids that a provider gave a block."""
    if isinstance(value, list):
        return [_number_calls(item, calls, drop=drop) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, inner in value.items():
        if key in _ID_KEYS and isinstance(inner, str):
            if inner in calls:
                result[key] = calls[inner]
            elif not (drop and key == "id"):
                result[key] = inner
        elif key in {"args", "input", "arguments"}:
            result[key] = inner
        else:
            result[key] = _number_calls(inner, calls, drop=drop)
    return result


def last_user_text(messages: Sequence[dict[str, Any]]) -> str | None:
    """Return the text of the last message if it is a user's, else `None`.

    Args:
        messages: Canonical messages.

    Returns:
        Its text blocks, joined by line breaks; images and the like are no text.
    """
    if not messages or messages[-1]["role"] != "HumanMessage":
        return None
    content = messages[-1].get("content")
    text = content if isinstance(content, str) else "\n".join(_texts(content))
    return text if text.strip() else None


def _texts(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else []:
        if isinstance(block, str):
            yield block
        elif isinstance(block, dict) and block.get("type") == "text":
            yield str(block.get("text", ""))


def without_text(
    messages: Sequence[dict[str, Any]], text: str | None = None
) -> list[dict[str, Any]]:
    """Return the messages with a placeholder for the semantic text.

    Args:
        messages: Canonical messages, the last a user's with text.
        text: The semantic text where it is only a part of the user's text. Unless it
            occurs there exactly once, the whole partitions: which of several is asked
            about is not known, and what else they say would not count.

    Returns:
        What partitions.
    """
    *history, last = messages
    content = last.get("content")
    blocks = content if isinstance(content, list) else [content]
    if text is not None and sum(_count(block, text) for block in blocks) != 1:
        return list(messages)
    hollow = [_hollow(block, text) for block in blocks]
    return [*history, {**last, "content": hollow}]


def _count(block: Any, text: str) -> int:
    return sum(found.count(text) for found in _texts([block]))


def _hollow(block: Any, text: str | None) -> Any:
    if isinstance(block, str):
        return without_part(block, block if text is None else text)
    if isinstance(block, dict) and block.get("type") == "text":
        return {**block, "text": _hollow(str(block.get("text", "")), text)}
    return block


def without_part(whole: str, text: str) -> str:
    """Return a text with a placeholder for the part that occurs exactly once."""
    once = whole.count(text) == 1
    return whole.replace(text, PLACEHOLDER) if once else whole


def system_text(messages: Sequence[dict[str, Any]]) -> str:
    """Return the system prompt, for a judge to see."""
    return "\n\n".join(
        message["content"]
        if isinstance(message.get("content"), str)
        else "\n".join(_texts(message.get("content")))
        for message in messages
        if message["role"] == "SystemMessage"
    )
