"""A database that is away is left alone for a while, and told of once."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pybreaker
import pytest

from langchain_prodpatterns.cache.stores.postgres.breaking import Breaker, is_away
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from tests.unit_tests.cache.conftest import CLONES, Clock

SECRET = "what a user wrote"
AWAY = psycopg.OperationalError(SECRET)
HELD_FOR_LONG = 3_600.0


class Later:
    """What `pybreaker` takes for the time of day, which a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module: Any = pybreaker
        real, self.more = module.datetime, module.timedelta(0)
        later = self

        class Shifted:
            @staticmethod
            def now(zone: Any) -> Any:
                return real.now(zone) + later.more

        self._timedelta = module.timedelta
        monkeypatch.setattr(module, "datetime", Shifted)

    def wait(self, seconds: float) -> None:
        self.more += self._timedelta(seconds=seconds)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker("reading", failures=3, seconds=HELD_FOR_LONG)


def _call(breaker: Breaker, error: BaseException | None = None) -> None:
    with breaker.calling():
        if error is not None:
            raise error


def _fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(StoreUnavailable, match=r"OperationalError"):
            _call(breaker, AWAY)


def test_after_three_failures_nothing_is_asked(breaker: Breaker) -> None:
    _fail(breaker, 2)
    assert not breaker.is_open
    _fail(breaker)

    assert breaker.is_open
    with pytest.raises(StoreUnavailable, match="not asked: it was away a moment ago"):
        _call(breaker)


def test_failures_count_in_a_row(breaker: Breaker) -> None:
    for _ in range(3):
        _fail(breaker, 2)
        _call(breaker)

    assert not breaker.is_open


def test_the_first_that_works_closes_it(breaker: Breaker, later: Later) -> None:
    _fail(breaker, 3)

    later.wait(HELD_FOR_LONG)
    _call(breaker)

    assert not breaker.is_open
    _fail(breaker, 2)
    assert not breaker.is_open


def test_the_first_that_fails_opens_it_again(breaker: Breaker, later: Later) -> None:
    _fail(breaker, 3)

    later.wait(HELD_FOR_LONG)
    _fail(breaker)

    assert breaker.is_open
    with pytest.raises(StoreUnavailable, match="not asked"):
        _call(breaker)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_call_that_is_given_up_says_nothing(
    breaker: Breaker, error: BaseException
) -> None:
    for _ in range(5):
        with pytest.raises(type(error)):
            _call(breaker, error)

    assert not breaker.is_open


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_call_that_is_given_up_does_not_say_that_the_database_is_back(
    breaker: Breaker, later: Later, error: BaseException
) -> None:
    _fail(breaker, 2)
    with pytest.raises(type(error)):
        _call(breaker, error)
    assert breaker.is_open

    later.wait(HELD_FOR_LONG)
    with pytest.raises(type(error)):
        _call(breaker, error)
    assert breaker.is_open


@pytest.mark.parametrize(
    "error",
    [
        StoreError("another model"),
        psycopg.DataError("different dimensions"),
        psycopg.errors.UniqueViolation("twice"),
        ValueError("ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_fault_of_the_database_goes_through(
    breaker: Breaker, error: Exception
) -> None:
    for _ in range(5):
        with pytest.raises(type(error)) as raised:
            _call(breaker, error)
        assert raised.value is error

    assert not breaker.is_open


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("gone"),
        psycopg.InterfaceError("closed"),
        psycopg.errors.ReadOnlySqlTransaction("a replica"),
        psycopg.errors.TooManyConnections("full"),
        psycopg.errors.AdminShutdown("restart"),
        ConnectionResetError("cut"),
        TimeoutError("late"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_that_the_database_is_away(error: Exception) -> None:
    assert is_away(error)


def test_no_word_of_the_server_is_told(
    breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreUnavailable) as raised:
        _call(breaker, AWAY)

    assert SECRET not in f"{raised.value}{caplog.text}"
    assert raised.value.__suppress_context__
    assert raised.value.__cause__ is None


def test_it_is_logged_once_that_it_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture, later: Later
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    breaker = Breaker("reading", failures=3, seconds=HELD_FOR_LONG, clock=clock)

    _fail(breaker, 3)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            _call(breaker)
    later.wait(HELD_FOR_LONG)
    for _ in range(3):
        _call(breaker)

    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]


def test_one_that_comes_and_goes_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    breaker = Breaker("reading", failures=3, seconds=HELD_FOR_LONG, clock=clock)

    for _ in range(4):
        _fail(breaker)
        _call(breaker)
        clock.now += 25

    assert len(caplog.records) == 2


def test_one_that_stays_away_is_told_of_once(
    caplog: pytest.LogCaptureFixture, later: Later
) -> None:
    clock = Clock()
    breaker = Breaker("reading", failures=3, seconds=HELD_FOR_LONG, clock=clock)

    for _ in range(5):
        _fail(breaker)
        clock.now += HELD_FOR_LONG
        later.wait(HELD_FOR_LONG)

    assert len(caplog.records) == 1


def test_many_threads_open_it_together(breaker: Breaker) -> None:
    barrier, seen = threading.Barrier(8), list[str]()

    def work() -> None:
        barrier.wait()
        for _ in range(20):
            try:
                _call(breaker, AWAY)
            except StoreUnavailable as error:
                seen.append("not asked" if "not asked" in str(error) else "asked")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 160
    # Those that were let through before the third had failed.
    assert 3 <= seen.count("asked") <= 10
    assert breaker.is_open


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_has_seen_no_failure(
    breaker: Breaker, clone: Callable[[Breaker], Breaker]
) -> None:
    _fail(breaker, 3)

    copied = clone(breaker)

    assert not copied.is_open
    _fail(copied, 3)
    assert copied.is_open
