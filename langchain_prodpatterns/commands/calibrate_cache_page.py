"""The report of a cache's calibration."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from langchain_prodpatterns.cache.acceptance import shared_curve
from langchain_prodpatterns.cache.calibration import (
    Calibration,
    CurvePoint,
    Measured,
    point_at,
    tallied,
)
from langchain_prodpatterns.cache.evidence import EDGES
from langchain_prodpatterns.commands.calibrate_parts import percent, promised
from langchain_prodpatterns.reports.charts import Axis, Chart, Mark, Series
from langchain_prodpatterns.reports.pages import Block, Cards, Figure, Section, Table

_NEARNESS = (
    "How often two questions that are so near have one answer, where no guard sees a "
    "difference in numbers, names, negation or order, and where one does."
)
_SHOWN_FROM = 0.7
_RANGES = (-1.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
_HUNDREDTHS = range(50, 101)
_MOST_WRONG = 0.2


def cache_sections(
    chosen: Calibration, reported_on: Sequence[Measured], text: str
) -> list[Section]:
    """Show what pairs say of thresholds.

    Args:
        chosen: What the pairs say that thresholds were chosen on.
        reported_on: The others.
        text: The same in words; its last line is the verdict.
    """
    others = [point_at(edge, reported_on) for edge in EDGES]
    held_out = None
    if chosen.band is not None:
        held_out = point_at(chosen.band[1], reported_on)
    verdict = text.splitlines()[-1]
    overview: list[Block] = [
        _cards(chosen, held_out),
        f"{verdict[0].upper()}{verdict[1:]}.",
    ]
    served = _served(chosen, others, held_out)
    return [
        Section("", overview),
        Section("Served share against wrong share", [served]),
        Section(
            "Reliability",
            [
                _NEARNESS,
                _reliability(reported_on),
            ],
        ),
    ]


def _cards(chosen: Calibration, held_out: CurvePoint | None) -> Cards:
    judge = chosen.judge
    band = "none" if chosen.band is None else "{:.3g} - {:g}".format(*chosen.band)
    figures = [
        ("promised share of wrong answers", promised(chosen.delta)),
        ("band without a judge", band),
    ]
    if chosen.band is None and chosen.pairs_needed is not None:
        figures.append(("near pairs that a band needs", str(chosen.pairs_needed)))
    if held_out is not None:
        figures.append(("served unjudged, held out", percent(held_out.served)))
        figures.append(("of these wrong, at most", percent(held_out.bound)))
    if judge is not None:
        figures.append(("judge accepts wrongly, at most", percent(judge.error_bound)))
    return Cards(figures)


def _served(
    chosen: Calibration, others: Sequence[CurvePoint], held_out: CurvePoint | None
) -> Figure:
    chart = Chart(
        "Wrong answers among those served unjudged, from high cosines to low ones",
        Axis("share of the pairs that is served unjudged"),
        Axis("share of these that is wrong", most=_MOST_WRONG),
        [
            Series("chosen on these pairs", _places(chosen.curve)),
            Series("held-out pairs", _places(others)),
            Series("held-out pairs, at most (95%)", _bounds(others), "dotted"),
            Series(f"promised: {promised(chosen.delta)}", [(0, chosen.delta)], "level"),
        ],
        []
        if held_out is None
        else [
            Mark(
                f"chosen: unjudged from {held_out.similarity:g}, with its bound",
                (held_out.served, held_out.wrong),
                held_out.bound,
            )
        ],
    )
    rows = [
        (
            f"{one.similarity:.3f}",
            percent(one.served),
            percent(one.wrong),
            percent(other.served),
            percent(other.wrong),
            percent(other.bound),
        )
        for one, other in zip(chosen.curve, others, strict=True)
        if one.similarity >= _SHOWN_FROM
    ]
    columns = ("from", "chosen on", "wrong", "held out", "wrong", "at most")
    return Figure(chart, Table("Served unjudged from a cosine on", columns, rows))


def _places(points: Iterable[CurvePoint]) -> list[tuple[float, float]]:
    return [(one.served, one.wrong) for one in reversed(list(points)) if one.served]


def _bounds(points: Iterable[CurvePoint]) -> list[tuple[float, float]]:
    return [(one.served, one.bound) for one in reversed(list(points)) if one.served]


def _reliability(measured: Sequence[Measured]) -> Figure:
    clean = [one for one in measured if not one.guards]
    guarded = [one for one in measured if one.guards]
    curve = shared_curve(tallied(measured))
    learned = [(at / 100, curve.chance(at / 100, guarded=False)) for at in _HUNDREDTHS]
    chart = Chart(
        "One answer for both questions, by how near they are (held out)",
        Axis("cosine of the two questions", least=_RANGES[1], most=1.0, percent=False),
        Axis("share with one answer", most=1.0),
        [
            Series("guards clean", _shares(clean), "dots"),
            Series("a guard sees a difference", _shares(guarded), "dots"),
            Series("as the cache learns it (clean)", learned, "dotted"),
        ],
    )
    rows = [
        (f"{low:g} - {high:g}", *_cells(clean, low, high), *_cells(guarded, low, high))
        for low, high in pairwise(_RANGES)
    ]
    columns = ("cosine", "clean", "one answer", "guarded", "one answer")
    return Figure(chart, Table("Pairs by cosine", columns, rows))


def _within(measured: Iterable[Measured], low: float, high: float) -> list[Measured]:
    last = high == _RANGES[-1]
    return [
        one
        for one in measured
        if low <= one.similarity and (last or one.similarity < high)
    ]


def _shares(measured: Sequence[Measured]) -> list[tuple[float, float]]:
    groups = (_within(measured, *ends) for ends in pairwise(_RANGES))
    return [
        (
            sum(one.similarity for one in group) / len(group),
            sum(bool(one.pair.same_answer) for one in group) / len(group),
        )
        for group in groups
        if group
    ]


def _cells(measured: Sequence[Measured], low: float, high: float) -> tuple[str, str]:
    group = _within(measured, low, high)
    if not group:
        return "0", "-"
    same = sum(bool(one.pair.same_answer) for one in group)
    return str(len(group)), percent(same / len(group))
