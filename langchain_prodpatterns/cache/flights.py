"""One call for many callers that ask the same at the same time, in one process."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from langchain_prodpatterns.cache.pending import whereabouts

Landing: TypeAlias = Literal["stored", "not stored", "failed", "late"]
"""How a flight ended for those who waited: `late` when they gave up waiting."""

_PATIENCE = 120.0
"""Seconds to wait for another's call. The one who streams an answer may stop reading
it, and two who wait for each other would wait for ever."""
_FLIGHTS_TO_TRY = 2


class Flight:
    """A call under way. Who leads it makes the call, within `with flight:`."""

    def __init__(self, flights: "Flights", key: str) -> None:
        self.ended: Landing = "failed"
        """How it ends; the leader sets it once the answer is there."""
        self._flights = flights
        self._key = key
        self._pilot = whereabouts()
        self._landed: Future[Landing] = Future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flights._forget(self._key)  # noqa: SLF001 - one module
        self._landed.set_result(self.ended)

    @property
    def is_mine(self) -> bool:
        """Whether this very thread and task leads it: waiting would be for ever."""
        return self._pilot == whereabouts()

    def wait(self) -> Landing:
        """Wait for its end, blocking this thread."""
        thread, _ = self._pilot
        if thread == threading.get_ident():
            # Led by this call or by a task of this thread's event loop, which would
            # not go on while it is blocked.
            return "late"
        try:
            return self._landed.result(_PATIENCE)
        except TimeoutError:
            return "late"

    async def await_landing(self) -> Landing:
        """Wait for its end without blocking the event loop."""
        if self.is_mine:
            return "late"
        landed = asyncio.wrap_future(self._landed)
        # Not `wait_for`: it would cancel the future that the others wait for, too.
        done, _ = await asyncio.wait({landed}, timeout=_PATIENCE)
        return landed.result() if done else "late"


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

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, _: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]  # a copy has no call under way

    def places(self, key: str) -> Iterator[Place]:
        """Yield a place, and another one if the first leader fails, but no third.

        Where every call fails slowly, those who wait would otherwise fail in single
        file: who was let down twice calls for himself.
        """
        for _ in range(_FLIGHTS_TO_TRY):
            yield self.join(key)

    def join(self, key: str) -> Place:
        """Join the flight of a request, or lead one if there is none."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return Place(flight, leads=False)
            flight = self._flights[key] = Flight(self, key)
            return Place(flight, leads=True)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._flights.pop(key, None)
