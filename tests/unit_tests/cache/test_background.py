"""The judge that nobody waits for."""

import asyncio
import copy
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns import track
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.background import Background
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.cache.conftest import LLM, ScriptedJudge, answer_of, prompt_of
from tests.unit_tests.patience import PATIENCE

Open = Callable[..., SemanticJudgeCache]
OLD = prompt_of(HumanMessage("How do I reset my password?"))
NEW = prompt_of(HumanMessage("How do I reset my pasword?"))
TEXT = answer_of(AIMessage("Click on it."))


class Gate:
    """Holds jobs back until a test lets them go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.done: list[int] = []

    def job(self, number: int = 0) -> Callable[[], None]:
        def work() -> None:
            self.begun.release()
            assert self.open.wait(PATIENCE)
            self.done.append(number)

        return work

    def wait_begun(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.open.set()


def workers() -> int:
    return sum(t.name == "prodpatterns-cache-judge" for t in threading.enumerate())


def test_jobs_are_bounded_and_none_that_was_taken_is_lost(gate: Gate) -> None:
    background = Background(limit=3, threads=2)
    for number in range(2):
        assert background.submit(gate.job(number))
    gate.wait_begun(2)
    taken = [background.submit(gate.job(number)) for number in range(2, 7)]

    assert taken == [True, True, True, False, False]
    assert not background.drain(0)
    gate.open.set()
    assert background.drain(PATIENCE)
    assert sorted(gate.done) == [0, 1, 2, 3, 4]


def test_no_thread_is_left_behind_and_new_work_begins_one() -> None:
    background, done = Background(), list[int]()
    for number in range(3):
        assert background.submit(partial(done.append, number))
        assert background.drain(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "prodpatterns-cache-judge":
                thread.join(PATIENCE)
        assert workers() == 0

    assert done == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_job_that_raises_neither_ends_the_others_nor_hangs_the_end(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    background, done = Background(threads=1), []

    def fail() -> None:
        raise error("what a user wrote")

    assert background.submit(fail)
    assert background.submit(lambda: done.append(1))

    assert background.close(PATIENCE)
    assert done == [1]
    assert error.__name__ in caplog.text
    assert "what a user wrote" not in caplog.text


def test_after_the_end_nothing_is_taken(gate: Gate) -> None:
    background = Background(threads=1)
    assert background.submit(gate.job(1))
    gate.wait_begun()
    assert background.submit(gate.job(2))

    assert not background.close(timeout=0)
    assert not background.submit(gate.job(3))
    gate.open.set()
    assert background.close(PATIENCE)
    # What was waiting when the time was up is dropped.
    assert gate.done == [1]
    assert background.close() is True


def test_waiting_for_very_long_is_no_error() -> None:
    assert Background().drain(float("inf"))
    assert Background().close(1e12)


def test_jobs_see_the_context_of_who_submits_them() -> None:
    name: ContextVar[str] = ContextVar("name", default="none")
    background, seen = Background(), []
    for given in ("a", "b"):
        token = name.set(given)
        background.submit(lambda: seen.append(name.get()))
        name.reset(token)
        assert background.drain(PATIENCE)

    assert seen == ["a", "b"]


def test_where_no_thread_can_be_had_the_job_is_refused(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    background = Background(threads=2)

    def none_left(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        assert not background.submit(gate.job())
        assert background.drain(0)
    assert background.submit(gate.job(1))
    with monkeypatch.context() as patched:
        # One that is there will do it.
        patched.setattr(threading.Thread, "start", none_left)
        assert background.submit(gate.job(2))
    gate.open.set()
    assert background.close(PATIENCE)
    assert gate.done == [1, 2]


def test_a_copy_has_nothing_to_do(gate: Gate) -> None:
    background = Background(limit=1, threads=1)
    background.submit(gate.job())

    clone = copy.deepcopy(background)
    assert clone.drain(0)
    clone.close()
    gate.wait_begun()
    assert background.submit(gate.job())


_FORKED = """
import os, threading
from langchain_prodpatterns.cache.background import Background

begun, go_on, held = threading.Event(), threading.Event(), threading.Event()
background = Background(threads=1)

def work():
    begun.set()
    go_on.wait()

