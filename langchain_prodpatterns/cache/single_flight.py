"""One call for many callers behind LangChain's cache interface.

There, a call begins with a miss and ends with an update, or with nothing: that it
failed is never reported. So nobody is waited for longer than a few seconds.
"""

import time
from functools import partial

from langchain_prodpatterns.cache.flights import Flight, Flights, Landing
from langchain_prodpatterns.cache.leases import LEASE_SECONDS, Leases
from langchain_prodpatterns.cache.steps import Call, Steps, Wait
from langchain_prodpatterns.cache.stores import CacheStore, Found

_MAX_OPEN = 1024


class SingleFlight:
    """Lets the first caller of a request through, and has the others wait for him."""

    def __init__(self, store: CacheStore, leases: Leases, seconds: float) -> None:
        """Begin without a call.

        Args:
            store: Where the entries are.
            leases: Lets one process make a call.
            seconds: How long a caller is waited for, and how long one waits, at most.
        """
        self._store = store
        self._leases = leases
        self._seconds = seconds
        self._flights = Flights(seconds, _MAX_OPEN)

    def others(self, exact: str) -> Steps[Found | None]:
        """After a miss, wait for who has missed the same before.

        Args:
            exact: The request.

        Returns:
            The steps, which end with what was stored in the meantime. After `None` the
            caller makes the call, and is who others wait for.
        """
        end = time.monotonic() + self._seconds
        place = self._flights.join(exact)
        while not place.leads:
            flight = place.flight
            if flight.is_mine:
                # The call had failed, and is tried again.
                flight.reopen()
                return None
            if self._flights.led_here:
                # One of several prompts of one call. Whoever makes others wait and
                # waits himself may wait for one who waits for him.
                return None
            left = max(end - time.monotonic(), 0.0)
            landing: Landing = yield Wait(
                partial(flight.wait, left), partial(flight.await_landing, left)
            )
            if landing in {"stored", "not stored"}:
                found: Found | None = yield Call(partial(self._store.find, exact))
                return found
            place = self._flights.take_over(flight)
        return (yield from self._lead(place.flight, end - time.monotonic()))

    def _lead(self, flight: Flight, patience: float) -> Steps[Found | None]:
        """Wait for other processes, no longer than for callers of this one."""
        found: Found | None = None
        try:
            found = yield from self._leases.claim_or_find(
                flight, max(patience, 0.0), min(self._seconds, LEASE_SECONDS)
            )
        except BaseException:
            flight.land("failed")
            raise
        if found is None:
            flight.reopen()
        else:
            flight.land("stored")
        return found

    def land(self, exact: str, *, stored: bool) -> None:
        """Tell those who wait that an answer is there, or will not be.

        Args:
            exact: The request.
            stored: Whether it was worth storing.
        """
        self._flights.land(exact, "stored" if stored else "not stored")
