"""From where on a text that is still being written is undecided.

Every shape has its frontier, but few need to be asked: the longest match of a word
without blanks is undecided wherever a key of some vendor is.
"""

from collections.abc import Iterable

from langchain_prodpatterns.guard.detectors import BoundedDetector, Detector
from langchain_prodpatterns.guard.detectors.patterns import Shape

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
