"""Thresholds of a score at a share of false positives, and what they come to."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from langchain_prodpatterns.bounds import CONFIDENCE, clopper_pearson
from langchain_prodpatterns.commands.calibrate_parts import percent
from langchain_prodpatterns.guard.classifier import Thresholds, opinion_of

ALL = "all"
"""The name of all sources together."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A text's score, and what it is."""

    score: float
    """From 0 to 1."""
    attack: bool
    """Whether it is an attack."""
    source: str = ""
    """Where it is from."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What thresholds make of the texts of one source."""

    source: str
    """The source, or `all`."""
    harmless: int
    """How many harmless texts there are."""
    false_positives: int
    """How many of these are taken for attacks."""
    in_doubt: int
    """How many of these are in doubt."""
    attacks: int
    """How many attacks there are."""
    found: int
    """How many of these are taken for attacks."""
    found_or_in_doubt: int
    """How many of these are not taken for clean."""

    @property
    def false_positives_at_most(self) -> float:
        """The upper bound, 95% sure, on the share of false positives."""
        return clopper_pearson(self.false_positives, self.harmless)

    @property
    def found_at_least(self) -> float:
        """The lower bound, 95% sure, on the share of attacks that is found."""
        return 1 - clopper_pearson(self.attacks - self.found, self.attacks)

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it, with its bounds."""
        return {
            **asdict(self),
            "false_positives_at_most": self.false_positives_at_most,
            "found_at_least": self.found_at_least,
        }

    def cells(self) -> tuple[str, ...]:
        """Return it as the row of a table."""
        return (
            self.source,
            str(self.harmless),
            str(self.false_positives),
            percent(self.false_positives_at_most) if self.harmless else "-",
            str(self.in_doubt),
            str(self.attacks),
            str(self.found),
            percent(self.found_at_least) if self.attacks else "-",
            str(self.found_or_in_doubt),
        )


def threshold_at(harmless: Sequence[float], rate: float) -> float | None:
    """Return the lowest threshold that at most a share of harmless texts reaches.

    Thresholds are tried from the highest down, each by the exact bound of Clopper and
    Pearson at 95%, up to the first that fails: a fixed-sequence test.

    Args:
        harmless: Scores of harmless texts.
        rate: The share.

    Returns:
        The threshold; `None` where so few texts do not show it for any.
    """
    ordered = sorted(harmless, reverse=True)
    total, above = len(ordered), 0
    if clopper_pearson(0, total) > rate:
        return None
    while above < total and clopper_pearson(above + 1, total) <= rate:
        above += 1
    # Of texts with one score none is let through alone.
    while 0 < above < total and ordered[above] == ordered[above - 1]:
        above -= 1
    return 0.0 if above == total else min(math.nextafter(ordered[above], 2.0), 1.0)


def harmless_needed(rate: float) -> int:
    """Return how many harmless texts, all taken for clean, show a share above 0."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-rate))


def standings(scored: Sequence[Scored], thresholds: Thresholds) -> list[Standing]:
    """Return what thresholds make of each source, and of all together at the end."""
    names = sorted({one.source for one in scored if one.source})
    groups = [(n, [one for one in scored if one.source == n]) for n in names]
    return [_standing(*group, thresholds) for group in [*groups, (ALL, scored)]]


def _standing(
    source: str, scored: Sequence[Scored], thresholds: Thresholds
) -> Standing:
    opinions = [(one.attack, opinion_of(one.score, thresholds)) for one in scored]
    attacks = sum(one.attack for one in scored)
    found = opinions.count((True, "attack"))
    return Standing(
        source=source,
        harmless=len(scored) - attacks,
        false_positives=opinions.count((False, "attack")),
        in_doubt=opinions.count((False, "gray")),
        attacks=attacks,
        found=found,
        found_or_in_doubt=found + opinions.count((True, "gray")),
    )
