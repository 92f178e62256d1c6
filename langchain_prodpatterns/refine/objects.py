"""Objects as drafts: the JSON they are shown as, and the JSON that revisers answer."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError


class RevisionError(ValueError):
    """Raised when what the reviser gave cannot stand in for the draft."""


def read_json(text: str) -> Any:
    """Read the JSON of a reviser.

    Line breaks inside of its strings may stand unescaped, as many models write them.

    Args:
        text: The JSON.

    Returns:
        Its value.

    Raises:
        RevisionError: When it is none.
    """
    try:
        data = json.loads(text, strict=False)
        # Half of a surrogate pair makes a text that nobody can send on.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        msg = "the revision is not JSON"
        raise RevisionError(msg) from None
    return data


def model_json(value: BaseModel) -> str:
    """Write a pydantic object as JSON, without what is computed from the rest."""
    return value.model_dump_json(indent=2, by_alias=True, round_trip=True)


def strange_keys(value: Any) -> Iterator[Any]:
    """Yield the keys of mappings, at any depth, that JSON would turn into texts."""
    if isinstance(value, dict):
        yield from (key for key in value if not isinstance(key, str))
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from strange_keys(item)


def schema_json(model: type[BaseModel]) -> str | None:
    """Return the JSON Schema of a type, or nothing where it has none."""
    try:
        return json.dumps(model.model_json_schema(), ensure_ascii=False)
    except PydanticUserError:
        return None


def check_shape(old: dict[str, Any], new: Any) -> None:
    """Check that a dict has the keys and the types of another one.

    Args:
        old: The dict that was to be revised.
        new: The revision.

    Raises:
        RevisionError: When the shapes differ; lists may differ in length.
    """
    difference = _difference(old, new)
    if difference is not None:
        msg = f"the revision has another shape at '{difference}'"
        raise RevisionError(msg)


def _difference(old: Any, new: Any, path: str = "draft") -> str | None:
    """Return where two JSON values differ in shape; lists may differ in length."""
    if _json_type(old) != _json_type(new):
        return None if old is None else path
    if isinstance(old, dict):
        if old.keys() != new.keys():
            return path
        pairs = [(old[key], new[key], f"{path}.{key}") for key in old]
        found = (_difference(*pair) for pair in pairs)
        return next((place for place in found if place), None)
    if isinstance(old, list | tuple) and old:
        strangers = (
            index
            for index, item in enumerate(new)
            if all(_difference(known, item) for known in old)
        )
        index = next(strangers, None)
        return None if index is None else f"{path}[{index}]"
    return None


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return type(value).__name__
    kinds = {"number": int | float, "list": list | tuple, "text": str, "object": dict}
    return next(
        (name for name, kind in kinds.items() if isinstance(value, kind)), "other"
    )
