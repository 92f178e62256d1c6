"""From where on a text that is still being written is undecided.

Every shape has its frontier, but few need to be asked: the longest match of a word
without blanks is undecided wherever a key of some vendor is.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from langchain_prodpatterns.guard.detectors import BoundedDetector, Detector
from langchain_prodpatterns.guard.detectors.patterns import Shape

if TYPE_CHECKING:
    import regex

_STRIDE = 256
"""A run longer than the longest match is let go in steps of this many characters, so
that a long word does not cost one look a character."""


class Frontier:
    """From where on a text may still become a match of one shape."""

    def __init__(self, shape: Shape) -> None:
        """Begin with an empty text.

        Args:
            shape: The shape of the matches.
        """
        self._shape = shape
        self._run = 0
        self._length = 0
        self._searched = 0
        self._prefix_at = -1

    def feed(self, chunk: str, window: str, offset: int) -> int:
        """Go on by one chunk.

        Args:
            chunk: What was added to the text.
            window: The end of the text, the chunk included.
            offset: Where the window starts in the text.

        Returns:
            The first position that is undecided.
        """
        for index in range(len(chunk) - 1, -1, -1):
            if not self._shape.holds(chunk[index]):
                self._run = self._length + index + 1
                break
        self._length += len(chunk)
        oldest = self._length - self._shape.width - 1
        if oldest > self._run:
            self._run = max(self._run, oldest - oldest % _STRIDE)
        return self._with_prefix(window, offset)

    def _with_prefix(self, window: str, offset: int) -> int:
        """Return where in the run the literal that begins every match stands."""
        prefix = self._shape.prefix
        if not prefix:
            return self._run
        if self._prefix_at < self._run:
            since = max(self._run, self._searched)
            self._prefix_at = window.find(prefix, max(0, since - offset)) + offset
            if self._prefix_at < offset:
                self._prefix_at = -1
        if self._prefix_at >= self._run:
            return self._prefix_at
        return self._part_of_prefix(window)

    def _part_of_prefix(self, window: str) -> int:
        """Return where the text ends with the beginning of the prefix."""
        prefix = self._shape.prefix
        longest = min(len(prefix) - 1, self._length - self._run)
        for size in range(longest, 0, -1):
            if window.endswith(prefix[:size]):
                self._searched = self._length - size
                return self._searched
        self._searched = self._length
        return self._length


class SharpFrontier:
    """From where on a text may become a match, by trying the pattern itself."""

    def __init__(self, shape: Shape) -> None:
        """Begin with an empty text.

        Args:
            shape: The shape of the matches.
        """
        self._pattern = _partial(shape.pattern, shape.flags)
        self._undecided = 0

    def feed(self, chunk: str, window: str, offset: int) -> int:
        """Go on by one chunk.

        A start from which the text so far is no beginning of a match is done with, so
        each is tried once, but for the one at which the text waits.

        Args:
            chunk: What was added to the text.
            window: The end of the text, the chunk included.
            offset: Where the window starts in the text.

        Returns:
            The first position that is undecided.
        """
        at = max(self._undecided - offset, 0)
        while at < len(window):
            if self._pattern.fullmatch(window, at, partial=True) is not None:
                break
            at += 1
        self._undecided = offset + at
        return self._undecided


AnyFrontier = Frontier | SharpFrontier


def frontier_of(shape: Shape) -> AnyFrontier:
    """Return the frontier of a shape, for a text that is still empty."""
    return SharpFrontier(shape) if shape.sharp else Frontier(shape)


@cache
def _partial(pattern: str, flags: int) -> "regex.Pattern[str]":
    """Compile a pattern with the one engine that knows beginnings of matches."""
    import regex

    known = (regex.IGNORECASE if flags & re.IGNORECASE else 0) | (
        regex.ASCII if flags & re.ASCII else 0
    )
    return regex.compile(pattern, known)


def shapes_of(detectors: Iterable[Detector]) -> list[Shape] | None:
    """Return the shapes that decide what of a stream may be let go.

    Args:
        detectors: The detectors.

    Returns:
        Those that no other covers; `None` where a detector has no bound.
    """
    shapes: list[Shape] = []
    for detector in detectors:
        if not isinstance(detector, BoundedDetector):
            return None
        shapes += detector.shapes
    # Of two that cover each other the first one stays.
    shapes.sort(key=lambda shape: (bool(shape.prefix), -shape.width))
    kept: list[Shape] = []
    for shape in shapes:
        if not any(other.covers(shape) for other in kept):
            kept.append(shape)
    return kept
