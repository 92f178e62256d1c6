"""The report of a router's calibration."""

from langchain_prodpatterns.commands.calibrate_parts import percent, promised
from langchain_prodpatterns.reports.charts import Axis, Chart, Mark, Series
from langchain_prodpatterns.reports.pages import Block, Cards, Figure, Section, Table
from langchain_prodpatterns.routing.certificate import Bar
from langchain_prodpatterns.routing.reports import Evaluation, FitReport

_CONFUSIONS = 20
_ROOM = 0.1


def router_sections(
    fitted: FitReport, shown: Evaluation, held_out: Bar | None, text: str
) -> list[Section]:
    """Show what labels say of a router.

    Args:
        fitted: What the labels say that the bar was chosen on.
        shown: What the others say.
        held_out: What these say of that bar, if there is one.
        text: The same in words; its last line is the verdict.
    """
    verdict = text.splitlines()[-1]
    overview: list[Block] = [
        _cards(fitted, shown, held_out),
        f"{verdict[0].upper()}{verdict[1:]}.",
    ]
    if fitted.obstacle:
        overview.append(f"The router does not decide alone: {fitted.obstacle}.")
    overview.append(f"Assumed: {'; '.join(fitted.assumptions)}.")
    sections = [
        Section("", overview),
        Section("Coverage against precision", [_coverage(fitted, shown, held_out)]),
        Section("Reliability", [_reliability(shown)]),
    ]
    if shown.confusions:
        rows = [
            (str(one.truth or "no route"), one.chosen, str(one.count))
            for one in shown.confusions[:_CONFUSIONS]
        ]
        columns = ("right", "chosen", "times")
        table = Table("Wrong decisions, held out", columns, rows, columns[:2])
        sections.append(Section("Confusions", [table]))
    return sections


def _cards(fitted: FitReport, shown: Evaluation, held_out: Bar | None) -> Cards:
    bar = "none" if fitted.bar is None else f"{fitted.bar:.4g}"
    figures = [
        ("promised precision", promised(fitted.precision)),
        ("decides alone from a confidence of", bar),
    ]
    if fitted.bar is None:
        missing = "more do not help" if fitted.needed is None else f"{fitted.needed}"
        figures.append(("labels missing, about", missing))
    if held_out is not None:
        coverage = held_out.decided / shown.labels
        figures.append(("decided alone, held out", percent(coverage)))
        figures.append(("of these right, at least", percent(held_out.certified)))
    return Cards(figures)


def _coverage(fitted: FitReport, shown: Evaluation, held_out: Bar | None) -> Figure:
    decided = [one for one in shown.curve if one.decided]
    least = min([fitted.precision, *(1 - one.wrong / one.decided for one in decided)])
    places = [
        (one.decided / shown.labels, 1 - one.wrong / one.decided) for one in decided
    ]
    bounds = [(one.decided / shown.labels, one.certified) for one in decided]
    chart = Chart(
        "What a router would decide alone, and how rightly (held out)",
        Axis("share of the queries that is decided alone", most=1.0),
        Axis("share of these that is right", least=max(least - _ROOM, 0.0), most=1.0),
        [
            Series("held-out labels", places),
            Series("at least (95%)", bounds, "dotted"),
            Series(
                f"promised: {promised(fitted.precision)}",
                [(0, fitted.precision)],
                "level",
            ),
        ],
        []
        if held_out is None or not held_out.decided
        else [
            Mark(
                f"chosen: from a confidence of {held_out.confidence:.4g}, with its "
                "bound",
                (
                    held_out.decided / shown.labels,
                    1 - held_out.wrong / held_out.decided,
                ),
                held_out.certified,
            )
        ],
    )
    rows = [
        (
            f"{one.confidence:.4f}",
            percent(one.decided / shown.labels),
            percent(1 - one.wrong / one.decided),
            percent(one.certified),
        )
        for one in decided
    ]
    columns = ("confidence from", "decided", "right", "at least")
    return Figure(chart, Table("Decided alone from a confidence on", columns, rows))


def _reliability(shown: Evaluation) -> Figure:
    chart = Chart(
        "How often the best tool is right, by the confidence in it (held out)",
        Axis("confidence", most=1.0, percent=False),
        Axis("share that is right", most=1.0),
        [
            Series(
                "held-out labels",
                [(one.confidence, one.right) for one in shown.reliability],
                "dots",
            ),
            Series("perfectly calibrated", [(0, 0), (1, 1)], "dotted"),
        ],
    )
    rows = [
        (
            f"{one.low:g} - {one.high:g}",
            str(one.count),
            percent(one.confidence),
            percent(one.right),
        )
        for one in shown.reliability
    ]
    columns = ("confidence", "queries", "mean", "right")
    return Figure(chart, Table("Queries by confidence", columns, rows))
