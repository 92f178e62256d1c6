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
# What LangChain notes beside a message, of what is said in the message, too.
_NOTED_BESIDE = frozenset({"__openai_function_call_ids__", "parsed"})
_OF_CHUNKS = frozenset({"chunk_position", "tool_call_chunks", "type"})
_ID_KEYS = frozenset({"id", "tool_call_id", "tool_use_id", "call_id"})
_LANGCHAIN_ID = "lc_"
_RESPONSE_ID = "resp_"
# Beside one of these, the id of a block says nothing more. Without any, the block is a
# reference to what the provider keeps, such as an image or hidden reasoning.
_SAID_HERE = frozenset(
    {
        "args",
        "arguments",
        "base64",
        "code",
        "data",
        "encrypted_content",
        "input",
        "reasoning",
        "refusal",
        "result",
        "summary",
        "text",
        "thinking",
        "transcript",
    }
)
_TEXT_TYPES = frozenset({"input_text", "text"})
_NOTHING: tuple[Any, ...] = (None, "", [], {})
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
    return known if len(known) == len(data) and _is_plain(known) else None


def looks_like_chat(prompt: str) -> bool:
    """Whether a prompt is a chat model's, also where it cannot be read.

    The prompt of a plain language model is its text, whatever that looks like.
    """
    return prompt.replace(" ", "", 2).startswith(_CHAT_JSON) or prompt == "[]"


def is_known(kind: type) -> bool:
    """Whether messages of a class can be brought to one form."""
    return _TYPES.get(kind.__name__) is not None


def _read_message(item: Any) -> RawMessage | None:
    if not isinstance(item, dict) or item.get("type") != "constructor":
        return None
    path, fields = item.get("id"), item.get("kwargs")
    if not isinstance(path, list) or not path or not isinstance(fields, dict):
        return None
    if path[0] not in {"langchain", "langchain_core"} or path[-1] not in _TYPES:
        return None
    return path[-1], fields


def _is_plain(messages: list[RawMessage]) -> bool:
    """Whether the messages hold JSON alone, no object that could not be written.

    What a model is not sent may well be an object, such as the documents that a tool
    found: they are its `artifact`.
    """
    return not any(
        "lc" in inner for _, fields in messages for inner in _dicts(_sent(fields), 0)
    )


def _sent(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a model is sent of a message, without what is said twice."""
    kept = {key: value for key, value in fields.items() if key not in _PAST}
    extra = kept.pop("additional_kwargs", None)
    if not isinstance(extra, dict):
        return kept
    dropped = _NOTED_BESIDE | ({"tool_calls"} if fields.get("tool_calls") else set())
    sent = {key: value for key, value in extra.items() if key not in dropped}
    return {
        **kept,
        "additional_kwargs": {k: v for k, v in sent.items() if v is not None},
    }


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


def continued_response(raw: Sequence[RawMessage]) -> str | None:
    """Return the id of the provider's last response in a history.

    A model with `use_previous_response_id` is sent it in place of what went before.
    """
    metadata = (fields.get("response_metadata") for _, fields in reversed(raw))
    ids = (noted.get("id") for noted in metadata if isinstance(noted, dict))
    return next((found for found in ids if str(found).startswith(_RESPONSE_ID)), None)


def build_messages(raw: Sequence[RawMessage]) -> list[BaseMessage]:
    """Build the messages for a user's `key` function; a chunk becomes a message."""
    return [
        _TYPES[name](**{k: v for k, v in fields.items() if k not in _OF_CHUNKS})
        for name, fields in raw
    ]


def canonical_messages(raw: Sequence[RawMessage]) -> list[dict[str, Any]]:
    """Return what a model is sent, in one form for prompts that mean the same.

    Ids, usage and response metadata are left out, and marks of where a provider may
    cache the prompt; calls of tools are numbered in their order, so that a provider's
    random ids do not tell two histories apart.

    Args:
        raw: The messages as they were read.

    Returns:
        One mapping a message.
    """
    calls: dict[str, int] = {}
    return [_canonical(name, fields, calls) for name, fields in raw]


def _canonical(
    name: str, fields: dict[str, Any], calls: dict[str, int]
) -> dict[str, Any]:
    kind = _TYPES[name].__name__
    for field in ("tool_calls", "invalid_tool_calls"):
        for call in fields.get(field) or []:
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                calls.setdefault(call["id"], len(calls))
    sent = _without_labels(_sent(fields), calls, answered=kind == "AIMessage")
    sent["content"] = _plain_content(sent.get("content"))
    present = {key: value for key, value in sent.items() if value not in _NOTHING}
    # The kind last: no field of a message can pass for it.
    return {**present, "kind": kind}


def _plain_content(content: Any) -> Any:
    """Bring a text to one form: as `str`, also where it is a single block."""
    if not isinstance(content, list) or len(content) != 1:
        return content
    block = content[0]
    if not isinstance(block, dict):
        return block
    is_text = set(_present(block)) <= {"type", "text"} and is_text_block(block)
    return block.get("text") if is_text else content


def _without_labels(value: Any, calls: dict[str, int], *, answered: bool) -> Any:
    """Number the calls of tools, and drop what only labels a block.

    Args:
        value: A message, or what is in it.
        calls: The number of each call's id.
        answered: Whether a model said it: its blocks have ids of the provider's.
    """
    if isinstance(value, list):
        return [_without_labels(item, calls, answered=answered) for item in value]
    if not isinstance(value, dict):
        return value
    labels = {"cache_control"}
    if answered and not _SAID_HERE.isdisjoint(_present(value)):
        # A stream's blocks are numbered besides.
        labels |= {"id", "index"}
    result: dict[str, Any] = {}
    for key, inner in value.items():
        if key in _ID_KEYS and isinstance(inner, str):
            if inner in calls:
                result[key] = calls[inner]
            elif key not in labels and not inner.startswith(_LANGCHAIN_ID):
                result[key] = inner
        elif key in {"args", "input", "arguments"}:
            result[key] = inner
        elif key not in labels:
            result[key] = _without_labels(inner, calls, answered=answered)
    return result


def is_text_block(block: Any) -> bool:
    """Whether a content block is nothing but text."""
    return isinstance(block, dict) and block.get("type") in _TEXT_TYPES


def _present(block: dict[str, Any]) -> Iterator[str]:
    return (key for key, value in block.items() if value not in _NOTHING)


def last_user_text(messages: Sequence[dict[str, Any]]) -> str | None:
    """Return the text of the last message if it is a user's, else `None`.

    Args:
        messages: Canonical messages.

    Returns:
        Its text blocks, joined by line breaks; images and the like are no text.
    """
    if not messages or messages[-1]["kind"] != "HumanMessage":
        return None
    content = messages[-1].get("content")
    text = content if isinstance(content, str) else "\n".join(_texts(content))
    return text if text.strip() else None


def _texts(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else []:
        if isinstance(block, str):
            yield block
        elif is_text_block(block):
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
    if is_text_block(block):
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
        if message["kind"] == "SystemMessage"
    )
