"""How long to wait before a call that a provider failed for now is made again."""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, Retrying, wait_exponential, wait_random

LONGEST = 30.0
"""Seconds that a provider's own word is waited for, at most."""
_BACKOFF = wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5)


def pause(retries: int, asked: float | None = None) -> float:
    """Return the seconds to wait before a retry.

    Exponential, with jitter: callers who failed together do not come back together.

    Args:
        retries: The number of the retry, from 1; 0 is no retry.
        asked: The seconds that the provider asked for, if it did.
    """
    if retries == 0:
        return 0.0
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = retries
    return max(_BACKOFF(state), min(asked or 0.0, LONGEST))


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that a provider asks to wait: `Retry-After` of its answer.

    Args:
        error: What a client raised, with the `response` as OpenAI's and httpx's have
            it.

    Returns:
        The seconds from now, or `None` where it asks for none.
    """
    headers = getattr(getattr(error, "response", None), "headers", None)
    given = headers.get("retry-after") if isinstance(headers, Mapping) else None
    return None if given is None else _seconds(str(given))


def _seconds(given: str) -> float | None:
    """Read seconds, or a date."""
    try:
        seconds = float(given)
    except ValueError:
        seconds = _until(given)
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    # A date without a zone is one in UTC.
    return then.replace(tzinfo=then.tzinfo or UTC).timestamp() - time.time()
