"""Where in a text the JSON is: a linear pass that finds balanced spans.

The pass reads strings as JSON and Python write them, so that a bracket in a string is
no bracket. A quote opens a string only where a value or a key may begin; any other one
is text that somebody forgot to escape. A span that is still open where the text ends is
broken off: it swallows the rest, and nothing inside it is taken for an answer.
"""

import re
from dataclasses import dataclass

MAX_DEPTH = 200
"""Levels of nesting that pydantic's parser reads."""
MAX_CANDIDATES = 10_000
"""Spans of one text; with more than that it is no answer."""
MAX_TOKENS = 500_000
"""Brackets and quotes of one span."""

_BOUND = r"\s*+[^\s,(){}\[\]\"']{1,40}+\s*+"
# An opening bracket in prose is JSON only if it goes on like JSON: `[0, n)` does not.
_OPENER = re.compile(
    rf"""\{{(?=\s*+(?:\\?["'}}\u201c\u2018/\#]|[\w$][\w.$@-]*+\s*+[:=]))
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
    """A balanced span of a text."""

    start: int
    """Where it begins, in characters."""
    end: int
    """Where it ends."""
    depth: int
    """How deeply it is nested."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text holds."""

    candidates: tuple[Candidate, ...] = ()
    """The outermost balanced spans, in order."""
    broken_off: bool = False
    """Whether the text ends inside a span."""
    unreadable: str = ""
    """Why the text is beyond reading, if it is."""


def find_candidates(text: str) -> Found:
    """Find the outermost JSON-like spans of a text, in linear time.

    A span that follows like a part on a bracket that never closes belongs to something
    that breaks off, also where that is no JSON, such as `Ticket(child={...}`.

    Args:
        text: Any text.

    Returns:
        The balanced spans, and whether the text breaks off inside another one.
    """
    found: list[Candidate] = []
    start = _first_opener(text)
    while start is not None:
        if len(found) == MAX_CANDIDATES:
            return Found(unreadable=f"it holds more than {MAX_CANDIDATES} objects")
        span = _Span(text, start)
        end = span.scan()
        if span.unreadable:
            return Found(unreadable=span.unreadable)
        if end is None:
            return Found(_not_enclosed(text, found), broken_off=True)
        found.append(Candidate(start, end, span.deepest))
        start = _next_opener(text, end)
    whole = _not_enclosed(text, found)
    return Found(whole, broken_off=len(whole) < len(found))


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
        self.deepest = 0
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
        self.deepest = max(self.deepest, len(self._nesting.open))
        if self.deepest > MAX_DEPTH:
            self.unreadable = f"it is nested deeper than {MAX_DEPTH} levels"
