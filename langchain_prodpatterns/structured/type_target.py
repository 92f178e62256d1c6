"""A Python type as a target, validated by pydantic."""

import inspect
from typing import Any

from pydantic import AliasChoices, BaseModel, RootModel, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticKnownError

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.target import (
    MAX_ERRORS,
    MAX_VALUE,
    UNEXPECTED,
    MisfitError,
    NotJsonError,
    Target,
    cut,
)

# Of these, pydantic's message may repeat the input or a text of the developer's own.
_TELLTALE = {"value_error", "assertion_error", "union_tag_invalid", "uuid_parsing"}
_WITHOUT_VALUE = {"missing", "json_invalid"}


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
            # Models write a field's own name as well as its alias.
            return self._adapter.validate_json(text, by_alias=True, by_name=True)
        except PydanticError as error:
            problem = error
        except UNEXPECTED as error:
            raise MisfitError((self.unexpected(error),)) from error
        details = problem.errors(include_url=False)
        # In a field of type `Json`, it is a part of the answer that is no JSON.
        if details[0]["type"] == "json_invalid" and not details[0]["loc"]:
            raise NotJsonError(details[0]["msg"])
        raise MisfitError(tuple(self._read(entry) for entry in details[:MAX_ERRORS]))

    def render(self, value: Any) -> str:
        """Write a value as JSON the way the type serializes."""
        try:
            text = self._adapter.dump_json(value, by_alias=True, warnings="error")
        except (ValueError, AttributeError, TypeError):
            return super().render(value)
        try:
            self.validate_json(text.decode())
        except (MisfitError, NotJsonError):
            # A model may write itself in another form than the one that it reads.
            return super().render(_readable(value))
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


def _readable(value: Any) -> Any:
    """Return the data that a value can be read from: its fields under their aliases."""
    if isinstance(value, RootModel):
        return _readable(value.root)
    if isinstance(value, BaseModel):
        fields = {
            _alias(name, field): getattr(value, name)
            for name, field in type(value).model_fields.items()
        }
        return _readable({**fields, **(value.model_extra or {})})
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_readable(item) for item in value]
    return value


def _alias(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return alias if isinstance(alias, str) else name


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
    shown = cut(repr(response_model), MAX_VALUE)
    msg = (
        "response_model must be a pydantic model class, a type that pydantic can "
        f"validate as JSON, or a JSON Schema dict, got {shown} ({why})"
    )
    return ConfigurationError(msg)


def _is_telltale(entry: ErrorDetails) -> bool:
    if entry["type"] in _TELLTALE:
        return True
    try:
        known = PydanticKnownError(entry["type"], entry.get("ctx"))  # type: ignore[arg-type]  # any text; unknown ones are refused
    except (KeyError, TypeError):
        return True
    # A developer's own error may say anything, also under a name of pydantic's.
    return known.message() != entry["msg"]
