"""Calls that may come too late."""

import asyncio
import contextvars
import copy
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_prodpatterns.deadlines import (
    LateCalls,
    TooManyLateError,
    call_apart,
    call_with_deadline,
    run_coroutine,
)

PATIENCE = 30
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


@pytest.mark.parametrize("seconds", [None, PATIENCE])
def test_the_result_is_returned(seconds: float | None) -> None:
    assert call_with_deadline(lambda: "done", seconds) == "done"
    assert call_with_deadline(lambda: None, seconds) is None


@pytest.mark.parametrize("seconds", [None, PATIENCE])
def test_an_error_is_raised_as_it_is(seconds: float | None) -> None:
    error = LookupError("not there")

    def fail() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        call_with_deadline(fail, seconds)
    assert caught.value is error


@pytest.mark.parametrize("seconds", [None, PATIENCE])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_from_the_function_passes(
    kind: type[BaseException], seconds: float | None
) -> None:
    def interrupt() -> None:
        raise kind

    with pytest.raises(kind):
        call_with_deadline(interrupt, seconds)


def test_a_timeout_of_the_function_itself_keeps_its_words() -> None:
    def fail() -> None:
        raise TimeoutError("the server took too long")

    with pytest.raises(TimeoutError, match="the server took too long"):
        call_with_deadline(fail, PATIENCE)


def test_a_late_call_is_not_waited_for_and_its_result_is_dropped() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def late() -> str:
        may_end.wait(PATIENCE)
        ended.set()
        return "too late"

    with pytest.raises(TimeoutError, match=r"^not done within 0\.01 seconds$"):
        call_with_deadline(late, 0.01)

    assert not ended.is_set()
    may_end.set()
    assert ended.wait(PATIENCE)


def test_the_error_of_a_late_call_is_dropped_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()
    threads: list[threading.Thread] = []
    unhandled: list[object] = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)

    def late() -> None:
        threads.append(threading.current_thread())
        may_end.wait(PATIENCE)
        raise LookupError("too late")

    with pytest.raises(TimeoutError):
        call_with_deadline(late, 0.01)
    may_end.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert unhandled == []


def test_without_a_deadline_the_call_stays_in_this_thread() -> None:
    assert call_with_deadline(threading.get_ident, None) == threading.get_ident()
    assert call_with_deadline(threading.get_ident, PATIENCE) != threading.get_ident()


def test_the_thread_of_a_late_call_does_not_hold_up_the_process() -> None:
    daemon = call_with_deadline(lambda: threading.current_thread().daemon, PATIENCE)

    assert daemon


def test_a_process_ends_while_a_late_call_hangs() -> None:
    code = (
        "import threading\n"
        "from langchain_prodpatterns.deadlines import call_with_deadline\n"
        "try:\n"
        "    call_with_deadline(threading.Event().wait, 0.01)\n"
        "except TimeoutError as error:\n"
        "    print(error)\n"
    )

    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert ended.stdout == "not done within 0.01 seconds\n"


@pytest.mark.parametrize("seconds", [None, PATIENCE])
def test_the_call_sees_the_callers_context(seconds: float | None) -> None:
    token = VARIABLE.set("the caller's")
    try:
        assert call_with_deadline(VARIABLE.get, seconds) == "the caller's"
    finally:
        VARIABLE.reset(token)


def test_what_the_call_sets_stays_with_it() -> None:
    token = VARIABLE.set("the caller's")
    try:
        call_with_deadline(lambda: VARIABLE.set("its own"), PATIENCE)
        assert VARIABLE.get() == "the caller's"
    finally:
        VARIABLE.reset(token)


def test_calls_do_not_mix_up_their_results() -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(
                lambda number: call_with_deadline(lambda: number, PATIENCE), range(200)
            )
        )

    assert found == list(range(200))


@pytest.mark.parametrize("seconds", [math.inf, 1e12])
def test_a_deadline_may_be_too_far_away_for_the_system(seconds: float) -> None:
    began = threading.Event()

    def late() -> str:
        began.wait(0.05)
        return "done"

    assert call_with_deadline(late, seconds) == "done"


@pytest.mark.parametrize("apart", [False, True])
def test_no_more_calls_are_made_while_too_many_late_ones_go_on(apart: bool) -> None:
    late, may_end, began = LateCalls(limit=2), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        began.release()
        may_end.wait(PATIENCE)

    def call(late: LateCalls, seconds: float) -> None:
        if apart:
            asyncio.run(asyncio.wait_for(call_apart(hang, late), seconds))
        else:
            call_with_deadline(hang, seconds, late)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            call(late, 0.01)
    with pytest.raises(TooManyLateError, match="not asked: 2 earlier calls have not"):
        call(late, PATIENCE)
    assert [began.acquire(timeout=PATIENCE) for _ in range(2)] == [True, True]
    assert not began.acquire(blocking=False)
    # Others' calls, and those of a copy, are made.
    for other in (LateCalls(limit=2), copy.deepcopy(late)):
        with pytest.raises(TimeoutError, match=r"^(not done within .*)?$"):
            call(other, 0.01)

    may_end.set()
    for thread in tuple(late._threads):
        thread.join(PATIENCE)
    call(late, PATIENCE)
    assert [began.acquire(timeout=PATIENCE) for _ in range(3)] == [True] * 3


def test_calls_in_time_are_not_counted() -> None:
    late = LateCalls(limit=1)
    for number in range(3):
        assert call_with_deadline(lambda found=number: found, PATIENCE, late) == number  # type: ignore[misc]
    late.check()


# Without blocking an event loop


async def test_a_call_apart_gives_its_result_and_sees_the_context() -> None:
    token = VARIABLE.set("the caller's")
    try:
        assert await call_apart(VARIABLE.get) == "the caller's"
    finally:
        VARIABLE.reset(token)
    assert await call_apart(threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize("error", [LookupError("x"), asyncio.CancelledError()])
async def test_a_call_apart_raises_what_it_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        await call_apart(fail)


async def test_a_call_apart_that_stops_an_iteration_ends_nobody() -> None:
    with pytest.raises(RuntimeError, match="StopIteration was raised"):
        await call_apart(lambda: next(iter(())))


async def test_whoever_gives_up_waits_no_longer() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def late() -> None:
        may_end.wait(PATIENCE)
        ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call_apart(late), 0.01)
    assert not ended.is_set()
    may_end.set()
    assert await asyncio.to_thread(ended.wait, PATIENCE)


def test_a_loop_may_end_before_the_call_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = threading.Event()
    threads: list[threading.Thread] = []
    unhandled: list[object] = []
    monkeypatch.setattr(threading, "excepthook", unhandled.append)

    def late() -> None:
        threads.append(threading.current_thread())
        may_end.wait(PATIENCE)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call_apart(late), 0.01)

    asyncio.run(give_up())
    may_end.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert (unhandled, caplog.text) == ([], "")


async def _answer() -> str:
    await asyncio.sleep(0)
    return VARIABLE.get("nothing set")


async def test_a_coroutine_runs_from_sync_code_wherever_that_runs() -> None:
    assert run_coroutine(_answer) == "nothing set"
    assert await asyncio.to_thread(run_coroutine, _answer) == "nothing set"
