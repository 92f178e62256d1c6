"""What an answer has to be: a response model as one validator with a JSON Schema.

Everything is validated as JSON, not as Python objects, so that a date may be a string
and a tuple a list also where a model is strict.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, from_json, to_json
from pydantic_core.core_schema import ErrorType

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.schemas import (
    check_references,
    property_names,
    resolve,
    takes_text,
    type_name,
    words,
)

_MAX_ERRORS = 20
_MAX_VALUE = 200
_MAX_MESSAGE = 300
_TOO_DEEP = "the value is nested too deeply"
# Of these, pydantic's message may repeat the input or a text of the developer's own.
_TELLTALE = {"value_error", "assertion_error", "union_tag_invalid", "uuid_parsing"}
_WITHOUT_VALUE = {"missing", "json_invalid"}


class NotJsonError(Exception):
    """Raised when a text is no JSON at all; says where it stops to be JSON."""


class MisfitError(Exception):
    """Raised when a JSON value does not fit the response model."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        """Keep what is wrong."""
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class Target:
    """A response model: its name, its JSON Schema and its validator."""

    name: str
    """What instructions call it."""
    json_schema: dict[str, Any]
    """Its JSON Schema."""
    output_type: Any
    """The Python type of a valid value."""
    _source: Any

    def validate_json(self, text: str) -> Any:
        """Parse strictly and validate.

        Args:
            text: The text, which must be JSON and nothing else.

        Returns:
            The value.

        Raises:
            NotJsonError: When it is not JSON.
            MisfitError: When it is, of another form.
        """
        raise NotImplementedError

    def validate(self, data: Any) -> Any:
        """Validate data that was parsed already.

        Args:
            data: JSON data.

        Returns:
            The value.

        Raises:
            MisfitError: When it has another form.
        """
        return self.validate_json(to_json(data, inf_nan_mode="constants").decode())

    def render(self, value: Any) -> str:
        """Write a valid value as JSON, for an example.

        Args:
            value: A value of the response model, or data that becomes one.

        Returns:
            Compact JSON.

        Raises:
            MisfitError: When it does not fit.
        """
        text = to_json(value, inf_nan_mode="constants").decode()
        self.validate_json(text)
        return text

    @cached_property
    def takes_text(self) -> bool:
        """Whether a bare word, without quotes, can be a value: a string or an enum."""
        return takes_text(self.json_schema, self.json_schema)

    @cached_property
    def takes_any_text(self) -> bool:
        """Whether the type is just a string, so that every text is a value."""
        root = resolve(self.json_schema, self.json_schema)
        return root.get("type") == "string" and not {"enum", "const"} & set(root)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The strings that an enum or literal allows as the whole answer."""
        return tuple(dict.fromkeys(words(self.json_schema, self.json_schema)))

    @cached_property
    def wants(self) -> str:
        """The opening brackets of the JSON values that can fit: `{`, `[` or both."""
        kind = resolve(self.json_schema, self.json_schema).get("type")
        return {"object": "{", "array": "["}.get(str(kind), "{[")

    @cached_property
    def property_names(self) -> frozenset[str]:
        """Every property that the schema names: paths made of them tell nothing."""
        return frozenset(property_names(self.json_schema))

    def error(
        self,
        loc: tuple[str | int, ...],
        message: str,
        value: Any = None,
        *,
        safe: str | None = None,
        with_value: bool = True,
    ) -> FieldError:
        """Describe one error.

        Args:
            loc: The keys and indices that lead to it.
            message: What is wrong.
            value: The offending value.
            safe: The message without any text of the model; by default `message`.
            with_value: Whether there is an offending value.

        Returns:
            The error.
        """
        shown = [part if self._is_ours(part) else "*" for part in loc]
        where = _path(shown) or "the answer"
        return FieldError(
            path=_cut(_path(loc), _MAX_VALUE),
            message=_cut(message, _MAX_MESSAGE),
            value=_shorten(value) if with_value else "",
            safe=_cut(f"{where}: {message if safe is None else safe}", _MAX_MESSAGE),
        )

    def _is_ours(self, part: str | int) -> bool:
        return isinstance(part, int) or part in self.property_names

    # A target never changes, so copies share it; unpickled, it is made again.
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return make_target, (self._source,)


