"""A thread that does the chores, for as long as somebody has the store."""

import copy
import gc
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakMethod

import psycopg
import pytest

from langchain_prodpatterns.cache.stores.postgres.housekeeping import (
    Chores,
    Housekeeping,
)
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from tests.unit_tests.cache.conftest import Clock

PATIENCE = 60.0
SOON = 0.001
LATE = 10_000.0


class FakeConnection:
    """A connection that hears of something when a test says so."""

    def __init__(self) -> None:
        self.own, self.other = socket.socketpair()
        self.told: list[str] = []
        self.closed = False
        self.error: Exception | None = None

    def execute(self, query: str) -> None:
        self.told.append(query)
        if self.error is not None:
            raise self.error

    def fileno(self) -> int:
        return self.own.fileno()

    def notify(self) -> None:
        self.other.send(b"n")

    def cut(self) -> None:
        self.other.close()

    def notifies(self, timeout: float) -> Iterator[str]:
        if not self.own.recv(100):
            msg = "the connection is lost"
            raise psycopg.OperationalError(msg)
        yield "somebody"

    def close(self) -> None:
        self.closed = True
        self.own.close()
        self.other.close()


class Owner:
    """Has chores done, and waits until they are."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def hear(self) -> None:
        self._do("hear")

    def tidy(self) -> None:
        self._do("tidy")

    def _do(self, chore: str) -> None:
        with self.changed:
            self.done.append(chore)
            self.changed.notify_all()
        if self.error is not None:
            raise self.error

    def wait_for(self, chore: str, times: int) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.done.count(chore) >= times, PATIENCE
            )


Open = Callable[..., Housekeeping]


@pytest.fixture
def opened() -> list[FakeConnection]:
    """The connections that were made to hear by."""
    return []


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def keep(owner: Owner, opened: list[FakeConnection]) -> Iterator[Open]:
    """Keep house until the end of the test."""
    kept: list[Housekeeping] = []

    def connect() -> Any:
        opened.append(FakeConnection())
        return opened[-1]

    def make(
        hear_seconds: float = LATE, tidy_seconds: float = LATE, **given: Any
    ) -> Housekeeping:
        chores = Chores(
            given.pop("connect", connect),
            WeakMethod(owner.hear),
            WeakMethod(owner.tidy),
            hear_seconds,
            tidy_seconds,
        )
        kept.append(Housekeeping(chores, **given))
        return kept[-1]

    yield make
    for house in kept:
        house.stop()
        if house._thread is not None:
            house._thread.join(PATIENCE)
            assert not house._thread.is_alive()
    assert all(connection.closed for connection in opened)


def test_nothing_goes_on_before_it_begins(keep: Open, owner: Owner) -> None:
    house = keep()

    assert not house.hears
    assert house._thread is None
    house.stop()
    assert owner.done == []


def test_it_begins_once(keep: Open, owner: Owner, opened: list[Any]) -> None:
    house = keep()
    house.begin()
    thread = house._thread
    house.begin()

    owner.wait_for("hear", 1)
    assert house._thread is thread
    assert len(opened) == 1
    assert opened[0].told == ["LISTEN prodpatterns"]


def test_many_threads_begin_it_once(
    keep: Open, opened: list[Any], owner: Owner
) -> None:
    house, barrier = keep(), threading.Barrier(8)

    def begin() -> None:
        barrier.wait()
        house.begin()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    owner.wait_for("hear", 1)
    assert len(opened) == 1


def test_it_looks_as_soon_as_a_notification_comes(
    keep: Open, owner: Owner, opened: list[Any]
) -> None:
    keep(hear_seconds=LATE).begin()
    owner.wait_for("hear", 1)

    for times in (2, 3):
        opened[0].notify()
        owner.wait_for("hear", times)


def test_it_looks_now_and_then_where_none_comes(keep: Open, owner: Owner) -> None:
    keep(hear_seconds=SOON).begin()

    owner.wait_for("hear", 3)


def test_it_looks_now_and_then_without_a_connection(keep: Open, owner: Owner) -> None:
    tried = list[int]()

    def connect() -> Any:
        tried.append(1)
        raise psycopg.OperationalError("no more connections")

    keep(hear_seconds=SOON, connect=connect).begin()

    owner.wait_for("hear", 3)
    # It tries each time to have one.
    assert len(tried) >= 3


def test_it_goes_on_where_it_may_not_listen(keep: Open, owner: Owner) -> None:
    def connect() -> Any:
        one = FakeConnection()
        one.error = psycopg.errors.FeatureNotSupported("a pooler")
        return one

    keep(hear_seconds=SOON, connect=connect).begin()

    owner.wait_for("hear", 3)


def test_a_connection_that_is_lost_is_made_anew(
    keep: Open, owner: Owner, opened: list[Any]
) -> None:
    keep().begin()
    owner.wait_for("hear", 1)

    opened[0].cut()

    # What was said meanwhile is looked for at once.
    owner.wait_for("hear", 2)
    assert opened[0].closed
    opened[1].notify()
    owner.wait_for("hear", 3)


def test_it_tidies_up_now_and_then(keep: Open, owner: Owner) -> None:
    keep(hear_seconds=SOON, tidy_seconds=SOON).begin()

    owner.wait_for("tidy", 3)


def test_it_does_not_tidy_up_before_it_is_time(
    keep: Open, owner: Owner, opened: list[Any]
) -> None:
    clock = Clock()
    house = keep(tidy_seconds=30.0, clock=clock)
    house.begin()
    owner.wait_for("hear", 1)
    opened[0].notify()
    owner.wait_for("hear", 2)
    assert "tidy" not in owner.done

    clock.now += 30.0
    opened[0].notify()

    owner.wait_for("tidy", 1)


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("away"),
        StoreError("newer"),
        psycopg.OperationalError("cut"),
        OSError(),
        # Nothing that a chore raises may end the thread.
        ValueError("a listener's own"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_chore_that_fails_is_done_again(
    keep: Open, owner: Owner, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    owner.error = error
    house = keep(hear_seconds=SOON, tidy_seconds=SOON)
    house.begin()

    owner.wait_for("hear", 3)
    owner.wait_for("tidy", 3)
    assert not house.hears


def test_it_hears_while_it_looks_all_the_time(
    keep: Open, owner: Owner, opened: list[Any]
) -> None:
    clock = Clock()
    house = keep(hear_seconds=10.0, clock=clock)
    house.begin()
    owner.wait_for("hear", 1)
    opened[0].notify()
    # When it looks for the second time, it has noted that it did for the first.
    owner.wait_for("hear", 2)
    assert house.hears

    clock.now += 20.0
    assert house.hears
    clock.now += 0.1
    assert not house.hears


def test_an_end_wakes_it(keep: Open, owner: Owner, opened: list[Any]) -> None:
    house = keep()
    house.begin()
    owner.wait_for("hear", 1)

    house.stop()
    house.stop()

    assert house._thread is not None
    house._thread.join(PATIENCE)
    assert not house._thread.is_alive()
    assert opened[0].closed


def test_a_chore_may_end_it(keep: Open, owner: Owner) -> None:
    house = keep(hear_seconds=SOON)
    owner.tidy = house.stop  # type: ignore[method-assign]
    house._chores = Chores(
        house._chores.connect,
        house._chores.hear,
        WeakMethod(house.stop),
        SOON,
        SOON,
    )

    house.begin()

    assert house._thread is not None
    house._thread.join(PATIENCE)
    assert not house._thread.is_alive()


def test_it_ends_when_nobody_has_the_store_any_more(opened: list[Any]) -> None:
    owner = Owner()
    chores = Chores(
        lambda: opened.append(FakeConnection()) or opened[-1],  # type: ignore[func-returns-value]
        WeakMethod(owner.hear),
        WeakMethod(owner.tidy),
        SOON,
        LATE,
    )
    house = Housekeeping(chores)
    house.begin()
    owner.wait_for("hear", 1)

    del owner
    gc.collect()

    assert house._thread is not None
    house._thread.join(PATIENCE)
    assert not house._thread.is_alive()
    assert opened[-1].closed


def test_a_copy_has_no_thread(keep: Open) -> None:
    house = keep()
    function, given = house.__reduce__()

    assert function(*given)._thread is None
    with pytest.raises(TypeError):
        copy.copy(threading.Lock())
