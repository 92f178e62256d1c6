"""Reading the rows of a calibration: JSON lines or CSV, also packed by gzip.

What is in a row is private: what is wrong with one is told by its line's number, and
never by a word of it.
"""

import csv
import gzip
import json
import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError

T = TypeVar("T")

_YES = {"1", "true", "yes", "y", "t"}
_NO = {"0", "false", "no", "n", "f"}
_DATES = ("date", "start_time", "created_at", "timestamp")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class BadRow(ProdPatternsError):
    """Raised by a row that is none; the message says why."""


class LeftOut(ProdPatternsError):
    """Raised by a row that is sound and shows nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """What a file held."""

    items: tuple[T, ...]
    """The rows that say something."""
    bad: tuple[tuple[int, str], ...] = ()
    """Line number and reason of what is no row."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many rows show nothing, by the reason."""
    date: str | None = None
    """The latest day that a row names."""


def read_rows(
    path: Path,
    read_one: Callable[[Mapping[str, Any]], T],
    *,
    strict: bool,
    known_by: Callable[[T], Hashable] | None = None,
) -> Rows[T]:
    """Read a file.

    Args:
        path: The file; `.csv` is CSV with a header, all else JSON lines.
        read_one: Makes an item of a row's fields.
        known_by: By what an item is known when it comes again: it counts once, as
            bounds are of independent draws. By default, and by `None`, it is not.
        strict: Whether a row that is none is an error.

    Raises:
        ConfigurationError: When a row is none, if that is strict, or no row says
            anything.
        OSError: When it cannot be read.
    """
    items: list[T] = []
    bad: list[tuple[int, str]] = []
    left_out: Counter[str] = Counter()
    days: list[str] = []
    known: set[Hashable] = set()
    for number, fields in _lines(path):
        try:
            if isinstance(fields, str):
                raise BadRow(fields)  # noqa: TRY301 - told as the others are
            item = read_one(fields)
            _leave_out_known(None if known_by is None else known_by(item), known)
            items.append(item)
            days += _days(fields)
        except LeftOut as reason:
            left_out[str(reason)] += 1
        except BadRow as reason:
            bad.append((number, str(reason)))
            if strict:
                msg = f"line {number} of {path.name!r} is no row: {reason}"
                raise ConfigurationError(msg) from None
    if not items:
        why = f"; line {bad[0][0]}: {bad[0][1]}" if bad else ""
        msg = f"{path.name!r} has no row to calibrate on{why}"
        raise ConfigurationError(msg)
    return Rows(tuple(items), tuple(bad), left_out, max(days, default=None))


def _leave_out_known(key: Hashable, known: set[Hashable]) -> None:
    if key is not None and key in known:
        msg = "an earlier one says the same"
        raise LeftOut(msg)
    known.add(key)


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a text of a row.

    Raises:
        BadRow: When there is none, or it is blank.
    """
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        msg = f"no {name!r}, or one that is no text"
        raise BadRow(msg)
    return value


def yes_or_no(fields: Mapping[str, Any], name: str) -> bool:
    """Return a yes or no of a row: `true`, `1`, `yes`, `false`, `0` or `no`.

    Raises:
        BadRow: When it is neither.
    """
    word = str(fields.get(name)).strip().casefold()
    if word in _YES | _NO:
        return word in _YES
    msg = f"no {name!r}, or one that is neither true nor false"
    raise BadRow(msg)


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield line numbers with fields, or with why there are none."""
    names = path.name.casefold()
    opened = gzip.open if names.endswith(".gz") else open
    try:
        with opened(path, "rb") as packed:
            page = _text_page(packed, path.name)
            if names.removesuffix(".gz").endswith(".csv"):
                yield from _csv_lines(page)
            else:
                yield from _json_lines(page)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path.name!r} is no gzip file, or a torn one: pack it again"
        raise ConfigurationError(msg) from error


def _text_page(packed: BufferedReader | gzip.GzipFile, name: str) -> TextIO:
    """Read bytes as the text that programs write, with or without a mark before it."""
    if packed.peek(2)[:2] in {BOM_UTF16_LE, BOM_UTF16_BE}:
        msg = f"{name!r} is UTF-16: save it as UTF-8"
        raise ConfigurationError(msg)
    # Bytes that are no text make their line a bad one, and no other.
    return TextIOWrapper(packed, "utf-8-sig", "surrogateescape", newline="")


def _json_lines(page: TextIO) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for number, line in enumerate(page, 1):
        if line.strip():
            yield number, _json_fields(line)


def _json_fields(line: str) -> Mapping[str, Any] | str:
    if not _is_text(line):
        return "no text"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(found, dict):
        return "no JSON object"
    # Half of a character is left where a program has cut a text.
    is_whole = not _HALF.search(line) or _is_text(json.dumps(found, ensure_ascii=False))
    return found if is_whole else "no text"


def _is_text(line: str) -> bool:
    """Whether every byte belongs to a character."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _csv_lines(page: TextIO) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    reader = csv.DictReader(page)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error:
            yield reader.line_num, "no CSV"
            continue
        if fields is None:
            return
        if None in fields:
            yield reader.line_num, "more cells than columns"
            continue
        # An empty cell is how CSV says that there is nothing.
        filled = {name: value for name, value in fields.items() if value}
        is_text = _is_text("".join(filled.values()))
        yield reader.line_num, filled if is_text else "no text"


def _days(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in _DATES:
        value = fields.get(name)
        found = _DAY.match(value) if isinstance(value, str) else None
        if found is not None:
            yield found[0]
