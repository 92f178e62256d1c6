"""An exact reader of what is JSON but for its notation, in one linear pass.

Other quotes, raw line breaks in a text, keys without quotes, literals of Python,
comments, trailing and missing commas leave no doubt of what is meant. They are written
anew as JSON, token by token, and nothing is guessed: whatever else is wrong is refused.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from langchain_prodpatterns.structured.texts import InexactError

_TOKEN = re.compile(
    r"""[\s\ufeff]*+(?:
        (?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+"
               | '[^'\\]*+(?:\\.[^'\\]*+)*+'
               | `[^`\\$]*+(?:\\.[^`\\$]*+)*+`
               | \u201c[^\u201c\u201d"]*+\u201d
               | \u2018[^\u2018\u2019'"]*+\u2019)
      | (?P<mark>[{}\[\],:])
      | (?P<comment>//[^\n]*+ | \#[^\n]*+ | /\*.*?\*/)
      | (?P<ellipsis>\.{3} | \u2026)
      | (?P<key>[\w$][\w$.-]*+(?=\s*+:))
      | (?P<number>[+-]?(?:[0-9]++(?:_[0-9]++)*+(?:\.[0-9]*+)?+|\.[0-9]++)
                   (?:[eE][+-]?[0-9]++)?+(?![\w.]))
      | (?P<word>-?[^\W\d]\w*+)
    )""",
    re.VERBOSE | re.DOTALL,
)
# What a text of JSON cannot hold as it is: a quote, a control character, and an escape
# that is none.
_SPECIAL = re.compile(
    r'["\x00-\x1f]'
    r"|\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_WORDS = {"true": "true", "false": "false", "null": "null", "none": "null"}
_OPENS = {"}": "{", "]": "["}
_NUMBER_WORDS = {"NaN", "Infinity", "-Infinity"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value that was read from a text."""

    data: Any
    """The value."""
    end: int
    """Where it ends in the text."""


def parse(text: str, start: int = 0) -> Parsed:
    """Read one value in a relaxed notation, in linear time.

    Args:
        text: A text.
        start: Where in it the value begins.

    Returns:
        The value, and where it ends.

    Raises:
        InexactError: When it is malformed in any other way, breaks off, has a key twice
            or an ellipsis.
    """
    writer = _Writer()
    end = start
    while writer.open or end == start:
        match = _TOKEN.match(text, end)
        if match is None:
            raise InexactError
        writer.take(str(match.lastgroup), match[str(match.lastgroup)])
        end = match.end()
    try:
        return Parsed(from_json("".join(writer.pieces)), end)
    except ValueError:
        raise InexactError from None


def without_last_break(literal: str) -> str:
    """Drop a raw line break before a closing quote: it is part of the layout.

    Args:
        literal: The literal, with its quotes.
    """
    inside = literal[1:-1]
    trimmed = inside.rstrip()
    if "\n" not in inside[len(trimmed) :]:
        return literal
    return f"{literal[0]}{trimmed}{literal[-1]}"


@dataclass(slots=True)
class _Level:
    """An object or a list that is open."""

    bracket: str
    keys: set[str] = field(default_factory=set)


class _Writer:
    """Writes token by token; only what JSON's own parser can tell is left to it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.open: list[_Level] = []
        # A comma is written when something follows it: a trailing one never is.
        self._comma = False

    def take(self, kind: str, token: str) -> None:
        """Write one token.

        Raises:
            InexactError: When there is no place for it.
        """
        if kind == "mark":
            self._mark(token)
        elif kind == "text":
            if self._in_list or self.pieces[-1:] == [":"]:
                token = without_last_break(token)
            self._value(_as_json_text(token))
        elif kind == "key":
            self._value(f'"{token}"')
        elif kind == "number":
            self._value(_as_json_number(token))
        elif kind == "word":
            self._value(_as_json_word(token))
        elif kind == "ellipsis":
            raise InexactError

    @property
    def _in_list(self) -> bool:
        return bool(self.open) and self.open[-1].bracket == "["

    def _mark(self, mark: str) -> None:
        if mark in "{[":
            self._value(mark)
            self.open.append(_Level(mark))
        elif mark in "}]":
            self._close(mark)
        elif self._comma or self._awaits_value():
            raise InexactError
        elif mark == ",":
            self._comma = True
        else:
            self._end_key()

    def _close(self, mark: str) -> None:
        if not self.open or self.open.pop().bracket != _OPENS[mark]:
            raise InexactError
        self._comma = False
        self.pieces.append(mark)

    def _value(self, piece: str) -> None:
        if self._comma or self._lacks_comma(piece):
            self.pieces.append(",")
        elif not self._awaits_value():
            raise InexactError
        self._comma = False
        self.pieces.append(piece)

    def _lacks_comma(self, piece: str) -> bool:
        """Whether a comma is missing here, and can be meant nowhere else.

        In a list, two texts may be one with a quote in it, and two numbers one.
        """
        if self._awaits_value():
            return False
        before = self.pieces[-1]
        brackets = before in {"}", "]"} or piece in {"{", "["}
        one_text = (before[0] == '"') != (piece[0] == '"')
        return brackets or one_text or not self._in_list

    def _awaits_value(self) -> bool:
        return not self.pieces or self.pieces[-1] in {"{", "[", ":"}

    def _end_key(self) -> None:
        key = json.loads(self.pieces[-1]) if self.pieces[-1][0] == '"' else None
        if key is None or key in self.open[-1].keys:
            raise InexactError
        self.open[-1].keys.add(key)
        self.pieces.append(":")


def _as_json_text(literal: str) -> str:
    return f'"{_SPECIAL.sub(_escaped, literal[1:-1])}"'


def _escaped(match: re.Match[str]) -> str:
    """Write a special character as JSON does; a backslash without a meaning stays."""
    found = match.group()
    if found[0] != "\\":
        return json.dumps(found)[1:-1]
    kind, code = found[1], found[2:]
    if kind in {"'", "`"}:
        return kind
    if not code and kind in "ux\n":
        # A damaged escape; and what a line says that goes on, languages disagree on.
        raise InexactError
    if code and kind in "xU":
        return _escaped_character(int(code, 16))
    if code or kind in '"\\/bfnrt':
        return found
    return rf"\\{json.dumps(kind)[1:-1]}"


def _escaped_character(code: int) -> str:
    try:
        return json.dumps(chr(code))[1:-1]
    except ValueError:
        raise InexactError from None


def _as_json_number(literal: str) -> str:
    """Write what Python and JSON5 allow more: `+1`, `1_000`, `.5` and `5.`."""
    plain = literal.replace("_", "").removeprefix("+")
    plain = re.sub(r"^(-?)\.", r"\g<1>0.", plain)
    return re.sub(r"\.(?![0-9])", ".0", plain)


def _as_json_word(word: str) -> str:
    if word in _NUMBER_WORDS:
        return word
    try:
        return _WORDS[word.lower()]
    except KeyError:
        raise InexactError from None