class TypeTarget(Target):
    """A type that pydantic validates."""

    def __init__(self, response_model: Any) -> None:
        """Build the validator once.

        Raises:
            ConfigurationError: When pydantic can make no JSON validator of the type.
        """
        _check_type(response_model)
        self._source = response_model
        self.output_type = response_model
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(response_model)
            self.json_schema = self._adapter.json_schema()
        except (PydanticUserError, TypeError, NameError) as error:
            raise _unsupported(response_model, str(error).split("\n")[0]) from error
        self.name = str(self.json_schema.get("title") or "Answer").replace(" ", "")

    def validate_json(self, text: str) -> Any:
        """Parse strictly and validate."""
        problem: PydanticError
        try:
            return self._adapter.validate_json(text)
        except PydanticError as error:
            problem = error
        details = problem.errors(include_url=False, include_context=False)
        if details[0]["type"] == "json_invalid":
            raise NotJsonError(details[0]["msg"])
        raise MisfitError(tuple(self._read(entry) for entry in details[:_MAX_ERRORS]))

    def render(self, value: Any) -> str:
        """Write a value as JSON the way the type serializes."""
        try:
            text = self._adapter.dump_json(value, by_alias=True, warnings="error")
        except (ValueError, AttributeError, TypeError):
            return super().render(value)
        self.validate_json(text.decode())
        return text.decode()

    def _read(self, entry: ErrorDetails) -> FieldError:
        rule = entry["type"]
        return self.error(
            tuple(entry["loc"]),
            entry["msg"],
            entry["input"],
            safe=f"refused ({rule})" if _is_telltale(entry) else None,
            with_value=rule not in _WITHOUT_VALUE,
        )


class SchemaTarget(Target):
    """A JSON Schema: values are what `json.loads` gives, really validated."""

    def __init__(self, response_model: Mapping[str, Any]) -> None:
        """Check the schema and build its validator once.

        Raises:
            ConfigurationError: When it is no valid JSON Schema, or refers to another
                document.
        """
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import (
            Draft202012Validator,
            extend,
            validator_for,
        )
        from referencing import Registry

        self._source = self.json_schema = copy.deepcopy(dict(response_model))
        kind = validator_for(self.json_schema, default=Draft202012Validator)
        _check_keys(self.json_schema)
        try:
            kind.check_schema(self.json_schema)
        except SchemaError as error:
            msg = f"response_model is no valid JSON Schema: {error.message}"
            raise ConfigurationError(msg) from None
        check_references(self.json_schema)
        # jsonschema's own function has no types.
        linear = extend(kind, {"uniqueItems": _unique_items})  # type: ignore[no-untyped-call]
        # A registry of its own: without it, jsonschema would fetch remote references.
        self._validator = linear(self.json_schema, registry=Registry())
        self.name = type_name(self.json_schema.get("title"))
        self.output_type = _schema_type(self.json_schema)

    def validate_json(self, text: str) -> Any:
        """Parse strictly and validate."""
        try:
            data = from_json(text)
        except ValueError as error:
            raise NotJsonError(str(error)) from None
        return self.validate(data)

    def validate(self, data: Any) -> Any:
        """Validate data that was parsed already."""
        errors = []
        try:
            for found in self._validator.iter_errors(data):
                errors.append(self._read(found))
                if len(errors) == _MAX_ERRORS:
                    break
        except RecursionError:
            errors = [self.error((), _TOO_DEEP, with_value=False)]
        if errors:
            raise MisfitError(tuple(errors))
        return data

    def _read(self, found: Any) -> FieldError:
        """Describe an error in our words: jsonschema's own repeat the value."""
        rule, allowed = str(found.validator), found.validator_value
        if rule == "required":
            loc = (*found.absolute_path, *_missing(found))
            return self.error(loc, "is required and missing", with_value=False)
        message = _RULES.get(rule, "does not satisfy `{rule}`: {allowed}")
        shown = _cut(to_json(allowed, fallback=str).decode(), _MAX_VALUE)
        return self.error(
            tuple(found.absolute_path),
            message.format(rule=rule, allowed=shown),
            found.instance,
        )


