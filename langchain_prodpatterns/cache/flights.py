"""One call for many callers that ask the same at the same time, in one process."""

import asyncio
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from langchain_prodpatterns.cache.pending import whereabouts

Landing: TypeAlias = Literal["stored", "not stored", "failed", "left", "late"]
"""How a flight ended for those who waited: `left` when the reader of its stream kept
them waiting or another took over, `late` when they gave up."""

PATIENCE = 120.0
"""Seconds to wait for another's call. Two who wait for each other would wait for ever,
and so would threads of a pool that the call itself needs."""
_PAUSE = 1.0
"""Seconds that who reads a stream may keep those waiting who do not."""
_FLIGHTS_TO_TRY = 2
_TAKEN_OVER: frozenset[Landing] = frozenset({"failed", "left"})


class Flight:
    """A call under way. Who leads it makes the call, within `with flight:`."""

    def __init__(self, flights: "Flights", key: str, *, alone: bool = False) -> None:
        self.ended: Landing = "failed"
        """How it ends; the leader sets it once the answer is there."""
        self.alone = alone
        """Whether its leader calls for himself, after he has waited for others."""
        self._flights = flights
        self._key = key
        self._pilot = whereabouts()
        self._landed: Future[Landing] = Future()
        self._on_landing: list[Callable[[], None]] = []
        self._opened_at = time.monotonic()
        self._paused_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.land(self.ended)

    def land(self, ended: Landing) -> None:
        """End it, if it has not ended yet, and tell those who wait."""
        self._flights._forget(self)  # noqa: SLF001 - one module
        with suppress(InvalidStateError):
            self._landed.set_result(ended)
        for told in self._on_landing:
            told()

    def on_landing(self, told: Callable[[], None]) -> None:
        """Have a function called when it ends. It must not fail, nor take long."""
        self._on_landing.append(told)

    def reopen(self) -> None:
        """Let its time begin now: its leader begins the call, or begins it again."""
        self._opened_at = time.monotonic()

    @property
    def is_worth_waiting_for(self) -> bool:
        """Whether it goes on, in time, and no reader of its stream keeps it waiting."""
        now = time.monotonic()
        return not self._landed.done() and now < min(self._due, self._reader_due(now))

    @property
    def _due(self) -> float:
        """When those who wait for it have waited long enough."""
        return self._opened_at + self._flights.seconds

    def _reader_due(self, now: float) -> float:
        """When a reader who does not go on has kept those who wait for too long."""
        # A reader who is not keeping anyone waiting now may be so a moment later.
        return (self._paused_at or now) + _PAUSE

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

    def wait(self, patience: float | None = None) -> Landing:
        """Wait for its end, blocking this thread.

        Args:
            patience: Seconds to wait at most; by default two minutes.
        """
        thread, _ = self._pilot
        if thread == threading.get_ident():
            # Led by this call or by a task of this thread's event loop, which would
            # not go on while it is blocked.
            return "late"
        for seconds in self._looks(patience):
            try:
                return self._landed.result(seconds)
            except TimeoutError:
                continue
        return self._give_up()

    async def await_landing(self, patience: float | None = None) -> Landing:
        """Wait for its end without blocking the event loop.

        Args:
            patience: As for `wait`.
        """
        if self.is_mine:
            return "late"
        landed = asyncio.wrap_future(self._landed)
        for seconds in self._looks(patience):
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

    def _looks(self, patience: float | None = None) -> Iterator[float]:
        """Yield how long to wait before the next look, while it is worth waiting."""
        end = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            now = time.monotonic()
            until = min(end, self._due, self._reader_due(now))
            if until <= now:
                return
            yield until - now


@dataclass(frozen=True, slots=True)
class Place:
    """A caller's place: at the head of a flight, or behind its leader."""

    flight: Flight
    """The flight."""
    leads: bool
    """Whether this caller makes the call."""


class Flights:
    """The calls under way."""

    def __init__(self, seconds: float = math.inf, limit: int | None = None) -> None:
        """Begin without a call.

        Args:
            seconds: How long a flight is waited for, at most, since it was opened.
            limit: How many to know of; the oldest is given up for a new one.
        """
        self._limit = limit
        self.seconds = seconds
        """How long a flight is waited for, at most, since it was opened."""
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        # Reentrant: the collector may end a forgotten stream's flight anywhere.
        self._lock = threading.RLock()
        self._flights: OrderedDict[str, Flight] = OrderedDict()

    def _locked(self) -> AbstractContextManager[object]:
        if self._process != os.getpid():
            # The calls of its parent never end in a forked process, and a thread that
            # had the lock is not there to give it back.
            self._begin()
        return self._lock

    def __reduce__(self) -> Any:
        # A copy has no call under way.
        return Flights, (self.seconds, self._limit)

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
        return Flight(self, key, alone=True)

    async def aboard(self, key: str) -> Flight:
        """Return a flight to lead, like `board`, without blocking the event loop."""
        for _ in range(_FLIGHTS_TO_TRY):
            place = self.join(key)
            if place.leads:
                return place.flight
            if await place.flight.await_landing() not in _TAKEN_OVER:
                break
        return Flight(self, key, alone=True)

    def join(self, key: str) -> Place:
        """Join the flight of a request, or lead one if there is none."""
        with self._locked():
            flight = self._flights.get(key)
            if flight is not None:
                return Place(flight, leads=False)
            flight = self._flights[key] = Flight(self, key)
        self._give_up_oldest()
        return Place(flight, leads=True)

    def take_over(self, flight: Flight) -> Place:
        """Lead in the place of another, or join who has done so before."""
        # Those who wait for the other look again, and find the new one.
        flight.land("left")
        return self.join(flight.key)

    def land(self, key: str, ended: Landing) -> None:
        """End the flight of a request, if there is one."""
        with self._locked():
            flight = self._flights.get(key)
        if flight is not None:
            flight.land(ended)

    @property
    def led_here(self) -> bool:
        """Whether this very thread and task leads one that others may wait for."""
        with self._locked():
            flights = list(self._flights.values())
        return any(f.is_mine and f.is_worth_waiting_for for f in flights)

    def _give_up_oldest(self) -> None:
        with self._locked():
            if self._limit is None or len(self._flights) <= self._limit:
                return
            oldest = next(iter(self._flights.values()))
        oldest.land("left")

    def _forget(self, flight: Flight) -> None:
        with self._locked():
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
