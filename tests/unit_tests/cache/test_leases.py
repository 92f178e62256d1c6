"""One call for many processes: two caches on one path stand for two processes."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from langchain_prodpatterns.cache import SemanticJudgeCache, flights
from langchain_prodpatterns.cache.counters import Counters
from langchain_prodpatterns.cache.flights import Flight, Flights
from langchain_prodpatterns.cache.leases import Leases
from langchain_prodpatterns.cache.renewals import Lease, Renewals
from langchain_prodpatterns.cache.steps import Call, Steps, Wait
from langchain_prodpatterns.cache.stores import Entry, Found, LocalStore
from langchain_prodpatterns.errors import StoreError
from tests.unit_tests.cache.conftest import CLONES, Clock, CountingEmbeddings

ENTRY = Entry("key", "partition", "k", None, "value", "default")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[LocalStore]:
    opened = LocalStore(tmp_path / "cache.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def leases(store: LocalStore, counters: Counters, clock: Clock) -> Iterator[Leases]:
    made = Leases(store, counters.quiet, clock)
    yield made
    made.close()


@pytest.fixture
def flight() -> Flight:
    return Flights().join("k").flight


def free(store: LocalStore) -> bool:
    """Whether nobody has the lease; nobody has it afterwards either."""
    if not store.claim("k", "test", 1):
        return False
    store.release("k", "test")
    return True


def try_once(steps: Steps[Found | None]) -> Wait:
    """Take a step that claims in vain; return the pause after it."""
    step = next(steps)
    assert isinstance(step, Call)
    pause = steps.send(step.function())
    assert isinstance(pause, Wait)
    return pause


def outcome(steps: Steps[Found | None]) -> Found | None:
    """Take a step that ends the waiting."""
    step = next(steps)
    assert isinstance(step, Call)
    with pytest.raises(StopIteration) as end:
        steps.send(step.function())
    found: Found | None = end.value.value
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    tick = threading.Event()
    for _ in range(3_000):
        if condition():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen")


def test_who_is_first_has_the_lease_until_the_call_ends(
    leases: Leases, store: LocalStore, flight: Flight
) -> None:
    with flight:
        assert outcome(leases.claim_or_find(flight)) is None
        assert not free(store)
    until(lambda: free(store))


def test_others_wait_and_find_what_was_stored(
    leases: Leases, store: LocalStore, flight: Flight
) -> None:
    store.claim("k", "other", 100)
    steps = leases.claim_or_find(flight)
    try_once(steps)
    store.add(ENTRY, None)

    found = outcome(steps)
    assert found is not None
    assert found.entry.key == "key"
    flight.land("stored")


def test_what_was_stored_just_before_the_lease_was_given_back_is_found(
    leases: Leases, store: LocalStore, flight: Flight
) -> None:
    store.add(ENTRY, None)
    with flight:
        assert outcome(leases.claim_or_find(flight)) is not None
    until(lambda: free(store))


def test_who_waits_takes_over_from_one_that_gave_up_or_died(
    leases: Leases, store: LocalStore, flight: Flight, clock: Clock
) -> None:
    store.claim("k", "dead", 10)
    steps = leases.claim_or_find(flight)
    try_once(steps)
    clock.now += 9.9
    try_once(steps)
    clock.now += 0.1

    with flight:
        assert outcome(steps) is None
        assert not free(store)


def test_pauses_grow_to_a_quarter_of_a_second(
    leases: Leases, store: LocalStore, flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    store.claim("k", "other", 1_000)
    steps = leases.claim_or_find(flight)
    for _ in range(7):
        try_once(steps).block()

    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25]


async def test_a_pause_does_not_block_the_loop(
    leases: Leases, store: LocalStore, flight: Flight
) -> None:
    store.claim("k", "other", 1_000)
    pause = asyncio.ensure_future(try_once(leases.claim_or_find(flight)).unblocking())
    await asyncio.sleep(0)
    assert not pause.done()
    await pause


def test_patience_ends(
    leases: Leases, store: LocalStore, flight: Flight, clock: Clock
) -> None:
    store.claim("k", "other", 1_000)
    steps = leases.claim_or_find(flight)
    try_once(steps)
    clock.now += 119
    try_once(steps)
    clock.now += 1

    assert outcome(steps) is None


@pytest.mark.parametrize("reason", ["alone", "memory"])
def test_no_lease_is_taken_where_it_is_of_no_use(
    leases: Leases, counters: Counters, reason: str
) -> None:
    flight = Flight(Flights(), "k", alone=reason == "alone")
    memory = LocalStore()
    if reason == "memory":
        leases = Leases(memory, counters.quiet)

    assert not list(leases.claim_or_find(flight))
    memory.close()


def test_a_store_that_cannot_claim_is_not_asked_again_for_a_while(
    leases: Leases,
    store: LocalStore,
    flight: Flight,
    clock: Clock,
    counters: Counters,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = leases.claim_or_find(flight)
    next(steps)
    with caplog.at_level(logging.WARNING), pytest.raises(StopIteration) as end:
        steps.throw(StoreError("the disk is full"))
    assert end.value.value is None
    assert caplog.messages == ["cache: taking a lease failed (StoreError)"]

    assert not list(leases.claim_or_find(flight))
    clock.now += 10
    assert isinstance(next(leases.claim_or_find(flight)), Call)


@pytest.fixture
def renewals(
    store: LocalStore,
    counters: Counters,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Renewals:
    """Renewals whose thread does nothing: the test looks after them."""
    monkeypatch.setattr(Renewals, "_work", lambda _: None)
    return Renewals(store, counters.quiet, clock)


def test_a_lease_is_renewed_while_it_is_wanted(
    renewals: Renewals, store: LocalStore, clock: Clock
) -> None:
    wanted = True
    lease = Lease("k", 10, lambda: wanted)
    store.claim("k", lease.holder, 10)
    renewals.add(lease)
    for _ in range(12):
        assert renewals.look_after() == 2.5
        clock.now += 2.5
    assert not free(store)

    wanted = False
    assert renewals.look_after() is None
    assert free(store)


def test_a_lease_that_another_has_got_is_given_up(
    renewals: Renewals, store: LocalStore, clock: Clock
) -> None:
    lease = Lease("k", 10, lambda: True)
    store.claim("k", lease.holder, 10)
    renewals.add(lease)
    clock.now += 10
    store.claim("k", "other", 10)

    assert renewals.look_after() is None
    assert not free(store)


def test_a_renewal_that_fails_is_tried_again(
    renewals: Renewals,
    store: LocalStore,
    clock: Clock,
    counters: Counters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> bool:
        raise StoreError

    renewals.add(Lease("k", 10, lambda: True))
    clock.now += 2.5
    with monkeypatch.context() as patched:
        patched.setattr(store, "claim", full)
        assert renewals.look_after() == 2.5
    assert counters._counts["error"] == 1
    clock.now += 2.5
    assert renewals.look_after() == 2.5
    assert not free(store)


def test_the_thread_is_there_while_there_is_a_lease(
    store: LocalStore, counters: Counters
) -> None:
    renewals = Renewals(store, counters.quiet)
    wanted = True
    renewals.add(Lease("k", 10, lambda: wanted))
    thread = renewals._thread
    assert thread is not None

    wanted = False
    renewals.wake()
    thread.join(30)
    assert not thread.is_alive()


def test_closing_gives_every_lease_back(store: LocalStore, counters: Counters) -> None:
    renewals = Renewals(store, counters.quiet)
    lease = Lease("k", 1_000, lambda: True)
    store.claim("k", lease.holder, 1_000)
    renewals.add(lease)
    renewals.close()

    assert free(store)
    assert renewals._thread is None


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_holds_no_lease(
    tmp_path: Path, clone: Callable[[Any], Any], counters: Counters
) -> None:
    store = LocalStore(tmp_path / "cache.db")
    original = Renewals(store, counters.quiet)
    original.add(Lease("k", 10, lambda: True))
    copied = clone(original)

    assert copied._due == {}
    copied._store.close()
    original.close()
    store.close()


# Two caches on one path: neither knows of the other's flights.

Pair = tuple[SemanticJudgeCache, SemanticJudgeCache]


@pytest.fixture
def pair(open_cache: Callable[..., SemanticJudgeCache], tmp_path: Path) -> Pair:
    path = tmp_path / "cache.db"
    one, other = (
        open_cache(CountingEmbeddings(), band=(0.8, 0.99), path=path) for _ in range(2)
    )
    return one, other


class Work:
    """A chain of two caches that counts its calls; the first one waits, or fails."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, value: str) -> str:
        self.calls += 1
        if self.calls == 1:
            self.begun.set()
            assert self.go.wait(30)
            if self.error:
                raise self.error
        return f"answer to {value}"


