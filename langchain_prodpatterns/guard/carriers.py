"""Where text is in what flows through a chain, and how to put other text there.

Nothing is changed in place: what holds a replaced text is a copy, what holds none is
the object that came in.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import Flag, auto
from typing import Any, TypeGuard, TypeVar, cast

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue

Visit = Callable[[str, str, str], str]
"""Takes a text, its role (`text`, `document`, the type of the message, or `METADATA`)
and its label (the keys that it stands under in plain data, with blanks in between, or
nothing), and returns the text to put there."""

V = TypeVar("V")

Rewriting = Callable[[V, Visit], V]
"""Visits every text of a value, and returns the value with what came of them."""

METADATA = "metadata"
"""The role of what a provider says about a message."""

Guarded = (
    str
    | PromptValue
    | BaseMessage
    | list[BaseMessage]
    | list[Document]
    | dict[str, Any]
)
"""What a guard takes."""

M = TypeVar("M", bound=BaseMessage)


class _Holds(Flag):
    """What a field of a content block holds, if its value looks the part."""

    TOKEN = auto()
    """What a provider sets: an identifier, or what it encrypted."""
    WORD = auto()
    """One of a few known words, or a number; a judge has no use for it."""
    BYTES = auto()
    """Bytes as text, where the block says so."""
    LINK = auto()
    """A link, which may be one to the data in it."""
    BLOCKS = auto()
    """Blocks again."""
    ARGUMENTS = auto()
    """Arguments of a tool."""


# All other fields are plain data, where `id` is any word.
_FIELDS: Mapping[str, _Holds] = {
    "id": _Holds.TOKEN,
    "call_id": _Holds.TOKEN,
    "signature": _Holds.TOKEN,
    "thought_signature": _Holds.TOKEN,
    "encrypted_content": _Holds.TOKEN,
    "encrypted_index": _Holds.TOKEN,
    "type": _Holds.WORD,
    "index": _Holds.WORD,
    "mime_type": _Holds.WORD,
    "media_type": _Holds.WORD,
    "format": _Holds.WORD,
    "detail": _Holds.WORD,
    "cache_control": _Holds.WORD,
    "data": _Holds.BYTES,
    "base64": _Holds.BYTES,
    "result": _Holds.BYTES,
    "file_data": _Holds.BYTES | _Holds.LINK,
    "url": _Holds.LINK,
    "file_url": _Holds.LINK,
    "image_url": _Holds.LINK | _Holds.BLOCKS,
    "source": _Holds.BLOCKS,
    "input_audio": _Holds.BLOCKS,
    "file": _Holds.BLOCKS,
    "extras": _Holds.BLOCKS,
    "content": _Holds.BLOCKS,
    "summary": _Holds.BLOCKS,
    "reasoning_content": _Holds.BLOCKS,
    "annotations": _Holds.BLOCKS,
    "citations": _Holds.BLOCKS,
    "output": _Holds.BLOCKS,
    "input": _Holds.ARGUMENTS,
    "args": _Holds.ARGUMENTS,
    "arguments": _Holds.ARGUMENTS,
    "partial_json": _Holds.ARGUMENTS,
}
PROSE: Mapping[str, str] = {key: key for key in ("text", "thinking", "reasoning")}
"""The field that holds the prose of a content block, by the block's type. Its name says
nothing of what stands there."""

_PLAIN = _Holds(0)
_TOKEN = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+/=.:|-]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]+={0,2}\s?")
_DATA_LINK = re.compile(
    r"data:(?!text/)[a-z0-9/+.-]+(?:;[a-z]+=[A-Za-z0-9._-]+)*;base64,"
    r"[A-Za-z0-9+/_-]*={0,2}"
)
_BINARY = frozenset(
    [
        "image", "audio", "video", "file", "base64", "redacted_thinking",
        "image_generation_call",
    ]
)  # fmt: skip


def rewrite(value: Guarded, visit: Visit) -> Guarded:
    """Visit every text in a value.

    Args:
        value: What flows through the chain.
        visit: Called with each text.

    Returns:
        A value of the same type with what `visit` returned.

    Raises:
        TypeError: When the value is of a type that a guard does not look into.
    """
    if isinstance(value, str):
        return visit(value, "text", "")
    if isinstance(value, BaseMessage):
        return rewrite_message(value, visit)
    if isinstance(value, StringPromptValue):
        return _with(value, text=visit(value.text, "text", ""))
    if isinstance(value, ChatPromptValue):
        return _with(
            value, messages=[rewrite_message(m, visit) for m in value.messages]
        )
    if isinstance(value, list) and all(isinstance(each, BaseMessage) for each in value):
        return [rewrite_message(cast("BaseMessage", each), visit) for each in value]
    raise TypeError(unsupported(value))


def length(value: Guarded | Document) -> int:
    """Return how many characters there are to look at.

    Args:
        value: What flows through the chain, or a document.

    Returns:
        The length of all texts together.

    Raises:
        TypeError: As for `rewrite`.
    """
    if isinstance(value, Document):
        return _counted(lambda count: rewrite_document(value, count))
    return _counted(lambda count: rewrite(value, count))


def length_of_content(content: Any) -> int:
    """Return how many characters there are to look at in the content of a message."""
    return _counted(lambda count: rewrite_content(content, "", count))


def _counted(go_over: Callable[[Visit], Any]) -> int:
    total = 0

    def count(text: str, _role: str, _label: str) -> str:
        nonlocal total
        total += len(text)
        return text

    go_over(count)
    return total


def unsupported(value: object) -> str:
    """Say what a guard takes, and what it got."""
    got = type(value).__name__
    if isinstance(value, list):
        got = f"a list of {', '.join(sorted({type(each).__name__ for each in value}))}"
    return (
        "GuardRunnable takes a str, a message, a list of messages, a string or chat "
        "prompt value, a list of documents, or with keys=[...] a dict of these, got "
        f"{got}"
    )


def is_documents(value: object) -> TypeGuard[list[Document]]:
    """Whether a value is a list of documents, with at least one."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Document) for each in value)
    )


