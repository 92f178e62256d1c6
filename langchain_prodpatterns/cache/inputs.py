"""What identifies the input of a wrapped chain: its semantic text, and the rest."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel

from langchain_prodpatterns.cache.prompts import (
    PLACEHOLDER,
    RawMessage,
    canonical_messages,
    is_known,
    last_user_text,
    without_part,
    without_text,
)

In = TypeVar("In")

InputKey: TypeAlias = Callable[[In], str | None]
"""Names the semantic text of an input; `None` allows an equal input only."""

_ATOMS = (date, time, timedelta, Decimal, PurePath, UUID)
_TEXT_FIELDS = ("question", "input", "query")
_MESSAGES = "messages"


class NotCanonical(ValueError):
    """Raised for an input that has no form in which equal inputs are equal."""


@dataclass(frozen=True, slots=True)
class ReadInput:
    """An input, parted."""

    whole: Any
    """All of it, as JSON."""
    text: str | None
    """The semantic text, or `None`."""
    rest: Any
    """What has to be equal, as JSON."""
    is_stray: bool = False
    """Whether the semantic text stands nowhere in it, so that all has to be equal."""


def read_input(value: Any, key: InputKey[Any] | None) -> ReadInput:
    """Part an input into the semantic text and the rest.

    Args:
        value: The input.
        key: Names the semantic text.

    Returns:
        The parts.

    Raises:
        NotCanonical: When the input cannot be told from others.
    """
    whole = as_json(value)
    if key is not None:
        text = key(value)
        if not text or not text.strip():
            return ReadInput(whole, None, whole)
        is_stray = not any(text in value for value in _texts(whole))
        return ReadInput(whole, text, _without(whole, text), is_stray)
    text, rest = _default(value, whole)
    return ReadInput(whole, text, rest)


def _default(value: Any, whole: Any) -> tuple[str | None, Any]:
    if isinstance(value, str):
        return (value, "") if value.strip() else (None, whole)
    messages = _messages_of(value)
    if messages is not None:
        return _of_messages(messages, whole)
    if not isinstance(value, Mapping):
        return None, whole
    for name in _TEXT_FIELDS:
        text = value.get(name)
        if isinstance(text, str) and text.strip():
            return text, {**whole, name: PLACEHOLDER}
    messages = _messages_of(value.get(_MESSAGES))
    if messages is not None:
        text, rest = _of_messages(messages, whole[_MESSAGES])
        return text, {**whole, _MESSAGES: rest}
    return None, whole


def _of_messages(messages: list[RawMessage], whole: Any) -> tuple[str | None, Any]:
    canonical = _canonical(messages)
    text = last_user_text(canonical)
    return (None, whole) if text is None else (text, without_text(canonical))


def _canonical(messages: list[RawMessage]) -> list[dict[str, Any]]:
    """Return messages as JSON. A chain may read what a model is never sent."""
    artifacts = (fields.get("artifact") for _, fields in messages)
    return [
        as_json(message if artifact is None else {**message, "artifact": artifact})
        for message, artifact in zip(
            canonical_messages(messages), artifacts, strict=True
        )
    ]


def _messages_of(value: Any) -> list[RawMessage] | None:
    if isinstance(value, PromptValue):
        value = value.to_messages()
    if isinstance(value, BaseMessage):
        value = [value]
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(item, BaseMessage) for item in value):
        return None
    return [(_class_name(item), dict(item)) for item in value]


def _class_name(message: BaseMessage) -> str:
    """Return the name of LangChain's own class that a message is of."""
    for kind in type(message).__mro__:
        if kind.__module__.startswith("langchain_core.") and is_known(kind):
            return kind.__name__
    msg = f"cannot tell one {type(message).__name__} from another"
    raise NotCanonical(msg)


def as_json(value: Any) -> Any:
    """Return a value as JSON in which equal values are equal.

    Args:
        value: Plain values, dates and the like, containers, messages, prompts,
            documents, dataclasses and pydantic models, in any depth.

    Raises:
        NotCanonical: When there is anything else in it.
    """
    if isinstance(value, Enum):
        # First: many are texts or numbers besides, but are not written as such.
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"class": kind, "value": str(value), "of": as_json(value.value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    messages = _messages_of(value)
    if messages is not None:
        return _canonical(messages)
    if isinstance(value, Mapping):
        return {_name(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [as_json(item) for item in value]
    return _object_as_json(value)


def _object_as_json(value: Any) -> Any:
    if isinstance(value, Document):
        fields = {"page_content": value.page_content, "metadata": value.metadata}
        # A prompt may number its sources.
        return as_json(fields if value.id is None else {**fields, "id": value.id})
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, _ATOMS):
        return {"class": kind, "value": str(value)}
    if isinstance(value, BaseModel):
        # Not `model_dump`, which leaves out what is private and masks secrets.
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        fields |= (value.__pydantic_extra__ or {}) | (value.__pydantic_private__ or {})
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        fields = {name: getattr(value, name) for name in names}
    else:
        msg = f"cannot tell one {type(value).__name__} from another"
        raise NotCanonical(msg)
    return {"class": kind, "fields": as_json(fields)}


def _name(key: Any) -> str:
    if isinstance(key, str):
        return key
    msg = f"cannot tell inputs with keys of {type(key).__name__} apart"
    raise NotCanonical(msg)


def _without(whole: Any, text: str) -> Any:
    """Put a placeholder in the place of the semantic text.

    That is the value that equals it, or else the only place where it occurs. Where
    there are several, the whole stays: `{"user": "anna", "question": "anna"}` is not
    the question of a user of another name.
    """
    values = list(_texts(whole))
    if text in values:
        once = values.count(text) == 1
        return _replaced(whole, text, text) if once else whole
    holders = [value for value in values if text in value]
    return _replaced(whole, holders[0], text) if len(holders) == 1 else whole


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _replaced(value: Any, holder: str, text: str) -> Any:
    if value == holder:
        return without_part(holder, text)
    if isinstance(value, list):
        return [_replaced(item, holder, text) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(inner, holder, text) for key, inner in value.items()}
    return value
