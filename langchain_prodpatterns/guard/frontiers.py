"""From where on a text that is still being written is undecided.

Every shape has its frontier, but few need to be asked: the longest match of a word
without blanks is undecided wherever a key of some vendor is.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from langchain_prodpatterns.guard.detectors import BoundedDetector, Detector
from langchain_prodpatterns.guard.detectors.patterns import Alphabets, Shape

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
        if self._is_far_from_prefix(chunk):
            self._length += len(chunk)
            self._searched = self._length
            return self._length
        for index in range(len(chunk) - 1, -1, -1):
            if not self._shape.holds(chunk[index]):
                self._run = self._length + index + 1
                break
        self._length += len(chunk)
        oldest = self._length - self._shape.width - 1
        if oldest > self._run:
            self._run = max(self._run, oldest - oldest % _STRIDE)
        return self._with_prefix(window, offset)

    def _is_far_from_prefix(self, chunk: str) -> bool:
        """Whether no prefix has begun, nor can in a chunk: no run matters then."""
        prefix = self._shape.prefix
        return (
            prefix != ""
            and prefix[0] not in chunk
            and self._searched == self._length
            and self._prefix_at < self._run
        )

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
        end = len(window)
        at = window.find(prefix[0], end - longest) if longest else -1
        while at >= 0 and not prefix.startswith(window[at:]):
            at = window.find(prefix[0], at + 1)
        self._searched = self._length - (end - at if at >= 0 else 0)
        return self._searched


class Runs:
    """From where on a text may still become a match of any of many shapes.

    What a `Frontier` of each tells, for shapes without a prefix: those are most, and a
    chunk breaks the runs of most of them with one or two of its characters.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        """Begin with an empty text.

        Args:
            shapes: The shapes, none of them with a prefix.
        """
        self._alphabets = Alphabets(shapes)
        self._narrowest = min(shape.width for shape in shapes)
        self._length = 0
        # Where runs start, the last one first, and of which shapes they are, as bits.
        self._starts = [(0, self._alphabets.every)]

    def feed(self, chunk: str, window: str, offset: int) -> int:
        """Go on by one chunk.

        Args:
            chunk: What was added to the text.
            window: The end of the text, the chunk included.
            offset: Where the window starts in the text.

        Returns:
            The first position that is undecided.
        """
        unbroken, starts = self._alphabets.every, list[tuple[int, int]]()
        for index in range(len(chunk) - 1, -1, -1):
            broken = unbroken & ~self._alphabets.holding(chunk[index])
            if broken:
                starts.append((self._length + index + 1, broken))
                unbroken ^= broken
                if not unbroken:
                    break
        for start, shapes in self._starts if unbroken else ():
            if shapes & unbroken:
                starts.append((start, shapes & unbroken))
        self._length += len(chunk)
        if self._length - starts[-1][0] > self._narrowest + 1:
            starts = self._shortened(starts)
        self._starts = starts
        return starts[-1][0]

    def _shortened(self, starts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Let the starts go from which a match would be too long, in steps."""
        kept: dict[int, int] = {}
        for start, shapes in starts:
            for index, shape in enumerate(self._alphabets.shapes):
                if shapes >> index & 1:
                    oldest = self._length - shape.width - 1
                    at = max(start, oldest - oldest % _STRIDE)
                    kept[at] = kept.get(at, 0) | 1 << index
        return sorted(kept.items(), reverse=True)


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


AnyFrontier = Frontier | Runs | SharpFrontier


def frontier_of(shape: Shape) -> AnyFrontier:
    """Return the frontier of a shape, for a text that is still empty."""
    return SharpFrontier(shape) if shape.sharp else Frontier(shape)


def frontiers_of(shapes: Sequence[Shape]) -> list[AnyFrontier]:
    """Return few frontiers that tell what those of all shapes tell.

    Args:
        shapes: The shapes.

    Returns:
        The frontiers, for a text that is still empty.
    """
    runs = [shape for shape in shapes if not (shape.prefix or shape.sharp)]
    others = [frontier_of(shape) for shape in shapes if shape.prefix or shape.sharp]
    return [Runs(runs), *others] if runs else others


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