def _missing(found: Any) -> tuple[str, ...]:
    """Return the property that an error finds missing: there is an error for each."""
    if not isinstance(found.validator_value, list):
        return ()  # in draft 3 a property says of itself that it is required
    absent = [name for name in found.validator_value if name not in found.instance]
    # The value is no part of the message, but the name is, in quotes.
    named = [name for name in absent if found.message.startswith(repr(name))]
    return tuple((named or absent)[:1])


def _unique_items(
    _validator: Any, unique: Any, items: Any, _schema: Any
) -> Iterator[Any]:
    """Find items that occur twice, in linear time: jsonschema compares all pairs."""
    from jsonschema.exceptions import ValidationError

    if unique and isinstance(items, list) and len({*map(_key, items)}) < len(items):
        yield ValidationError("has items that occur twice")


def _key(value: Any) -> Any:
    """Return what is equal for equal JSON values: `1` is `1.0`, but not `true`."""
    if isinstance(value, dict):
        return frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(map(_key, value))
    return (isinstance(value, bool), value)


_RULES = {
    "uniqueItems": "has items that occur twice",
    "type": "must be of type {allowed}",
    "enum": "must be one of {allowed}",
    "const": "must be {allowed}",
    "anyOf": "fits none of the allowed forms",
    "oneOf": "must fit exactly one of the allowed forms",
    "not": "has a form that is ruled out",
    "additionalProperties": "has properties that are not allowed",
}


def make_target(response_model: Any) -> Target:
    """Make one validator of whatever a response model may be.

    Args:
        response_model: A pydantic model class, a JSON Schema dict, or another type
            that pydantic validates.

    Returns:
        The target.

    Raises:
        ConfigurationError: When it is none of these.
    """
    if isinstance(response_model, Mapping):
        return SchemaTarget(response_model)
    return TypeTarget(response_model)


def _check_keys(schema: Any) -> None:
    """Refuse what `json.dumps` would silently turn into another schema."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            wrong = [key for key in node if not isinstance(key, str)]
            if wrong:
                msg = (
                    f"response_model is no JSON Schema: {wrong[0]!r} is a key, no text"
                )
                raise ConfigurationError(msg)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_type(response_model: Any) -> None:
    """Refuse what pydantic would take, but cannot have been meant."""
    hint = None
    if response_model is None or isinstance(response_model, str):
        hint = "a forward reference" if response_model else "None"
    elif isinstance(response_model, BaseModel):
        hint = "an instance, give its class"
    elif response_model is Any or response_model is object:
        hint = "everything fits it; for any JSON give the schema {}"
    elif inspect.isroutine(response_model):
        hint = "a function"
    if hint is not None:
        raise _unsupported(response_model, hint)


def _unsupported(response_model: Any, why: str) -> ConfigurationError:
    shown = _cut(repr(response_model), _MAX_VALUE)
    msg = (
        "response_model must be a pydantic model class, a type that pydantic can "
        f"validate as JSON, or a JSON Schema dict, got {shown} ({why})"
    )
    return ConfigurationError(msg)


def _is_telltale(entry: ErrorDetails) -> bool:
    # A developer's own error type may say anything.
    return entry["type"] in _TELLTALE or entry["type"] not in get_args(ErrorType)


def _schema_type(schema: dict[str, Any]) -> Any:
    """Return a type whose JSON Schema is the given one, for `get_output_schema`."""

    class Answer(RootModel[Any]):
        model_config = ConfigDict(json_schema_extra=schema)

    return Answer


def _path(loc: Any) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _shorten(value: Any) -> str:
    return _cut(
        to_json(value, fallback=str, inf_nan_mode="constants").decode(), _MAX_VALUE
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
