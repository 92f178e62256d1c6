"""Where a text in a malformed JSON begins and ends, and what it says.

The quote that ends a text is found by what follows it: a delimiter, and after a comma
something that may come next. Any other one was not escaped and belongs to the text.
"""

import re
import textwrap
from enum import Enum, auto
from typing import NamedTuple


class InexactError(Exception):
    """Raised when reading a text as JSON takes more guessing than is sound."""


class Place(Enum):
    """What a text is in the value around it."""

    ROOT = auto()
    KEY = auto()
    FIELD = auto()
    """The value of a key."""
    ITEM = auto()
    """An item of a list, or the argument of a call."""


class Text(NamedTuple):
    """A text that was read."""

    content: str
    """What it says."""
    end: int
    """Where it ends, with its quotes."""
    is_whole: bool
    """Whether it ends before the whole text does."""


_DOUBLE, _SINGLE = '"\u201c\u201d\u201e', "'`\u00b4\u2018\u2019"
QUOTES = frozenset(_DOUBLE + _SINGLE)
"""Every mark that may begin a text."""
_PLAIN_ENDS = {'"': '"', "'": "'"}
_FENCE = "```"
_CODE = '"""', _FENCE

# The two ways in which nearly every text is written, with nothing to repair.
_SOUND = {
    '"': re.compile(r'"([^"\\\x00-\x1f]*+)"(?=\s*+[:}\]]|\s*+,\s*+["\[{\d])'),
    "'": re.compile(r"'([^'\\\x00-\x1f]*+)'(?=\s*+[:}\]]|\s*+,\s*+['\[{\d])"),
}
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U(000[0-9a-fA-F]{5})|(.))", re.DOTALL
)
_ESCAPED_MARKS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "\n": "\n",
    "/": "/",
    "\\": "\\",
}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
# An escape that is cut, with the first half of the pair that it may be the second of.
_CUT_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z"
    r"|\\(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?)?\Z"
)

_Q = r"[\"'`\u2018\u2019\u201c\u201d]"
QUOTED_KEY = rf"{_Q}[\w$ .-]{{1,60}}+{_Q}\s*+:"
"""Matches a key in quotes, with its colon."""
_SPACES = r"(?:\s|\\[nrt]|/\*[^*]{0,200}\*/|//[^\n]{0,200}\n)*+"
_COMMAS = rf"[,;](?:{_SPACES},)*+{_SPACES}"
# What may come after the comma behind a property, and behind an item of a list.
_NEXT_PROPERTY = (
    rf"(?:{_Q}|\w{{1,30}}+\s++{QUOTED_KEY}|[\w$][\w$ .-]{{0,60}}+{_Q}?+\s*+:"
    r"|[\[}\]{]|\.\.\.|\Z|```)"
)
_NEXT_ITEM = rf"(?:{_Q}|[\w$\[{{(}}\]+.-]|\Z|```)"
_LITERAL = (
    r"(?:(?:true|false|null|True|False|None)\s*+(?:[,}\]]|\Z)|[tfnTFN][a-z]{0,3}+\Z)"
)
# A closing bracket ends a text only where what follows it is no text either.
_CLOSED = (
    rf"(?:\}}(?:\s*+,[ \t]*+(?:\n|{_Q}|[\[{{}}\]]|[\w$]++\s*+:|-?\d|{_LITERAL}|\Z)"
    r"|(?!\s*+,))|\](?=\s*+(?:[,}\]]|```|\Z)))"
)
_AFTER_TEXT = {
    Place.ROOT: re.compile(rf"{_SPACES}(?:\Z|[,+}}\]]|```)"),
    Place.KEY: re.compile(
        rf"\s*+(?:=?:|=|{_Q}|[\[{{}}]|-?\d|\Z|,|(?:true|false|null)\b)"
    ),
    Place.FIELD: re.compile(
        rf"{_SPACES}(?:\Z|```|{_CLOSED}|\+\s*+{_Q}|{_COMMAS}{_NEXT_PROPERTY})"
        rf"|\s++(?:{_Q}[\w$ .-]{{1,60}}+{_Q}|[\w$]++)\s*+:"
        rf"|(?={_Q}[\w$ .-]{{1,60}}+{_Q}\s*+:)"
    ),
    Place.ITEM: re.compile(
        rf"{_SPACES}(?:\Z|```|[:}}\])]|\+\s*+{_Q}|{_COMMAS}{_NEXT_ITEM})"
        rf"|\s++(?:{_Q}|\d|\{{)|{_Q}(?!{_Q}{{0,8}}+\s*+[,\]}}])"
    ),
}
# A quote that begins the next text although the one before it was never ended.
_BEGINS_KEY = re.compile(rf"[^\"'\n:,{{}}]{{1,100}}{_Q}\s*+:")
_BEGINS_ITEM = re.compile(rf"[^\"'\n,\[\]]{{1,100}}{_Q}\s*+[,\]]")
_KEY_AHEAD = re.compile(rf",\s*+(?:{_Q}[^\"'\n:]{{1,100}}{_Q}|[\w$]++)\s*+:(?!//)")
_CLOSERS_AT_END = re.compile(r"\s*+[}\]][\s}\]]*+\Z")
_LAST_CLOSER = re.compile(r"\}\s*+,?+\s*+\Z")
_CLOSERS = " \t\r\n}])"
_AFTER_CODE = re.compile(r"\s*+(?:[,}\]]|\Z|[\"'][\w$ .-]{1,60}+[\"']\s*+:)")

