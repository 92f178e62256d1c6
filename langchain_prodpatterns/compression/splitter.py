"""Split a document into what can be quoted: offsets into the text, nothing copied."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, runtime_checkable

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.compression.characters import between_characters
from langchain_prodpatterns.compression.segmenters import SentenceEnds
from langchain_prodpatterns.compression.sentences import sentence_ends
from langchain_prodpatterns.errors import ConfigurationError


class Span(NamedTuple):
    """A part of a text that is quoted whole or not at all."""

    start: int
    """Offset of its first character."""
    end: int
    """Offset behind its last character."""
    title: str = ""
    """What it is about, from the headings above it: `Returns > Refunds`."""
    header: tuple[int, int] | None = None
    """Another part of the text that must be quoted with it: a table's header."""


@runtime_checkable
class Splitter(Protocol):
    """Splits a text into spans.

    Spans are ascending, do not overlap and are not empty. A plain `(start, end)` is a
    span without a title.
    """

    def split(self, text: str) -> Iterable[Span | tuple[int, int]]:
        """Split a text."""
        ...


@dataclass(frozen=True)
class MarkdownSplitter:
    """Sentences of plain text or Markdown, with what must not be torn apart kept whole.

    A fenced code block, a list item and a heading are one span each, a table's row is
    one that brings the table's header along. The headings above a span are its title.
    Prose is split into sentences by rules that know common abbreviations, initials and
    the marks of Chinese, Japanese, Hindi, Arabic and Urdu; Thai, Lao, Myanmar and Khmer
    end a sentence at a line break. Time is linear in the length of the text.
    """

    max_chars: int = 1_200
    """What is longer is cut at a line break, else at a blank, else between characters:
    about 300 tokens of English."""
    sentences: SentenceEnds = sentence_ends
    """Where sentences end in prose; `PysbdSentences()` and `BlingfireSentences()` are
    other people's rules."""

    def __post_init__(self) -> None:
        check_count("max_chars", self.max_chars, optional=False)
        if not callable(self.sentences):
            msg = (
                "sentences must be a function of a text, a start and an end, such as "
                f"PysbdSentences(), got {self.sentences!r}"
            )
            raise ConfigurationError(msg)

    def split(self, text: str) -> list[Span]:
        """Split a text.

        Args:
            text: Plain text or Markdown.

        Returns:
            The spans, which together hold everything but blanks.
        """
        headings: list[tuple[int, str]] = []
        spans: list[Span] = []
        for block in _blocks(text):
            if block.level:
                while headings and headings[-1][0] >= block.level:
                    headings.pop()
            title = " > ".join(name for _, name in headings)
            for start, end in self._parts(text, block):
                spans.append(Span(start, end, title, block.header))
            if block.level:
                name = text[block.start : block.end].strip().strip("#").strip()
                headings.append((block.level, name[: self.max_chars]))
        return spans

    def _parts(self, text: str, block: "_Block") -> Iterator[tuple[int, int]]:
        start = block.start
        ends = self.sentences(text, start, block.end) if block.prose else ()
        for found in chain(ends, (block.end,)):
            # Whatever another's rules say: nothing is lost, and nothing is cut twice.
            end = min(max(start, found), block.end)
            for piece in _pieces(text, start, end, self.max_chars):
                first, last = _trim(text, *piece)
                if first < last:
                    yield first, last
            start = end


def read_spans(splitter: Splitter, text: str) -> list[Span]:
    """Split a text and check what came back, which may be another's code.

    Args:
        splitter: The splitter.
        text: The text.

    Returns:
        The spans that hold more than blanks.

    Raises:
        ConfigurationError: When spans overlap, are out of order or outside the text.
    """
    spans: list[Span] = []
    last = 0
    for part in splitter.split(text):
        span = Span(*part)
        if not last <= span.start < span.end <= len(text):
            msg = (
                f"{type(splitter).__name__} returned the span ({span.start}, "
                f"{span.end}) behind offset {last} of a text of {len(text)} characters:"
                " spans must be ascending, not empty, inside the text and not overlap"
            )
            raise ConfigurationError(msg)
        last = span.end
        if not text[span.start : span.end].isspace():
            spans.append(span)
    return spans


@dataclass(frozen=True, slots=True)
class _Block:
    """Some lines of one kind."""

    start: int
    end: int
    prose: bool = False
    level: int = 0
    header: tuple[int, int] | None = None


_Lines = Sequence[tuple[int, int]]

