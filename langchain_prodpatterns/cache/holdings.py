"""What a chain's functions hold, which LangChain's JSON of the chain does not show."""

import dataclasses
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from operator import attrgetter, itemgetter, methodcaller
from types import ModuleType
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda
from langchain_core.runnables.base import RunnableBindingBase
from pydantic import BaseModel

from langchain_prodpatterns.cache.digests import canonical_json, digest
from langchain_prodpatterns.cache.functions import (
    held_by,
    is_function,
    is_importable,
    name_of,
)
from langchain_prodpatterns.cache.inputs import NotCanonical, as_json
from langchain_prodpatterns.cache.schemas import schema_digest

Show = Callable[[Runnable[Any, Any]], str]
"""Returns LangChain's JSON of a Runnable."""

_SHOWN = (bytes, itemgetter, attrgetter, methodcaller)
"""What its text tells completely."""
_AGAIN = "again"
"""Stands for what holds itself."""


class Holdings:
    """Tells what the parts of a chain hold, as JSON; equal holdings are equal JSON."""

    def __init__(self, show: Show, *, told_apart: bool) -> None:
        """Begin.

        Args:
            show: Returns LangChain's JSON of a Runnable that a function holds.
            told_apart: Whether what shows nothing of itself need not be told apart.
        """
        self._show = show
        self._told_apart = told_apart
        # With the parts: the id of one that is gone would be given again.
        self._parts: dict[int, tuple[Any, str]] = {}
        self._values: dict[int, tuple[Any, str]] = {}

    def of(self, part: Any) -> str | None:
        """Return what is held in a part of a chain, at any depth.

        Args:
            part: A Runnable or what is in one.

        Returns:
            A digest, or `None` where nothing can be held.
        """
        if is_function(part):
            return self._value(part, part)
        if isinstance(part, BaseLanguageModel) or not _may_hold(part):
            # A function of a model says how to reach it, or how to count tokens.
            return None
        return _once(self._parts, part, self._inside)

    def _inside(self, part: Any) -> list[Any]:
        if isinstance(part, RunnableLambda | RunnableGenerator):
            held = [self._value(one, part) for one in functions_of(part)]
            seen = part.deps if isinstance(part, RunnableLambda) else []
            # In no order: LangChain finds them in one that changes.
            return [held, sorted({self._value(one, part) for one in seen})]
        if _is_opaque(part):
            return [self._token(part)]
        return [self.of(one) for one in _held_in(part)]

    def _value(self, value: Any, holder: Any) -> str:
        """Return the digest of a value that a function holds."""
        return _once(self._values, value, lambda one: self._shown(one, holder))

    def _shown(self, value: Any, holder: Any) -> Any:
        if isinstance(value, Runnable):
            return ["Runnable", self._show(value), self.of(value)]
        if isinstance(value, type):
            return ["class", *name_of(value), schema_digest(value)]
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if isinstance(value, _SHOWN):
            return ["shown", repr(value)]
        if is_function(value) or is_importable(value):
            return ["function", *name_of(value), self._held(value)]
        return ["value", self._plain(value, holder)]

    def _held(self, function: Any) -> list[str]:
        values = held_by(function) if is_function(function) else []
        known = self
        if is_importable(function) and not self._told_apart:
            # Its name says which objects it holds: the same ones in any process.
            known = Holdings(self._show, told_apart=True)
        return [known._value(one, function) for one in values]

    def _plain(self, value: Any, holder: Any) -> Any:
        if isinstance(value, Mapping):
            return _sorted(
                [self._value(key, holder), self._value(inner, holder)]
                for key, inner in value.items()
            )
        if isinstance(value, set | frozenset):
            return _sorted(self._value(item, holder) for item in value)
        if isinstance(value, list | tuple):
            return [self._value(item, holder) for item in value]
        if dataclasses.is_dataclass(value):
            fields = [self._value(one, holder) for one in _held_in(value)]
            return [*name_of(type(value)), fields]
        try:
            return as_json(value)
        except NotCanonical:
            return self._token(value, holder)

    def _token(self, *things: Any) -> str:
        return "" if self._told_apart else _tokens.of(*things)


class Tokens:
    """Random names of objects, the same for as long as they live."""

    def __init__(self) -> None:
        """Begin without a name."""
        self._known: dict[int, tuple[weakref.ref[Any], str]] = {}

    def of(self, *things: Any) -> str:
        """Return the name of the first object that may have one.

        Args:
            *things: An object, and what stands for it if it is one, such as a slotted
                one, whose end cannot be noticed.

        Returns:
            32 hexadecimal digits.
        """
        for thing in things:
            with suppress(TypeError):
                # By identity: what equals another may still do something else.
                alive = weakref.ref(thing, partial(self._forget, id(thing)))
                return self._known.setdefault(id(thing), (alive, uuid4().hex))[1]
        return uuid4().hex

    def _forget(self, key: int, _: object) -> None:
        self._known.pop(key, None)


_tokens = Tokens()


def functions_of(part: Runnable[Any, Any]) -> list[Any]:
    """Return what a Runnable made of functions calls."""
    return [value for value in vars(part).values() if callable(value)]


def _is_opaque(part: Any) -> bool:
    return isinstance(part, Runnable) and type(part).__repr__ is object.__repr__


def _may_hold(part: Any) -> bool:
    if isinstance(
        part, Runnable | BaseModel | Mapping | list | tuple | set | frozenset
    ):
        return True
    return dataclasses.is_dataclass(part) and not isinstance(part, type)


def _held_in(part: Any) -> Iterable[Any]:
    if isinstance(part, Mapping):
        return part.values()
    if isinstance(part, RunnableBindingBase):
        # Not its config: who listens has no part in the answer.
        return [part.bound, part.kwargs]
    if isinstance(part, BaseModel):
        fields = type(part).model_fields
        return [value for name, value in vars(part).items() if name in fields]
    if dataclasses.is_dataclass(part):
        return [getattr(part, field.name) for field in dataclasses.fields(part)]
    return vars(part).values() if isinstance(part, Runnable) else part


def _once(
    known: dict[int, tuple[Any, str]], part: Any, tell: Callable[[Any], Any]
) -> str:
    """Tell of a part, unless that was done, or is being done further out."""
    if id(part) not in known:
        known[id(part)] = part, _AGAIN
        known[id(part)] = part, digest(tell(part))
    return known[id(part)][1]


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=canonical_json)
