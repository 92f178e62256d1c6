"""Mending a malformed span of JSON, and the proof that nothing was lost or added.

A repair that guesses drops what it cannot place: of `12 - 3` it keeps the `12`. So the
keys and values of what was mended are looked for in the span, in their order, and
between them nothing may stand but punctuation and comments.
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

_QUOTE_MARKS = frozenset("\"'\u2018\u2019\u201c\u201d")
_PUNCTUATION = "{}[](),:"
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([tnrb])|\\)")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "b": "\b"}

_QUOTES = r"""\s\ufeff\u180e\u200b\x08\\"'`\u2018\u2019\u201c\u201d"""
_LOOSE = re.compile(rf"[{_QUOTES}]*+")
_GAP = re.compile(rf"[{_QUOTES}{{}}\[\](),:]*+")
_PAIRS = (
    ('"', '"'),
    ("'", "'"),
    ("`", "`"),
    ("\u201c", "\u201d"),
    ("\u2018", "\u2019"),
)
# A text that begins with a quote ends with one; a key has a value.
_CLOSED = re.compile(r"""[\s\\]*+["'`\u2018\u2019\u201c\u201d]""")
_WITHOUT_VALUE = re.compile(rf"[{_QUOTES}]*+[,}}\]]")
# A text without quotes that goes on with a key has swallowed the next property.
_NEXT_KEY = re.compile(r"""[,\n][ \t]*+["']?[\w$-]++["'\s]*+:""")
_COMMENT = re.compile(r"//[^\n]*+|\#[^\n]*+|/\*.*?\*/", re.DOTALL)
_ELLIPSIS = re.compile(r"\.{3,}+|\u2026")
# In a list, a comment with one of these, or in the last place, stands for items.
_COUNT = re.compile(r"\d|\.{3}|\u2026")
_END_OF_LIST = re.compile(r"[\s,]*+\]")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*+\.?[\d_]*+|\.\d[\d_]*+)(?:[eE][+-]?\d++)?")
_WORDS = {
    None: re.compile(r"(?:null|none)\b", re.IGNORECASE),
    True: re.compile(r"true\b", re.IGNORECASE),
    False: re.compile(r"false\b", re.IGNORECASE),
}


class UnmendableError(Exception):
    """Raised when mending a span would lose something of it, or add to it."""


class ElidedError(Exception):
    """Raised when a span says itself that it leaves something out."""


def mend(span: str) -> Any:
    """Mend a span with balanced brackets.

    Args:
        span: Text that begins with `{` or `[` and is no JSON.

    Returns:
        The data: every key and value of it stands in the span, in the same order.

    Raises:
        UnmendableError: When that takes guessing.
        ElidedError: When an ellipsis, or a comment in a list, stands for more items.
    """
    from json_repair import repair_json

    span = _straightened(span)
    try:
        data = repair_json(span, return_objects=True, skip_json_loads=True)
        # An escaped half of a surrogate pair is a text that nobody can send on.
        to_json(data, inf_nan_mode="constants")
        if not isinstance(data, dict if span[0] == "{" else list):
            raise UnmendableError
        _Cursor(span).follow(data)
    except (ValueError, RecursionError):
        raise UnmendableError from None
    return data


def _straightened(span: str) -> str:
    """Write typographic quotes as straight ones where there are no others."""
    if '"' in span or "'" in span:
        return span
    return span.translate(_STRAIGHT)


