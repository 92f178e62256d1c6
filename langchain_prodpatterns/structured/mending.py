"""Mending a malformed span of JSON by a repair that guesses, and what is allowed of it.

The guess is json_repair's. It may neither add nor drop: every key and text of what it
returns has to stand in the span, and every word and number of the span in the data.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

MAX_MENDED = 8 * 1024
"""Characters of malformed JSON that are mended; a longer one is asked for again: the
time that mending takes can grow with the square of the length."""
MAX_MENDED_DEPTH = 100
"""Levels of nesting of malformed JSON that is mended."""

_BRACKETS = re.compile(r"[{\[}\]]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[ntrbf])")
_NUMBER = re.compile(r"-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+")
_WORD = re.compile(r"[^\W_]++")
_LITERALS = {"true", "false", "null", "none", "undefined"}
_EMPTY_TEXT = re.compile("\"\"|''|\u201c\u201d")


class UnmendableError(Exception):
    """Raised when a span cannot be mended without inventing something."""


def mend(span: str) -> Any:
    """Mend a span.

    Args:
        span: Text that is no JSON in any notation.

    Returns:
        The data, which says all that the span says, and no more.

    Raises:
        UnmendableError: When that takes inventing, or more time than it is worth.
    """
    from json_repair import repair_json

    if len(span) > MAX_MENDED or _depth(span) > MAX_MENDED_DEPTH:
        raise UnmendableError
    try:
        data = repair_json(span, return_objects=True, skip_json_loads=True)
        # An escaped half of a surrogate pair is a text that nobody can send on.
        to_json(data, inf_nan_mode="constants")
    except (ValueError, RecursionError, IndexError):
        raise UnmendableError from None
    if not isinstance(data, dict | list) or not _is_taken_from(span, data):
        raise UnmendableError
    return data


def _depth(span: str) -> int:
    """Return how many brackets are open at once, at most."""
    depth = deepest = 0
    for mark in _BRACKETS.findall(span):
        depth = depth + 1 if mark in "{[" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _is_taken_from(span: str, data: Any) -> bool:
    plain = _ESCAPE.sub(_plain, span)
    said = _skeleton(plain)
    has_empty = _EMPTY_TEXT.search(span) is not None
    scalars = list(_scalars(data))
    texts = [one for one in scalars if isinstance(one, str)]
    return all(
        _skeleton(text) in said if text else has_empty for text in texts
    ) and not _lost(plain, scalars)


def _lost(span: str, scalars: list[Any]) -> bool:
    """Whether a word or a number of a span stands nowhere in the data."""
    kept = set(_WORD.findall(" ".join(one for one in scalars if isinstance(one, str))))
    # By its text: of an integer that is too large for a float, it is infinite.
    numbers = {float(str(one)) for one in scalars if isinstance(one, int | float)}
    # A number is the same in another notation: `1.50` is 1.5.
    rest = _NUMBER.sub(
        lambda match: " " if float(match.group()) in numbers else match.group(), span
    )
    words = {word for word in _WORD.findall(rest) if word.lower() not in _LITERALS}
    return not words <= kept


def _skeleton(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _plain(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else " "


def _scalars(node: Any) -> Iterator[Any]:
    """Yield every key, text and number in JSON data."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif node is not None and not isinstance(node, bool):
            yield node
