"""`prodpatterns cache`: look into a store, and keep it in order.

Exit codes: 0; 1 when the command failed; 2 for wrong arguments; 130 after Ctrl-C.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing

from langchain_prodpatterns.cache.stores.urls import open_store
from langchain_prodpatterns.commands import (
    explain,
    exporting,
    importing,
    invalidate,
    migrate,
    stats,
    vacuum,
)
from langchain_prodpatterns.commands.ending import run_typed
from langchain_prodpatterns.commands.output import Output
from langchain_prodpatterns.commands.parsing import (
    STORE_VARIABLE,
    Parser,
    add_common,
)
from langchain_prodpatterns.commands.values import require

PROGRAM = "prodpatterns cache"

_COMMANDS = {
    "stats": (stats, "what there is in a cache, and what is known of it"),
    "explain": (explain, "which stored questions are near a text, and how near"),
    "invalidate": (invalidate, "remove the answers that fit every criterion"),
    "export": (exporting, "write every entry as a line of a file"),
    "import": (importing, "store the entries of such a file"),
    "vacuum": (vacuum, "remove what is past, and give its room back"),
    "migrate": (migrate, "make or bring up the tables of a PostgreSQL database"),
}


def run(argv: Sequence[str]) -> int:
    """Run a command on a cache.

    Args:
        argv: The arguments after `prodpatterns cache`.

    Returns:
        The exit code.
    """
    return run_typed(_parser(), argv, _run, named_by="command")


def _run(options: argparse.Namespace) -> int:
    require(options.store, f"give the store's URL: --store URL, or ${STORE_VARIABLE}")
    output = Output(options.json, beside=_is_taken(options))
    if options.command == "migrate":
        return migrate.run(options, output)
    command: Callable[..., int] = _COMMANDS[options.command][0].run
    creates = options.command == "import"
    if creates:
        importing.check_source(options.file)
    with closing(open_store(options.store, create=creates)) as store:
        return command(options, store, output)


def _is_taken(options: argparse.Namespace) -> bool:
    """Whether the standard output is for what is exported."""
    return options.command == "export" and bool(options.file == exporting.STANDARD)


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="Look into a cache, and keep it in order")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        add_common(command)
        module.add_arguments(command)
    return parser
