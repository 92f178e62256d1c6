"""What a part of an answer looks like: the response model, with what is there so far.

A partial value has the shape of the final one, so that the same code reads both. What
is missing, or not clear yet, is `None`. Texts grow; any other value appears once it is
complete and valid by itself. Validators of a whole model wait for the whole model.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from pydantic import AliasChoices, BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType, get_type_hints, is_typeddict

from langchain_prodpatterns.structured.target import UNEXPECTED

Build = Callable[[Any, bool], Any]
"""Makes a partial value of JSON data; the flag says whether its last text still grows.
Gives `MISSING` where it is not clear yet what the value is."""


class _Missing:
    """What is not there yet."""


MISSING = _Missing()
"""Stands for a value that cannot be told yet."""


class Partial:
    """Marks a partial value: `isinstance(value, Partial)`.

    Where a chain adds up what is streamed, a later value takes the place of an earlier
    one.
    """

    __slots__ = ()

    def __add__(self, later: Any) -> Any:
        return later

    # A developer's hooks are about classes of their own, not about these.
    def __init_subclass__(cls, **kwargs: Any) -> None: ...

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None: ...


class PartialList(Partial, list[Any]):
    """A list of which the end has not come yet."""

    __slots__ = ()


class PartialDict(Partial, dict[str, Any]):
    """An object of which the end has not come yet."""

    __slots__ = ()


class _Unset:
    """Reads a field that is not there yet as `None`."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in getattr(type(self), "__pydantic_fields__", ()):
            return None
        return super().__getattr__(name)  # type: ignore[misc]  # the next one is a model


