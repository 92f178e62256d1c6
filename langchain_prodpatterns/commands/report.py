"""`prodpatterns report`: a ledger's lines as a page for the browser.

Exit codes: 0; 1 when the command failed; 2 for wrong arguments; 130 after Ctrl-C.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from langchain_prodpatterns.commands.ending import run_typed
from langchain_prodpatterns.commands.output import Output, tell_left_out
from langchain_prodpatterns.commands.parsing import Parser
from langchain_prodpatterns.commands.targets import check_targets
from langchain_prodpatterns.errors import ProdPatternsError
from langchain_prodpatterns.ledger import Ledger

PROGRAM = "prodpatterns report"


def run(argv: Sequence[str]) -> int:
    """Write the report of a ledger.

    Args:
        argv: The arguments after `prodpatterns report`.

    Returns:
        The exit code.
    """
    return run_typed(_parser(), argv, _run)


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Show what every pattern spent, saved and decided: a table, and a "
        "page for the browser that needs no network",
    )
    parser.add_argument(
        "ledger", metavar="LEDGER.jsonl", help="what `Ledger.to_jsonl` has written"
    )
    parser.add_argument("--out", metavar="FILE.html", help="the page to write")
    parser.add_argument(
        "--strict", action="store_true", help="stop at a line that is none of a ledger"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for machines"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    bad: list[tuple[int, str]] = []

    def note(number: int, reason: str) -> None:
        bad.append((number, reason))

    path = Path(options.ledger)
    check_targets({"--out": options.out}, [path])
    ledger = Ledger.from_jsonl(path, on_bad=note)
    tell_left_out(bad)
    summary = ledger.summary()
    if bad and options.strict:
        msg = f"{path.name} has {len(bad)} lines that are none of a ledger"
        raise ProdPatternsError(msg)
    if not (summary.decisions or summary.open_calls or summary.failed_calls):
        msg = f"nothing is booked in {path.name}: write it with Ledger.to_jsonl"
        raise ProdPatternsError(msg)
    if options.out is not None:
        ledger.to_html(options.out)
    record = {**asdict(summary), "bad": [line for line, _ in bad], "out": options.out}
    written = f"\n\n{options.out} is written" if options.out else ""
    Output(options.json).show(record, f"{ledger.table()}{written}")
    return 0
