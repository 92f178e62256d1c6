"""Which JSON of a revision belongs to which JSON of the draft."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, where Python takes `1` for `True`."""
    return one == other and _text(one) == _text(other)


def omits(old: Any, new: Any) -> bool:
    """Whether an object lacks a key that it had, at any depth."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    return any(key not in new or omits(old[key], new[key]) for key in old)


def contradicted(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Whether an edited record looks no less like another one than like its own.

    Args:
        old: The records as they were.
        new: The edited ones, each in the place of its own.

    Returns:
        Whether any of them has, of what tells its own from another one, at least as
        much of the other. A record without a trace of any is taken as its own.
    """
    before, after = [_fields(each) for each in old], [_fields(each) for each in new]
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, record in enumerate(before):
        for field in record.items():
            holders[field].append(at)
    return any(
        _likelier(before[other], own, edited)
        for own, edited in zip(before, after, strict=True)
        for other in {
            at
            for field in edited.items() - own.items()
            for at in holders.get(field, ())
        }
    )


def _likelier(other: dict[str, str], own: dict[str, str], new: dict[str, str]) -> bool:
    """Whether of what tells two records apart a new one has no less of the other."""
    of_other = new.items() & other.items()
    of_own = new.items() & own.items()
    return len(of_other - of_own) >= len(of_own - of_other)


def _fields(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: _text(field) for key, field in value.items()}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
