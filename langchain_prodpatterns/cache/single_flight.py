"""One call for many callers behind LangChain's cache interface.

There, a call begins with a miss and ends with an update, or with nothing: that it
failed is never reported. So nobody is waited for longer than a few seconds.
"""

import time
from functools import partial
from typing import Protocol

from langchain_prodpatterns.cache.flights import Flight, Flights, Landing
from langchain_prodpatterns.cache.leases import LEASE_SECONDS, Leases
from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.steps import Steps, Wait, of_store
from langchain_prodpatterns.cache.stores import CacheStore, Found
from langchain_prodpatterns.cache.tiers import Others

_MAX_OPEN = 1024


class Find(Protocol):
    """Looks a request up, with regard to others who ask the same."""

    def __call__(self, *, before: Others, others: Others) -> Steps[Lookup]:
        """Return the steps, as `Tiers.find` does."""
        ...


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

    def look_up(self, exact: str, find: Find) -> Steps[Lookup]:
        """Look a request up; who asks the same meanwhile waits.

        Args:
            exact: The request.
            find: Looks it up.

        Returns:
            The steps, which end with the lookup. After a miss the caller makes the
            call, and is who others wait for.
        """
        turn = _Turn(exact, time.monotonic() + self._seconds)
        try:
            lookup = yield from find(
                before=partial(self._join, turn), others=partial(self._claim, turn)
            )
        except BaseException:
            turn.land("failed")
            raise
        if lookup.decision.hit:
            turn.land("stored")
        return lookup

    def _join(self, turn: "_Turn") -> Steps[Found | None]:
        """Wait for who has asked the same before, in this process.

        Before the nearest answer is looked at: one verdict is enough, too.
        """
        place = self._flights.join(turn.exact)
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
            landing: Landing = yield Wait(
                partial(flight.wait, turn.left),
                partial(flight.await_landing, turn.left),
            )
            if landing in {"stored", "not stored"}:
                found: Found | None = yield of_store(self._store, "find", turn.exact)
                return found
            place = self._flights.take_over(flight)
        turn.flight = place.flight
        return None

    def _claim(self, turn: "_Turn") -> Steps[Found | None]:
        """After a miss, wait for other processes, no longer than for this one."""
        if turn.flight is None:
            return None
        found = yield from self._leases.claim_or_find(
            turn.flight, turn.left, min(self._seconds, LEASE_SECONDS)
        )
        if found is None:
            turn.flight.reopen()
        return found

    def land(self, exact: str, *, stored: bool) -> None:
        """Tell those who wait that an answer is there, or will not be.

        Args:
            exact: The request.
            stored: Whether it was worth storing.
        """
        self._flights.land(exact, "stored" if stored else "not stored")


class _Turn:
    """One caller's lookup: how long it waits, and the flight that it leads."""

    def __init__(self, exact: str, end: float) -> None:
        self.exact = exact
        self.flight: Flight | None = None
        self._end = end

    @property
    def left(self) -> float:
        """Seconds left to wait for others."""
        return max(self._end - time.monotonic(), 0.0)

    def land(self, ended: Landing) -> None:
        """End the flight, if there is one: no call will follow."""
        if self.flight is not None:
            self.flight.land(ended)
