"""One call for many callers that ask the same at the same time, in one process."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from langchain_prodpatterns.cache.pending import whereabouts

Landing: TypeAlias = Literal["stored", "not stored", "failed", "left", "late"]
"""How a flight ended for those who waited: `left` when the reader of its stream kept
them waiting, `late` when they gave up."""

_PATIENCE = 120.0
"""Seconds to wait for another's call. Two who wait for each other would wait for ever,
and so would threads of a pool that the call itself needs."""
_PAUSE = 1.0
"""Seconds that who reads a stream may keep those waiting who do not."""
_FLIGHTS_TO_TRY = 2
_TAKEN_OVER: frozenset[Landing] = frozenset({"failed", "left"})


class Flight:
    """A call under way. Who leads it makes the call, within `with flight:`."""

    def __init__(self, flights: "Flights", key: str) -> None:
        self.ended: Landing = "failed"
        """How it ends; the leader sets it once the answer is there."""
        self._flights = flights
        self._key = key
        self._pilot = whereabouts()
        self._landed: Future[Landing] = Future()
        self._paused_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flights._forget(self)  # noqa: SLF001 - one module
        self._landed.set_result(self.ended)

    @property
    def key(self) -> str:
        """The request."""
        return self._key

    @property
    def is_mine(self) -> bool:
        """Whether this very thread and task leads it: waiting would be for ever."""
        return self._pilot == whereabouts()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hand a chunk to the reader of the stream, who may take long or never return.

        The time the source takes is worth waiting for, the time the reader takes is
        not: after a second of it, one of those who wait takes over.
        """
        self._paused_at = time.monotonic()
        try:
            yield
        finally:
            self._paused_at = None

    def wait(self) -> Landing:
        """Wait for its end, blocking this thread."""
        thread, _ = self._pilot
        if thread == threading.get_ident():
            # Led by this call or by a task of this thread's event loop, which would
            # not go on while it is blocked.
            return "late"
        for seconds in self._looks():
            try:
                return self._landed.result(seconds)
            except TimeoutError:
                continue
        return self._give_up()

    async def await_landing(self) -> Landing:
        """Wait for its end without blocking the event loop."""
        if self.is_mine:
            return "late"
        landed = asyncio.wrap_future(self._landed)
        for seconds in self._looks():
            # Not `wait_for`: it would cancel the future the others wait for, too.
            done, _ = await asyncio.wait({landed}, timeout=seconds)
            if done:
                return landed.result()
        return self._give_up()

    def _give_up(self) -> Landing:
        if self._paused_at is None:
            return "late"
        # Whoever comes next need not find that out again.
        self._flights._forget(self)  # noqa: SLF001 - one module
        return "left"

    def _looks(self) -> Iterator[float]:
        """Yield how long to wait before the next look, while it is worth waiting."""
        end = time.monotonic() + _PATIENCE
        while (now := time.monotonic()) < end:
            # A reader who is not keeping anyone waiting now may be so a moment later.
            until = (self._paused_at or now) + _PAUSE
            if until <= now:
                return
            yield min(until, end) - now


@dataclass(frozen=True, slots=True)
class Place:
    """A caller's place: at the head of a flight, or behind its leader."""

    flight: Flight
    """The flight."""
    leads: bool
    """Whether this caller makes the call."""


class Flights:
    """The calls under way."""

    def __init__(self) -> None:
        # Reentrant: the collector may end a forgotten stream's flight anywhere.
        self._lock = threading.RLock()
        self._flights: dict[str, Flight] = {}

    def __reduce__(self) -> Any:
        # A copy has no call under way.
        return Flights, ()

    def board(self, key: str) -> Flight:
        """Return a flight to lead, after those that are under way.

        Where every call fails slowly, those who wait would otherwise fail in single
        file: who was let down twice calls for himself, and so does who found the
        answer not stored or waited in vain.

        Args:
            key: The request.

        Returns:
            A flight to lead. Nobody follows it who calls for himself.
        """
        for _ in range(_FLIGHTS_TO_TRY):
            place = self.join(key)
            if place.leads:
                return place.flight
            if place.flight.wait() not in _TAKEN_OVER:
                break
        return Flight(self, key)

    async def aboard(self, key: str) -> Flight:
        """Return a flight to lead, like `board`, without blocking the event loop."""
        for _ in range(_FLIGHTS_TO_TRY):
            place = self.join(key)
            if place.leads:
                return place.flight
            if await place.flight.await_landing() not in _TAKEN_OVER:
                break
        return Flight(self, key)

    def join(self, key: str) -> Place:
        """Join the flight of a request, or lead one if there is none."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return Place(flight, leads=False)
            flight = self._flights[key] = Flight(self, key)
            return Place(flight, leads=True)

    def _forget(self, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
