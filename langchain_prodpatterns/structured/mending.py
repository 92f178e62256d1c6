"""Mending a malformed span of JSON, and the proof that nothing was lost or added.

A repair that guesses drops what it cannot place: of `12 - 3` it keeps the `12`. So the
keys and values of what was mended are looked for in the span, in their order: between
them nothing may stand but punctuation and comments, between two items of a list stands
a comma, and a text that is written soundly is there as it is written.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic_core import to_json

from langchain_prodpatterns.structured.relaxed import (
    ElidedError,
    InexactError,
    stands_for_items,
    text_of,
)

MAX_MENDED = 8 * 1024
"""Characters of malformed JSON that are mended; a longer one is asked for again: the
time that mending takes can grow with the square of the length."""
MAX_MENDED_DEPTH = 100
"""Levels of nesting of malformed JSON that is mended."""

_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([tnrb"'/\\]))""")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "b": "\b"}

# The quote that ends a text, for each that begins one.
_CLOSING = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_QUOTES = frozenset("".join((*_CLOSING, *_CLOSING.values())))
_LOOSE = r"""\s\ufeff\u180e\u200b\x08\\"'`\u2018\u2019\u201c\u201d"""
_GAP = re.compile(rf"[{_LOOSE}{{}}\[\](),:]*+")
_WITHOUT_VALUE = re.compile(rf"[{_LOOSE}]*+[,}}\]]")
# A text without quotes that goes on with a key has swallowed the next property.
_NEXT_KEY = re.compile(r"""[,\n][ \t]*+["']?[\w$-]++["'\s]*+:""")
# A text in quotes that stands where a value or a key may, with nothing beside it.
_SOUND = re.compile(
    r"""([\[{,:(]\s*+)("[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')
        (?=\s*+[,:}\]])""",
    re.VERBOSE | re.DOTALL,
)
_EMPTY = re.compile(r"\{\s*+\}|\[\s*+\]")
_JOINED = re.compile(r"""["']\s*+\+\s*+["']""")
_COMMENT = re.compile(r"//[^\n]*+|\#[^\n]*+|/\*.*?\*/", re.DOTALL)
_ELLIPSIS = re.compile(r"\.{3,}+|\u2026")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*+\.?[\d_]*+|\.\d[\d_]*+)(?:[eE][+-]?\d++)?")
_WORDS = {
    None: re.compile(r"(?:null|none)\b", re.IGNORECASE),
    True: re.compile(r"true\b", re.IGNORECASE),
    False: re.compile(r"false\b", re.IGNORECASE),
}


class UnmendableError(Exception):
    """Raised when mending a span would lose something of it, or add to it."""


def mend(span: str) -> Any:
    """Mend a span with balanced brackets.

    Args:
        span: Text that begins with `{` or `[` and is no JSON in any notation.

    Returns:
        The data: every key and value of it stands in the span, in the same order.

    Raises:
        UnmendableError: When that takes guessing.
        ElidedError: When an ellipsis, or a comment in a list, stands for more items.
    """
    from json_repair import repair_json

    if _JOINED.search(span):
        raise UnmendableError
    try:
        data = repair_json(span, return_objects=True, skip_json_loads=True)
        # An escaped half of a surrogate pair is a text that nobody can send on.
        to_json(data, inf_nan_mode="constants")
        if not isinstance(data, dict if span[0] == "{" else list):
            raise UnmendableError
        atoms = list(_atoms(data, "", after_comma=False))
        _check_sound(span, atoms)
        _check_empty(span, data)
        _Cursor(span).follow(atoms)
    except (ValueError, RecursionError, InexactError):
        raise UnmendableError from None
    return data


def without_sound_texts(span: str) -> str:
    """Empty the texts of a malformed span in whose quotes nothing is wrong.

    Args:
        span: Text that begins with `{` or `[`.
    """
    return _SOUND.sub(r'\1""', span)


class _Atom(NamedTuple):
    """A key, or a value that is no object and no list."""

    value: Any
    containers: str
    """The brackets that it is in."""
    after_comma: bool
    """Whether an item of a list begins with it that is not the first."""
    is_key: bool = False


