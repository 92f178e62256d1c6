"""What a revision of an object's JSON changes in the object, and what it leaves.

An object may hold what its JSON does not show: a secret, a field that is left out, the
fields of a subclass. Where JSON shows all, the object is read anew from the revised
JSON; elsewhere what the revision did not change is kept as it is.

An optional field that a revision leaves out keeps its value. The records of a mapping
are known by their keys. Those of a list are known by their JSON, and what was edited by
its place. Where that leaves a doubt about whose a hidden value is, the revision is
refused: better no revision than one that gives a record the secret of another one.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from langchain_prodpatterns.refine.matching import contradicted, omits, same_json
from langchain_prodpatterns.refine.objects import RevisionError
from langchain_prodpatterns.verdicts import describe_errors

_MASK = json.dumps("**********")
"""What pydantic shows of every secret."""
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class _Known:
    """A value of the draft, and the JSON that the reviser was shown of it."""

    value: Any
    shown: Any


def revised_model(old: BaseModel, was: Any, now: Any) -> BaseModel:
    """Carry a revision of the JSON of a pydantic object over into the object.

    Args:
        old: The object.
        was: Its JSON.
        now: The revised JSON.

    Returns:
        An object of its type, valid as a whole; `old` itself where nothing changed.

    Raises:
        RevisionError: When it does not validate, or when it leaves a doubt about which
            record a hidden value belongs to.
    """
    if same_json(was, now):
        return old
    known = _Known(old, was)
    plain = _shows_all(known)
    try:
        return _read(type(old), _content(known, now, plain=plain), plain=plain)
    except ValidationError as error:
        raise RevisionError(describe_errors(error, type(old), "revision")) from None


def _read(model: type[BaseModel], data: Any, *, plain: bool) -> BaseModel:
    """Validate what was merged: as JSON where it is `plain`, for strict types' sake."""
    if plain:
        text = json.dumps(data)
        return model.model_validate_json(text, by_alias=True, by_name=True)
    return model.model_validate(data, by_alias=True, by_name=True)


def _shows_all(known: _Known) -> bool:
    """Whether JSON shows all that a value is, so that it may be read anew from it."""
    if type(known.value) in _SCALARS:
        return bool(known.value == known.shown)
    parts = _entries(known) or _items(known)
    if parts:
        children = parts.values() if isinstance(parts, dict) else parts
        return all(map(_shows_all, children))
    try:
        kind = type(known.value)
        read = TypeAdapter(kind).validate_json(json.dumps(known.shown))
        return type(read) is kind and bool(read == known.value)
    except Exception:  # noqa: BLE001 - validators and comparisons of any type may raise
        return False


def _entries(known: _Known) -> dict[str, _Known] | None:
    """Return the entries of a mapping by their keys in JSON, or nothing.

    Nothing either where two keys are one in JSON, such as `1` and `"1"`.
    """
    value, shown = known.value, known.shown
    if not (isinstance(value, dict) and isinstance(shown, dict)):
        return None
    keys = dict(zip(_json_keys(value), value, strict=True))
    if keys.keys() != shown.keys() or len(keys) < len(value):
        return None
    return {name: _Known(value[key], shown[name]) for name, key in keys.items()}


def _json_keys(value: dict[Any, Any]) -> list[str]:
    keys = [to_jsonable_python({key: None}, fallback=str) for key in value]
    return [next(iter(each)) for each in keys]


def _items(known: _Known) -> list[_Known] | None:
    """Return the items of a list, tuple or set, or nothing."""
    value, shown = known.value, known.shown
    if isinstance(value, BaseModel | dict) or not isinstance(value, Collection):
        return None
    if not isinstance(shown, list) or len(shown) != len(value):
        return None
    return [_Known(*pair) for pair in zip(value, shown, strict=True)]


def _merged(known: _Known, now: Any, *, plain: bool) -> Any:
    """Return `now` with the old values wherever their JSON has not changed.

    With `plain`, JSON shows all of the whole, and it stays JSON.
    """
    if same_json(known.shown, now):
        return known.shown if plain else known.value
    if isinstance(known.value, RootModel) or (
        isinstance(known.value, BaseModel)
        and isinstance(known.shown, dict)
        and isinstance(now, dict)
    ):
        return _merged_model(known, now, plain=plain)
    entries, items = _entries(known), _items(known)
    if entries is not None and isinstance(now, dict):
        return _merged_entries(known, entries, now, plain=plain)
    if items is not None and isinstance(now, list):
        return _merged_items(items, now, plain=plain)
    in_part = isinstance(now, dict | list) and type(now) is type(known.shown)
    if in_part and not _shows_all(known):
        msg = f"{type(known.value).__name__} cannot be revised in part"
        raise RevisionError(msg)
    return _new(now, plain=plain)


def _merged_model(known: _Known, now: Any, *, plain: bool) -> Any:
    model = type(known.value)
    whole = plain or _shows_all(known)
    if whole and _of_another_type(known, now):
        return now
    data = _content(known, now, plain=whole)
    try:
        read = _read(model, data, plain=whole)
    except ValidationError:
        if not whole:
            raise
        return now  # where a union allows it, another of its types
    return data if plain else read


