"""Growing partial values of a text that is still being written.

The text is searched once, as it comes, for the object that may be the answer. That
object is parsed anew whenever the text has grown by a sixteenth, so that the work is
linear in the length of the whole; a short text is parsed at every chunk.
"""

import re
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, BaseMessageChunk
from pydantic_core import from_json

from langchain_prodpatterns.structured.answers import text_of
from langchain_prodpatterns.structured.partial_shapes import MISSING, PartialShapes
from langchain_prodpatterns.structured.reading import Prefer, encodable
from langchain_prodpatterns.structured.target import Target

EACH_CHUNK = 2_000
"""Characters up to which every chunk may give a partial value."""
SHARE = 16
"""Beyond that, the text must grow by one part in so many."""

_THOUGHTS, _END_OF_THOUGHTS = "<think>", "</think>"
# An opening bracket in prose is JSON only if it goes on like JSON; at the end of the
# text, that is not known yet.
_GOES_ON = {
    "{": r"\{(?=\s*+[\"}])",
    "[": r"\[(?=\s*+(?:[\"\[{\]\-\d]|true\b|false\b|null\b))",
}
_UNDECIDED = re.compile(r"[{\[]\s*+[a-z]{0,5}\Z")
_TOKEN = re.compile(r'["{}\[\]]')
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NUMBER = "0123456789+-.eE"
_HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")


@dataclass(frozen=True, slots=True)
class Growing:
    """The object of a text that may be the answer."""

    start: int
    """Where it begins, in characters."""
    end: int | None = None
    """Where it ends, if it does already."""
    in_string: bool = False
    """Whether the text ends inside of a string."""


class Finder:
    """Finds the object that may be the answer in a text that grows."""

    def __init__(self, wants: str, prefer: Prefer) -> None:
        """Start at the beginning of a text.

        Args:
            wants: The opening brackets of what is looked for.
            prefer: Whether the first object counts or the last.
        """
        self._opener = re.compile("|".join(_GOES_ON[mark] for mark in wants))
        self._prefer = prefer
        self._position = 0
        self._depth = 0
        self._found: Growing | None = None

    def find(self, text: str) -> Growing | None:
        """Go on from where the text ended the last time.

        Args:
            text: The whole text so far.

        Returns:
            The object, or `None` where none has begun.
        """
        if not self._is_past_thoughts(text):
            return None
        while True:
            found = self._found
            if found is not None and found.end is None:
                found = self._found = self._follow(text, found)
                if found.end is None:
                    return found
            if found is not None and self._prefer == "first":
                return found
            start = self._next(text)
            if start is None:
                return found
            self._found = Growing(start)
            self._position, self._depth = start, 0

    def _is_past_thoughts(self, text: str) -> bool:
        if self._position:
            return True
        begin = text.lstrip()
        if not begin.startswith(_THOUGHTS):
            return bool(begin) and not _THOUGHTS.startswith(begin)
        end = text.find(_END_OF_THOUGHTS)
        self._position = max(0, end)
        return end >= 0

    def _next(self, text: str) -> int | None:
        match = self._opener.search(text, self._position)
        if match is not None:
            return match.start()
        undecided = _UNDECIDED.search(text, self._position)
        self._position = len(text) if undecided is None else undecided.start()
        return None

    def _follow(self, text: str, found: Growing) -> Growing:
        """Read brackets and strings up to the end of the object, or of the text."""
        while (match := _TOKEN.search(text, self._position)) is not None:
            mark = match.group()
            if mark == '"':
                string = _STRING.match(text, match.start())
                if string is None:
                    self._position = match.start()
                    return Growing(found.start, in_string=True)
                self._position = string.end()
                continue
            self._position = match.end()
            self._depth += 1 if mark in "{[" else -1
            if self._depth == 0:
                return Growing(found.start, self._position)
        self._position = len(text)
        return Growing(found.start)