def _atoms(node: Any, containers: str, *, after_comma: bool) -> Iterator[_Atom]:
    """Yield every key and value, in order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if _QUOTES & set(key):
                raise UnmendableError  # a key that swallowed a quote is two in one
            yield _Atom(key, f"{containers}{{", after_comma, is_key=True)
            after_comma = False
            yield from _atoms(value, f"{containers}{{", after_comma=False)
    elif isinstance(node, list):
        for value in node:
            yield from _atoms(value, f"{containers}[", after_comma=after_comma)
            after_comma = True
    else:
        yield _Atom(node, containers, after_comma)


def _check_sound(span: str, atoms: list[_Atom]) -> None:
    """Refuse data without one of the texts that are written soundly.

    With its quotes, it may also stand in a longer text.
    """
    texts = [atom.value for atom in atoms if isinstance(atom.value, str)][::-1]
    for _, literal in _SOUND.findall(span):
        wanted = text_of(literal)
        while texts and wanted != texts[-1] and literal not in texts[-1]:
            texts.pop()
        if not texts:
            raise UnmendableError
        if wanted == texts[-1]:
            texts.pop()


def _check_empty(span: str, data: Any) -> None:
    """Refuse data without one of the empty lists and objects: they have no atoms."""
    empty = 0
    waiting = [data]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            empty += not node
            waiting.extend(node.values() if isinstance(node, dict) else node)
    if empty < len(_EMPTY.findall(without_sound_texts(span))):
        raise UnmendableError


class _Cursor:
    """Goes through a span along the keys and values that were made of it."""

    def __init__(self, span: str) -> None:
        self._text = _ESCAPE.sub(_unescaped, span)
        self._at = 0
        self._open = ""

    def follow(self, atoms: list[_Atom]) -> None:
        """Find every key and value of the data, and nothing else."""
        for atom in atoms:
            before = self._at
            while (begin := self._take(atom.value)) is None:
                self._skip_comment()
            between = _COMMENT.sub("", self._text[before:begin])
            if atom.after_comma and "," not in between:
                raise UnmendableError
            if atom.is_key and _WITHOUT_VALUE.match(self._text, self._at):
                raise UnmendableError
            self._open = atom.containers
        while self._skip_gap() < len(self._text):
            self._skip_comment()

    def _take(self, value: Any) -> int | None:
        """Step over a key or a value, if it comes next; return where it begins."""
        if isinstance(value, str) and not _GAP.sub("", value):
            return self._take_marks(value)
        start = self._skip_gap()
        if isinstance(value, str):
            return self._take_text(value, start)
        word = _WORDS.get(value) if value is None or isinstance(value, bool) else None
        match = (word or _NUMBER).match(self._text, start)
        if match is None or not (word or _is_number(match.group(), value)):
            return None
        self._at = match.end()
        return start

    def _take_marks(self, wanted: str) -> int | None:
        """Step over a text of nothing but punctuation, or an empty one, in quotes."""
        both_ends = (re.escape(f"{one}{wanted}{two}") for one, two in _CLOSING.items())
        end = _run_end(_GAP, self._text, self._at)
        match = re.compile("|".join(both_ends)).search(self._text, self._at, end)
        if match is None or self._doubled(match.start() - 1, match.end()):
            return None
        self._at = match.end()
        return match.start()

    def _take_text(self, wanted: str, start: int) -> int | None:
        # The punctuation that it begins with was stepped over on the way here.
        begin = start - _run_end(_GAP, wanted, 0)
        end = begin + len(wanted)
        if not self._text.startswith(wanted, begin):
            return None
        closing = _CLOSING.get(self._text[begin - 1 : begin])
        if closing is None:
            _check_unquoted(wanted)
        elif self._text[end : end + 1] != closing or self._doubled(begin - 2, end + 1):
            raise UnmendableError
        self._at = end
        return begin

    def _doubled(self, *places: int) -> bool:
        """Whether there is one more quote: part of the text, or of another one."""
        return any(self._text[place : place + 1] in _QUOTES for place in places)

    def _skip_comment(self) -> None:
        """Step over a comment: whatever else is here, the data does not have."""
        start = self._skip_gap()
        if _ELLIPSIS.match(self._text, start):
            raise ElidedError
        match = _COMMENT.match(self._text, start)
        if match is None:
            raise UnmendableError
        if self._open.endswith("[") and stands_for_items(match.group()):
            raise ElidedError
        self._at = match.end()

    def _skip_gap(self) -> int:
        """Step over punctuation, with an eye on what it opens and closes."""
        end = _run_end(_GAP, self._text, self._at)
        for mark in self._text[self._at : end]:
            if mark in "{[":
                self._open += mark
            elif mark in "}]":
                self._open = self._open[:-1]
        self._at = end
        return end


def _check_unquoted(text: str) -> None:
    """Refuse a text without quotes that is none, or more than one."""
    if _ELLIPSIS.fullmatch(text.strip()):
        raise ElidedError
    if _NEXT_KEY.search(text) or _QUOTES & {text[0], text[-1]}:
        raise UnmendableError


def _run_end(run: re.Pattern[str], text: str, at: int) -> int:
    match = run.match(text, at)
    return match.end() if match else at


def _is_number(literal: str, value: Any) -> bool:
    return bool(type(value)(literal.replace("_", "")) == value)


def _unescaped(match: re.Match[str]) -> str:
    code, byte, mark = match.groups()
    if code or byte:
        return chr(int(code or byte, 16))
    return _CONTROL.get(mark, mark)
