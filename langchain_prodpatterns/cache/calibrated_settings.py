"""What a cache takes over from a calibration, as counts and thresholds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.cache.calibration import JudgeRecord, Measured
from langchain_prodpatterns.cache.evidence import Cell
from langchain_prodpatterns.cache.promise import MOST_DELTA
from langchain_prodpatterns.calibration_file import check_setting
from langchain_prodpatterns.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What labeled pairs have shown."""

    delta: float
    """The share of wrong answers that is promised."""
    band: tuple[float, float] | None
    """Thresholds for a cache without a judge, if the pairs show any."""
    cells: Mapping[Cell, tuple[int, int]]
    """How many pairs had one answer, and two, by how near they were."""
    as_traffic: bool
    """Whether the pairs are drawn as users ask: then they are evidence, else hints."""
    judge: tuple[int, int] | None = None
    """Of pairs with two answers, how many the judge refused and accepted."""

    @classmethod
    def of(
        cls,
        measured: Iterable[Measured],
        judge: JudgeRecord | None,
        *,
        delta: float,
        band: tuple[float, float] | None,
        as_traffic: bool,
    ) -> Self:
        """Count labeled pairs."""
        cells: dict[Cell, tuple[int, int]] = {}
        for one in measured:
            right, wrong = cells.get(one.cell, (0, 0))
            same = bool(one.pair.same_answer)
            cells[one.cell] = (right + same, wrong + (not same))
        tested = None
        if judge is not None:
            accepted = judge.accepted_wrongly
            tested = (judge.different - accepted, accepted)
        return cls(delta, band, cells, as_traffic, tested)

    def record(self) -> dict[str, Any]:
        """Return them as JSON has them."""
        return {
            "delta": self.delta,
            "band": self.band and list(self.band),
            "as_traffic": self.as_traffic,
            "cells": {str(cell): list(both) for cell, both in self.cells.items()},
            "judge": self.judge and list(self.judge),
        }

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read them.

        Raises:
            ConfigurationError: When one is none.
        """
        delta, band, judge = (given.get(name) for name in ("delta", "band", "judge"))
        promised = float(delta) if delta is not None and is_number(delta) else -1.0
        check_setting("delta", 0 <= promised <= MOST_DELTA)
        check_setting("band", band is None or _is_pair(band, is_number))
        check_setting("judge", judge is None or _is_pair(judge, _is_count))
        check_setting("as_traffic", isinstance(given.get("as_traffic"), bool))
        return cls(
            promised,
            None if band is None else (float(band[0]), float(band[1])),
            dict(_cells(given.get("cells"))),
            given["as_traffic"],
            None if judge is None else (judge[0], judge[1]),
        )

    def band_without_judge(self) -> tuple[float, float]:
        """Return the thresholds for a cache that has nobody to ask.

        Raises:
            ConfigurationError: When the pairs showed none.
        """
        if self.band is None:
            msg = (
                f"the calibration shows no cosine that keeps delta {self.delta:g} "
                "without a judge: give a judge=, or a band= of your own"
            )
            raise ConfigurationError(msg)
        return self.band

    def pairs(self) -> Iterator[tuple[Cell, bool]]:
        """Return the cell of each pair, and whether it has one answer."""
        for cell, (right, wrong) in self.cells.items():
            yield from [(cell, True)] * right
            yield from [(cell, False)] * wrong


def _cells(given: Any) -> Iterator[tuple[Cell, tuple[int, int]]]:
    check_setting("cells", isinstance(given, Mapping))
    for code, both in given.items():
        cell = Cell.parse(code)
        check_setting("cells", cell and _is_pair(both, _is_count))
        if cell:
            yield cell, (both[0], both[1])


def _is_pair(given: Any, check: Any) -> bool:
    pair = isinstance(given, Sequence) and not isinstance(given, str)
    return pair and len(given) == len(("one", "other")) and all(map(check, given))


def _is_count(value: Any) -> bool:
    # What a file says is counted out again, one by one.
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= value <= 10_000_000  # noqa: PLR2004 - more is no set of pairs
