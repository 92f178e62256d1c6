"""One call for many callers."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_prodpatterns.cache import flights as module
from langchain_prodpatterns.cache import pending
from langchain_prodpatterns.cache.flights import Flight, Flights, Landing, Place
from tests.unit_tests.cache.conftest import CLONES


def _elsewhere(flights: Flights, *, ended: Landing | None) -> threading.Thread:
    """Lead a flight in another thread until the main one has joined it."""
    leads, go = threading.Event(), threading.Event()

    def lead() -> None:
        with flights.join("k").flight as flight:
            leads.set()
            go.wait(30)
            if ended:
                flight.ended = ended

    thread = threading.Thread(target=lead)
    thread.go = go  # type: ignore[attr-defined]  # the test's own
    thread.start()
    assert leads.wait(30)
    return thread


@pytest.mark.parametrize("ended", ["stored", "not stored", None])
def test_followers_learn_how_it_ended(ended: Landing | None) -> None:
    flights = Flights()
    leader = _elsewhere(flights, ended=ended)
    place = flights.join("k")
    assert not place.leads

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(place.flight.wait) for _ in range(4)]
        leader.go.set()  # type: ignore[attr-defined]  # see above
        assert {w.result(30) for w in waiting} == {ended or "failed"}
    leader.join()
    assert flights.join("k").leads


async def test_a_task_that_waits_does_not_block_the_loop() -> None:
    flights = Flights()
    leader = _elsewhere(flights, ended="stored")
    waiting = [
        asyncio.create_task(flights.join("k").flight.await_landing()) for _ in range(3)
    ]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    leader.go.set()  # type: ignore[attr-defined]  # see above

    assert await asyncio.gather(*waiting[1:]) == ["stored", "stored"]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    leader.join()


async def test_waiting_for_oneself_is_not_for_ever() -> None:
    flights = Flights()
    with flights.join("k").flight:
        assert flights.join("k").flight.wait() == "late"
        assert await flights.join("k").flight.await_landing() == "late"


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.001)
    flights = Flights()
    leader = _elsewhere(flights, ended="stored")

    assert flights.join("k").flight.wait() == "late"
    assert await flights.join("k").flight.await_landing() == "late"
    leader.go.set()  # type: ignore[attr-defined]  # see above
    leader.join()


def test_other_requests_fly_on_their_own() -> None:
    flights = Flights()
    with flights.join("a").flight:
        assert flights.join("b").leads


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_has_no_call_under_way(clone: Callable[[Any], Any]) -> None:
    flights = Flights()
    with flights.join("a").flight:
        assert clone(flights).join("a").leads


async def test_a_thread_does_not_wait_for_a_task_of_its_own_loop() -> None:
    flights = Flights()
    leads, go = asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        with flights.join("k").flight:
            leads.set()
            await go.wait()

    leader = asyncio.create_task(lead())
    await leads.wait()

    assert flights.join("k").flight.wait() == "late"
    go.set()
    await leader


async def test_a_later_task_is_not_taken_for_the_leader() -> None:
    # A streaming leader is many tasks, one a chunk, and ids of tasks are given again.
    flights = Flights()

    async def join() -> bool:
        return flights.join("k").flight.is_mine

    assert await asyncio.create_task(join())
    assert not any([await asyncio.create_task(join()) for _ in range(50)])


def test_a_stream_may_be_collected_while_another_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flights = Flights()
    forgotten = flights.join("a").flight
    whereabouts = pending.whereabouts

    def collect() -> Any:
        # What the garbage collector may do at any time, in any thread.
        forgotten.__exit__()
        return whereabouts()

    monkeypatch.setattr(module, "whereabouts", collect)
    joining = threading.Thread(target=flights.join, args=("b",), daemon=True)
    joining.start()
    joining.join(10)

    assert not joining.is_alive()


@pytest.fixture(params=[False, True], ids=["board", "aboard"])
def board(request: pytest.FixtureRequest) -> Callable[[Flights], Flight]:
    """Wait for a flight to lead, blocking or not."""
    if request.param:
        return lambda flights: asyncio.run(flights.aboard("k"))
    return lambda flights: flights.board("k")


def test_who_is_let_down_twice_does_not_wait_again(
    board: Callable[[Flights], Flight], monkeypatch: pytest.MonkeyPatch
) -> None:
    flights = Flights()
    places: list[Place] = []

    def join(_: str) -> Place:
        flight = Flight(flights, "k")
        with flight:
            pass
        flight._pilot = (0, None)
        places.append(Place(flight, leads=False))
        return places[-1]

    monkeypatch.setattr(flights, "join", join)
    alone = board(flights)

    assert len(places) == 2
    assert alone not in [place.flight for place in places]


def test_who_flies_alone_leaves_the_flight_of_others_alone(
    board: Callable[[Flights], Flight], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.001)
    flights = Flights()
    leader = _elsewhere(flights, ended="stored")
    with board(flights):
        pass

    assert not flights.join("k").leads
    leader.go.set()  # type: ignore[attr-defined]  # see above
    leader.join()


def test_a_reader_who_takes_long_is_taken_over_by_one_of_those_who_wait(
    board: Callable[[Flights], Flight], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    flights = Flights()
    reading, go = threading.Event(), threading.Event()

    def stream() -> None:
        with flights.join("k").flight as flight, flight.paused():
            reading.set()
            go.wait(30)

    slow = threading.Thread(target=stream)
    slow.start()
    assert reading.wait(30)

    with board(flights) as flight:
        assert flights.join("k").flight is flight
        # The reader comes back: what ends is the old flight, not the new one.
        go.set()
        slow.join(30)
        assert flights.join("k").flight is flight


def test_a_source_that_takes_long_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    flights = Flights()
    leader = _elsewhere(flights, ended="stored")
    flight = flights.join("k").flight
    looks = flight._looks()
    assert [next(looks) > 0 for _ in range(50)] == [True] * 50

    leader.go.set()  # type: ignore[attr-defined]  # see above
    assert flight.wait() == "stored"
    leader.join()


def test_a_call_of_two_minutes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 1_000.0)
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    flights = Flights()
    with flights.join("k").flight as flight:
        looks = flight._looks()
        assert next(looks) == 120.0
        now = 119.0
        assert next(looks) == 1.0
        now = 120.0
        assert next(looks, None) is None
