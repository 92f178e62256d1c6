"""The report of a guard's calibration."""

from collections.abc import Sequence

from langchain_prodpatterns.commands.calibrate_parts import percent
from langchain_prodpatterns.commands.calibrate_thresholds import (
    Scored,
    Standing,
    standings,
)
from langchain_prodpatterns.guard.classifier import Thresholds
from langchain_prodpatterns.reports.charts import Axis, Chart, Mark, Series
from langchain_prodpatterns.reports.pages import Cards, Figure, Section, Table

COLUMNS = (
    "source",
    "harmless",
    "taken for attacks",
    "at most",
    "in doubt",
    "attacks",
    "found",
    "at least",
    "found or in doubt",
)
"""What is told of each source."""

_MOST_FALSE = 0.2
_BINS = 10
_TRIED = tuple(step / 100 for step in range(101))


def guard_sections(
    reported: Sequence[Scored],
    used: Thresholds,
    shown: Sequence[Standing],
    text: str,
) -> list[Section]:
    """Show what labeled texts say of thresholds.

    Args:
        reported: The texts to report on.
        used: The thresholds.
        shown: What they make of each source, and of all at the end.
        text: The same in words.
    """
    lines = text.splitlines()
    words = [f"{line[0].upper()}{line[1:]}." for line in (lines[0], lines[-1])]
    by_source = Table(
        "By source, held out; bounds are 95% sure",
        COLUMNS,
        [one.cells() for one in shown],
        COLUMNS[:1],
    )
    return [
        Section("", [_cards(used, shown[-1]), *words]),
        Section("Attacks found against false positives", [_found(reported, used)]),
        Section("By source", [by_source]),
        Section("Reliability", [_reliability(reported)]),
    ]


def _cards(used: Thresholds, total: Standing) -> Cards:
    figures = [
        ("an attack from", f"{used.high:.4f}"),
        ("in doubt from", f"{used.low:.4f}"),
    ]
    if total.harmless:
        bound = percent(total.false_positives_at_most)
        figures.append(("harmless taken for attacks, at most", bound))
    if total.attacks:
        figures.append(("attacks found, at least", percent(total.found_at_least)))
    return Cards(figures)


def _found(reported: Sequence[Scored], used: Thresholds) -> Figure:
    tried = sorted({*_TRIED, used.low, used.high}, reverse=True)
    totals = [(t, standings(reported, Thresholds(t, t))[-1]) for t in tried]
    chart = Chart(
        "Attacks found, by how many harmless texts are taken for attacks (held out)",
        Axis("share of harmless texts taken for attacks", most=_MOST_FALSE),
        Axis("share of attacks that is found", most=1.0),
        [Series("held-out texts", [_place(total) for _, total in totals])],
        [
            Mark(f"{name} from {at:.4f}, with its bound", _place(total), bound)
            for name, at in (("an attack", used.high), ("in doubt", used.low))
            for t, total in totals
            for bound in (total.found_at_least if total.attacks else None,)
            if t == at and _place(total)[0] <= _MOST_FALSE
        ],
    )
    rows = [
        (
            f"{at:.4f}",
            percent(_place(total)[0]),
            percent(total.false_positives_at_most),
            percent(_place(total)[1]),
        )
        for at, total in totals
    ]
    columns = ("from", "harmless", "at most", "attacks found")
    return Figure(chart, Table("Taken for attacks from a score on", columns, rows))


def _place(total: Standing) -> tuple[float, float]:
    return (
        total.false_positives / max(total.harmless, 1),
        total.found / max(total.attacks, 1),
    )


def _reliability(reported: Sequence[Scored]) -> Figure:
    bins: dict[int, list[Scored]] = {}
    for one in reported:
        bins.setdefault(min(int(one.score * _BINS), _BINS - 1), []).append(one)
    facts = [
        (
            number,
            len(group),
            sum(one.score for one in group) / len(group),
            sum(one.attack for one in group) / len(group),
        )
        for number, group in sorted(bins.items())
    ]
    chart = Chart(
        "How many texts are attacks, by their score (held out)",
        Axis("score", most=1.0, percent=False),
        Axis("share that is an attack", most=1.0),
        [
            Series(
                "held-out texts", [(mean, share) for _, _, mean, share in facts], "dots"
            )
        ],
    )
    rows = [
        (
            f"{number / _BINS:g} - {(number + 1) / _BINS:g}",
            str(count),
            f"{mean:.3f}",
            percent(share),
        )
        for number, count, mean, share in facts
    ]
    columns = ("score", "texts", "mean", "attacks")
    return Figure(chart, Table("Texts by score", columns, rows))
