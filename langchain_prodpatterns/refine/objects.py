"""Objects as drafts: their JSON, and what a revision of that JSON changes in them.

A pydantic object may hold what its JSON does not show: a secret, a field that is left
out, a subclass. So what a revision did not change is never rebuilt from JSON.
"""

import json
from typing import Any

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from langchain_prodpatterns.verdicts import describe_errors


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
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        msg = "the revision is not JSON"
        raise RevisionError(msg) from None


def model_json(value: BaseModel) -> str:
    """Write a pydantic object as JSON, without what is computed from the rest."""
    return value.model_dump_json(indent=2, by_alias=True, round_trip=True)


def schema_json(model: type[BaseModel]) -> str | None:
    """Return the JSON Schema of a type, or nothing where it has none."""
    try:
        return json.dumps(model.model_json_schema(), ensure_ascii=False)
    except PydanticUserError:
        return None


def revised_model(old: BaseModel, was: Any, now: Any) -> BaseModel:
    """Carry a revision of the JSON of a pydantic object over into the object.

    Args:
        old: The object.
        was: Its JSON.
        now: The revised JSON.

    Returns:
        A new object of its type, valid as a whole.

    Raises:
        RevisionError: When it does not validate.
    """
    model = type(old)
    try:
        if _survives_json(old, was):
            return model.model_validate_json(json.dumps(now))
        merged = _merged(old, was, now)
        return model.model_validate(merged, by_alias=True, by_name=True)
    except ValidationError as error:
        raise RevisionError(describe_errors(error, model, "revision")) from None


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


def _survives_json(old: BaseModel, was: Any) -> bool:
    """Whether JSON holds all that an object is, so that it may be rebuilt from it."""
    try:
        return bool(type(old).model_validate_json(json.dumps(was)) == old)
    except Exception:  # noqa: BLE001 - validators and comparisons of any type may raise
        return False


def _merged(old: Any, was: Any, now: Any) -> Any:
    """Return `now`, with the old values wherever their JSON has not changed."""
    if was == now:
        return old
    if isinstance(old, RootModel):
        return type(old).model_validate(_merged(old.root, was, now))
    if isinstance(was, dict) and isinstance(now, dict):
        if isinstance(old, BaseModel):
            return _merged_model(old, was, now)
        if isinstance(old, dict):
            known = old.keys() & was.keys()
            return {
                key: _merged(old[key], was[key], value) if key in known else value
                for key, value in now.items()
            }
    lists = isinstance(was, list) and isinstance(now, list)
    if lists and isinstance(old, list | tuple):
        return _merged_items(old, was, now)
    return now


def _merged_model(
    old: BaseModel, was: dict[str, Any], now: dict[str, Any]
) -> BaseModel:
    model = type(old)
    left = dict(now)
    data: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        shown, key = info.serialization_alias or name, _input_key(name, info)
        found = [each for each in dict.fromkeys((shown, key, name)) if each in left]
        given = [left.pop(each) for each in found]
        if shown not in was:
            data[key] = getattr(old, name)  # what nobody was shown, nobody revises
        elif given:
            data[key] = _merged(getattr(old, name), was[shown], given[0])
    extra = old.model_extra or {}
    known = extra.keys() & was.keys()
    for key, value in left.items():
        data[key] = _merged(extra[key], was[key], value) if key in known else value
    return model.model_validate(data, by_alias=True, by_name=True)


def _merged_items(
    old: list[Any] | tuple[Any, ...], was: list[Any], now: list[Any]
) -> list[Any]:
    if len(was) == len(now) == len(old):
        triples = zip(old, was, now, strict=True)
        return [_merged(*triple) for triple in triples]
    # Some were added or taken out: those that are still there are known by their JSON.
    left = list(zip(was, old, strict=False))
    items = []
    for item in now:
        at = next((at for at, (known, _) in enumerate(left) if known == item), None)
        items.append(item if at is None else left.pop(at)[1])
    return items


def _input_key(name: str, info: FieldInfo) -> str:
    """Return the key under which a field is looked for first when it is validated."""
    alias = info.validation_alias
    return alias if isinstance(alias, str) else name


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
