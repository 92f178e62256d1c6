"""Start the demo, so that Ctrl-C ends it cleanly while it is still being imported."""

import sys
from collections.abc import Sequence

from langchain_prodpatterns.interrupts import INTERRUPTED, remembered_interrupts


def launch(argv: Sequence[str] | None = None) -> int:
    """Import the demo, which takes a second, and run it.

    Args:
        argv: The arguments, by default those of the process.

    Returns:
        The exit code.
    """
    try:
        with remembered_interrupts() as interrupts:
            from langchain_prodpatterns.demo.app import main

            interrupts.check()
            return main(argv)
    except KeyboardInterrupt:
        sys.stdout.write("Interrupted.\n")
        return INTERRUPTED
