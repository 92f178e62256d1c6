"""The console script `prodpatterns`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from langchain_prodpatterns.interrupts import INTERRUPTED, remembered_interrupts

USAGE = """usage: prodpatterns COMMAND [options]

commands:
  demo    run a support assistant through every pattern (prodpatterns demo --help)
  cache   look into a cache, and keep it in order (prodpatterns cache --help)
  calibrate
          find a cache's, router's or guard's settings in your own traffic
          (prodpatterns calibrate --help)
  report  show what a ledger's patterns spent and saved (prodpatterns report --help)
"""

_HOMES = {
    "demo": ("demo.launch", "launch"),
    "cache": ("commands.cache", "run"),
    "calibrate": ("commands.calibrate", "run"),
    "report": ("commands.report", "run"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments, by default those of the process.

    Returns:
        The exit code: 0, 1 when the command failed, 2 for wrong arguments, or 130 after
        Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    home = _HOMES.get(arguments[0]) if arguments else None
    if home is not None:
        try:
            return int(_loaded(*home)(arguments[1:]))
        except KeyboardInterrupt:
            return INTERRUPTED
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    sys.stderr.write(USAGE)
    if arguments:
        sys.stderr.write(f"\nprodpatterns: there is no command {arguments[0]!r}\n")
    return 2


def _loaded(module: str, function: str) -> Callable[[Sequence[str]], int]:
    """Import a command, which takes a second: each needs more than the others do."""
    with remembered_interrupts() as interrupts:
        try:
            home = import_module(f"langchain_prodpatterns.{module}")
        finally:
            # What is being imported may make another exception of Ctrl-C.
            interrupts.check()
    command: Callable[[Sequence[str]], int] = getattr(home, function)
    return command