background.submit(work)
begun.wait()
background.submit(print)

def hold():
    with background._queue.changed:
        held.set()
        go_on.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    done = []
    assert background.drain(0), "the child has nothing of its parent's to do"
    assert background.submit(lambda: done.append(1))
    assert background.close(20) and done == [1]
    os._exit(0)
_, status = os.waitpid(child, 0)
go_on.set()
assert os.waitstatus_to_exitcode(status) == 0
assert background.close(20)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_begins_anew_also_where_the_lock_was_held() -> None:
    result = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


async def look_up(cache: SemanticJudgeCache, prompt: str, *, by_async: bool) -> Any:
    if by_async:
        return await cache.alookup(prompt, LLM)
    return cache.lookup(prompt, LLM)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("yes", [True, False])
async def test_a_miss_now_and_the_verdict_for_the_next(
    open_cache: Open, by_async: bool, yes: bool
) -> None:
    judge = ScriptedJudge(yes)
    cache = open_cache(judge=judge, judge_mode="async")
    cache.update(OLD, LLM, TEXT)

    assert await look_up(cache, NEW, by_async=by_async) is None
    assert cache.drain(PATIENCE)
    again = await look_up(cache, NEW, by_async=by_async)

    stats = cache.stats()
    assert (again is not None) is yes
    assert (stats.deferred, stats.alias, stats.rejected) == (1, int(yes), int(not yes))
    assert stats.promise.evidence == 1
    assert len(judge.requests) == 1


async def test_what_waits_too_long_is_dropped_and_counted(
    open_cache: Open, by_async: bool, gate: Gate
) -> None:
    def judge(_: Any) -> bool:
        gate.job()()
        return True

    cache = open_cache(judge=judge, judge_mode="async", judge_timeout=None)
    cache.core.tiers.background._limit = 1
    cache.update(OLD, LLM, TEXT)
    asked = [
        prompt_of(HumanMessage(f"How do I reset my {word}?"))
        for word in ("pasword", "passwort", "passwords", "passwordd", "pssword")
    ]
    for number, prompt in enumerate(asked):
        assert await look_up(cache, prompt, by_async=by_async) is None
        if number < 2:
            gate.wait_begun()

    reason = cache.explain(asked[0], LLM).reason
    assert "would be asked in the background" in reason
    assert (cache.stats().deferred, cache.stats().dropped) == (3, 2)
    assert cache.stats().misses == 5
    gate.open.set()
    assert cache.drain(PATIENCE)


@pytest.mark.parametrize(
    "answer",
    [LookupError("secret"), "garbage", None, KeyboardInterrupt(), SystemExit()],
    ids=["raises", "garbage", "nothing", "interrupt", "exit"],
)
async def test_a_judge_without_a_verdict_teaches_nothing_and_holds_nothing_up(
    open_cache: Open, judge: ScriptedJudge, answer: Any, by_async: bool
) -> None:
    judge.answer = answer
    cache = open_cache(judge=judge, judge_mode="async")
    cache.update(OLD, LLM, TEXT)

    assert await look_up(cache, NEW, by_async=by_async) is None
    assert cache.drain(PATIENCE)
    assert (cache.stats().aliases, cache.stats().rejected) == (0, 0)
    assert cache.stats().promise.evidence == 0
    judge.answer = True
    assert await look_up(cache, NEW, by_async=by_async) is None
    assert cache.drain(PATIENCE)
    assert await look_up(cache, NEW, by_async=by_async)


async def test_a_judge_that_hangs_is_given_up(open_cache: Open, gate: Gate) -> None:
    hang: RunnableLambda[Any, None] = RunnableLambda(lambda _: gate.job()())
    cache = open_cache(judge=hang, judge_mode="async", judge_timeout=0.01)
    cache.update(OLD, LLM, TEXT)

    assert await cache.alookup(NEW, LLM) is None
    assert cache.drain(PATIENCE)
    assert cache.stats().judge_failures == 1