_URL = re.compile(
    r"(?:https?|ftp|mailto|file|data|irc)://[A-Za-z0-9._~:/?#@!$&'()*+;=%-]*+"
)
_IN_PARENTHESES = r"\([^()\n]{0,500}+\)"
_UNQUOTED = {
    Place.ROOT: re.compile(r"[^\n\[\]{}\"]*+"),
    Place.KEY: re.compile(r"[^\n\[\]{},:=\"'`\u2018\u2019\u201c\u201d]*+"),
    Place.FIELD: re.compile(
        rf"(?:{_IN_PARENTHESES}|[^,\n\[\]{{}}/\"`\u201c]|/(?![/*])"
        rf"|,(?!{_SPACES}(?:{_NEXT_PROPERTY}|,))"
        rf"|\"(?!\s*+(?:[,:}}\]]|\Z))(?![\w$ .-]{{1,60}}+\"\s*+:)"
        # What comes after a line break is the same for all those that follow on it.
        rf"|\n(?!\s*+(?:[}}\],/`]|{_Q}?+[\w$ .-]{{1,60}}+{_Q}?+\s*+:|\Z))\s*+)*+"
    ),
    Place.ITEM: re.compile(
        r"(?:[^,\n\[\]{}/\"`\u201c:()]|:(?=\S)|/(?![/*])|\([^()\n]{0,200}+\))*+"
    ),
}
_BRACE_AHEAD = re.compile(r"\s*+\}")
_OPENS_INSIDE = re.compile(r"\w[^\"'\n:]{0,100}+[\"'](?!\s*+:)")
_WORD_AHEAD = re.compile(
    r"\s*+,\s*+(?!(?:true|false|null|True|False|None)\s*+[,\]])[^\W\d]"
)
# `"a: {`: a key whose quote is missing, by the value that follows.
_OPEN_KEY = re.compile(
    r"([\w$.-]{1,60}+):\s*+(?:[{\[]|(?:true|false|null|-?[\d.]++)\s*+[,}\n]"
    r"|\"[^\"\n]{0,200}+\"\s*+[,}\n])"
)
_CLOSER_DISTANCE = 40
_WORK = 6
"""How often a text may be gone over, before reading it is given up."""