class PartialShapes:
    """The partial forms of one type and of the types in it."""

    def __init__(self) -> None:
        """Start without any."""
        # By identity, since annotations need not be hashable; they are kept alive.
        self._builds: dict[int, tuple[Any, Build]] = {}

    def build(self, annotation: Any, data: Any, *, grows: bool) -> Any:
        """Make a partial value.

        Args:
            annotation: The type of the final value; `Any` takes the data as they are.
            data: JSON data.
            grows: Whether the last text among them goes on.

        Returns:
            The value, or `MISSING`.
        """
        value = self._of(annotation)(data, grows)
        if type(value) is list:
            return PartialList(value)
        return PartialDict(value) if type(value) is dict else value

    def _of(self, annotation: Any) -> Build:
        known = self._builds.get(id(annotation))
        if known is None:
            known = (annotation, self._make(annotation))
            self._builds[id(annotation)] = known
        return known[1]

    def _make(self, annotation: Any) -> Build:
        annotation = _plain(annotation)
        origin = get_origin(annotation)
        if origin in (Union, types.UnionType):
            return self._union(annotation)
        kind = annotation if origin is None else origin
        if is_typeddict(kind):
            return self._mapping(_hints(annotation), lambda fields: fields)
        if not isinstance(kind, type) or annotation is Any:
            return _leaf(annotation)
        return self._make_of_class(annotation, kind)

    def _make_of_class(self, annotation: Any, kind: type) -> Build:
        if issubclass(kind, BaseModel):
            return self._model(kind)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(annotation, kind)
        if issubclass(kind, str):
            return _text if kind is str else _leaf(annotation)
        given = get_args(annotation)
        if issubclass(kind, Mapping):
            return self._values(given[1] if len(given) > 1 else Any)
        if issubclass(kind, Sequence | AbstractSet) and not issubclass(kind, bytes):
            return self._items(given)
        return _leaf(annotation)

    def _items(self, given: tuple[Any, ...]) -> Build:
        # A tuple of fixed length has a type an item; any other list has one for all.
        each = given if len(given) > 1 and given[-1] is not Ellipsis else None
        one = given[0] if given else Any

        def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
            if not isinstance(data, list):
                return MISSING
            last = len(data) - 1
            kinds = each if each is not None else [one] * len(data)
            items = (
                self._of(kind)(item, grows and at == last)
                for at, (kind, item) in enumerate(zip(kinds, data, strict=False))
            )
            return [item for item in items if item is not MISSING]

        return build

    def _values(self, kind: Any) -> Build:
        def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
            if not isinstance(data, dict):
                return MISSING
            return self._filled(dict.fromkeys(data, (None, kind)), data, grows=grows)

        return build

    def _mapping(
        self,
        hints: Mapping[str, Any],
        wrap: Callable[[dict[str, Any]], Any],
        names: Mapping[str, str] | None = None,
    ) -> Build:
        """Make the build of an object with known keys.

        Args:
            hints: The type of each field.
            wrap: Makes the value of the fields.
            names: The field that a key of the data is of, where it is not the key.
        """
        keys = names or {name: name for name in hints}
        fields = {key: (name, hints[name]) for key, name in keys.items()}

        def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
            if not isinstance(data, dict):
                return MISSING
            return wrap(self._filled(fields, data, grows=grows))

        return build

    def _filled(
        self,
        fields: Mapping[str, tuple[str | None, Any]],
        data: dict[str, Any],
        *,
        grows: bool,
    ) -> dict[str, Any]:
        """Make the values of the keys that are known."""
        last = next(reversed(data), None) if grows else None
        filled = {}
        for key, value in data.items():
            if key not in fields:
                continue
            name, kind = fields[key]
            made = self._of(kind)(value, grows and key == last)
            if made is not MISSING:
                filled[key if name is None else name] = made
        return filled

    def _model(self, kind: type[BaseModel]) -> Build:
        hints = {name: field.annotation for name, field in kind.model_fields.items()}
        partial = _partial_class(kind)
        if partial is None:
            return _leaf(kind)

        def wrap(fields: dict[str, Any]) -> BaseModel:
            return _unvalidated(partial, fields)

        if issubclass(kind, RootModel):
            inner = self._of(hints["root"])

            def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
                root = inner(data, grows)
                return MISSING if root is MISSING else wrap({"root": root})

            return build
        return self._mapping(hints, wrap, _keys(kind.model_fields))

    def _dataclass(self, annotation: Any, kind: type) -> Build:
        names = [field.name for field in dataclasses.fields(kind)]
        hints = _hints(annotation)
        partial = _partial_class(kind)
        if partial is None:
            return _leaf(kind)

        def wrap(fields: dict[str, Any]) -> Any:
            value = object.__new__(partial)
            for name in names:
                object.__setattr__(value, name, fields.get(name))
            return value

        types_of = {name: hints.get(name, Any) for name in names}
        keys = {name: name for name in names} | _keys(_pydantic_fields(kind))
        return self._mapping(types_of, wrap, keys)

    def _union(self, annotation: Any) -> Build:
        options = [_plain(option) for option in _options(annotation)]
        texts = str in options
        leaf = _leaf(annotation)

        def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
            if isinstance(data, str) and texts:
                return data
            if not isinstance(data, dict | list):
                return leaf(data, grows)
            fitting = [one for one in options if _may_be(one, data)]
            return self._of(fitting[0])(data, grows) if len(fitting) == 1 else MISSING

        return build


def _text(data: Any, _grows: bool) -> Any:  # noqa: FBT001 - see `Build`
    return data if isinstance(data, str) else MISSING


def _leaf(annotation: Any) -> Build:
    """Make the build of a value that is whole or not there."""
    if annotation is Any or annotation is object:
        return lambda data, _grows: data
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    except (PydanticUserError, TypeError, NameError):
        return lambda data, _grows: data

    def build(data: Any, grows: bool) -> Any:  # noqa: FBT001 - see `Build`
        if grows:
            return MISSING
        try:
            return adapter.validate_python(data)
        except (ValidationError, *UNEXPECTED):
            return MISSING

    return build