def rewrite_document(document: Document, visit: Visit) -> Document:
    """Visit the text and the metadata of a document.

    Args:
        document: The document.
        visit: Called with each text.

    Returns:
        The document, or a copy.
    """
    return _with(
        document,
        page_content=visit(document.page_content, "document", ""),
        metadata=_data(document.metadata, "document", visit),
    )


def rewrite_message(message: M, visit: Visit, *, touched: bool = False) -> M:
    """Visit the content, the tool calls and the extra fields of a message.

    Args:
        message: The message.
        visit: Called with each text.
        touched: Whether a part of the message was replaced before: the log
            probabilities would spell it out, so they are taken away.

    Returns:
        The message, or a copy.
    """
    role = message.type.removesuffix("MessageChunk").lower()
    changes: dict[str, Any] = {
        "content": rewrite_content(message.content, role, visit),
        "additional_kwargs": _extras(message.additional_kwargs, role, visit),
        "response_metadata": _data(message.response_metadata, METADATA, visit),
    }
    if message.name:
        changes["name"] = visit(message.name, role, "")
    if isinstance(message, AIMessage):
        changes["tool_calls"] = _calls(message.tool_calls, role, visit)
        changes["invalid_tool_calls"] = _calls(message.invalid_tool_calls, role, visit)
    if isinstance(message, AIMessageChunk):
        changes["tool_call_chunks"] = _calls(message.tool_call_chunks, role, visit)
    if isinstance(message, ToolMessage):
        changes["artifact"] = _data(message.artifact, role, visit)
    if touched or any(_differs(new, getattr(message, k)) for k, new in changes.items()):
        metadata = changes["response_metadata"]
        changes["response_metadata"] = {
            key: metadata[key] for key in metadata if key != "logprobs"
        }
    return _with(message, **changes)


def rewrite_content(content: Any, role: str, visit: Visit) -> Any:
    """Visit the content of a message.

    Args:
        content: A text, or a list of texts and content blocks.
        role: The type of the message.
        visit: Called with each text.

    Returns:
        The same with what `visit` returned.
    """
    if isinstance(content, str):
        return visit(content, role, "")
    return [
        visit(block, role, "") if isinstance(block, str) else _block(block, role, visit)
        for block in content
    ]


def _extras(extras: dict[str, Any], role: str, visit: Visit) -> dict[str, Any]:
    """Visit extra fields, plain data but for a spoken answer."""
    spoken = extras.get("audio")
    if not isinstance(spoken, dict):
        return cast("dict[str, Any]", _data(extras, role, visit))
    written = {key: value for key, value in extras.items() if key != "audio"}
    return {**_data(written, role, visit), "audio": _block(spoken, role, visit)}


def _block(block: Any, role: str, visit: Visit, label: str = "") -> Any:
    """Visit a content block; what identifies it or is not text stays as it is."""
    if isinstance(block, list):
        return [_block(each, role, visit, label) for each in block]
    if not isinstance(block, Mapping):
        return _data(block, role, visit, label)
    return {
        visit(key, METADATA, ""): block[key]
        if _is_opaque(key, block[key], block)
        else _field(key, block[key], role, visit)
        for key in block
    }


