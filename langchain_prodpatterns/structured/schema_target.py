"""A JSON Schema as a target: values are what `json.loads` gives, really validated."""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic_core import from_json, to_json

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.schemas import (
    check_references,
    mappings,
    subschemas,
    type_name,
)
from langchain_prodpatterns.structured.target import (
    ANNOTATIONS,
    MAX_ERRORS,
    MAX_VALUE,
    MisfitError,
    NotJsonError,
    Target,
    cut,
)

_SILENT = {"default", "definitions", "deprecated", "examples", "x-aliases"}
"""More keywords that demand nothing."""
_TOO_DEEP = "the value is nested too deeply"
_TOO_LARGE = "a number is not finite, or too large"


class SchemaTarget(Target):
    """A JSON Schema: values are what `json.loads` gives, really validated."""

    def __init__(self, response_model: Mapping[str, Any]) -> None:
        """Check the schema and build its validator once.

        Raises:
            ConfigurationError: When it is no valid JSON Schema, refers to another
                document, or has a schema somewhere inside of it instead.
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
        _check_patterns(self.json_schema)
        _check_keywords(self.json_schema, kind.VALIDATORS)
        metaschema: Any = kind.META_SCHEMA
        dialect = metaschema.get("$id") or metaschema.get("id")
        check_references(self.json_schema, dialect)
        # jsonschema's own function has no types.
        exact = extend(kind, _RULES_OF_OURS)  # type: ignore[no-untyped-call]
        # A registry of its own: without it, jsonschema would fetch remote references.
        self._validator = exact(self.json_schema, registry=Registry())
        self.name = type_name(self.json_schema.get("title"))
        self.output_type = Any
        self.output_schema = _schema_type(self.json_schema)

    named_only = True

    @cached_property
    def reshapes(self) -> bool:
        """Whether a property may have another name, or be none of the named ones."""
        rules = {"properties", "x-aliases"}
        return any(rules & set(node) for node in subschemas(self.json_schema))

    def validate_json(self, text: str) -> Any:
        """Parse strictly and validate."""
        try:
            data = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise NotJsonError(str(error)) from None
        return self.validate(data)

    def validate(self, data: Any) -> Any:
        """Validate data that was parsed already."""
        errors = []
        try:
            _check_finite(data)
            for found in self._validator.iter_errors(data):
                errors.append(self._read(found))
                if len(errors) == MAX_ERRORS:
                    break
        except RecursionError:
            errors = [self.error((), _TOO_DEEP, with_value=False)]
        except ArithmeticError:
            errors = [self.error((), _TOO_LARGE, with_value=False)]
        if errors:
            raise MisfitError(tuple(errors))
        return data

    def _read(self, found: Any) -> FieldError:
        """Describe an error in our words: jsonschema's own repeat the value."""
        rule, allowed = str(found.validator), found.validator_value
        if rule == "required":
            loc = (*found.absolute_path, *_missing(found))
            return self.error(loc, "is required and missing", with_value=False)
        message = _WORDING.get(rule, "does not satisfy `{rule}`: {allowed}")
        shown = cut(to_json(allowed, fallback=str).decode(), MAX_VALUE)
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


def _multiple_of(
    _validator: Any, divisor: Any, value: Any, _schema: Any
) -> Iterator[Any]:
    """Divide exactly, as decimals: of floats, `19.99 / 0.01` is not whole."""
    from jsonschema.exceptions import ValidationError

    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and Fraction(str(value)) % Fraction(str(divisor)):
        yield ValidationError("is not a multiple")


_RULES_OF_OURS = {"uniqueItems": _unique_items, "multipleOf": _multiple_of}
_WORDING = {
    "uniqueItems": "has items that occur twice",
    "type": "must be of type {allowed}",
    "enum": "must be one of {allowed}",
    "const": "must be {allowed}",
    "anyOf": "fits none of the allowed forms",
    "oneOf": "must fit exactly one of the allowed forms",
    "not": "has a form that is ruled out",
    "additionalProperties": "has properties that are not allowed",
}


def _check_keys(schema: Any) -> None:
    """Refuse what `json.dumps` would silently turn into another schema."""
    for node in mappings(schema):
        wrong = [key for key in node if not isinstance(key, str)]
        if wrong:
            msg = f"response_model is no JSON Schema: {wrong[0]!r} is a key, no text"
            raise ConfigurationError(msg)


def _check_keywords(schema: Mapping[str, Any], keywords: Mapping[str, Any]) -> None:
    """Refuse a dict that only looks like a schema: every answer would fit it.

    Such as `{"price": float}`, or the schema of a tool, in which it is one level down.
    """
    strange = sorted(schema.keys() - keywords.keys() - ANNOTATIONS - _SILENT)
    if strange and not schema.keys() & keywords.keys():
        msg = (
            "response_model has no keyword of JSON Schema, but "
            f"{', '.join(map(repr, strange))}: give it the schema itself, such as "
            '{"type": "object", "properties": {...}}'
        )
        raise ConfigurationError(msg)


def _check_patterns(schema: Any) -> None:
    """Refuse patterns that Python cannot read, before an answer meets them."""
    for node in subschemas(schema):
        patterns = [node["pattern"]] if "pattern" in node else []
        for pattern in [*patterns, *node.get("patternProperties", ())]:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"response_model has a pattern that is none in Python: {error}"
                raise ConfigurationError(msg) from None


def _check_finite(data: Any) -> None:
    """Refuse `1e999`, which no JSON has and every limit lets pass.

    Raises:
        OverflowError: When there is such a number.
    """
    waiting = [data]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, float) and not math.isfinite(node):
            raise OverflowError


def _schema_type(schema: dict[str, Any]) -> type[BaseModel]:
    """Return a type whose JSON Schema is the given one, for `get_output_schema`."""

    class Answer(RootModel[Any]):
        model_config = ConfigDict(json_schema_extra=schema)

    return Answer
