"""Mending an answer by a JSON Patch (RFC 6902) of the fields that failed. Pure.

Only the places that failed may be changed, and what is below them. Items of a list keep
their place: none is inserted or removed, since every later index would then mean
another item. What cannot be mended so is asked for as a whole.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from langchain_prodpatterns.structured.assessing import Assessment, assess
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.schemas import options_of, resolve, subschemas
from langchain_prodpatterns.structured.target import MAX_ERRORS, Target
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.structured.typescript import declare

MAX_OPERATIONS = 100
"""Operations of one patch."""
PATCHED = "mended by a patch"
"""What a mended answer is said to be."""
_MAX_TYPE = 400
_DEFINITIONS = {"$defs", "definitions"}
# More digits than a float keeps, so that the number would come back as another.
_LONG_NUMBER = re.compile(r"[0-9][0-9.]{16}")

Pointer = tuple[str, ...]
"""The keys and indices of a JSON pointer (RFC 6901)."""


class UnpatchableError(Exception):
    """Raised when a patch cannot be applied; says why without any text of a model."""


class Operation(BaseModel):
    """One step of a JSON Patch, of the kinds that mend a field."""

    op: Literal["add", "replace", "remove"]
    """What to do."""
    path: str
    """A JSON pointer."""
    value: Any = None
    """The new value; not of `remove`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place of an answer that has to be changed."""

    pointer: Pointer
    """Where."""
    is_there: bool
    """Whether it has a value, which is wrong."""
    error: FieldError = field(repr=False)
    """What is wrong."""
    wanted: str = field(default="", repr=False)
    """The type of what is missing, as far as the schema tells."""


@dataclass(frozen=True, slots=True)
class Mendable:
    """An answer of which some fields failed."""

    data: Any = field(repr=False)
    """Its data: an object or a list."""
    places: tuple[Place, ...]
    """What has to be changed."""

    @property
    def text(self) -> str:
        """The answer as JSON."""
        return _as_json(self.data)


@dataclass(frozen=True, slots=True)
class Mended:
    """What came of asking for a patch."""

    assessment: Assessment
    """What the attempt is worth; its text is the patch."""
    failure: Assessment | None = None
    """The mended answer, where that does not fit either."""


@cache
def operations() -> Target:
    """Return what a patch has to be: a list of operations."""
    return make_target(list[Operation])


def mendable(failed: Assessment, target: Target) -> Mendable | None:
    """Find what has to be changed of an answer that does not fit.

    Args:
        failed: The answer.
        target: What it has to be.

    Returns:
        The places, or `None` where they are not known: where the answer as a whole was
        refused, by a validator or because it is of another kind, or with too many
        errors to tell them all. `None` also where nothing would be kept, and where the
        answer has a number of 16 digits or more, which could not be kept exactly.
    """
    if failed.kind != "schema" or not isinstance(failed.data, dict | list):
        return None
    if not 0 < len(failed.errors) < MAX_ERRORS or _LONG_NUMBER.search(failed.text):
        return None
    places = [_place(failed.data, error, target) for error in failed.errors]
    known = tuple(place for place in places if place is not None)
    keeps_some = len(known) == len(places) and _keeps_some(failed.data, known)
    return Mendable(failed.data, known) if keeps_some else None


def assess_patch(
    reply: Any, answer: Mendable, judge: Callable[[Any], Assessment]
) -> Mended:
    """Judge what a model replies that was asked for a patch.

    Args:
        reply: Its message or text.
        answer: The answer to mend.
        judge: Tells what a whole answer is worth.

    Returns:
        What the reply is worth. A whole answer that is valid will do, too.
    """
    patch = assess(reply, operations())
    if patch.kind in {"refused", "truncated"}:
        return Mended(patch)
    if patch.kind != "ok":
        whole = judge(reply)
        if whole.kind == "ok" or _is_whole_answer(whole):
            return Mended(whole, None if whole.kind == "ok" else whole)
        return Mended(_useless(patch, "the answer is no JSON Patch, as was asked for"))
    try:
        data = patched(answer, patch.value)
    except UnpatchableError as error:
        return Mended(_useless(patch, str(error)))
    whole = judge(_as_json(data))
    repairs = dict.fromkeys((*patch.repairs, *whole.repairs, PATCHED))
    worth = replace(whole, text=patch.text, repairs=tuple(repairs))
    return Mended(worth, None if whole.kind == "ok" else whole)


def _is_whole_answer(whole: Assessment) -> bool:
    """Whether a model that was asked for a patch wrote the whole object instead."""
    is_object = whole.kind == "schema" and isinstance(whole.data, dict)
    return is_object and "op" not in whole.data


def _useless(patch: Assessment, why: str) -> Assessment:
    problem = operations().error((), why, with_value=False)
    return replace(patch, kind="syntax", value=None, errors=(problem,))


def _as_json(data: Any) -> str:
    return to_json(data, inf_nan_mode="constants").decode()


def written(pointer: Pointer) -> str:
    """Write a JSON pointer."""
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in pointer)


def patched(answer: Mendable, steps: list[Operation]) -> Any:
    """Apply a patch to the places that have to be changed, and to no other.

    Args:
        answer: The answer, which is not changed.
        steps: The patch.

    Returns:
        The mended data.

    Raises:
        UnpatchableError: When the patch is empty, too long or leads somewhere else.
    """
    if not 0 < len(steps) <= MAX_OPERATIONS:
        msg = f"a patch must have 1 to {MAX_OPERATIONS} operations"
        raise UnpatchableError(msg)
    allowed = [place.pointer for place in answer.places]
    data = from_json(answer.text)
    for step in steps:
        pointer = _read_pointer(step.path)
        if not any(pointer[: len(place)] == place for place in allowed):
            msg = "a patch may only change what was wrong"
            raise UnpatchableError(msg)
        _apply(data, pointer, step)
    return data


def _keeps_some(data: Any, places: tuple[Place, ...]) -> bool:
    """Whether a part of an answer stays, so that a patch saves something."""
    replaced = {place.pointer[0] for place in places if len(place.pointer) == 1}
    keys = data if isinstance(data, dict) else map(str, range(len(data)))
    return any(key not in replaced for key in keys)


def _place(data: Any, error: FieldError, target: Target) -> Place | None:
    """Follow an error into the data, past names of types that are no keys of it."""
    pointer: Pointer = ()
    node, is_there = data, True
    for number, part in enumerate(error.loc, 1):
        found = _child(node, str(part))
        if found is not None:
            pointer, node = (*pointer, str(part)), found[0]
        elif number == len(error.loc) and isinstance(node, dict) and not error.value:
            pointer, is_there = (*pointer, str(part)), False
    if not pointer:
        return None
    wanted = "" if is_there else _wanted(target.json_schema, pointer)
    return Place(pointer, is_there, error, wanted)


def _child(node: Any, part: str) -> tuple[Any] | None:
    if isinstance(node, dict):
        return (node[part],) if part in node else None
    if isinstance(node, list) and _is_index(part) and int(part) < len(node):
        return (node[int(part)],)
    return None


def _is_index(part: str) -> bool:
    """Whether it is an index as RFC 6901 writes one, of a length that can be one."""
    is_number = part.isascii() and part.isdecimal() and len(part) <= len("999999999")
    return is_number and (part == "0" or not part.startswith("0"))


def _read_pointer(path: str) -> Pointer:
    # Models forget the first slash.
    parts = path.removeprefix("/").split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _apply(data: Any, pointer: Pointer, step: Operation) -> None:
    """Apply one operation; like `add`, `replace` also fills what is not there yet."""
    parent: Any = data
    for part in pointer[:-1]:
        found = _child(parent, part)
        if found is None:
            msg = "a patch leads to a place that does not exist"
            raise UnpatchableError(msg)
        parent = found[0]
    last = pointer[-1]
    if step.op == "remove":
        _remove(parent, last)
        return
    if "value" not in step.model_fields_set:
        msg = f"an operation '{step.op}' must have a value"
        raise UnpatchableError(msg)
    _set(parent, last, step.value)


def _remove(parent: Any, key: str) -> None:
    if not isinstance(parent, dict) or key not in parent:
        msg = "a patch may only remove a property that is there"
        raise UnpatchableError(msg)
    del parent[key]


def _set(parent: Any, key: str, value: Any) -> None:
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list) and key in {"-", str(len(parent))}:
        parent.append(value)
    elif isinstance(parent, list) and _child(parent, key) is not None:
        parent[int(key)] = value
    else:
        msg = "a patch leads to a place that does not exist"
        raise UnpatchableError(msg)


def _wanted(schema: dict[str, Any], pointer: Pointer) -> str:
    """Declare the type of a place in a few words; empty where that takes many."""
    node: Any = schema
    for part in pointer:
        node = _below(_only_option(resolve(node, schema), schema), part)
        if not isinstance(node, dict):
            return ""
    refers = any("$ref" in part for part in subschemas(node))
    shared = {key: schema[key] for key in schema if key in _DEFINITIONS and refers}
    text = declare({**node, **shared}, "Value")
    return text if len(text) <= _MAX_TYPE else ""


def _only_option(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return the one option of a union that may be `null`."""
    options = [one for one in options_of(node) if isinstance(one, dict)]
    filled = [one for one in options if one.get("type") != "null"]
    return resolve(filled[0], root) if len(filled) == 1 else node


def _below(node: Mapping[str, Any], part: str) -> Any:
    properties = node.get("properties")
    if isinstance(properties, Mapping) and part in properties:
        return properties[part]
    if "properties" not in node and _is_index(part) and "items" in node:
        return node["items"]
    return node.get("additionalProperties")
