"""Quotes in a verdict: code, not the judge, says whether they are there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from langchain_prodpatterns.errors import ConfigurationError

_UNIONS = (Union, UnionType)
_COLLECTIONS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class QuoteOf:
    """Marks a text of a verdict as a verbatim quote of a field of the request.

    `quote: Annotated[str, QuoteOf("text")]`; also on a list, tuple or set of `str`, on
    the items of one, beside `None`, and in a model within the verdict. Code checks that
    the quote occurs in the text, white space aside. An empty quote claims nothing and
    is not checked.
    """

    field: str
    """The request's field."""


def unproven_quote(verdict: BaseModel, request: BaseModel) -> str | None:
    """Check the quotes of a verdict.

    Args:
        verdict: The verdict.
        request: The texts it quotes from.

    Returns:
        The name of a field whose quote does not occur in its source, if there is one.
    """
    for name, declared in _fields(type(verdict)):
        for quote, mark in _quotes(declared, getattr(verdict, name)):
            if not _occurs(quote, _source(request, mark.field)):
                return name
    return None


def _source(request: BaseModel, field: str) -> Any:
    """Return the text of a field, or what the request says may be quoted of it."""
    quotable = getattr(request, "quotable", None)
    return quotable(field) if callable(quotable) else getattr(request, field)


@lru_cache(maxsize=128)
def quoted_fields(verdict_type: type[BaseModel]) -> frozenset[str]:
    """Return the fields of the request that a verdict quotes from.

    Args:
        verdict_type: The type of the verdict.

    Returns:
        Their names.

    Raises:
        ConfigurationError: When a mark stands where there is no text to check.
    """
    return frozenset(mark.field for mark in _marks(verdict_type, set()))


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yield a model's fields with their types as they were declared, marks included."""
    for name, info in model.model_fields.items():
        declared: Any = info.annotation
        yield name, Annotated[(declared, *info.metadata)] if info.metadata else declared


def _quotes(declared: Any, value: Any) -> Iterator[tuple[str, QuoteOf]]:
    """Yield every text that is a quote, by the type that it is declared as."""
    if isinstance(value, BaseModel):
        for name, inner in _fields(type(value)):
            yield from _quotes(inner, getattr(value, name))
        return
    origin, parts = get_origin(declared), get_args(declared)
    if origin is Annotated:
        for mark in parts[1:]:
            if isinstance(mark, QuoteOf):
                yield from ((text, mark) for text in _texts(value))
        yield from _quotes(parts[0], value)
    elif origin in _UNIONS:
        for part in parts:
            yield from _quotes(part, value)
    else:
        for part, item in _items(parts, value):
            yield from _quotes(part, item)


def _items(parts: tuple[Any, ...], value: Any) -> Iterator[tuple[Any, Any]]:
    """Pair what is in a value with the types in its type."""
    if not parts:
        return
    if isinstance(value, Mapping):
        yield from ((parts[0], key) for key in value)
        yield from ((parts[-1], item) for item in value.values())
    elif isinstance(value, tuple) and parts[-1] is not Ellipsis:
        yield from zip(parts, value, strict=False)
    elif isinstance(value, _COLLECTIONS):
        yield from ((parts[0], item) for item in value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, _COLLECTIONS):
        for item in value:
            yield from _texts(item)


def _marks(declared: Any, seen: set[type]) -> Iterator[QuoteOf]:
    """Yield the marks in a type, and refuse those that no text would answer to."""
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        if declared not in seen:
            seen.add(declared)
            for _, inner in _fields(declared):
                yield from _marks(inner, seen)
        return
    parts = get_args(declared)
    for mark in parts[1:] if get_origin(declared) is Annotated else ():
        if isinstance(mark, QuoteOf):
            if not _is_textual(parts[0]):
                msg = (
                    f"{mark!r} must mark a str or a list, tuple or set of str, got "
                    f"{parts[0]!r}"
                )
                raise ConfigurationError(msg)
            yield mark
    for part in parts:
        yield from _marks(part, seen)


def _is_textual(declared: Any) -> bool:
    """Whether a type holds texts and nothing else, `None` aside."""
    origin, parts = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return _is_textual(parts[0])
    if origin in {*_UNIONS, *_COLLECTIONS, Sequence}:
        known = [part for part in parts if part not in {NoneType, Ellipsis}]
        return bool(known) and all(_is_textual(part) for part in known)
    return isinstance(declared, type) and issubclass(declared, str)


def _occurs(quote: str, source: Any) -> bool:
    """Whether a quote stands in one text of the source, white space aside."""
    texts = list(source) if isinstance(source, list | tuple) else [source or ""]
    squeezed = _squeeze(quote)
    return not squeezed or any(squeezed in _squeeze(str(text)) for text in texts)


def _squeeze(text: str) -> str:
    return " ".join(text.split())
