"""One call for many processes: who makes it takes a lease in the store they share."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from langchain_prodpatterns.cache.flights import PATIENCE, Flight
from langchain_prodpatterns.cache.renewals import Lease, Renewals
from langchain_prodpatterns.cache.steps import Call, Steps, Wait
from langchain_prodpatterns.cache.stores import CacheStore, Found

LEASE_SECONDS = 10.0
"""How long others wait for a call whose process was killed."""
_SECONDS_UNABLE = 10.0
"""How long a store that could not claim is not asked again: it may be locked, and each
call would wait for that."""
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class Leases:
    """Lets one process make a call, and has the others wait for what it stores."""

    def __init__(
        self,
        store: CacheStore,
        quiet: Callable[[str], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without a lease.

        Args:
            store: Where the entries are, and the claims.
            quiet: Swallows what the store raises, and counts it.
            clock: Seconds, from any point in time.
        """
        self._store = store
        self._quiet = quiet
        self._clock = clock
        self._renewals = Renewals(store, quiet, clock)
        self._able_at = -math.inf

    def __reduce__(self) -> Any:
        # A copy holds no lease.
        return Leases, (self._store, self._quiet, self._clock)

    def claim_or_find(
        self,
        flight: Flight,
        patience: float = PATIENCE,
        seconds: float = LEASE_SECONDS,
    ) -> Steps[Found | None]:
        """Wait while another process makes the call of a flight.

        Args:
            flight: The flight, led by this caller. If nobody else makes the call, it
                has a lease from now on until it lands.
            patience: Seconds to wait at most.
            seconds: How long the lease holds when this process dies.

        Returns:
            The steps, which end with what the other process stored. After `None` the
            caller makes the call: it has the lease, or nobody can have one.
        """
        if flight.alone or not self._store.shared or self._clock() < self._able_at:
            return None
        lease = Lease(flight.key, seconds, lambda: flight.is_worth_waiting_for)
        flight.on_landing(self._renewals.wake)
        end = self._clock() + patience
        pause = _FIRST_PAUSE
        while True:
            tried: tuple[bool, Found | None] | None = None
            with self._quiet("taking a lease"):
                tried = yield Call(partial(self._try, lease))
            if tried is None:
                self._able_at = self._clock() + _SECONDS_UNABLE
                return None
            mine, found = tried
            left = end - self._clock()
            if mine or found is not None or left <= 0:
                return found
            yield _wait(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self, lease: Lease) -> tuple[bool, Found | None]:
        """Claim a call; look whether it was made, now that nobody else makes it."""
        mine = self._store.claim(lease.name, lease.holder, lease.seconds)
        if mine:
            # Here: who waits for this thread may be canceled, and end the flight.
            self._renewals.add(lease)
        return mine, self._store.find(lease.name)

    def close(self) -> None:
        """Give back every lease."""
        self._renewals.close()


def _wait(seconds: float) -> Wait:
    return Wait(partial(time.sleep, seconds), partial(asyncio.sleep, seconds))