def _of_another_type(known: _Known, now: Any) -> bool:
    """Whether an object lacks keys and has others, as one of another type would."""
    if isinstance(known.value, RootModel) or known.value.model_extra is not None:
        return False
    fields = type(known.value).model_fields.items()
    names = {key for name, info in fields for key in _keys(name, info)}
    return bool(now.keys() - names - known.shown.keys()) and omits(known.shown, now)


def _content(known: _Known, now: Any, *, plain: bool) -> Any:
    """Return what a merged pydantic object is to be validated from."""
    if isinstance(known.value, RootModel):
        return _merged(_Known(known.value.root, known.shown), now, plain=plain)
    if isinstance(known.shown, dict) and isinstance(now, dict):
        return dict(_merged_fields(known, now, plain=plain))
    return _new(now, plain=plain)


def _merged_fields(
    known: _Known, now: dict[str, Any], *, plain: bool
) -> Iterator[tuple[str, Any]]:
    old, was, left = known.value, known.shown, dict(now)
    for name, info in type(old).model_fields.items():
        shown, key, _ = keys = _keys(name, info)
        found = [each for each in dict.fromkeys(keys) if each in left]
        given = [left.pop(each) for each in found]
        if shown not in was:
            if not plain:  # what nobody was shown, nobody revises
                yield key, getattr(old, name)
        elif given:
            field = _Known(getattr(old, name), was[shown])
            yield key, _merged(field, given[0], plain=plain)
        elif not info.is_required():
            yield key, was[shown] if plain else getattr(old, name)
    extra = old.model_extra or {}
    known_extra = {key: extra[key] for key in extra.keys() & was.keys()}
    for key, value in ({key: was[key] for key in known_extra} | left).items():
        if key in known_extra:
            yield key, _merged(_Known(extra[key], was[key]), value, plain=plain)
        else:
            yield key, _new(value, plain=plain)


def _keys(name: str, info: FieldInfo) -> tuple[str, str, str]:
    """Return the keys of a field: as it is shown, as it is read first, its name."""
    alias = info.validation_alias
    shown = info.serialization_alias or name
    return shown, alias if isinstance(alias, str) else name, name


def _merged_entries(
    known: _Known, entries: dict[str, _Known], now: dict[str, Any], *, plain: bool
) -> dict[Any, Any]:
    gone = [entry for name, entry in entries.items() if name not in now]
    added = [name for name in now if name not in entries]
    renamed = _matched(gone, [now[name] for name in added])
    stayed = {id(entry) for entry in renamed.values()}
    lost = [entry for entry in gone if id(entry) not in stayed]
    if len(renamed) < len(added) and not all(map(_shows_all, lost)):
        raise _doubt()
    found = entries | {added[at]: entry for at, entry in renamed.items()}
    own = dict(zip(entries, known.value if not plain else entries, strict=True))
    return {
        own.get(name, name): _merged(found[name], value, plain=plain)
        if name in found
        else _new(value, plain=plain)
        for name, value in now.items()
    }


def _merged_items(items: list[_Known], now: list[Any], *, plain: bool) -> list[Any]:
    found = _matched(items, now)
    stayed = {id(item) for item in found.values()}
    left = [item for item in items if id(item) not in stayed]
    rest = [at for at in range(len(now)) if at not in found]
    found |= dict(zip(rest, _edited(left, [now[at] for at in rest]), strict=False))
    return [
        _merged(found[at], item, plain=plain)
        if at in found
        else _new(item, plain=plain)
        for at, item in enumerate(now)
    ]


def _matched(items: list[_Known], now: list[Any]) -> dict[int, _Known]:
    """Return those that are still there, by their new places: their JSON is the same.

    Of those that look alike and are not, all must be there or none.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for at, item in enumerate(now):
        places[json.dumps(item, sort_keys=True)].append(at)
    groups: dict[str, list[_Known]] = defaultdict(list)
    for known in items:
        groups[json.dumps(known.shown, sort_keys=True)].append(known)
    found: dict[int, _Known] = {}
    for text, alike in groups.items():
        there = places.get(text, [])
        if there and len(there) != len(alike) and not _all_same(alike):
            raise _doubt()
        found.update(zip(there, alike, strict=False))
    return found


def _all_same(items: list[_Known]) -> bool:
    try:
        return all(item.value == items[0].value for item in items)
    except Exception:  # noqa: BLE001 - comparisons of any type may raise
        return False


def _edited(left: list[_Known], rest: list[Any]) -> list[_Known]:
    """Return the old items of those that are new or edited, or none where all are new.

    It matters only where an old item is needed: for what it hides, or for what the
    revision leaves out.
    """
    shown = [item.shown for item in left]
    in_place = len(left) == len(rest)
    if in_place:
        omitted = any(map(omits, shown, rest))
    else:  # in a list of several types, an item has the keys of one of them
        omitted = bool(shown) and any(
            all(omits(old, new) for old in shown) for new in rest
        )
    needed = omitted or not all(map(_shows_all, left))
    if rest and needed and (not in_place or contradicted(shown, rest)):
        raise _doubt()
    return left if in_place else []


def _new(now: Any, *, plain: bool) -> Any:
    """Return a value that the reviser wrote, unless it is what stands for a secret."""
    if not plain and _MASK in json.dumps(now):
        msg = "the revision puts the mask of a secret in the place of a value"
        raise RevisionError(msg)
    return now


def _doubt() -> RevisionError:
    return RevisionError("the records of a list or mapping cannot be told apart")
