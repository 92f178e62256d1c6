"""What the load benchmark has seen, as cells of its table."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from cache_scale_traffic import Kind, Outcome
from cache_table import Figures

MEGABYTE = 1e6
_GOALS: dict[Kind, str] = {"near": "<= 1.3x pgvector", "exact": "", "new": ""}


def megabytes(size: float) -> str:
    """Return bytes as a cell."""
    return f"{size / MEGABYTE:,.0f}"


def milliseconds(seconds: Iterable[Sequence[float]]) -> str:
    """Return the median and the 99th percentile; nothing of nothing."""
    flat = [1000 * one for some in seconds for one in some]
    if not flat:
        return ""
    median, late = np.quantile(flat, (0.5, 0.99))
    return f"{median:.2f} / {late:.1f}"


def _share(outcomes: Sequence[Outcome], kind: Kind) -> float | None:
    asked = sum(len(one.seconds[kind]) for one in outcomes)
    return sum(one.found[kind] for one in outcomes) / asked if asked else None


def _rate(outcomes: Sequence[Outcome]) -> float:
    return sum(sum(map(len, one.seconds.values())) / one.wall for one in outcomes)


def add_traffic(figures: Figures, measured: Mapping[str, Sequence[Outcome]]) -> None:
    """Add what lookups took and found.

    Args:
        figures: The table.
        measured: What each system's processes have seen.
    """

    def add(figure: str, cells: Mapping[str, str], goal: str = "") -> None:
        figures.add(figure, {name: cell for name, cell in cells.items() if cell}, goal)

    for kind, goal in _GOALS.items():
        took = {
            name: milliseconds(one.seconds[kind] for one in outcomes)
            for name, outcomes in measured.items()
        }
        add(f"{kind}, ms", took, goal)
    rates = {name: f"{_rate(outcomes):,.0f}" for name, outcomes in measured.items()}
    add("lookups a second", rates)
    found = {name: _share(outcomes, "near") for name, outcomes in measured.items()}
    planted = {name: f"{part:.1%}" for name, part in found.items() if part is not None}
    add("planted found", planted, ">= 95%")
    served = {name: _share(outcomes, "new") for name, outcomes in measured.items()}
    wrong = {n: f"{1 - part:.1%}" for n, part in served.items() if part is not None}
    add("new, served wrongly", wrong, "0%")
    stored = {
        name: milliseconds(one.stored for one in outcomes)
        for name, outcomes in measured.items()
    }
    add("stored, ms", stored)
    memory = {
        name: megabytes(max(one.samples[-1].memory for one in outcomes))
        for name, outcomes in measured.items()
    }
    add("memory of a client, MB", memory)
