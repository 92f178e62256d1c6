"""How much work a call makes, without a bet on timing."""

import sys
from collections.abc import Callable
from typing import Any


def effort_of(call: Callable[[], object]) -> int:
    """Count the calls that a call makes, into Python and into C.

    What it raises goes on; then nothing is counted.
    """
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count