class TextReader:
    """Reads texts out of one string."""

    def __init__(self, text: str, *, cut: bool = False) -> None:
        """Take the string.

        Args:
            text: The string.
            cut: Whether it is known to be cut, so that a text whose quote never ends
                is not closed by what it ends with.
        """
        self._text = text
        self._cut = cut
        self._work = _WORK * len(text) + 10_000

    def quoted(self, start: int, place: Place) -> Text:
        """Read a text that begins with a quote.

        Args:
            start: Where the quote is.
            place: What the text is.

        Raises:
            InexactError: When reading has gone back too often.
        """
        mark = self._text[start]
        sound = _SOUND[mark].match(self._text, start) if mark in _PLAIN_ENDS else None
        if sound:
            return Text(sound[1], sound.end(), is_whole=True)
        is_fence = self._text.startswith(_FENCE, start + 1)
        fenced = self._fenced(start, mark, place) if is_fence else None
        if fenced:
            return fenced
        key = _OPEN_KEY.match(self._text, start + 1) if place is Place.KEY else None
        if key:
            return self._text_between(start, key.end(1), key.end(1), place)
        return self._badly_quoted(start, place)

    def _badly_quoted(self, start: int, place: Place) -> Text:
        """Read a text whose last quote has to be told from those inside it."""
        mark = self._text[start]
        ends = _DOUBLE if mark in _DOUBLE else _SINGLE
        if mark in _PLAIN_ENDS:
            ends = mark
        finds = re.compile(rf"\\|[{ends}]")
        at = start + 1
        inside = 0
        while match := finds.search(self._text, at):
            here = match.start()
            at = here + (2 if match.group() == "\\" else 1)
            if match.group() == "\\":
                continue
            if self._is_end(start, here, place, inside):
                return self._text_between(start, here, here + 1, place)
            cut = self._missed_end(start, here, place)
            if cut is not None:
                return self._text_between(start, cut, cut, place)
            if not inside and self._is_doubled(start, here, place):
                return self._text_between(start, here, here + 2, place)
            inside += 1
        self._spend(len(self._text) - start)
        return self._never_ended(start, place)

    def code(self, start: int, place: Place) -> Text | None:
        """Read a text between three quotes or backticks, if there is one.

        Raises:
            InexactError: When reading has gone back too often.
        """
        mark = self._text[start : start + 3]
        if mark not in _CODE or place in {Place.ROOT, Place.KEY}:
            return None
        end = self._text.find(mark, start + 3)
        while end >= 0 and not _AFTER_CODE.match(self._text, end + 3):
            end = self._text.find(mark, end + 3)
        self._spend((end if end >= 0 else len(self._text)) - start)
        if end < 0:
            return None
        inside = self._text[start + 3 : end]
        first, line_break, rest = inside.partition("\n")
        if line_break and (not first.strip() or first.strip().isalnum()):
            inside = rest
        content = textwrap.dedent(inside).strip("\n").rstrip()
        return Text(content, end + 3, is_whole=True)

    def unquoted(self, start: int, place: Place) -> Text:
        """Read a text without quotes: up to a delimiter.

        Raises:
            InexactError: When there is none.
        """
        match = _UNQUOTED[place].match(self._text, start)
        end = match.end() if match else start
        url = _URL.match(self._text, start) if place is not Place.ROOT else None
        if url:
            end = url.end()
        content = self._text[start:end].rstrip()
        if not content:
            raise InexactError
        end = start + len(content)
        if self._text[end : end + 1] == '"':
            end += 1  # the quote that began it is missing
            content = self._content(content, place)
        return Text(content, end, is_whole=end < len(self._text))

    def _fenced(self, start: int, mark: str, place: Place) -> Text | None:
        """Read a text that is a fence as a whole: its quotes end with the fence."""
        stop = self._text.find(_FENCE + mark, start + 1 + len(_FENCE))
        self._spend((stop if stop >= 0 else len(self._text)) - start)
        if stop < 0:
            return None
        end = stop + len(_FENCE)
        return self._text_between(start, end, end + 1, place)

    def _ends_text(self, start: int, here: int, place: Place) -> bool:
        after = _AFTER_TEXT[place].match(self._text, here + 1)
        if not after:
            return False
        same = self._text[here + 1 : here + 2] == self._text[here]
        doubled = same and here > start + 1
        return not (doubled and _AFTER_TEXT[place].match(self._text, here + 2))

    def _is_end(self, start: int, here: int, place: Place, inside: int) -> bool:
        """Whether a quote ends a text in which so many others stand before it."""
        if not self._ends_text(start, here, place):
            return False
        if not inside:
            opens = here == start + 1 and place in {Place.FIELD, Place.ITEM}
            return not (opens and _OPENS_INSIDE.match(self._text, here + 1))
        # The second of a pair: a text that goes on goes on without a quote.
        paired = place is Place.ITEM and inside % 2 == 1
        if paired and _WORD_AHEAD.match(self._text, here + 1):
            return False
        return not self._closes_inside(start, here)

    def _is_doubled(self, start: int, here: int, place: Place) -> bool:
        """Whether a text ends with its quote twice; after a digit, one is inches."""
        same = self._text[here + 1 : here + 2] == self._text[here]
        if not same or here == start + 1 or self._text[here - 1].isdigit():
            return False
        return bool(_AFTER_TEXT[place].match(self._text, here + 2))

    def _closes_inside(self, start: int, here: int) -> bool:
        """Whether the brace after a quote closes one that the text itself opened."""
        if not _BRACE_AHEAD.match(self._text, here + 1):
            return False
        self._spend(here - start)
        opened = self._text.count("{", start, here)
        return opened > self._text.count("}", start, here)

    def _missed_end(self, start: int, here: int, place: Place) -> int | None:
        """Return where a text ended whose quote is missing, if this one begins more."""
        before = here - 1
        while before > start and self._text[before].isspace():
            before -= 1
        mark = self._text[before]
        if before <= start:
            return None
        if place is Place.KEY:
            return before if mark == ":" else None
        begins = _BEGINS_ITEM if place is Place.ITEM else _BEGINS_KEY
        if mark not in ",{" or not begins.match(self._text, here + 1):
            return None
        if mark == ",":
            return self._before_closers(start, before)
        return self._last_closer(start, before) if place is Place.FIELD else None

    def _last_closer(self, start: int, before: int) -> int | None:
        """Return where an object closed right before the brace of the next one."""
        begin = max(start + 1, before - _CLOSER_DISTANCE)
        match = _LAST_CLOSER.search(self._text[begin:before])
        return begin + match.start() if match else None

    def _before_closers(self, start: int, stop: int) -> int:
        """Return where a text ends before brackets that it has not opened itself."""
        begin = max(start + 1, stop - _CLOSER_DISTANCE)
        closers = _CLOSERS_AT_END.search(self._text[begin:stop])
        if not closers:
            return stop
        self._spend(stop - start)
        own = self._text[start : begin + closers.start()]
        if any(own.count(one) for one in "{["):
            return stop
        return begin + closers.start()

    def _never_ended(self, start: int, place: Place) -> Text:
        """Read a text whose quote never ends, as far as it can be meant to go."""
        stop = self._likely_end(start, place)
        if stop is not None:
            return self._text_between(start, stop, stop, place)._replace(is_whole=False)
        rest = self._text[start + 1 :].rstrip()
        if rest.endswith("\n```"):
            rest = rest.removesuffix("\n```")
        else:
            rest = self._text[start + 1 :]
        content = self._content(_CUT_ESCAPE.sub("", rest), place)
        return Text(content, start + 1 + len(rest), is_whole=False)

    def _likely_end(self, start: int, place: Place) -> int | None:
        """Return where a text ends whose quote is missing, if more follows on it.

        That is before the next key, or before the brackets at the very end. A key that
        never ends has no value: where that stops does not matter.
        """
        if self._cut or place in {Place.ROOT, Place.KEY}:
            return None
        key = _KEY_AHEAD.search(self._text, start) if place is Place.FIELD else None
        if key:
            return self._before_closers(start, key.start())
        end = len(self._text.rstrip().removesuffix("```").rstrip())
        closers = end
        while closers > start and self._text[closers - 1] in _CLOSERS:
            closers -= 1
        if "(" in self._text[start:closers]:
            # It closes in the text what was opened there.
            closers += self._text[closers:end].find(")") + 1
        if closers == end:
            return None
        comma = self._text.find(",", start) if place is Place.ITEM else -1
        return comma if comma > 0 else closers

    def _text_between(self, start: int, stop: int, end: int, place: Place) -> Text:
        self._spend(end - start)
        content = self._text[start + 1 : stop]
        if stop == end:
            content = content.rstrip()
        return Text(self._content(content, place), end, is_whole=True)

    def _content(self, raw: str, place: Place) -> str:
        if place in {Place.FIELD, Place.ITEM}:
            trimmed = raw.rstrip()
            # A raw line break before the closing quote is part of the layout.
            raw = trimmed if "\n" in raw[len(trimmed) :] else raw
        return unescaped(raw) if "\\" in raw else raw

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise InexactError


def unescaped(raw: str) -> str:
    r"""Return what a text with escapes says; one without a meaning is kept: `\d`.

    Args:
        raw: The text between its quotes.

    Raises:
        InexactError: When it has half of a surrogate pair, which nobody can send on.
    """
    text = _PAIR.sub(_joined, _ESCAPE.sub(_unescape, raw))
    if _HALF_PAIR.search(text):
        raise InexactError
    return text


def _unescape(match: re.Match[str]) -> str:
    *codes, mark = match.groups()
    if mark is None:
        return chr(int(next(filter(None, codes)), 16))
    if mark in QUOTES:
        return mark
    return _ESCAPED_MARKS.get(mark, match.group())


def _joined(match: re.Match[str]) -> str:
    high, low = map(ord, match.group())
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
