"""Ctrl-C that is never lost. Imports nothing heavy: it has to be there first."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended."""


class Interrupts:
    """Whether Ctrl-C was pressed, whatever became of the exception."""

    def __init__(self) -> None:
        self.seen = False

    def check(self) -> None:
        """Raise what was lost.

        Raises:
            KeyboardInterrupt: When Ctrl-C was pressed.
        """
        if self.seen:
            raise KeyboardInterrupt

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGINT: remember it, and raise as Python's own handler does."""
        self.seen = True
        raise KeyboardInterrupt


@contextmanager
def remembered_interrupts() -> Iterator[Interrupts]:
    """Remember Ctrl-C until the block ends.

    Python drops an exception that is raised in a finalizer or in the callback of a weak
    reference, a `KeyboardInterrupt` too, and prints a traceback instead. Between two
    steps `check` raises it again.

    Yields:
        What was seen. Outside the main thread, and where SIGINT is ignored, nothing is.
    """
    interrupts = Interrupts()
    handler, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.note)
    sys.unraisablehook = partial(_report_all_but_interrupts, hook)
    try:
        yield interrupts
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, handler)


def _report_all_but_interrupts(hook: Any, dropped: "sys.UnraisableHookArgs") -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        hook(dropped)