class _Cursor:
    """Goes through a span along the keys and values that were made of it."""

    def __init__(self, span: str) -> None:
        self._text = _ESCAPE.sub(_unescaped, span)
        self._at = 0
        self._open = ""

    def follow(self, data: Any) -> None:
        """Find every key and value of the data, and nothing else."""
        for atom, containers, is_key in _atoms(data, ""):
            while not self._take(atom):
                self._skip_comment()
            if is_key and _WITHOUT_VALUE.match(self._text, self._at):
                raise UnmendableError
            self._open = containers
        while self._skip_gap() < len(self._text):
            self._skip_comment()

    def _take(self, atom: Any) -> bool:
        """Step over a key or a value, if it comes next."""
        if isinstance(atom, str) and not _GAP.sub("", atom):
            return self._take_marks(atom)
        start = self._skip_gap()
        if isinstance(atom, str):
            return self._take_text(atom, start)
        word = _WORDS.get(atom) if atom is None or isinstance(atom, bool) else None
        match = (word or _NUMBER).match(self._text, start)
        if match is None or not (word or _is_number(match.group(), atom)):
            return False
        self._at = match.end()
        return True

    def _take_marks(self, wanted: str) -> bool:
        """Step over a text of nothing but punctuation, or an empty one, in quotes."""
        inner = rf"\s*+{re.escape(wanted.strip())}\s*+" if wanted else ""
        pattern = re.compile("|".join(one + inner + other for one, other in _PAIRS))
        match = pattern.search(self._text, self._at, self._run_end(_GAP, self._at))
        self._at = match.end() if match else self._at
        return match is not None

    def _take_text(self, wanted: str, start: int) -> bool:
        # The punctuation that it begins with was stepped over on the way here.
        begin = start - len(_leading(_GAP, wanted))
        if self._text.startswith(wanted, begin):
            quoted = self._text[begin - 1 : begin] in _QUOTE_MARKS
            end: int | None = begin + len(wanted)
        else:
            quoted, end = True, self._end_of(wanted, start)
        if not quoted and _ELLIPSIS.fullmatch(wanted.strip()):
            raise ElidedError
        if not quoted and _NEXT_KEY.search(wanted):
            raise UnmendableError
        if end is None or (quoted and not _CLOSED.match(self._text, end)):
            return False
        self._at = end
        return True

    def _end_of(self, wanted: str, start: int) -> int | None:
        """Return where a text ends whose quotes and spaces are not all as they were."""
        at = start
        for character in _LOOSE.sub("", wanted).lstrip(_PUNCTUATION):
            at = self._run_end(_LOOSE, at)
            if self._text[at : at + 1] != character:
                return None
            at += 1
        return at

    def _skip_comment(self) -> None:
        """Step over a comment: whatever else is here, the data does not have."""
        start = self._skip_gap()
        if _ELLIPSIS.match(self._text, start):
            raise ElidedError
        match = _COMMENT.match(self._text, start)
        if match is None:
            raise UnmendableError
        ends = _END_OF_LIST.match(self._text, match.end())
        if self._open.endswith("[") and (ends or _COUNT.search(match.group())):
            raise ElidedError
        self._at = match.end()

    def _skip_gap(self) -> int:
        """Step over punctuation, with an eye on what it opens and closes."""
        end = self._run_end(_GAP, self._at)
        for mark in self._text[self._at : end]:
            if mark in "{[":
                self._open += mark
            elif mark in "}]":
                self._open = self._open[:-1]
        self._at = end
        return end

    def _run_end(self, run: re.Pattern[str], at: int) -> int:
        match = run.match(self._text, at)
        return match.end() if match else at


def _leading(run: re.Pattern[str], text: str) -> str:
    match = run.match(text)
    return match.group() if match else ""


def _atoms(node: Any, containers: str) -> Iterator[tuple[Any, str, bool]]:
    """Yield every key and value, with the brackets it is in and whether it is a key."""
    if isinstance(node, dict):
        for key, value in node.items():
            if _QUOTE_MARKS & set(key):
                raise UnmendableError  # a key that swallowed a quote is two in one
            yield key, f"{containers}{{", True
            yield from _atoms(value, f"{containers}{{")
    elif isinstance(node, list):
        for value in node:
            yield from _atoms(value, f"{containers}[")
    else:
        yield node, containers, False


def _is_number(literal: str, value: Any) -> bool:
    return bool(type(value)(literal.replace("_", "")) == value)


def _unescaped(match: re.Match[str]) -> str:
    code, byte, control = match.groups()
    if code or byte:
        return chr(int(code or byte, 16))
    return _CONTROL[control] if control else match.group()