def _in_thread(function: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        with contextlib.suppress(LookupError):
            results.append(function())

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def _waits(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch
) -> threading.Event:
    """Tell when a cache has claimed in vain, and so waits for another process."""
    waiting = threading.Event()
    claim = cache._store.claim

    def claimed(name: str, holder: str, seconds: float) -> bool:
        mine = claim(name, holder, seconds)
        if not mine:
            waiting.set()
        return mine

    monkeypatch.setattr(cache._store, "claim", claimed)
    return waiting


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream", "batch"])
@pytest.mark.parametrize("fails", [False, True])
def test_another_process_waits_for_the_call(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, way: str, *, fails: bool
) -> None:
    work = Work()
    work.error = LookupError() if fails else None
    one, other = (cache.wrap(RunnableLambda(work), scope="s") for cache in pair)
    waiting = _waits(pair[1], monkeypatch)

    async def streamed() -> str:
        return "".join([chunk async for chunk in other.astream("Why?")])

    ways: dict[str, Callable[[], Any]] = {
        "invoke": lambda: other.invoke("Why?"),
        "stream": lambda: "".join(other.stream("Why?")),
        "ainvoke": lambda: asyncio.run(other.ainvoke("Why?")),
        "astream": lambda: asyncio.run(streamed()),
        "batch": lambda: other.batch(["Why?", "Why?"])[0],
    }
    leader, _ = _in_thread(lambda: one.invoke("Why?"))
    assert work.begun.wait(30)
    follower, answers = _in_thread(ways[way])
    assert waiting.wait(30)
    work.go.set()
    for thread in (leader, follower):
        thread.join(30)

    assert answers == ["answer to Why?"]
    assert work.calls == (2 if fails else 1)
    stats = pair[1].stats()
    assert (stats.misses, stats.errors) == (1 if fails else 0, 0)


async def test_a_cancelled_call_gives_its_lease_back(pair: Pair) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def work(_: str) -> str:
        begun.set()
        await never.wait()
        return ""

    call = asyncio.create_task(
        pair[0].wrap(RunnableLambda(work), scope="s").ainvoke("Why?")
    )
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    # The same chain in another process: nobody makes the call any more.
    other = pair[1].wrap(RunnableLambda(work), scope="s")
    begun.clear()
    never.set()
    assert await other.ainvoke("Why?") == ""
    assert begun.is_set()


def test_a_stream_that_is_left_gives_its_lease_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def talk(_: Iterator[Any]) -> Iterator[str]:
        calls.append(1)
        yield "a"
        yield "b"

    one, other = (cache.wrap(RunnableGenerator(talk), scope="s") for cache in pair)
    left = one.stream("Why?")
    next(left)
    del left

    assert list(other.stream("Why?")) == ["a", "b"]
    assert len(calls) == 2


def test_a_reader_who_never_returns_holds_no_other_process(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "_PAUSE", 0.01)

    def talk(_: Iterator[Any]) -> Iterator[str]:
        yield "a"
        yield "b"

    one, other = (cache.wrap(RunnableGenerator(talk), scope="s") for cache in pair)
    left = one.stream("Why?")
    next(left)

    assert list(other.stream("Why?")) == ["a", "b"]
    assert list(left) == ["b"]


def test_an_exact_hit_takes_no_lease(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = pair[0].wrap(RunnableLambda(str.upper))
    chain.invoke("Why?")
    monkeypatch.delattr(LocalStore, "claim")

    assert chain.invoke("Why?") == "WHY?"
    assert pair[0].stats().errors == 0


def test_a_full_disk_fails_no_call(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> bool:
        raise StoreError

    monkeypatch.setattr(pair[0]._store, "claim", full)

    assert pair[0].wrap(RunnableLambda(str.upper)).invoke("Why?") == "WHY?"
