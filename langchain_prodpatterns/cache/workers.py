"""Threads of the cache's own, for what must not block an event loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import TypeVar

from langchain_prodpatterns.deadlines import call_for_future

T = TypeVar("T")

_THREADS = 8


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="prodpatterns-cache")


async def off_loop(function: Callable[[], T]) -> T:
    """Call what may take long without blocking the event loop.

    Not in the loop's default executor: its threads may all be waiting for the very
    call whose lookup would wait for one of them.

    Args:
        function: The call. It sees the context variables of the caller.

    Returns:
        What it returns.
    """
    # A forked process has none of its parent's threads, and begins a pool of its own.
    pool, context = _pool(os.getpid()), copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, context.run, call_for_future, function)
