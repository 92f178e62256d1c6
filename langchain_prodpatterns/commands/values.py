"""Reading what is typed on a command line, and writing figures for people."""

import argparse
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_prodpatterns.cache.digests import canonical_json
from langchain_prodpatterns.errors import ConfigurationError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhdw]?)")
_STEPS = ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "m"))
_LONGEST = 80


def duration(text: str) -> float:
    """Read a duration such as `45s`, `30m`, `12h`, `7d` or `2w`; plain are seconds.

    Raises:
        argparse.ArgumentTypeError: When it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no duration: give one such as 45s, 30m, 12h, 7d or 2w"
        raise argparse.ArgumentTypeError(msg)
    return float(found[1]) * _SECONDS[found[2] or "s"]


def pair(text: str) -> tuple[str, str]:
    """Read `key=value`.

    Raises:
        argparse.ArgumentTypeError: When it is none.
    """
    key, sign, value = text.partition("=")
    if not (key and sign):
        msg = f"{text!r} is no key=value"
        raise argparse.ArgumentTypeError(msg)
    return key, value


def count(text: str) -> int:
    """Read a whole number, at least 1.

    Raises:
        argparse.ArgumentTypeError: When it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        msg = f"{text!r} is no whole number, at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def between(low: float, high: float) -> Callable[[str], float]:
    """Return what reads a number from one to another.

    Args:
        low: The least that is taken.
        high: The greatest.

    Returns:
        A function of a text, which raises `argparse.ArgumentTypeError` for another.
    """

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            msg = f"{text!r} is no number from {low:g} to {high:g}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return read


share = between(0, 0.5)
"""Reads a share of wrong answers, as `SemanticJudgeCache` takes it."""

cosine = between(0, 1)
"""Reads a cosine."""

seconds = between(0.001, 86_400)
"""Reads seconds to wait."""

test_share = between(0.05, 0.95)
"""Reads which share of the rows is kept for the report."""

share_of_right = between(0.5, 0.999)
"""Reads a precision."""

tolerated = between(0.0001, 0.5)
"""Reads a share of false positives."""


def whole(text: str) -> int:
    """Read a whole number from 0 on.

    Raises:
        argparse.ArgumentTypeError: When it is none.
    """
    if not (text.isascii() and text.isdigit()):
        msg = f"{text!r} is no whole number from 0 on"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def metadata_filter(
    wanted: Sequence[tuple[str, str]],
) -> Callable[[Mapping[str, Any]], bool] | None:
    """Return what is true of metadata in which every key has its value.

    Args:
        wanted: Keys and values. A value is meant as a text or as JSON; where the
            metadata has a list, one of its items has to be equal.
    """
    if not wanted:
        return None

    def fits(metadata: Mapping[str, Any]) -> bool:
        return all(
            key in metadata and _is_or_has(metadata[key], text) for key, text in wanted
        )

    return fits


def _is_or_has(value: Any, text: str) -> bool:
    items = value if isinstance(value, list) else []
    return any(_is(one, text) for one in (value, *items))


def _is(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return value == text
    try:
        return canonical_json(json.loads(text)) == canonical_json(value)
    except ValueError:
        return False


def shown_seconds(seconds: float | None) -> str:
    """Write a duration in its largest unit: `3.5d`."""
    if seconds is None:
        return "-"
    for unit, name in _STEPS:
        if seconds >= unit:
            return f"{seconds / unit:.1f}{name}"
    return f"{max(seconds, 0):.0f}s"


def shown_bytes(size: int) -> str:
    """Write bytes in their largest unit."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - the step of the units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def shown_usd(usd: float | None) -> str:
    """Write money; an unknown price is not nothing."""
    return "unknown" if usd is None else f"{usd:.4f}"


def shown_text(text: str | None, longest: int = _LONGEST) -> str:
    """Write a stored text in one line, such that it cannot steer the terminal."""
    if text is None:
        return "-"
    return printable(text if len(text) <= longest else f"{text[: longest - 1]}…")


def printable(text: str, kept: str = "") -> str:
    """Write what would steer the terminal, or hide in it, as Python escapes it.

    Args:
        text: The text.
        kept: Characters that are written as they are.
    """
    return "".join(
        one if one.isprintable() or one in kept else ascii(one)[1:-1] for one in text
    )


def require(given: object, msg: str) -> None:
    """Refuse a command whose arguments do not go together.

    Raises:
        ConfigurationError: When nothing is given.
    """
    if not given:
        raise ConfigurationError(msg)
