"""Threads of the cache's own."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_prodpatterns.cache.workers import off_loop

_seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="")


async def test_it_is_called_in_another_thread_with_the_caller_s_context() -> None:
    _seen.set("by the caller")

    name, seen = await off_loop(lambda: (threading.current_thread().name, _seen.get()))

    assert name.startswith("prodpatterns-cache")
    assert seen == "by the caller"


@pytest.mark.parametrize(
    ("error", "raised"), [(LookupError, LookupError), (StopIteration, RuntimeError)]
)
async def test_an_error_is_the_caller_s(
    error: type[Exception], raised: type[Exception]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(raised):
        await asyncio.wait_for(off_loop(fail), 30)


async def test_the_loop_s_own_threads_are_not_needed() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as only:
        asyncio.get_running_loop().set_default_executor(only)
        busy = asyncio.create_task(asyncio.to_thread(go.wait, 30))
        await asyncio.sleep(0)

        assert await asyncio.wait_for(off_loop(lambda: 1), 30) == 1
        go.set()
        await busy