# Each is matched once a line, anchored at its start: linear.
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]++[^\s#]")
_ITEM = re.compile(r"[ \t]*+(?:[-*+•]|\d{1,9}[.)])[ \t]++\S")
_FENCE = re.compile(r"[ \t]*+(`{3,}+|~{3,}+)")
_TABLE_RULE = frozenset("|-: \t")


def _blocks(text: str) -> Iterator[_Block]:
    """Read a text line by line into blocks, in order."""
    lines = list(_lines(text))
    fences = _Fences(text, lines)
    at = 0
    while at < len(lines):
        found, after = _structure(text, lines, at, fences)
        if after == at:
            after = _prose_end(text, lines, at, fences)
            found = [_Block(lines[at][0], lines[after - 1][1], prose=True)]
        yield from found
        at = after


def _structure(
    text: str, lines: _Lines, at: int, fences: "_Fences"
) -> tuple[list[_Block], int]:
    """Read what is not prose at a line; the same line number when it is prose."""
    start, end = lines[at]
    if _is_blank(text, lines[at]):
        return [], at + 1
    if (closing := fences.closing(at)) is not None:
        return [_Block(start, lines[closing][1])], closing + 1
    if heading := _HEADING.match(text, start, end):
        return [_Block(start, end, level=len(heading[1]))], at + 1
    if _is_table(text, lines, at):
        return _table(text, lines, at)
    if _ITEM.match(text, start, end):
        after = _prose_end(text, lines, at, fences)
        return [_Block(start, lines[after - 1][1])], after
    return [], at


def _table(text: str, lines: _Lines, at: int) -> tuple[list[_Block], int]:
    header = (lines[at][0], lines[at + 1][1])
    after = at + 2
    while after < len(lines) and text.find("|", *lines[after]) >= 0:
        after += 1
    rows = [_Block(*lines[row], header=header) for row in range(at + 2, after)]
    return rows or [_Block(*header)], after


def _prose_end(text: str, lines: _Lines, at: int, fences: "_Fences") -> int:
    after = at + 1
    while after < len(lines) and not _begins_block(text, lines, after, fences):
        after += 1
    return after


def _begins_block(text: str, lines: _Lines, at: int, fences: "_Fences") -> bool:
    start, end = lines[at]
    return (
        _is_blank(text, lines[at])
        or _HEADING.match(text, start, end) is not None
        or _ITEM.match(text, start, end) is not None
        or fences.closing(at) is not None
        or _is_table(text, lines, at)
    )


def _is_table(text: str, lines: _Lines, at: int) -> bool:
    """Whether a line is a table's header: a rule of dashes is under it."""
    if at + 1 >= len(lines) or text.find("|", *lines[at]) < 0:
        return False
    rule = text[slice(*lines[at + 1])]
    return "-" in rule and "|" in rule and _TABLE_RULE.issuperset(rule)


def _is_blank(text: str, line: tuple[int, int]) -> bool:
    return not text[slice(*line)].strip()


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of each line without its break."""
    start = 0
    while start < len(text):
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        carriage = stop > start and text[stop - 1] == "\r"
        yield start, stop - carriage
        start = stop + 1


class _Fences:
    """Finds the line that closes a code fence; a fence that nothing closes is prose."""

    def __init__(self, text: str, lines: _Lines) -> None:
        self._marks: dict[int, str] = {}
        self._closers: dict[str, list[tuple[int, int]]] = {"`": [], "~": []}
        for number, (start, end) in enumerate(lines):
            if fence := _FENCE.match(text, start, end):
                mark = fence[1]
                self._marks[number] = mark
                if not text[fence.end() : end].strip():
                    self._closers[mark[0]].append((number, len(mark)))
        # Searched in vain from a line on: so will be every longer mark behind it,
        # which keeps a text of nothing but open fences linear.
        self._unclosed = {"`": len(text) + 1, "~": len(text) + 1}

    def closing(self, at: int) -> int | None:
        """Return the line that closes the fence at a line, if there are both."""
        mark = self._marks.get(at)
        if mark is None or len(mark) >= self._unclosed[mark[0]]:
            return None
        closers = self._closers[mark[0]]
        for index in range(bisect_right(closers, (at, len(mark))), len(closers)):
            line, length = closers[index]
            if line > at and length >= len(mark):
                return line
        self._unclosed[mark[0]] = len(mark)
        return None


def _pieces(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut what is too long where it hurts least."""
    while end - start > longest:
        stop = _cut(text, start, start + longest)
        yield start, stop
        start = stop
    yield start, end


def _cut(text: str, start: int, limit: int) -> int:
    middle = start + (limit - start) // 2
    for blank in ("\n", " "):
        found = text.rfind(blank, middle, limit)
        if found > start:
            return found
    stop = between_characters(text, start, limit, len(text))
    return stop if stop > middle else limit


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())
