"""A circuit breaker: a database that is away is not asked again and again.

After some failures in a row nothing is asked for a while, so that no call waits for a
deadline in vain. Then calls are let through again, and the first that works closes it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pybreaker

from langchain_prodpatterns.errors import StoreUnavailable
from langchain_prodpatterns.forking import guard

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 60.0
_OWN_FAULT = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError)
"""What says of a statement that it is wrong, not of the database that it is away."""


def is_away(error: BaseException) -> bool:
    """Whether an error says that the database cannot be asked now."""
    if isinstance(error, _OWN_FAULT):
        return False
    return isinstance(error, psycopg.Error | OSError | TimeoutError)


class Breaker:
    """Lets calls through, or not. Safe to use from many threads and event loops."""

    def __init__(
        self,
        what: str,
        *,
        failures: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with calls let through.

        Args:
            what: What is asked for, for the log.
            failures: In a row, after which nothing is asked.
            seconds: How long.
            clock: Seconds, for the log.
        """
        self._what = what
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._circuit = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=seconds,
            exclude=[lambda error: not self._counts(error)],
            throw_new_error_on_trip=False,
        )
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._away = False
        self._told = False
        self._told_at = float("-inf")

    def _counts(self, error: BaseException) -> bool:
        """Whether what ended a call is a failure, and not as good as a success."""
        # Who gives up waiting says nothing; where it was away, not that it is back.
        gave_up = not isinstance(error, Exception)
        return is_away(error) or (gave_up and self._away)

    def __reduce__(self) -> Any:
        # A copy has seen no failure.
        return _breaker, (self._what, self._failures, self._seconds)

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked now."""
        return bool(self._circuit.current_state == pybreaker.STATE_OPEN)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Let a call through.

        Raises:
            StoreUnavailable: In place of an error that says the database is away, and
                at once where it was a moment ago.
        """
        try:
            with self._circuit.calling():
                yield
        except pybreaker.CircuitBreakerError:
            msg = f"the database was not asked: it was away a moment ago ({self._what})"
            raise StoreUnavailable(msg) from None
        except Exception as error:
            if not is_away(error):
                raise
            self._note_failure(error)
            msg = f"{self._what} failed ({type(error).__name__}): the database is away"
            # Nothing of what the server says: it may hold what a user wrote.
            raise StoreUnavailable(msg) from None
        self._note_success()

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            self._away = True
            if self._told or self._clock() < self._told_at + _QUIET_SECONDS:
                return
            self._told, self._told_at = True, self._clock()
        logger.warning(
            "%s failed (%s): until the database is back, lookups are misses "
            "(told once)",
            self._what,
            type(error).__name__,
        )

    def _note_success(self) -> None:
        if not self._away:
            return
        with self._lock:
            was_away, self._away = self._away, False
            self._told = False
        if was_away:
            logger.info("%s works again", self._what)


def _breaker(what: str, failures: int, seconds: float) -> Breaker:
    return Breaker(what, failures=failures, seconds=seconds)