async def test_a_judge_that_always_hangs_takes_no_more_threads(
    open_cache: Open, by_async: bool, gate: Gate
) -> None:
    cache = open_cache(
        judge=lambda _: gate.job()(), judge_mode="async", judge_timeout=0.01
    )
    cache.update(OLD, LLM, TEXT)
    for number in range(20):
        asked = prompt_of(HumanMessage(f"How do I reset my password {number}?"))
        assert await look_up(cache, asked, by_async=by_async) is None
        assert cache.drain(PATIENCE)

    assert cache.stats().judge_failures == 20
    # Two are asked at once.
    assert sum(gate.begun.acquire(blocking=False) for _ in range(20)) <= 9


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_judge_may_be_a_runnable_with_an_async_side_alone(
    open_cache: Open, by_async: bool, mode: str
) -> None:
    async def judge(_: Any) -> bool:
        return True

    cache = open_cache(judge=RunnableLambda(judge), judge_mode=mode)
    cache.update(OLD, LLM, TEXT)

    first = await look_up(cache, NEW, by_async=by_async)
    assert cache.drain(PATIENCE)
    assert (first is None) is (mode == "async")
    assert await look_up(cache, NEW, by_async=by_async)
    assert cache.stats().judge_failures == 0


async def test_closing_lets_the_judge_finish(
    tmp_path: Any, open_cache: Open, by_async: bool, gate: Gate
) -> None:
    def judge(_: Any) -> bool:
        gate.job()()
        return True

    path = tmp_path / "c.db"
    cache = open_cache(judge=judge, judge_mode="async", judge_timeout=None, path=path)
    cache.update(OLD, LLM, TEXT)
    assert await look_up(cache, NEW, by_async=by_async) is None
    gate.wait_begun()
    if by_async:
        closing = asyncio.create_task(cache.aclose())
        await asyncio.sleep(0)
        gate.open.set()
        await closing
    else:
        gate.open.set()
        cache.close()

    with SemanticJudgeCache(cache.embeddings, bool, path=path) as again:
        hit = again.lookup(NEW, LLM)
    assert hit is not None
    mark = hit[0].message.response_metadata["prodpatterns.cache"]  # type: ignore[attr-defined]
    assert mark["decision"] == "alias"
    assert await look_up(cache, NEW, by_async=by_async) is None


async def test_closing_waits_no_longer_than_it_is_told(
    open_cache: Open, gate: Gate
) -> None:
    cache = open_cache(
        judge=lambda _: gate.job()(), judge_mode="async", judge_timeout=None
    )
    cache.update(OLD, LLM, TEXT)
    cache.lookup(NEW, LLM)
    gate.wait_begun()

    await cache.aclose(timeout=0)
    assert gate.done == []


@pytest.mark.parametrize("wrapped", [False, True])
async def test_the_ledger_books_what_the_judge_used_after_the_lookup(
    open_cache: Open, by_async: bool, wrapped: bool
) -> None:
    model = ScriptedChatModel(respond=lambda _: "no json")
    cache = open_cache(judge=model, judge_mode="async")
    chain = cache.wrap(RunnableLambda(lambda text: text.upper()))
    with track() as ledger:
        for text in ("How do I reset my password?", "How do I reset my pasword?"):
            if wrapped and by_async:
                await chain.ainvoke(text)
            elif wrapped:
                chain.invoke(text)
            else:
                await look_up(cache, prompt_of(HumanMessage(text)), by_async=by_async)
                cache.update(prompt_of(HumanMessage(text)), LLM, TEXT)
        assert cache.drain(PATIENCE)

    assert model.calls == 2  # the verdict, and the one repair
    assert ledger.summary().calls == model.calls
    records = [record for record in ledger.to_records() if record.pattern == "cache"]
    assert [record.decision for record in records] == ["miss", "miss"]
    assert [record.calls for record in records] == [0, 2]


async def test_a_judge_that_is_off_is_never_asked(
    open_cache: Open, judge: ScriptedJudge, by_async: bool
) -> None:
    cache = open_cache(judge=judge, judge_mode="off")
    cache.update(OLD, LLM, TEXT)

    assert await look_up(cache, NEW, by_async=by_async) is None
    assert "no judge to ask" in cache.explain(NEW, LLM).reason
    assert await look_up(cache, OLD, by_async=by_async)
    assert judge.requests == []
    assert (cache.stats().deferred, cache.stats().dropped) == (0, 0)
