"""One holder at a time, for threads and tasks alike."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_prodpatterns.turns import Turn
from tests.unit_tests.patience import PATIENCE, until


def queue_length(turn: Turn) -> int:
    return len(turn._queue)


def is_free(turn: Turn) -> bool:
    return not turn._held and not turn._queue


def test_threads_hold_it_one_at_a_time() -> None:
    turn, inside, most = Turn(), [0], [0]

    def work(_: int) -> None:
        turn.acquire()
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        inside[0] -= 1
        turn.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(400)))
    assert most == [1]
    assert is_free(turn)


async def test_tasks_hold_it_one_at_a_time_in_order() -> None:
    turn, order, inside = Turn(), list[int](), 0

    async def work(number: int) -> None:
        nonlocal inside
        await turn.aacquire()
        inside += 1
        assert inside == 1
        await asyncio.sleep(0)
        order.append(number)
        inside -= 1
        turn.release()

    await asyncio.gather(*(work(number) for number in range(50)))
    assert order == list(range(50))
    assert is_free(turn)


def test_threads_and_two_event_loops_share_it() -> None:
    turn, counter = Turn(), [0]

    def in_thread() -> None:
        for _ in range(50):
            turn.acquire()
            before = counter[0]
            counter[0] = before + 1
            turn.release()

    async def in_task() -> None:
        for _ in range(50):
            await turn.aacquire()
            before = counter[0]
            await asyncio.sleep(0)
            counter[0] = before + 1
            turn.release()

    def run_loop() -> None:
        async def main() -> None:
            await asyncio.gather(in_task(), in_task())

        asyncio.run(main())

    threads = [
        threading.Thread(target=target, daemon=True)
        for target in (in_thread, in_thread, run_loop, run_loop)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert counter == [300]
    assert is_free(turn)


async def test_a_waiting_task_does_not_block_its_loop() -> None:
    turn = Turn()
    turn.acquire()
    waiter = asyncio.create_task(turn.aacquire())
    await until(lambda: queue_length(turn) == 1)
    assert not waiter.done()
    turn.release()
    await asyncio.wait_for(waiter, PATIENCE)


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    turn = Turn()
    turn.acquire()
    first = asyncio.create_task(turn.aacquire())
    second = asyncio.create_task(turn.aacquire())
    await until(lambda: queue_length(turn) == 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    turn.release()
    await asyncio.wait_for(second, PATIENCE)
    turn.release()
    assert is_free(turn)


async def test_a_waiter_cancelled_just_after_the_grant_passes_it_on() -> None:
    turn = Turn()
    turn.acquire()
    first = asyncio.create_task(turn.aacquire())
    second = asyncio.create_task(turn.aacquire())
    await until(lambda: queue_length(turn) == 2)
    turn.release()  # granted, but its arrival is still on its way to the loop
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, PATIENCE)
    turn.release()
    assert is_free(turn)


async def test_a_waiter_cancelled_after_the_arrival_passes_it_on() -> None:
    turn, loop = Turn(), asyncio.get_running_loop()
    turn.acquire()
    first = asyncio.create_task(turn.aacquire())
    second = asyncio.create_task(turn.aacquire())
    await until(lambda: queue_length(turn) == 2)
    turn.release()
    # The arrival was queued first: it sets the future, then this cancels the task.
    loop.call_soon(first.cancel)
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, PATIENCE)
    turn.release()
    assert is_free(turn)


async def test_a_waiter_that_is_closed_after_the_grant_passes_it_on() -> None:
    turn = Turn()
    turn.acquire()
    waiter: Coroutine[Any, Any, None] = turn.aacquire()
    waiter.send(None)  # it waits
    turn.release()  # it is granted
    waiter.close()  # it is thrown away before the grant arrives
    await until(lambda: is_free(turn))


async def test_a_waiter_that_is_closed_before_the_grant_leaves() -> None:
    turn = Turn()
    turn.acquire()
    waiter: Coroutine[Any, Any, None] = turn.aacquire()
    waiter.send(None)
    waiter.close()
    assert queue_length(turn) == 0
    turn.release()
    assert is_free(turn)


def test_a_waiter_whose_loop_is_closed_is_passed_over() -> None:
    turn = Turn()
    turn.acquire()
    waiter: Coroutine[Any, Any, None] = turn.aacquire()

    async def begin_to_wait() -> None:
        waiter.send(None)

    asyncio.run(begin_to_wait())
    assert queue_length(turn) == 1
    turn.release()
    assert is_free(turn)
    waiter.close()
    assert is_free(turn)


def test_an_interrupted_thread_leaves_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = Turn()
    turn.acquire()

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            turn.acquire()
    assert queue_length(turn) == 0
    turn.release()
    assert is_free(turn)


def test_a_thread_interrupted_after_the_grant_passes_it_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = Turn()
    turn.acquire()

    class Late(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            turn.release()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading, "Event", Late)
        with pytest.raises(KeyboardInterrupt):
            turn.acquire()
    assert is_free(turn)