class PartialReader:
    """Reads one answer while it comes."""

    def __init__(self, target: Target, prefer: Prefer = "last") -> None:
        """Start with an empty text.

        Args:
            target: What the answer has to be.
            prefer: Which of several objects in one text counts.
        """
        self._target = target
        self._finder = Finder(target.wants, prefer)
        self._shapes = PartialShapes()
        self._parts: list[str] = []
        self._length = self._parsed = 0
        self._last: Any = MISSING

    def feed(self, text: str) -> Any:
        """Take a further piece of the text.

        Args:
            text: The piece.

        Returns:
            The partial value, where there is a new one, or `MISSING`. A value that is
            complete is not partial.
        """
        self._parts.append(text)
        self._length += len(text)
        due = self._parsed + max(0, self._parsed - EACH_CHUNK) // SHARE
        if not text or self._length <= due:
            return MISSING
        self._parsed = self._length
        whole = "".join(self._parts)
        self._parts = [whole]
        found = self._finder.find(whole)
        if found is None or found.end is not None:
            return MISSING
        return self._new(self._partial(whole, found))

    def read(self, text: str) -> Any:
        """Read a text that may be complete, or the beginning of one.

        Args:
            text: The whole text.

        Returns:
            The partial value, or `MISSING`.
        """
        found = self._finder.find(text)
        return MISSING if found is None else self._partial(text, found)

    def _new(self, value: Any) -> Any:
        if value is MISSING or (self._last is not MISSING and value == self._last):
            return MISSING
        self._last = value
        return value

    def _partial(self, text: str, found: Growing) -> Any:
        span = text[found.start : found.end]
        # The other half of a surrogate pair may come yet.
        span = encodable(_HALF_AT_END.sub("", span))
        if not found.in_string:
            # The rest of a number may come yet.
            span = span.rstrip(_NUMBER)
        try:
            data = from_json(span, allow_partial="trailing-strings")
            grows = found.in_string and data != from_json(span, allow_partial=True)
        except ValueError:
            return MISSING
        return self._shapes.build(self._target.output_type, data, grows=grows)


class Stream:
    """One answer as it comes in chunks: partial values, and at the end the whole."""

    def __init__(self, target: Target, prefer: Prefer = "last") -> None:
        """Start without a chunk.

        Args:
            target: What the answer has to be.
            prefer: Which of several objects in one text counts.
        """
        self._reader = PartialReader(target, prefer)
        self._chunks: list[str | BaseMessage] = []

    def feed(self, chunk: str | BaseMessage) -> Any:
        """Take a chunk.

        Args:
            chunk: Of a message or of a text.

        Returns:
            The partial value, where there is a new one, or `MISSING`.
        """
        self._chunks.append(chunk)
        return self._reader.feed(self._text(chunk))

    def whole(self) -> str | BaseMessage:
        """Put the chunks together."""
        chunks = self._chunks
        if len(chunks) == 1:
            return chunks[0]
        messages = [chunk for chunk in chunks if isinstance(chunk, BaseMessageChunk)]
        if not messages or len(messages) < len(chunks):
            return "".join(map(text_of, chunks))
        if all(isinstance(message, AIMessageChunk) for message in messages):
            # All at once, since each addition reads the tool calls anew.
            return messages[0] + messages[1:]
        return reduce(add, messages)

    def _text(self, chunk: str | BaseMessage) -> str:
        """Return what a chunk adds to the text, or to the arguments of a tool call."""
        if not isinstance(chunk, AIMessageChunk) or not chunk.tool_call_chunks:
            return text_of(chunk)
        text = str(chunk.text)
        for call in chunk.tool_call_chunks:
            if call["id"] or call["name"]:
                text += "\n"
            text += call["args"] or ""
        return text


def partial_value(
    answer: str | BaseMessage, target: Target, prefer: Prefer = "last"
) -> Any:
    """Read what there is of an answer, without validating the whole.

    Args:
        answer: The message or text so far.
        target: What the answer has to be.
        prefer: Which of several objects in it counts.

    Returns:
        The partial value, or `None` where nothing of it has come.
    """
    value = PartialReader(target, prefer).read(text_of(answer))
    return None if value is MISSING else value
