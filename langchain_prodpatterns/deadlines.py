"""Calls that may come too late: nobody waits longer than the deadline for them.

Python cannot end a thread. A late call goes on in a daemon thread, so that it holds up
neither the caller nor the end of the process, nor a pool that others need.
"""

import asyncio
import contextvars
import math
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def call_with_deadline(func: Callable[[], T], seconds: float | None) -> T:
    """Call a function, and stop waiting for it when time is up.

    The call sees the caller's context variables; the result of a late one is dropped.

    Args:
        func: What to call.
        seconds: How long to wait; `None` waits for ever, in this thread.

    Returns:
        What the function returns.

    Raises:
        TimeoutError: When the function is not done in time.
    """
    if seconds is None:
        return func()
    outcome: list[T] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            outcome.append(func())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            failure.append(error)
        finally:
            done.set()

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    if not done.wait(min(seconds, threading.TIMEOUT_MAX)):
        msg = f"not done within {seconds:g} seconds"
        raise TimeoutError(msg)
    if failure:
        raise failure[0]
    return outcome[0]


def call_for_future(func: Callable[[], T]) -> T:
    """Call a function for whoever awaits a future of its outcome.

    Args:
        func: What to call.

    Returns:
        What the function returns.

    Raises:
        RuntimeError: In place of `StopIteration`, which no asyncio future can hold: who
            awaits it would wait for ever.
    """
    try:
        return func()
    except StopIteration as error:
        msg = "StopIteration was raised"
        raise RuntimeError(msg) from error


async def call_apart(func: Callable[[], T]) -> T:
    """Call a blocking function in a thread of its own, and wait for it.

    Whoever gives up waiting, by a deadline or a cancellation, leaves the call behind.
    The call sees the caller's context variables.

    Args:
        func: What to call.

    Returns:
        What the function returns.
    """
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(call_for_future(func))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting task
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    return await asyncio.wrap_future(outcome)


def run_coroutine(func: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine from sync code, also where an event loop is running.

    Args:
        func: Makes the coroutine. It runs in an event loop of its own.

    Returns:
        What the coroutine returns.
    """
    return call_with_deadline(lambda: asyncio.run(func()), math.inf)
