"""A forgiving reader of what is meant to be JSON but is malformed, in one pass.

What a model's slip leaves no doubt about is read as it is meant: other quotes, raw line
breaks, keys without quotes, literals of Python, comments, ellipses, commas and colons
and quotes that are missing or too many. The rules for quotes and delimiters follow
those of the JavaScript library jsonrepair (ISC licence). Whatever else is wrong is
refused; a text that ends inside a value is read to its end and said to break off.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from langchain_prodpatterns.structured.literals import (
    NO_LITERAL,
    as_literal,
    as_number,
    completed,
)
from langchain_prodpatterns.structured.texts import (
    QUOTED_KEY,
    QUOTES,
    InexactError,
    Place,
    Text,
    TextReader,
)

MAX_DEPTH = 200
"""Levels of nesting that are read."""

_SPACE = re.compile(
    r"(?:[\s\ufeff\u180e\u200b\u2060]++|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/)?+"
    r"|\#(?=[\s!])[^\n]*+|\\[nrt])*+"
)
_ELLIPSIS = re.compile(r"(?:\.{3,}+|\u2026)\s*+,?+")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9][0-9_]*+(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]*+)?+"
    r"(?=[\s,;:\[\]{}()+]|\\[nrt]|/[/*]|```|\Z)"
)
_CALL = re.compile(r"[A-Za-z_$][\w$.]*+[ \t]*+\((?=\s*+(?:[{\[\"'\u201c]|-?[0-9]))")
_REGEX = re.compile(r"/(?![/*])(?:[^/\\\n]|\\.)*+/")
# A number that goes on with words is the beginning of a text without quotes.
_WORDS_AHEAD = re.compile(r"[ \t]++[^\s,:\[\]{}\"'/#]")
_NEVER = re.compile(r"(?!)")
_MORE_WORDS = {
    Place.ROOT: _WORDS_AHEAD,
    Place.KEY: _NEVER,
    Place.FIELD: re.compile(_WORDS_AHEAD.pattern + r"(?!\w*+[\"']?+\s*+:)|:\d"),
    Place.ITEM: re.compile(r"[ \t]++[^\W\d]|:\d"),
}
_COLONS = ("=>", ":=", ":", "=")
_FENCE = "```"
_CUT: Final = object()
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_VALUE_AHEAD = re.compile(r"[^\s,:;=}\])]")
# `(a, b) => a` is code, not a list.
_CODE_AHEAD = re.compile(r"\([^()\n]{0,500}+\)[ \t]*+[^\s,:;}\])+/]")
# `{"a": 1}, "b": 2}`: an object that was closed too early.
_EARLY_CLOSE = re.compile(rf"\s*+,\s*+{QUOTED_KEY}")
_STRAY_CLOSER = re.compile(r"[}\])](?=\s*+,)")
_ITEM_AHEAD = re.compile(r"\}\s*+,\s*+\{")
_LAYOUT = 80
"""Characters of white space that may stand between two brackets."""
_STRAY_WORD = re.compile(rf"\w{{1,30}}+\s++(?={QUOTED_KEY})")


@dataclass(frozen=True, slots=True)
class Forgiven:
    """A value that was read from a text."""

    data: Any
    """The value."""
    end: int
    """Where it ends in the text."""
    broken_off: bool = False
    """Whether the text ends inside it: only what is there was read."""


def forgive(text: str, start: int = 0, *, cut: bool = False) -> Forgiven:
    """Read one value that is malformed.

    The work is linear in the length of what is read: a reader that goes back too often
    gives up.

    Args:
        text: A text.
        start: Where in it the value begins.
        cut: Whether the text is known to be cut where it ends.

    Returns:
        The value, where it ends, and whether the text breaks off in it.

    Raises:
        InexactError: When reading it takes more guessing than that, or when it is
            nested deeper than `MAX_DEPTH` levels.
    """
    reader = _Reader(text, start, cut=cut)
    data = reader.value(Place.ROOT)
    return Forgiven(data, reader.at, reader.broken_off)


class _Reader:
    """Reads values, of which objects and lists hold more of them."""

    def __init__(self, text: str, start: int, *, cut: bool) -> None:
        self.text = text
        self.at = start
        self.broken_off = False
        self._open: list[str] = []
        self._texts = TextReader(text, cut=cut)

    def value(self, place: Place) -> Any:
        """Read a value, and the white space and comments around it."""
        self._skip_space()
        mark = self._here()
        if mark == "{":
            data: Any = self._object(place)
        elif mark == "[" or (mark == "(" and not self._begins_code(place)):
            data = self._list()
        elif mark and (mark in QUOTES or mark == "\\"):
            data = self._quoted(place)
        else:
            data = self._unquoted(place)
        self._skip_space()
        return data

    def _begins_code(self, place: Place) -> bool:
        code = place is Place.FIELD and _CODE_AHEAD.match(self.text, self.at)
        return bool(code)

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _skip(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def _at_end(self) -> bool:
        return self.at >= len(self.text) or self.text.startswith(_FENCE, self.at)

    def _enter(self, closing: str) -> None:
        self._open.append(closing)
        if len(self._open) > MAX_DEPTH:
            raise InexactError
        self.at += 1
        self._skip_space()
        self._skip_comma()

    def _leave(self) -> None:
        """Step over the closing bracket; where another one stands, it is implied."""
        if not self._skip(self._open.pop()) and self._at_end():
            self.broken_off = True

    def _has_more(self) -> bool:
        ellipsis = _ELLIPSIS.match(self.text, self.at)
        if ellipsis:
            self.at = ellipsis.end()
            self._skip_space()
        if self._here() not in "}])":
            return not self._at_end()
        while self._is_stray():
            self.at += 1
            self._skip_space()
            self._skip_comma()
        return not self._at_end() and self.text[self.at] not in "}])"

    def _is_stray(self) -> bool:
        """Whether a closing bracket closes nothing, and the text goes on after it."""
        stray = _STRAY_CLOSER.match(self.text, self.at)
        if stray is None:
            return False
        return stray.group() not in self._open or self._parts_a_list()

    def _parts_a_list(self) -> bool:
        """Whether an object of the list is closed twice: `{"a": [{}}, {}]}`.

        To close the list as well would lose the rest of it. In a list of objects with
        lists, it is the list inside whose bracket is missing.
        """
        if self._open[-2:] != ["}", "]"] or self._open[-3:-2] == ["]"]:
            return False
        before = self.text[max(0, self.at - _LAYOUT) : self.at].rstrip()
        return before.endswith("}") and bool(_ITEM_AHEAD.match(self.text, self.at))

    def _skip_comma(self) -> None:
        while self._skip(",") or self._skip(";"):
            self._skip_space()
        self._skip_space()

    def _object(self, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        self._enter("}")
        self._properties(data)
        self._leave()
        while place is Place.ROOT and _EARLY_CLOSE.match(self.text, self.at):
            self._enter("}")
            self._properties(data)
            self._leave()
        return data

    def _properties(self, data: dict[str, Any]) -> None:
        while self._has_more():
            if self._here() == "{":
                # `[{"i": 1, {"i": 2}]`: the object before it was not closed.
                if len(self._open) == 1 or not data:
                    raise InexactError
                break
            key = self._key()
            value = self._value_of_key()
            if value is not _CUT:
                data[key] = value
            self._skip_comma()

    def _key(self) -> str:
        stray = _STRAY_WORD.match(self.text, self.at)
        self.at = stray.end() if stray else self.at
        if self._here() in QUOTES:
            text = self._texts.quoted(self.at, Place.KEY)
        else:
            text = self._texts.unquoted(self.at, Place.KEY)
        self.at = text.end
        self._skip_space()
        return text.content

    def _value_of_key(self) -> Any:
        for mark in _COLONS:
            if self._skip(mark):
                break
        self._skip_space()
        if self.text.startswith(_FENCE, self.at):
            code = self._texts.code(self.at, Place.FIELD)
            if code:
                self._take(code)
                return code.content
        if self._at_end():
            self.broken_off = True
            return _CUT
        if not _VALUE_AHEAD.match(self.text, self.at):
            raise InexactError
        return self.value(Place.FIELD)

    def _list(self) -> list[Any]:
        items: list[Any] = []
        self._enter(_CLOSING[self._here()])
        while self._has_more():
            items.append(self.value(Place.ITEM))
            if self._here() == ":":
                raise InexactError
            self._skip_comma()
        self._leave()
        return items

    def _quoted(self, place: Place) -> str:
        text = self._texts.code(self.at, place) or self._texts.quoted(self.at, place)
        self._take(text)
        content = text.content
        while self._skip("+"):
            self._skip_space()
            if self._at_end() or self._here() not in QUOTES:
                break
            text = self._texts.quoted(self.at, place)
            self._take(text)
            content += text.content
        return content

    def _take(self, text: Text) -> None:
        self.at = text.end
        self.broken_off = self.broken_off or not text.is_whole
        self._skip_space()

    def _unquoted(self, place: Place) -> Any:
        number = _NUMBER.match(self.text, self.at)
        if number and not _MORE_WORDS[place].match(self.text, number.end()):
            self.at = number.end()
            return as_number(number.group())
        call = _CALL.match(self.text, self.at)
        if call:
            return self._argument(call.end())
        regex = _REGEX.match(self.text, self.at)
        if regex:
            self.at = regex.end()
            return regex.group()
        text = self._texts.unquoted(self.at, place)
        self.at = text.end
        word = text.content
        if not text.is_whole and place is not Place.ROOT:
            word = completed(word)
        literal = as_literal(word)
        return text.content if literal is NO_LITERAL else literal

    def _argument(self, start: int) -> Any:
        """Read what a call wraps: `NumberLong("2")`, `callback({})`."""
        self.at = start
        data = self.value(Place.ITEM)
        if not self._skip(")"):
            raise InexactError
        self._skip(";")
        return data
