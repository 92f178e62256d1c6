"""`prodpatterns calibrate`: settings from your own traffic, with their bounds.

Exit codes: 0; 1 when the command failed; 2 for wrong arguments; 130 after Ctrl-C.
"""

import argparse
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from langchain_prodpatterns.calibration_file import CalibrationFile, state_of
from langchain_prodpatterns.commands import (
    calibrate_cache,
    calibrate_guard,
    calibrate_pairs,
    calibrate_router,
)
from langchain_prodpatterns.commands.calibrate_parts import Found
from langchain_prodpatterns.commands.calibrate_rows import Rows, read_rows
from langchain_prodpatterns.commands.calibrate_verdicts import verdicts_of
from langchain_prodpatterns.commands.ending import run_typed
from langchain_prodpatterns.commands.output import Output, tell, tell_left_out
from langchain_prodpatterns.commands.parsing import Parser
from langchain_prodpatterns.commands.targets import check_targets
from langchain_prodpatterns.commands.values import require, test_share, whole
from langchain_prodpatterns.reports.pages import page, write_page

PROGRAM = "prodpatterns calibrate"

_Read: TypeAlias = Callable[[Mapping[str, Any]], Any]
_KnownBy: TypeAlias = Callable[[Any], Hashable]

_COMPONENTS: Mapping[str, tuple[Any, _Read, _KnownBy, str]] = {
    "cache": (
        calibrate_cache,
        calibrate_pairs.read_row,
        calibrate_pairs.known_by,
        (
            "what a cache may serve: rows of new_question, stored_question, "
            "same_answer[, answer]; or of question[, answer] with a judge; or runs of "
            "LangSmith's"
        ),
    ),
    "router": (
        calibrate_router,
        calibrate_router.read_row,
        calibrate_router.known_by,
        (
            "when a router decides alone: rows of query, route[, accepted]; or runs of "
            "LangSmith's"
        ),
    ),
    "guard": (
        calibrate_guard,
        calibrate_guard.read_row,
        calibrate_guard.known_by,
        "what a guard's classifier takes for an attack: rows of text, label[, source]",
    ),
}


def run(argv: Sequence[str]) -> int:
    """Calibrate a component.

    Args:
        argv: The arguments after `prodpatterns calibrate`.

    Returns:
        The exit code.
    """
    return run_typed(_parser(), argv, _run, named_by="component")


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM, description="Find settings in your own traffic, with their bounds"
    )
    components = parser.add_subparsers(
        dest="component", metavar="COMPONENT", required=True
    )
    for name, (module, _, _, summary) in _COMPONENTS.items():
        component = components.add_parser(name, help=summary, description=summary)
        _add_common(component)
        module.add_arguments(component)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "data",
        metavar="DATA",
        help="JSON lines, or CSV with a header (.csv), also packed (.gz)",
    )
    add(
        "--embeddings",
        metavar="MODULE:ATTRIBUTE",
        help="the component's embeddings, or a function without arguments that "
        "returns them; or fastembed[:MODEL]",
    )
    add("--out", metavar="FILE", help="the calibration to write, for from_calibration")
    add("--report", metavar="FILE.html", help="the page to write, with plots")
    add(
        "--test",
        metavar="SHARE",
        type=test_share,
        default=0.3,
        help="of the rows: thresholds are chosen on the rest and reported on these "
        "(default: 0.3)",
    )
    add(
        "--seed",
        metavar="N",
        type=whole,
        default=0,
        help="for drawing them by lot (default: 0)",
    )
    add("--strict", action="store_true", help="stop at a line that is no row")
    add("--json", action="store_true", help="print one JSON object for machines")


def _run(options: argparse.Namespace) -> int:
    save = getattr(options, "save", False)
    require(options.out or not save, "--save needs --out FILE, to stand beside it")
    # What does not fit into the calibration stands beside it.
    options.beside = _beside(Path(options.out)) if save else None
    check_targets(
        {"--out": options.out, "--save": options.beside, "--report": options.report},
        [Path(options.data), verdicts_of(options.data)],
    )
    module, read_one, known_by, _ = _COMPONENTS[options.component]
    # What users ask again is drawn again; else a copy is no more evidence.
    counts_again = getattr(options, "as_traffic", False)
    rows = read_rows(
        Path(options.data),
        read_one,
        strict=options.strict,
        known_by=None if counts_again else known_by,
    )
    _tell(rows)
    found: Found = module.run(options, rows)
    try:
        calibration, written = _write(options, found)
    except OSError:
        # As of a disk that is full: what took long is not lost for that.
        tell(found.text)
        raise
    record = {
        **calibration.record(),
        "bad": [line for line, _ in rows.bad],
        "left_out": dict(rows.left_out),
        "written": written,
    }
    lines = [found.text, *(f"{file} is written" for file in written)]
    Output(options.json).show(record, "\n".join(lines))
    return 0


def _beside(out: Path) -> str:
    # Not `with_suffix`, which raises for a folder: that is told of with its option.
    return str(out.parent / f"{out.stem}.npz")


def _tell(rows: Rows[Any]) -> None:
    """Say what of a file is not used, and why."""
    tell_left_out(rows.bad)
    for reason, count in rows.left_out.items():
        tell(f"{count} rows are left out: {reason}")


def _write(
    options: argparse.Namespace, found: Found
) -> tuple[CalibrationFile, list[str]]:
    """Write what is wanted; return the calibration, and what was written."""
    written, calibration = [], found.calibration
    if options.beside is not None and found.save is not None:
        found.save(options.beside)
        state = state_of(Path(options.beside))
        calibration = replace(
            calibration, settings={**calibration.settings, "state": state}
        )
        written.append(options.beside)
    if options.out is not None:
        calibration.write(Path(options.out))
        written.append(options.out)
        if found.save is not None and options.beside is None:
            tell("from_calibration will miss what --save would have written beside it")
    if options.report is not None:
        title = f"Calibration of a {options.component}"
        write_page(page(title, found.sections), options.report)
        written.append(options.report)
    return calibration, written
