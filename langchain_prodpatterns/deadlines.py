"""A deadline for a blocking call."""

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def call_with_deadline(func: Callable[[], T], seconds: float | None) -> T:
    """Call a function, and stop waiting for it when time is up.

    Python cannot end a thread: a late call goes on in a daemon thread, so that it
    holds up neither the caller nor the end of the process, and its result is dropped.
    The call sees the caller's context variables.

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
