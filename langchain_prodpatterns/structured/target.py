"""What an answer has to be: a response model as one validator with a JSON Schema.

Everything is validated as JSON, not as Python objects, so that a date may be a string
and a tuple a list also where a model is strict.
"""

import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel
from pydantic_core import to_json

from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.schemas import (
    property_names,
    resolve,
    takes_text,
    top_properties,
)

MAX_ERRORS = 20
"""Errors of one answer that are told."""
MAX_VALUE = 200
"""Characters of an offending value, or of a path, that are told."""
UNEXPECTED = (LookupError, AttributeError, TypeError, ArithmeticError)
"""What a developer's own validator raises that did not expect such a value."""
ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "title", "description"}
"""Keywords of a JSON Schema that demand nothing."""
_MAX_MESSAGE = 300
_WHOLE = "the answer"


class NotJsonError(Exception):
    """Raised when a text is no JSON at all; says where it stops to be JSON."""


class MisfitError(Exception):
    """Raised when a JSON value does not fit the response model."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        """Keep what is wrong."""
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class Target(ABC):
    """A response model: its name, its JSON Schema and its validator."""

    name: str
    """What instructions call it."""
    json_schema: dict[str, Any]
    """Its JSON Schema."""
    output_type: Any
    """The Python type of a valid value."""
    output_schema: type[BaseModel] | None = None
    """A model class with the JSON Schema, where the type does not tell it."""
    _source: Any

    @abstractmethod
    def validate_json(self, text: str) -> Any:
        """Parse strictly and validate.

        Args:
            text: The text, which must be JSON and nothing else.

        Returns:
            The value.

        Raises:
            NotJsonError: When it is not JSON.
            MisfitError: When it is, of another form. Its cause is the error of a
                developer's own validator, where one failed instead of judging.
        """

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
    def demands_nothing(self) -> bool:
        """Whether every JSON value fits."""
        return not set(self.json_schema) - ANNOTATIONS

    named_only = False
    """Whether properties that the schema does not name are left out by coercion."""

    @cached_property
    def reshapes(self) -> bool:
        """Whether also data that is valid may have to be brought into form."""
        return False

    @cached_property
    def is_scalar(self) -> bool:
        """Whether a value may be neither an object nor a list, but not anything."""
        kind = resolve(self.json_schema, self.json_schema).get("type")
        kinds = set(kind) if isinstance(kind, list) else {kind}
        return bool(kinds - {"object", "array"}) and not self.demands_nothing

    @cached_property
    def takes_list(self) -> bool:
        """Whether a value may be a list, or anything."""
        kind = resolve(self.json_schema, self.json_schema).get("type")
        return kind == "array" or self.demands_nothing

    @cached_property
    def wants(self) -> str:
        """The opening brackets of the JSON values that can fit: `{`, `[` or both."""
        kind = resolve(self.json_schema, self.json_schema).get("type")
        return {"object": "{", "array": "["}.get(str(kind), "{[")

    @cached_property
    def key_pattern(self) -> re.Pattern[str] | None:
        """Finds a property of the value itself in a text; `None` where any will do."""
        names = sorted(top_properties(self.json_schema))
        if not names:
            return None
        one_of = "|".join(map(re.escape, names))
        return re.compile(rf"(?<!\w)(?:{one_of})[\\\"'\u2019\u201d]*+\s*+:")

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
        said = message if safe is None else safe
        where = self.shown(loc)
        if not where and not said.startswith(_WHOLE):
            where = _WHOLE
        return FieldError(
            path=cut(_path(loc), MAX_VALUE),
            message=cut(message, _MAX_MESSAGE),
            value=_shorten(value) if with_value else "",
            safe=cut(f"{where}: {said}" if where else said, _MAX_MESSAGE),
            loc=loc,
        )

    def unexpected(self, error: Exception, safe: str = "refused") -> FieldError:
        """Describe the failure of a check that did not expect such a value.

        Args:
            error: What it raised.
            safe: What is said without any text of the error.

        Returns:
            The error.
        """
        kind = type(error).__name__
        message = f"cannot be checked ({kind}: {error})"
        return self.error((), message, safe=f"{safe} ({kind})", with_value=False)

    def shown(self, loc: tuple[str | int, ...]) -> str:
        """Write a path without any text of the model: unknown keys become `*`."""
        return _path([part if self._is_ours(part) else "*" for part in loc])

    def _is_ours(self, part: str | int) -> bool:
        return isinstance(part, int) or part in self.property_names

    # A target never changes, so copies share it; unpickled, it is made again.
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)


def _path(loc: Any) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _shorten(value: Any) -> str:
    return cut(
        to_json(value, fallback=str, inf_nan_mode="constants").decode(), MAX_VALUE
    )


def cut(text: str, limit: int) -> str:
    """Cut a text to at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
