"""How a command begins and ends: what it raises becomes one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from langchain_prodpatterns.cache.stores.urls import masked
from langchain_prodpatterns.commands.output import tell
from langchain_prodpatterns.commands.parsing import WRONG_ARGUMENTS, Parser
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.interrupts import INTERRUPTED

FAILED = 1
"""The exit code of a command that failed."""


def run_typed(
    parser: Parser,
    argv: Sequence[str],
    work: Callable[[argparse.Namespace], int],
    *,
    named_by: str | None = None,
) -> int:
    """Run a command as it is typed.

    Args:
        parser: Reads the arguments.
        argv: The arguments.
        work: Does it, and returns the exit code.
        named_by: The argument that says which one of several commands it is.

    Returns:
        The exit code.
    """
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else WRONG_ARGUMENTS
    name = f" {getattr(options, named_by)}" if named_by else ""
    return ended(f"{parser.prog}{name}", partial(work, options))


def ended(program: str, work: Callable[[], int]) -> int:
    """Do the work of a command.

    Args:
        program: The command as it is typed, which begins the line of an error.
        work: Does it, and returns the exit code.

    Returns:
        The exit code: of the work, 1 where it failed, 2 for wrong arguments, or 130
        after Ctrl-C.
    """
    try:
        return work()
    except ConfigurationError as error:
        return _say(program, error, WRONG_ARGUMENTS)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has had enough. Python would complain once more at its end.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ProdPatternsError, OSError) as error:
        return _say(program, error, FAILED)


def _say(program: str, error: Exception, code: int) -> int:
    line = " ".join(masked(str(error)).split()) or type(error).__name__
    tell(f"{program}: {line}")
    return code
