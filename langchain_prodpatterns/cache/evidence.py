"""What verdicts have shown, counted by how near the two questions were.

A cell is a small range of the cosine, apart for pairs in which a guard saw a
difference. A few dozen counters are all that the verdicts on a partition leave behind:
they are shared by processes, and never show what was asked.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.float64]
"""Counts a range of the cosine and, in two columns, for clean and guarded pairs."""

# Finer towards 1, where it is decided what is served unjudged.
EDGES: tuple[float, ...] = (
    0.0,
    *(0.4 + 0.02 * step for step in range(27)),
    *(0.94 + 0.005 * step for step in range(12)),
)
"""Where the ranges of the cosine begin."""

_MIDDLES = tuple(
    (low + high) / 2 for low, high in zip(EDGES, (*EDGES[1:], 1.0), strict=True)
)
_CODE = re.compile(r"(\d{1,3})([cg])")
UNSEEN = "unseen:"
"""What a cell's code begins with where pairs are counted that nobody judged."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A range of the cosine, for clean pairs or for guarded ones."""

    step: int
    """The index in `EDGES`."""
    guarded: bool
    """Whether a guard saw a difference."""

    @classmethod
    def of(cls, similarity: float, *, guarded: bool) -> Self:
        """Return the cell of a pair."""
        return cls(max(bisect_right(EDGES, similarity) - 1, 0), guarded)

    @classmethod
    def parse(cls, code: str) -> Self | None:
        """Return the cell that a code names, or `None` where it names none."""
        match = _CODE.fullmatch(code)
        if match is None or int(match[1]) >= len(EDGES):
            return None
        return cls(int(match[1]), match[2] == "g")

    def __str__(self) -> str:
        return f"{self.step}{'g' if self.guarded else 'c'}"


def _nothing() -> Counts:
    return np.zeros((len(EDGES), 2))


@dataclass(frozen=True, eq=False)
class Evidence:
    """How many near answers were right and wrong, a cell."""

    right: Counts
    """Pairs with one answer."""
    wrong: Counts
    """Pairs with two."""
    unseen: Counts = field(default_factory=_nothing)
    """Pairs that nobody judged, as many as those stand for that were drawn by lot."""

    @classmethod
    def none(cls) -> Self:
        """Return no evidence."""
        return cls(_nothing(), _nothing())

    @classmethod
    def of(cls, tallies: Mapping[str, tuple[int, int]], prefix: str = "") -> Self:
        """Read the counters of a store.

        Args:
            tallies: What was right and wrong, a cell's code; other names are passed by.
            prefix: What the codes begin with.
        """
        right, wrong = _read(tallies, prefix)
        unseen, _ = _read(tallies, f"{prefix}{UNSEEN}")
        return cls(right, wrong, unseen)

    @property
    def total(self) -> float:
        """How much evidence there is."""
        return float(self.right.sum() + self.wrong.sum())

    def plus(self, other: "Evidence", at_most: float) -> "Evidence":
        """Add other evidence, scaled down where it is more than a given weight."""
        weight = min(1.0, at_most / other.total) if other.total else 0.0
        return Evidence(
            self.right + weight * other.right,
            self.wrong + weight * other.wrong,
            self.unseen + weight * other.unseen,
        )

    def without(self, part: "Evidence") -> "Evidence":
        """Return what is left without a part of it."""
        return Evidence(
            np.maximum(self.right - part.right, 0),
            np.maximum(self.wrong - part.wrong, 0),
            np.maximum(self.unseen - part.unseen, 0),
        )


def _read(tallies: Mapping[str, tuple[int, int]], prefix: str) -> tuple[Counts, Counts]:
    right, wrong = _nothing(), _nothing()
    for code, counts in tallies.items():
        cell = code.startswith(prefix) and Cell.parse(code[len(prefix) :])
        if cell:
            # Feedback takes back what a judge had said: never below nothing.
            place = cell.step, int(cell.guarded)
            right[place], wrong[place] = (max(count, 0) for count in counts)
    return right, wrong


def middles() -> Counts:
    """Return the cosine in the middle of each range."""
    return np.array(_MIDDLES)
