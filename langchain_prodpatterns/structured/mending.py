"""Mending a malformed span of JSON by a repair that guesses, and what is allowed of it.

The guess is json_repair's. It may drop a word that it cannot place, but no key, and it
may not add: every key and text of what it returns has to stand in the span.
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
_KEY = re.compile(r"[\"']([\w $.-]{1,60}+)[\"']\s*+:")
_EMPTY_TEXT = re.compile("\"\"|''|\u201c\u201d")


class UnmendableError(Exception):
    """Raised when a span cannot be mended without inventing something."""


def mend(span: str) -> Any:
    """Mend a span.

    Args:
        span: Text that is no JSON in any notation.

    Returns:
        The data, of which every key and text stands in the span.

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
    said = _skeleton(_ESCAPE.sub(_plain, span))
    has_empty = _EMPTY_TEXT.search(span) is not None
    texts = list(_texts(data))
    kept = _skeleton("".join(texts))
    nothing_added = all(
        _skeleton(text) in said if text else has_empty for text in texts
    )
    return nothing_added and all(_skeleton(key) in kept for key in _KEY.findall(span))


def _skeleton(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _plain(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else " "


def _texts(node: Any) -> Iterator[str]:
    """Yield every key and every text in JSON data."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, str):
            yield node
