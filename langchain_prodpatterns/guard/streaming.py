"""Guarding a text that is still being written.

A character is let go only when no match that contains it can still begin or grow.
That is known without guessing: every detector has a proven longest match and an
alphabet that all its matches are made of (`detectors.patterns`). A match cannot cross
a character outside the alphabet, so what is undecided is the tail of the text that
fits the alphabet: for most detectors the current word, for numbers the current group
of digits. Since a value depends on nothing but its own characters, the `LOOKBACK`
before it and one after it, what is found in the window equals what one look at the
whole text finds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy

from langchain_prodpatterns.guard.detectors.patterns import CALM, LOOKBACK
from langchain_prodpatterns.guard.frontiers import AnyFrontier
from langchain_prodpatterns.guard.normalizing import plain_text, view_of
from langchain_prodpatterns.guard.policy import replacement
from langchain_prodpatterns.guard.scanning import (
    Record,
    Scanner,
    Write,
    note,
    replaced,
)
from langchain_prodpatterns.guard.spans import Span

_PATIENT = 1024
"""Above this many held characters that a look could not let go, the next look waits
until there are a quarter more: else a long chain of values would be looked at anew
with every chunk."""


class Plain:
    """The view of a text that is still being written, and what is undecided in it."""

    def __init__(
        self, frontiers: Sequence[AnyFrontier], text: str, offset: int
    ) -> None:
        """Begin where the text was its own view so far.

        Args:
            frontiers: The frontiers in the text; they are copied.
            text: The end of the text.
            offset: Where that starts.
        """
        self._frontiers = [copy(each) for each in frontiers]
        self.window = text
        """The end of the view."""
        self._base = offset
        self._origins = list(range(offset, offset + len(text)))

    def feed(self, chunk: str, at: int) -> int:
        """Go on by one chunk.

        Args:
            chunk: What was added to the text.
            at: Where that starts in the text.

        Returns:
            The first position in the text that is undecided in the view.
        """
        view = view_of(chunk)
        text = chunk if view is None else view.text
        origins = range(len(chunk)) if view is None else view.origins
        self.window += text
        self._origins += [at + origin for origin in origins]
        decided = min(
            frontier.feed(text, self.window, self._base) for frontier in self._frontiers
        )
        if decided >= self._base + len(self.window):
            return at + len(chunk)
        return self._origins[max(decided - self._base, 0)]

    def lookback(self, end: int) -> int:
        """Return from where on a text is needed to look at what comes after a place.

        What is hidden does not count: so much is needed that its view is long enough.
        """
        index = bisect_left(self._origins, end) - LOOKBACK
        if index > 0:
            return self._origins[index]
        return self._origins[0] if self._origins else end

    def forget(self, start: int) -> None:
        """Forget what comes before a place in the text."""
        index = bisect_left(self._origins, start)
        self.window = self.window[index:]
        self._origins = self._origins[index:]
        self._base += index


class TextStream:
    """Guards one text that comes in chunks."""

    def __init__(
        self, scanner: Scanner, record: Record, write: Write = replacement
    ) -> None:
        """Begin with an empty text.

        Args:
            scanner: Finds the values.
            record: Where they are put down.
            write: What writes in their place.
        """
        self._scanner = scanner
        self._write = write
        self._record = record
        first = scanner.frontiers
        self._frontiers = None if first is None else [copy(each) for each in first]
        self._plain: Plain | None = None
        self._window = ""
        self._offset = 0
        self._done = 0
        self._enough = 0
        self.touched = False
        """Whether anything was replaced."""

    @property
    def held(self) -> int:
        """How many characters came in and are not let go."""
        return self._offset + len(self._window) - self._done

    def feed(self, chunk: str) -> str:
        """Take a chunk.

        Args:
            chunk: The next part of the text.

        Returns:
            What is decided, guarded; may be empty.
        """
        if self._frontiers is None:
            self._window += chunk
            return ""
        plain = plain_text(chunk)
        if self._plain is None and self._frontiers and plain != chunk:
            self._plain = Plain(self._frontiers, self._window, self._offset)
        decided = self._decided(chunk)
        # What is hidden decides nothing: whoever floods a stream with it must wait.
        if (chunk and not plain) or decided <= self._done or self.held < self._enough:
            return ""
        return self._release(decided, [] if self._is_calm() else self._look())

    def _decided(self, chunk: str) -> int:
        """Go on by one chunk; return the first position that is undecided."""
        at = self._offset + len(self._window)
        self._window += chunk
        decided = at + len(chunk)
        for frontier in self._frontiers or ():
            decided = min(decided, frontier.feed(chunk, self._window, self._offset))
        if self._plain is not None:
            decided = min(decided, self._plain.feed(chunk, at))
        return decided

    def finish(self) -> str:
        """Say that the text is complete.

        Returns:
            The rest of it, guarded.
        """
        # Even of what is calm: a detector that fails is to be noticed.
        return self._release(self._offset + len(self._window), self._look())

    def _is_calm(self) -> bool:
        """Whether no value can be in what is held, as it is short and without signs."""
        return (
            self._plain is None
            and self.held < self._scanner.calm
            and CALM.issuperset(self._window[self._done - self._offset :])
        )

    def _look(self) -> list[Span]:
        """Find the values in what is held."""
        start = self._done - self._offset
        return self._scanner.find(self._window, self._record, since=start)

    def _release(self, decided: int, spans: Sequence[Span]) -> str:
        """Let all before a position go, but for a value that it would cut in two."""
        window, start = self._window, self._done - self._offset
        end = _before_values(spans, decided - self._offset)
        ready = [span for span in spans if span.end <= end]
        for span in ready:
            note(window, span, self._offset, self._record)
        text = replaced(window, ready, start, end, write=self._write)
        self.touched = self.touched or text != window[start:end]
        stuck = end == start and self.held > _PATIENT
        self._enough = self.held + self.held // 4 if stuck else 0
        self._done = self._offset + end
        kept = max(0, end - LOOKBACK)
        if self._plain is not None:
            needed = self._plain.lookback(self._done) - self._offset
            kept = max(0, min(kept, needed))
            self._plain.forget(self._offset + kept)
        self._window, self._offset = window[kept:], self._offset + kept
        # What came before decides nothing any more: one look is enough again.
        if self._plain is not None and self._plain.window == self._window:
            self._plain = None
        return text


def _before_values(spans: Sequence[Span], end: int) -> int:
    """Move an end that cuts a value in two to where the value starts."""
    for span in spans:
        if span.start < end < span.end:
            return span.start
    return end
