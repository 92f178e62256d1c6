"""Where in a text the JSON is, and what it says.

A linear pass finds balanced spans. It reads strings as JSON and Python write them, so
that a bracket in a string is no bracket; a quote opens a string only where a value or a
key may begin. A span that is no JSON is read forgivingly, which may end elsewhere. What
is still open where the text ends is broken off: it swallows the rest, and nothing
inside it is taken for an answer.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from langchain_prodpatterns.structured.forgiving import MAX_DEPTH, forgive
from langchain_prodpatterns.structured.relaxed import parse
from langchain_prodpatterns.structured.texts import QUOTED_KEY, InexactError, unescaped

MAX_CANDIDATES = 10_000
"""Spans of one text; with more than that it is no answer."""
MAX_TOKENS = 500_000
"""Brackets and quotes of one span."""
MAX_RELAXED = 192 * 1024
"""Characters of a text, from the span on, that is read forgivingly."""
MAX_TRIES = 32
"""Spans of one text that are read forgivingly."""

_LOOKED_AT = 4_096
_GOES_ON = re.compile(r"\)\"|[\]}\s]*+(?:[\"':]|,(?!\s*+[{\[/]))")
_BEFORE_FENCE = re.compile(r"[{\[]```\w*+\s")
_ESCAPED = re.compile(r"""[{\[](?:[{\[\s]|\\[nrt])*+\\["']""")
# `{"a": 1}, "b": 2}`: more of an object that was closed too early.
_MORE_OF_OBJECT = re.compile(rf"(?<=\}})\s*+,\s*+{QUOTED_KEY}")

_BOUND = r"\s*+[^\s,(){}\[\]\"']{1,40}+\s*+"
# An opening bracket in prose is JSON only if it goes on like JSON: `[0, n)` does not.
_OPENER = re.compile(
    rf"""\{{(?=(?:\s|\\[nrt])*+(?:\\?["'}}\u201c\u2018/\#]|[\w$][\w.$@-]*+\s*+[:=]))
      | \[(?!{_BOUND},{_BOUND}\))(?=\s*+(?:\\?["'\u201c\u2018\]{{\[/\#.]|-?\d
            |(?:true|false|null|None|True|False)\b))""",
    re.VERBOSE,
)
# What may enclose a span in prose is more: any bracket that is not quoted, and the
# parenthesis of a call.
_IN_PROSE = re.compile(r"""["'`][{\[(\]})]["'`]|[{}\[\]()]""")
_MAY_ENCLOSE = re.compile(r"[{\[]|(?<=\w)\(")
# What a span inside of an open bracket comes after: elsewhere the bracket is a slip.
_BEFORE_A_PART = {"{": ":=,([{", "[": ":=,([{", "(": "=,([{"}
_TOKEN = re.compile(r"""[{}\[\]"']""")
_STRINGS = {
    '"': re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL),
    "'": re.compile(r"'[^'\\]*+(?:\\.[^'\\]*+)*+'", re.DOTALL),
}
_OPENS = {"}": "{", "]": "["}
_BEFORE_A_STRING = frozenset("{[,:(")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that a text holds, or a span that is meant to be one."""

    start: int
    """Where it begins, in characters."""
    end: int
    """Where it ends."""
    form: Literal["json", "relaxed", "malformed"] = "json"
    """Whether it is JSON, was read forgivingly, or could not be read."""
    data: Any = field(default=None, repr=False)
    """The value, where it could be read."""
    broken_off: bool = False
    """Whether the text ends inside it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text holds."""

    candidates: tuple[Candidate, ...] = ()
    """The outermost values, in order; only the last one may be broken off."""
    enclosed: bool = False
    """Whether there is one more in a bracket that never closes, such as
    `Ticket(child={...}`: a part of something that breaks off."""
    unreadable: str = ""
    """Why the text is beyond reading, if it is."""

    @property
    def whole(self) -> tuple[Candidate, ...]:
        """Those that end before the text does."""
        return tuple(one for one in self.candidates if not one.broken_off)

    @property
    def broken_off(self) -> bool:
        """Whether the text ends inside a value."""
        return self.enclosed or len(self.whole) < len(self.candidates)


def find_candidates(text: str, *, cut: bool = False) -> Found:
    """Find the outermost values in a text, in linear time.

    Args:
        text: Any text.
        cut: Whether it is known to be cut where it ends.

    Returns:
        The values, of which each was read once.
    """
    found: list[Candidate] = []
    start = _first_opener(text)
    tries = MAX_TRIES
    while start is not None:
        if len(found) == MAX_CANDIDATES:
            return Found(unreadable=f"it holds more than {MAX_CANDIDATES} objects")
        span = _Span(text, start)
        end = span.scan()
        if span.unreadable:
            return Found(unreadable=span.unreadable)
        candidate = _read_span(text, start, end, forgiving=tries > 0, cut=cut)
        tries -= candidate.form != "json"
        found.append(candidate)
        start = None if candidate.broken_off else _next_opener(text, candidate.end)
    whole = _not_enclosed(text, found)
    return Found(whole, enclosed=len(whole) < len(found))


def _read_span(
    text: str, start: int, end: int | None, *, forgiving: bool, cut: bool
) -> Candidate:
    """Read the value that begins at a bracket: strictly, else forgivingly."""
    if end is not None and not _MORE_OF_OBJECT.match(text, end):
        try:
            return Candidate(start, end, "json", from_json(text[start:end]))
        except ValueError:
            pass
    if forgiving and len(text) - start <= MAX_RELAXED:
        try:
            return _read_notation(text, start) or _read_forgivingly(
                text, start, end, cut=cut
            )
        except InexactError:
            pass
    if end is None:
        return Candidate(start, len(text), "malformed", broken_off=True)
    return Candidate(start, _whole_end(text, start, end), "malformed")


def _read_notation(text: str, start: int) -> Candidate | None:
    """Read a span that is sound in another notation, if it is."""
    try:
        parsed = parse(text, start)
    except InexactError:
        return None
    if _goes_on(text, parsed.end):
        return None
    return Candidate(start, parsed.end, "relaxed", parsed.data)


def _goes_on(text: str, end: int) -> bool:
    """Whether a text goes on like JSON: a bad quote has ended the span too early."""
    rest = text[end : end + _LOOKED_AT].lstrip()
    begins_so = _GOES_ON.match(rest) is not None
    return begins_so and any(mark in rest[1:] for mark in ('"', "':", "',"))


def _read_forgivingly(
    text: str, start: int, end: int | None, *, cut: bool
) -> Candidate:
    """Read a span whose notation is not JSON.

    Of one inside a text of JSON, every quote is escaped once more.
    """
    if end is not None and _ESCAPED.match(text, start):
        inside = unescaped(text[start:end])
        parsed = forgive(inside)
        if parsed.broken_off or parsed.end < len(inside):
            raise InexactError
        return Candidate(start, end, "relaxed", parsed.data)
    parsed = forgive(text, start, cut=cut)
    if not parsed.broken_off and _goes_on(text, parsed.end):
        raise InexactError
    return Candidate(start, parsed.end, "relaxed", parsed.data, parsed.broken_off)


def _whole_end(text: str, start: int, end: int) -> int:
    """Return where a badly quoted span ends: later, if the text goes on like JSON."""
    if not _goes_on(text, end):
        return end
    last = text.rfind("}" if text[start] == "{" else "]", end)
    return end if last < 0 else last + 1


def _not_enclosed(text: str, spans: list[Candidate]) -> tuple[Candidate, ...]:
    """Return the spans that are no part of a bracket that never closes."""
    left_open = _left_open(text, spans)
    whole = []
    opened = end = 0
    for span in spans:
        while opened < len(left_open) and left_open[opened] < span.start:
            opened += 1
        before = text[end : span.start].rstrip()[-1:]
        innermost = text[left_open[opened - 1]] if opened else None
        if not before or innermost is None or before not in _BEFORE_A_PART[innermost]:
            whole.append(span)
        end = span.end
    return tuple(whole)


def _left_open(text: str, spans: list[Candidate]) -> list[int]:
    """Return where in the prose around spans a bracket stands that never closes.

    In prose any closing bracket closes any other, as in `[0, n)` and `]0, 1]`.
    """
    still_open: list[int] = []
    begin = 0
    stretches = [(span.start, span.end) for span in spans]
    # What follows the last span may close a bracket before it.
    for end, next_begin in [*stretches, (len(text), len(text))]:
        for match in _IN_PROSE.finditer(text, begin, end):
            if match.group() in _BEFORE_A_PART:
                still_open.append(match.start())
            elif match.group() in "}])" and still_open:
                still_open.pop()
        begin = next_begin
    return [at for at in still_open if _MAY_ENCLOSE.match(text, at)]


def _first_opener(text: str) -> int | None:
    """A text that begins with a bracket is meant to be JSON, whatever follows."""
    begin = len(text) - len(text.lstrip())
    fence = _BEFORE_FENCE.match(text, begin)
    if fence:
        return _next_opener(text, fence.end())
    if text[begin : begin + 1] in {"{", "["}:
        return begin
    return _next_opener(text, begin)


def _next_opener(text: str, position: int) -> int | None:
    match = _OPENER.search(text, position)
    return None if match is None else match.start()


class _Nesting:
    """The brackets that are open."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self._count = {"{": 0, "[": 0}

    def meet(self, mark: str) -> None:
        """Open a bracket, or close one, and with it those inside that were left open.

        A closing bracket without an open one changes nothing.
        """
        if mark in self._count:
            self.open.append(mark)
            self._count[mark] += 1
            return
        opening = _OPENS[mark]
        closed = None
        while self._count[opening] and closed != opening:
            closed = self.open.pop()
            self._count[closed] -= 1


class _Span:
    """Reads from one opening bracket to the one that closes it."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.unreadable = ""
        self._nesting = _Nesting()

    def scan(self) -> int | None:
        """Return where the span ends, or `None` where it does not."""
        position = last = self.start
        for _ in range(MAX_TOKENS):
            match = _TOKEN.search(self.text, position)
            if match is None:
                return None
            token, at = match.group(), match.start()
            position = match.end()
            if token in _STRINGS:
                position = self._string(token, last, at)
            else:
                self._meet(token)
            if position < 0 or self.unreadable:
                return None
            if not self._nesting.open:
                return position
            last = position
        self.unreadable = f"it holds more than {MAX_TOKENS} brackets and quotes"
        return None

    def _string(self, quote: str, last: int, at: int) -> int:
        """Skip a string; return where it ends, or -1 where it never does."""
        gap = self.text[last:at].rstrip()
        before = gap[-1:] or self.text[last - 1 : last]
        if before not in _BEFORE_A_STRING:
            return at + 1
        match = _STRINGS[quote].match(self.text, at)
        return -1 if match is None else match.end()

    def _meet(self, bracket: str) -> None:
        self._nesting.meet(bracket)
        if len(self._nesting.open) > MAX_DEPTH:
            self.unreadable = f"it is nested deeper than {MAX_DEPTH} levels"
