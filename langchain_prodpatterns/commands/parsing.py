"""Arguments of a command line, refused in one line."""

import argparse
import os
import sys
from typing import NoReturn

from langchain_prodpatterns.cache.stores.urls import masked

STORE_VARIABLE = "PRODPATTERNS_STORE"
"""The environment variable that names the store where `--store` does not."""

WRONG_ARGUMENTS = 2
"""The exit code for wrong arguments."""


class Parser(argparse.ArgumentParser):
    """A parser that says what was wrong in one line, without a password in it."""

    def error(self, message: str) -> NoReturn:
        """End with the exit code for wrong arguments."""
        line = " ".join(masked(message).split())
        sys.stderr.write(f"{self.prog}: {line} (see {self.prog} --help)\n")
        raise SystemExit(WRONG_ARGUMENTS)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every command has."""
    parser.add_argument(
        "--store",
        metavar="URL",
        default=os.environ.get(STORE_VARIABLE),
        help="sqlite:///relative.db, sqlite:////absolute.db, a path, or "
        "postgresql://user@host/database[?prodpatterns_schema=name]; by default "
        f"${STORE_VARIABLE}",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for machines"
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a part of the entries."""
    parser.add_argument("--namespace", metavar="N", help="entries of this namespace")
    parser.add_argument("--partition", metavar="P", help="entries of this partition")
