"""Where a command writes: results to the output, all else beside it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from langchain_prodpatterns.commands.values import printable

_TOLD = 10


@dataclass(frozen=True, slots=True)
class Output:
    """Writes a result as a text for people, or as JSON for machines."""

    as_json: bool = False
    """Whether as JSON."""
    beside: bool = False
    """Whether the standard output is taken: results then go to the standard error."""

    def show(self, record: Mapping[str, Any], text: str) -> None:
        """Write a result.

        Args:
            record: What it is in JSON.
            text: What it is in words.
        """
        page = sys.stderr if self.beside else sys.stdout
        _write(page, json.dumps(record) if self.as_json else text)


def tell(text: str) -> None:
    """Write a line that is no result."""
    _write(sys.stderr, text)


def _write(page: TextIO, text: str) -> None:
    """Write lines in which names from a file neither steer the terminal nor fail."""
    encoding = page.encoding or "utf-8"
    shown = printable(text, kept="\n").encode(encoding, "replace").decode(encoding)
    page.write(f"{shown}\n")
    page.flush()


def tell_left_out(bad: Sequence[tuple[int, str]]) -> None:
    """Write which lines of a file are left out, and why: of many, the first ones.

    Args:
        bad: Number and reason of each.
    """
    for number, reason in bad[:_TOLD]:
        tell(f"line {number} is left out: {reason}")
    if len(bad) > _TOLD:
        tell(f"and {len(bad) - _TOLD} more lines")


class Advance(Protocol):
    """Moves a progress bar on."""

    def __call__(self, steps: int = 1) -> None:
        """Move on by some steps."""
        ...


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """Show how far something is, if somebody looks at the standard error.

    Args:
        what: What is done.
        total: How many steps there are, as far as that is known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    if not console.is_terminal:
        yield _go_on
        return
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(steps: int = 1) -> None:
            bar.advance(task, steps)

        yield advance


def _go_on(steps: int = 1) -> None:
    """Move no bar on."""
