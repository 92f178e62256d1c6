"""Where a text can be cut without cutting a match in two.

A match holds no character outside its alphabet. So between two characters that no
alphabet has both of, no match goes on, and what is on one side can be looked at
without the other, but for the `LOOKBACK` before it and one character after it.
"""

from collections.abc import Iterable, Iterator, Sequence

from langchain_prodpatterns.guard.detectors.patterns import (
    LOOKBACK,
    Alphabets,
    Shape,
)


class Seams:
    """Finds the parts of texts in which a change can decide about a match."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        """Set what may match.

        Args:
            shapes: The shapes of all matches.
        """
        self._alphabets = Alphabets(shapes)

    def around(
        self, text: str, changes: Iterable[tuple[int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Yield the parts of a text that hold every match which a change can decide.

        Args:
            text: The text, as it is with the changes.
            changes: Where each starts and ends, in order.

        Yields:
            Disjoint parts in order.
        """
        active = self._active(text)
        start = end = -1
        for first, last in _joined(changes):
            # A match that ends at a change may have ended there because of it.
            since = max(first - 1, 0)
            if since > end:
                if end >= 0:
                    yield start, end
                start = self._before(text, since, max(end, 0), active)
            needed = min(last + LOOKBACK + 1, len(text))
            if needed > end:
                end = self._behind(text, needed, active)
        if end >= 0:
            yield start, end

    def _active(self, text: str) -> int:
        """Return which shapes may match, as bits."""
        return sum(
            1 << index
            for index, shape in enumerate(self._alphabets.shapes)
            if not shape.prefix or shape.prefix in text
        )

    def _before(self, text: str, at: int, least: int, active: int) -> int:
        """Return the nearest seam at or before a place."""
        holding = self._alphabets.holding
        while at > least and holding(text[at - 1]) & holding(text[at]) & active:
            at -= 1
        return at

    def _behind(self, text: str, at: int, active: int) -> int:
        """Return the nearest seam at or behind a place."""
        holding = self._alphabets.holding
        while at < len(text) and holding(text[at - 1]) & holding(text[at]) & active:
            at += 1
        return at


def _joined(changes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join changes of which one may decide about what begins near the other."""
    start = end = -1
    for first, last in changes:
        if end >= 0 and first > end + LOOKBACK:
            yield start, end
            start = first
        elif end < 0:
            start = first
        end = last
    if end >= 0:
        yield start, end
