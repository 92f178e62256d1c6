"""Work that would hold up an event loop, in a thread."""

from collections.abc import Callable
from typing import TypeVar

from langchain_core.runnables.config import run_in_executor

T = TypeVar("T")


async def off_loop(work: Callable[[], T]) -> T:
    """Work in a thread: texts may be long, and scorers and counters others' code.

    Args:
        work: What to do.

    Returns:
        What it returned.
    """
    return await run_in_executor(None, work)