def _plain(annotation: Any) -> Any:
    """Return a type without metadata, and not by another name."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        else:
            return annotation


def _options(annotation: Any) -> list[Any]:
    """List the types of a union, also of the unions in it."""
    annotation = _plain(annotation)
    if get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    return [one for part in get_args(annotation) for one in _options(part)]


def _may_be(option: Any, data: dict[str, Any] | list[Any]) -> bool:
    """Whether the keys that are there, and the tags among them, fit an option."""
    kind = get_origin(option) or option
    if not isinstance(kind, type):
        return False
    if isinstance(data, list):
        is_list = issubclass(kind, Sequence | AbstractSet)
        return is_list and not issubclass(kind, str | bytes)
    fields = _fields(kind)
    if fields is None:
        return issubclass(kind, Mapping)
    tags = ((data[key], field) for key, field in fields.items() if key in data)
    if any(_is_other_tag(value, field) for value, field in tags):
        return False
    return set(data) <= set(fields)


def _is_other_tag(value: Any, annotation: Any) -> bool:
    is_tag = get_origin(_plain(annotation)) is Literal
    return is_tag and value not in get_args(_plain(annotation))


@lru_cache(maxsize=256)
def _fields(kind: type) -> Mapping[str, Any] | None:
    """Return the keys of an object and their types; `None` where it has none."""
    if issubclass(kind, BaseModel):
        fields = kind.model_fields
        return {key: fields[name].annotation for key, name in _keys(fields).items()}
    if not is_typeddict(kind) and not dataclasses.is_dataclass(kind):
        return None
    hints = _hints(kind)
    aliases = _keys(_pydantic_fields(kind))
    return hints | {key: hints.get(name, Any) for key, name in aliases.items()}


def _pydantic_fields(kind: type) -> Mapping[str, FieldInfo]:
    """Return what pydantic knows of a dataclass; nothing of one that is not its own."""
    fields: Mapping[str, FieldInfo] = getattr(kind, "__pydantic_fields__", {})
    return fields


def _hints(annotation: Any) -> dict[str, Any]:
    """Return the types of the fields, with what a generic one was given."""
    kind = get_origin(annotation) or annotation
    try:
        hints = get_type_hints(kind)
    except NameError:
        # It refers to a local type, which only pydantic has found.
        return dict.fromkeys(getattr(kind, "__annotations__", ()), Any)
    free = getattr(kind, "__parameters__", ())
    given = dict(zip(free, get_args(annotation), strict=False))
    return {name: _given(hint, given) for name, hint in hints.items()}


def _given(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Put types in the place of type variables."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    free = getattr(hint, "__parameters__", ()) if get_origin(hint) else ()
    if not given or not all(isinstance(one, TypeVar) for one in free):
        return hint
    return hint[tuple(given.get(one, one) for one in free)] if free else hint


def _keys(fields: Mapping[str, FieldInfo]) -> dict[str, str]:
    """Return the field that each key of the data is of."""
    return {
        key: name for name, field in fields.items() for key in (name, *_aliases(field))
    }


def _aliases(field: FieldInfo) -> list[str]:
    alias = field.validation_alias or field.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice for choice in choices if isinstance(choice, str)]


@lru_cache(maxsize=256)
def _partial_class(kind: type) -> Any:
    """Derive the class of partial values; `None` where a class cannot be derived."""
    is_model = issubclass(kind, BaseModel)
    bases = (Partial, _Unset, kind) if is_model else (Partial, kind)
    # The schema is built only for those who serialize a partial value.
    config = {"defer_build": True} if is_model else {}
    body: dict[str, Any] = {"__doc__": kind.__doc__, "__module__": kind.__module__}
    if is_model:
        body |= {"__eq__": BaseModel.__eq__, "__hash__": None}
    try:
        return types.new_class(
            f"Partial{kind.__name__}", bases, config, lambda space: space.update(body)
        )
    except (PydanticUserError, TypeError):
        return None


def _unvalidated(partial: Any, fields: dict[str, Any]) -> BaseModel:
    """Make a model of nothing but these fields, by which no code of it is run."""
    value: BaseModel = partial.__new__(partial)
    object.__setattr__(value, "__dict__", fields)
    object.__setattr__(value, "__pydantic_fields_set__", set(fields))
    object.__setattr__(value, "__pydantic_extra__", None)
    object.__setattr__(value, "__pydantic_private__", None)
    return value
