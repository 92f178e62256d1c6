"""Calling a judge so that whatever happens is a verdict or the lack of one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_prodpatterns.deadlines import (
    LateCalls,
    TooManyLateError,
    call_with_deadline,
)
from langchain_prodpatterns.verdicts import Judgement, V, no_verdict

logger = logging.getLogger(__name__)

Leave = Callable[[], bool]
"""Whether one more call may be made."""


def always() -> bool:
    """Give leave."""
    return True


def until(seconds: float | None, leave: Leave) -> Leave:
    """Give leave until time is up."""
    if seconds is None:
        return leave
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end and leave()


def call_quietly(
    work: Callable[[], Judgement[V]], timeout: float | None, late: LateCalls
) -> Judgement[V]:
    """Call a judge within a deadline; an exception is a failure, not a crash.

    Args:
        work: The call.
        timeout: Seconds, or `None`.
        late: The judge's calls that were given up; where there are too many, it is not
            asked.

    Returns:
        The judgement, or the failure.
    """
    try:
        return call_with_deadline(work, timeout, late)
    except TooManyLateError as error:
        return no_verdict("timeout", str(error))
    except TimeoutError:
        return _late(timeout)
    except Exception as error:  # noqa: BLE001 - any failure of any judge means no verdict
        return _broken(error)


async def acall_quietly(
    work: Awaitable[Judgement[V]], seconds: float | None
) -> Judgement[V]:
    """Await a judge within a deadline; an exception is a failure, not a crash.

    Args:
        work: The call.
        seconds: The deadline, or `None`.

    Returns:
        The judgement, or the failure.
    """
    try:
        return await asyncio.wait_for(work, seconds)
    except TooManyLateError as error:
        return no_verdict("timeout", str(error))
    except TimeoutError:
        return _late(seconds)
    except Exception as error:  # noqa: BLE001 - any failure of any judge means no verdict
        return _broken(error)


def _late(timeout: float | None) -> Judgement[Any]:
    # Without a deadline of ours it was the judge that gave up.
    within = "in time" if timeout is None else f"within {timeout:g} seconds"
    return no_verdict("timeout", f"no verdict {within}")


def _broken(error: Exception) -> Judgement[Any]:
    # The message of a provider's error may quote the texts: only its type is safe.
    logger.warning("judge failed: %s", type(error).__name__)
    return no_verdict("provider", type(error).__name__)