def _field(key: str, value: Any, role: str, visit: Visit) -> Any:
    holds = _FIELDS.get(key, _PLAIN)
    if key in PROSE and isinstance(value, str):
        return visit(value, role, "")
    if _Holds.ARGUMENTS in holds:
        return _arguments(value, role, visit)
    if _Holds.WORD in holds:
        return _data(value, METADATA, visit, key)
    if _Holds.BLOCKS in holds:
        return _block(value, role, visit, key)
    return _data(value, role, visit, key)


def _is_opaque(key: str, value: Any, block: Mapping[str, Any]) -> bool:
    """Whether a field holds no text at all; its name alone does not tell."""
    holds = _FIELDS.get(key, _PLAIN)
    if not isinstance(value, str):
        return False
    return (
        (_Holds.TOKEN in holds and _TOKEN.fullmatch(value) is not None)
        or (_Holds.LINK in holds and _DATA_LINK.fullmatch(value) is not None)
        or (
            _Holds.BYTES in holds
            and _holds_bytes(block)
            and _BASE64.fullmatch(value) is not None
        )
    )


def _holds_bytes(block: Mapping[str, Any]) -> bool:
    media = block.get("mime_type") or block.get("media_type")
    if media:
        return not str(media).lower().startswith("text/")
    spoken = "format" in block or "transcript" in block
    return spoken or block.get("type") in _BINARY


def _calls(calls: list[Any], role: str, visit: Visit) -> list[Any]:
    return [
        {
            **call,
            **{
                key: _arguments(call[key], role, visit)
                for key in ("args", "error")
                if key in call
            },
        }
        for call in calls
    ]


def _arguments(value: Any, role: str, visit: Visit, label: str = "") -> Any:
    """Visit arguments; those in JSON are read first, since JSON can spell around."""
    if not isinstance(value, str):
        return _data(value, role, visit, label)
    twice: list[str] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        known = dict(pairs)
        twice.extend(known if len(known) < len(pairs) else ())
        return known

    try:
        parsed = json.loads(value, object_pairs_hook=read)
    except (ValueError, RecursionError):
        return visit(value, role, label)
    if not isinstance(parsed, dict | list):
        return visit(value, role, label)
    guarded = _data(parsed, role, visit, label)
    if guarded == parsed and not twice:
        return value
    # Of a key that is there twice only the last value was seen: only that may pass.
    return json.dumps(guarded, ensure_ascii=False)


def _data(value: Any, role: str, visit: Visit, label: str = "") -> Any:
    """Visit every text in plain data, keys included; a number can be a card too."""
    if isinstance(value, str):
        return visit(value, role, label)
    if isinstance(value, dict):
        return {
            visit(key, role, "") if isinstance(key, str) else key: _entry(
                key, value[key], role, visit, label
            )
            for key in value
        }
    if isinstance(value, list | tuple | set | frozenset):
        return _collection(value, role, visit, label)
    # What a retrieval tool puts beside its answer.
    if isinstance(value, Document):
        return rewrite_document(value, visit)
    if isinstance(value, BaseMessage):
        return rewrite_message(value, visit)
    return _number(value, role, visit, label)


def _entry(key: Any, value: Any, role: str, visit: Visit, label: str) -> Any:
    """Visit what a key stands for: all keys on the way there say what it is."""
    look = _arguments if _Holds.ARGUMENTS in _FIELDS.get(key, _PLAIN) else _data
    return look(value, role, visit, f"{label} {key}".strip())


def _collection(value: Any, role: str, visit: Visit, label: str) -> Any:
    guarded = [_data(each, role, visit, label) for each in value]
    if not any(map(_differs, guarded, value)):
        return value
    # A named tuple could not be made from one list.
    return tuple(guarded) if isinstance(value, tuple) else type(value)(guarded)


def _number(value: Any, role: str, visit: Visit, label: str) -> Any:
    whole = isinstance(value, float) and value.is_integer()
    if not (isinstance(value, int) or whole) or isinstance(value, bool):
        return value
    digits = str(int(value))
    guarded = visit(digits, role, label)
    return value if guarded == digits else guarded


C = TypeVar("C", bound=Any)


def _with(holder: C, **changes: Any) -> C:
    """Return a copy with changes, or the holder itself where there are none."""
    changed = {
        key: value
        for key, value in changes.items()
        if _differs(value, getattr(holder, key))
    }
    return cast("C", holder.model_copy(update=changed)) if changed else holder


def _differs(new: Any, old: Any) -> bool:
    """Whether a text was replaced; arrays and tables have no plain `==`."""
    return new is not old and bool(new != old)
