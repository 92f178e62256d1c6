"""Answers as JSON, and back: an allow-list of types, checked by a round trip.

Nothing is imported and no code is run to read an answer. A type of the user's (a
pydantic model) is found only among the modules that are already imported.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.messages.base import TextAccessor
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)
from langchain_core.runnables.utils import AddableDict
from pydantic import BaseModel

from langchain_prodpatterns.usage import CACHE_KEY

_TAG = "$"
_LANGCHAIN: dict[str, type[BaseModel]] = {
    kind.__name__: kind
    for kind in (
        AIMessage,
        AIMessageChunk,
        ChatGeneration,
        ChatGenerationChunk,
        ChatMessage,
        ChatMessageChunk,
        Document,
        FunctionMessage,
        FunctionMessageChunk,
        Generation,
        GenerationChunk,
        HumanMessage,
        HumanMessageChunk,
        SystemMessage,
        SystemMessageChunk,
        ToolMessage,
        ToolMessageChunk,
    )
}
_ATOMS = frozenset({type(None), bool, int, float, str})
_COUNTS_IN_METADATA = ("token_usage", "usage")


class Unstorable(ValueError):
    """Raised by `pack` for a value that JSON cannot hold, or not entirely."""


class Unreadable(ValueError):
    """Raised by `unpack` for a row that holds no value."""


class UnknownType(Exception):
    """Raised by `unpack` for a type that this process has not imported."""


def pack(value: Any) -> str:
    """Write a value as JSON.

    Args:
        value: Plain values, lists, tuples, mappings with text keys, messages,
            generations, documents and pydantic models, in any depth.

    Returns:
        ASCII JSON.

    Raises:
        Unstorable: When the value would not come back equal.
    """
    try:
        text = json.dumps(_encode(value), allow_nan=False, separators=(",", ":"))
        returned = unpack(text)
    except (Unstorable, UnknownType) as error:
        raise Unstorable(str(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        # Never the message: it may hold what a user wrote.
        msg = f"a value does not come back from JSON ({type(error).__name__})"
        raise Unstorable(msg) from error
    if returned != value:
        msg = f"{type(value).__name__} comes back from JSON as another value"
        raise Unstorable(msg)
    return text


def unpack(text: str, keys: Collection[str] | None = None) -> Any:
    """Read what `pack` wrote; every call gives a copy of its own.

    Args:
        text: The JSON.
        keys: Of a mapping, what to read. The rest is left out.

    Returns:
        The value.

    Raises:
        Unreadable: When the text is not of `pack`.
        UnknownType: When a type of the user's is not imported in this process.
    """
    try:
        data = json.loads(text)
        return _decode(data if keys is None else _only(data, keys))
    except UnknownType:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        msg = f"not a stored value: {type(error).__name__}"
        raise Unreadable(msg) from None


def _only(data: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    found = {key: inner for key, inner in data.items() if key in keys}
    if not found:
        msg = "nothing to read"
        raise LookupError(msg)
    return found


def _is_findable(kind: type[BaseModel]) -> bool:
    try:
        return _find_model(kind.__module__, kind.__qualname__) is kind
    except UnknownType:
        return False


def _encode(value: Any, *, plainly: bool = False) -> Any:
    """Bring a value to what JSON holds.

    Args:
        value: The value.
        plainly: Whether what a provider or a retriever put into a field may become a
            plain value: a score that is numpy's, or headers that are a mapping of their
            own, are metadata, and nobody adds them up.
    """
    # By the very type: an instance of a subclass would come back as a plain value that
    # compares equal, and behaves otherwise.
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is list:
        return [_encode(item, plainly=plainly) for item in value]
    if kind is tuple:
        items = [_encode(item, plainly=plainly) for item in value]
        return {_TAG: "tuple", "items": items}
    if kind is dict or kind is AddableDict:
        return _encode_mapping(value, plainly=plainly)
    return _encode_object(value, plainly=plainly)


def _encode_object(value: Any, *, plainly: bool) -> Any:
    if type(value) is TextAccessor:
        return {_TAG: "text", "items": str(value)}
    if isinstance(value, BaseModel):
        return _encode_model(value)
    plain = _plain(value) if plainly else value
    if plain is not value:
        return _encode(plain, plainly=True)
    msg = f"cannot store a {type(value).__name__}"
    raise Unstorable(msg)


def _plain(value: Any) -> Any:
    """Return the plain value that a value of a derived type stands for."""
    if isinstance(value, Enum):
        return value
    kinds: tuple[Any, ...] = (dict, list, str, float)
    return next((kind(value) for kind in kinds if isinstance(value, kind)), value)


def _encode_mapping(value: dict[Any, Any], *, plainly: bool) -> Any:
    if not all(type(key) is str for key in value):
        msg = "cannot store a mapping whose keys are not text"
        raise Unstorable(msg)
    encoded = {
        key: inner if type(inner) in _ATOMS else _encode(inner, plainly=plainly)
        for key, inner in value.items()
    }
    if type(value) is AddableDict:
        return {_TAG: "addable", "items": encoded}
    return {_TAG: "mapping", "items": encoded} if _TAG in value else encoded


def _encode_model(value: BaseModel) -> Any:
    kind = type(value)
    if _LANGCHAIN.get(kind.__name__) is kind:
        return {_TAG: kind.__name__, "fields": _encode(_said(value), plainly=True)}
    if not _is_findable(kind):
        place = "in a function" if "<locals>" in kind.__qualname__ else "at run time"
        msg = (
            f"{kind.__name__} (defined {place}) cannot be found again: define it at "
            "module level"
        )
        raise Unstorable(msg)
    return {
        _TAG: "model",
        "class": [kind.__module__, kind.__qualname__],
        "fields": value.model_dump(mode="json", by_alias=True, warnings="none"),
    }


def _said(value: BaseModel) -> dict[str, Any]:
    """Return the fields of LangChain's that say anything: most are empty."""
    left_out = _empty_by_default(type(value))
    fields = {
        name: given
        for name, given in value
        if name not in left_out or given != left_out[name]
    }
    if isinstance(value, ChatGeneration):
        # It is the text of the message.
        fields.pop("text", None)
    return fields


