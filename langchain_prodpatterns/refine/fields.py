"""The places in an object's JSON, as JSON Pointers (RFC 6901). Pure.

What failed of an object is named by them, so that only that is revised.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any

# Nine digits, because Python refuses to read a number of thousands of them.
_INDEX = re.compile(r"\[([0-9]{1,9})\]")
_PLAIN_INDEX = re.compile(r"[0-9]{1,9}")


def pointer(steps: Iterable[int | str]) -> str:
    """Write keys and indices as a JSON Pointer: `/lines/0/price`."""
    names = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "".join(f"/{name}" for name in names)


def steps_of(place: str) -> tuple[str, ...]:
    """Read the keys and indices of a place.

    Args:
        place: A JSON Pointer, or a path such as `lines[0].price`.

    Returns:
        The keys and indices as texts.
    """
    if place.startswith("/"):
        names = place[1:].split("/")
        return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)
    path = _INDEX.sub(r".\1", place)
    return tuple(name for name in path.split(".") if name)


def known_places(places: Iterable[str], data: Any) -> tuple[str, ...] | None:
    """Find places in an object's JSON.

    What is missing at the end of a place leaves what it would be missing in.

    Args:
        places: JSON Pointers or paths.
        data: The JSON.

    Returns:
        JSON Pointers of places that are there, none within another one; `None` where
        one of them means the whole.
    """
    found = [_known(steps_of(place), data) for place in places]
    if not all(found):
        return None
    outermost = dict.fromkeys(found)
    return tuple(
        pointer(steps)
        for steps in outermost
        if not any(steps[:size] in outermost for size in range(1, len(steps)))
    )


def value_at(data: Any, place: str) -> Any:
    """Return what stands at a JSON Pointer.

    Raises:
        LookupError: When there is nothing.
    """
    for name in steps_of(place):
        data = _inside(data, name)
    return data


def with_value(data: Any, place: str, value: Any) -> Any:
    """Return a copy of an object's JSON with another value at one place.

    Args:
        data: The JSON; it is not changed.
        place: The JSON Pointer of a place that is there.
        value: What to put there.

    Returns:
        The JSON; all that is not on the way to the place is the same object.
    """
    return _with(data, steps_of(place), value)


def texts_in(data: Any) -> Iterator[str]:
    """Yield every text in JSON, at any depth: values and keys."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from texts_in(value)
    elif isinstance(data, list):
        for item in data:
            yield from texts_in(item)


def _with(data: Any, steps: Sequence[str], value: Any) -> Any:
    if not steps:
        return value
    changed = copy(data)
    at: Any = int(steps[0]) if isinstance(data, list) else steps[0]
    changed[at] = _with(data[at], steps[1:], value)
    return changed


def _known(steps: Sequence[str], data: Any) -> tuple[str, ...]:
    """Return as many of the steps as there are."""
    for size, name in enumerate(steps):
        try:
            data = _inside(data, name)
        except LookupError:
            return tuple(steps[:size])
    return tuple(steps)


def _inside(data: Any, name: str) -> Any:
    if isinstance(data, dict):
        return data[name]
    if isinstance(data, list) and _PLAIN_INDEX.fullmatch(name):
        return data[int(name)]
    raise LookupError(name)
