"""Calls that may come too late: nobody waits longer than the deadline for them.

Python cannot end a thread. A late call goes on in a daemon thread, so that it holds up
neither the caller nor the end of the process, nor a pool that others need.
"""

import asyncio
import contextvars
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

LATE_AT_MOST = 8
"""Late calls of one caller that may go on at once."""


class TooManyLateError(TimeoutError):
    """Raised in place of a call where too many before it have not come back."""


@dataclass(frozen=True, slots=True)
class LateCalls:
    """The calls of one caller that nobody waits for any more, and that still go on.

    Each holds a thread: what always hangs would otherwise take one more a call, until
    the system has none left.
    """

    limit: int = LATE_AT_MOST
    """How many may go on before no more are made."""
    # A set, because its operations need no lock: a forked process has all of them, and
    # none of the threads is alive there.
    _threads: set[threading.Thread] = field(
        default_factory=set, init=False, repr=False, compare=False
    )

    def __reduce__(self) -> Any:
        # A copy has made no call.
        return LateCalls, (self.limit,)

    def check(self) -> None:
        """Look whether one more call may be made.

        Raises:
            TooManyLateError: When too many go on.
        """
        for thread in tuple(self._threads):
            if not thread.is_alive():
                self._threads.discard(thread)
        if len(self._threads) >= self.limit:
            msg = f"not asked: {len(self._threads)} earlier calls have not come back"
            raise TooManyLateError(msg)

    def add(self, thread: threading.Thread) -> None:
        """Take note of a thread whose call is given up."""
        self._threads.add(thread)


def call_with_deadline(
    func: Callable[[], T], seconds: float | None, late: LateCalls | None = None
) -> T:
    """Call a function, and stop waiting for it when time is up.

    The call sees the caller's context variables; the result of a late one is dropped.

    Args:
        func: What to call.
        seconds: How long to wait; `None` waits for ever, in this thread.
        late: Takes note of a call that is given up; where there are too many of them,
            the function is not called.

    Returns:
        What the function returns.

    Raises:
        TimeoutError: When the function is not done in time.
        TooManyLateError: When it is not called.
    """
    if seconds is None:
        return func()
    late = late or LateCalls()
    late.check()
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
    thread = threading.Thread(target=context.run, args=(run,), daemon=True)
    thread.start()
    if not done.wait(min(seconds, threading.TIMEOUT_MAX)):
        late.add(thread)
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


async def call_apart(func: Callable[[], T], late: LateCalls | None = None) -> T:
    """Call a blocking function in a thread of its own, and wait for it.

    Whoever gives up waiting, by a deadline or a cancellation, leaves the call behind.
    The call sees the caller's context variables.

    Args:
        func: What to call.
        late: As for `call_with_deadline`.

    Returns:
        What the function returns.

    Raises:
        TooManyLateError: When it is not called.
    """
    late = late or LateCalls()
    late.check()
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(call_for_future(func))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting task
            outcome.set_exception(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True)
    thread.start()
    try:
        return await asyncio.wrap_future(outcome)
    except asyncio.CancelledError:
        late.add(thread)
        raise


def run_coroutine(func: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine from sync code, also where an event loop is running.

    Args:
        func: Makes the coroutine, or whatever can be awaited. That happens in an event
            loop of its own.

    Returns:
        What the coroutine returns.
    """

    async def run() -> T:
        return await func()

    return call_with_deadline(lambda: asyncio.run(run()), math.inf)