@cache
def _empty_by_default(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of a model that are empty unless they are given."""
    optional = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    return {name: value for name, value in optional.items() if not value}


def _decode(data: Any) -> Any:
    if isinstance(data, list):
        return [_decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    if _TAG in data:
        return _decode_tagged(data)
    return {
        key: inner if type(inner) in _ATOMS else _decode(inner)
        for key, inner in data.items()
    }


def _decode_tagged(data: dict[str, Any]) -> Any:
    kind = data[_TAG]
    if kind == "tuple":
        return tuple(_decode(item) for item in data["items"])
    if kind in {"mapping", "addable"}:
        items = {key: _decode(inner) for key, inner in data["items"].items()}
        return AddableDict(items) if kind == "addable" else items
    if kind == "text":
        return TextAccessor(data["items"])
    if kind == "model":
        return _find_model(*data["class"]).model_validate(data["fields"])
    return _LANGCHAIN[kind](**_decode(data["fields"]))


def _find_model(module: str, qualname: str) -> type[BaseModel]:
    """Find a pydantic model among the imported modules, running no code."""
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return found
    msg = f"{module}.{qualname} is not imported"
    raise UnknownType(msg)


def as_served(value: Any, mark: Mapping[str, Any]) -> Any:
    """Make a value that was just unpacked into one that is served.

    No message keeps its stored id (LangGraph would replace the older message by the
    new one), and no answer claims tokens that nobody paid for. The first answer
    carries the mark in its `response_metadata`.

    Args:
        value: An unpacked value; it is changed.
        mark: What the cache says of this hit.

    Returns:
        The value.
    """
    ids: dict[str, str] = {}
    marked = False
    for message in messages_in(value):
        if message.id is not None:
            # Chunks of one message share their id, and have to go on doing so.
            message.id = ids.setdefault(message.id, _fresh_id())
        if isinstance(message, AIMessage):
            _clear_usage(message)
            if message.id is None and not isinstance(message, AIMessageChunk):
                message.id = _fresh_id()
            if not marked:
                message.response_metadata[CACHE_KEY] = dict(mark)
                marked = True
    return value


def _fresh_id() -> str:
    return f"cache-{uuid4()}"


def _clear_usage(message: AIMessage) -> None:
    for key in _COUNTS_IN_METADATA:
        message.response_metadata.pop(key, None)
    if message.usage_metadata is not None or not isinstance(message, AIMessageChunk):
        message.usage_metadata = {
            "input_tokens": 0,
            "output_tokens": 0,
            "total_tokens": 0,
        }


def messages_in(value: Any) -> Iterator[BaseMessage]:
    """Yield the messages in a value, in lists, tuples, mappings and generations."""
    if isinstance(value, BaseMessage):
        yield value
    elif isinstance(value, ChatGeneration):
        yield value.message
    elif isinstance(value, list | tuple):
        for item in value:
            yield from messages_in(item)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from messages_in(inner)


def answer_in(value: Mapping[str, Any]) -> Any:
    """Return what was answered: the output, or where there is none, the chunks."""
    return value["output"] if "output" in value else value["chunks"]


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts in a value, in any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseMessage):
        yield str(value.text)
    elif isinstance(value, BaseModel):
        yield from texts_in(dict(value))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)


def answer_text(value: Any) -> str:
    """Return an answer as text, for a judge to read."""
    if isinstance(value, str):
        return value
    if isinstance(value, Generation):
        return value.text or _message_text(getattr(value, "message", None))
    if isinstance(value, BaseMessage):
        return _message_text(value)
    if isinstance(value, list | tuple):
        return "\n\n".join(answer_text(item) for item in value)
    if isinstance(value, Document):
        return value.page_content
    return json.dumps(value, default=_readable, ensure_ascii=False)


def _message_text(message: BaseMessage | None) -> str:
    if message is None:
        return ""
    calls = getattr(message, "tool_calls", None)
    return str(message.text) or (json.dumps(calls, default=str) if calls else "")


def _readable(value: Any) -> Any:
    readable: Callable[[], Any] | None = getattr(value, "model_dump", None)
    return readable() if readable is not None else str(value)
