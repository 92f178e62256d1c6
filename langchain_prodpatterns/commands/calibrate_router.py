"""`prodpatterns calibrate router`: from which confidence on a router decides alone."""

import argparse
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from langchain_prodpatterns.calibration_file import CalibrationFile
from langchain_prodpatterns.commands.calibrate_langsmith import (
    check_run,
    is_run,
    question_of,
    route_of,
)
from langchain_prodpatterns.commands.calibrate_parts import (
    Found,
    Remembered,
    parted,
    rows_record,
)
from langchain_prodpatterns.commands.calibrate_router_page import router_sections
from langchain_prodpatterns.commands.calibrate_rows import (
    BadRow,
    LeftOut,
    Rows,
    text_of,
    yes_or_no,
)
from langchain_prodpatterns.commands.loading import load_embeddings, load_tools
from langchain_prodpatterns.commands.output import tell
from langchain_prodpatterns.commands.values import require, share_of_right
from langchain_prodpatterns.routing import Route, ToolRouter
from langchain_prodpatterns.routing.certificate import Bar
from langchain_prodpatterns.routing.labels import Label, normal, read_labels
from langchain_prodpatterns.routing.reports import Evaluation, FitReport

_NOWHERE = {"none", "null"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--tools",
        metavar="MODULE:ATTRIBUTE",
        help="the router's tools; without it a route is known by its name alone",
    )
    parser.add_argument(
        "--precision",
        metavar="SHARE",
        type=share_of_right,
        default=0.95,
        help="the share of decisions by distance that is right (default: 0.95)",
    )
    parser.add_argument(
        "--confidence",
        metavar="SHARE",
        type=share_of_right,
        default=0.9,
        help="how sure to be of it (default: 0.9)",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="write the fitted router beside --out, for ToolRouter.from_calibration: "
        "it holds the labeled queries in the clear",
    )


def read_row(fields: Mapping[str, Any]) -> Label:
    """Read a labeled query, or a run of LangSmith's.

    Raises:
        BadRow: When it is neither.
        LeftOut: When nobody stands for the route.
    """
    if is_run(fields):
        check_run(fields)
        return Label(question_of(fields), route_of(fields))
    query = text_of(fields, "query").strip()
    if "accepted" in fields and not yes_or_no(fields, "accepted"):
        msg = "the route was not accepted, and no other is named"
        raise LeftOut(msg)
    if "route" not in fields:
        msg = "no 'route'; where none fits it is null, or none in CSV"
        raise BadRow(msg)
    if fields["route"] is None:
        return Label(query, None)
    route = text_of(fields, "route").strip()
    return Label(query, None if route.casefold() in _NOWHERE else route)


def known_by(row: Label) -> Hashable:
    """Return by what a query is known when it comes again, as a router tells them."""
    return normal(row.query), row.tool


def run(options: argparse.Namespace, rows: Rows[Label]) -> Found:
    """Calibrate a router.

    Raises:
        ConfigurationError: When the arguments do not go together, or labels are none.
        ProdPatternsError: When the embeddings fail.
    """
    require(options.embeddings, "give the router's embeddings: --embeddings")
    embeddings = Remembered(load_embeddings(options.embeddings))
    labels = _agreed(rows.items)
    router = ToolRouter(
        _tools(options, labels), embeddings, precision=options.precision
    )
    # Before all queries are embedded, which may take long: a route may be no tool's.
    read_labels(_pairs(labels, range(len(labels))), router.tools_by_name)
    embeddings.read_queries([label.query for label in labels])
    parts = parted(
        [normal(label.query) for label in labels], options.test, options.seed
    )
    fitted = router.fit(_pairs(labels, parts.chosen_on), confidence=options.confidence)
    shown = router.evaluate(_pairs(labels, parts.reported_on))
    held_out = _at(shown, fitted.bar)
    counted = {
        "contradicted": len(rows.items) - len(labels),
        "no_route": sum(label.tool is None for label in labels),
    }
    calibration = CalibrationFile(
        "router",
        embeddings.fingerprint,
        {
            "precision": options.precision,
            "confidence": options.confidence,
            "bar": fitted.bar,
        },
        rows_record(len(labels), parts, options.seed, counted),
        _shown(fitted, shown, held_out),
        rows.date,
    )
    text = _text(options, fitted, shown, held_out)
    sections = router_sections(fitted, shown, held_out, text)
    return Found(calibration, text, sections, router.save)


def _agreed(labels: Sequence[Label]) -> list[Label]:
    """Leave out queries that went to one route once, and to another later."""
    routes: dict[str, set[str | None]] = {}
    for label in labels:
        routes.setdefault(normal(label.query), set()).add(label.tool)
    agreed = [label for label in labels if len(routes[normal(label.query)]) == 1]
    if len(agreed) < len(labels):
        tell(f"{len(labels) - len(agreed)} rows are left out: another contradicts them")
    require(agreed, "every row is contradicted by another: give rows that agree")
    return agreed


def _tools(options: argparse.Namespace, labels: Sequence[Label]) -> Sequence[Any]:
    if options.tools is not None:
        return load_tools(options.tools)
    names = sorted({label.tool for label in labels if label.tool is not None})
    require(names, "every row says that no route fits: give rows with routes")
    return [Route(name, name.replace("_", " ")) for name in names]


def _pairs(
    labels: Sequence[Label], numbers: Sequence[int]
) -> list[tuple[str, str | None]]:
    return [(labels[at].query, labels[at].tool) for at in numbers]


def _at(shown: Evaluation, bar: float | None) -> Bar | None:
    return next((one for one in shown.curve if one.confidence == bar), None)


def _shown(
    fitted: FitReport, shown: Evaluation, held_out: Bar | None
) -> dict[str, Any]:
    return {
        "coverage": fitted.coverage,
        "precision_at_least": fitted.certified,
        "labels_missing": fitted.needed,
        "held_out": held_out
        and {
            "labels": shown.labels,
            "decided": held_out.decided,
            "wrong": held_out.wrong,
            "coverage": held_out.decided / shown.labels,
            "precision_at_least": held_out.certified,
        },
    }


def _text(
    options: argparse.Namespace,
    fitted: FitReport,
    shown: Evaluation,
    held_out: Bar | None,
) -> str:
    lines = [f"chosen on {fitted.labels} labels:", str(fitted)]
    if options.tools is None:
        lines.append("routes are known by their names alone: --tools tells more")
    lines += ["", f"on the others: {shown}", ""]
    if held_out is None:
        lines.append("there is no bar to report on: the router would decide nothing")
    else:
        lines.append(
            f"on the other {shown.labels} labels: {held_out.decided} decided alone, "
            f"{held_out.wrong} of these wrongly (at least {held_out.certified:.1%} "
            "right with 95% confidence)"
        )
    return "\n".join(lines)
