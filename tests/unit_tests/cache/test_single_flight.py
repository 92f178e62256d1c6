"""Behind LangChain's interface: who asks the same waits for who came first."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.cache.conftest import LLM, Boarding, CountingEmbeddings

Open = Callable[..., SemanticJudgeCache]
ANSWER = [Generation(text="because")]
LONG = 30.0


@pytest.fixture(autouse=True)
def _no_global_cache() -> Iterator[None]:
    yield
    set_llm_cache(None)


class Gate:
    """Replies once all callers that shall wait are on their way."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, _: Any) -> str:
        self.calls += 1
        if self.calls == 1:
            self.begun.set()
            assert self.go.wait(LONG)
            if self.error:
                raise self.error
        return "because"


def boarding(cache: SemanticJudgeCache) -> Boarding:
    """Count the callers that have missed and are about to wait."""
    return Boarding(cache._flight._flights)  # type: ignore[union-attr]  # opened with one


def test_sixteen_threads_make_one_call(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)
    set_llm_cache(cache)
    boarded, gate = boarding(cache), Gate()
    model = ScriptedChatModel(respond=gate)

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(model.invoke, "Why is it so?") for _ in range(16)]
        assert gate.begun.wait(LONG)
        boarded.wait_for(16)
        gate.go.set()
        answers = [call.result() for call in calls]

    assert gate.calls == 1
    assert {answer.text for answer in answers} == {"because"}
    assert len({id(answer) for answer in answers}) == 16
    assert (cache.stats().exact, cache.stats().misses) == (15, 1)


async def test_sixteen_tasks_make_one_call(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)
    assert await cache.alookup("Why?", LLM) is None
    others = [asyncio.create_task(cache.alookup("Why?", LLM)) for _ in range(15)]
    await asyncio.sleep(0)

    await cache.aupdate("Why?", LLM, ANSWER)

    assert await asyncio.gather(*others) == [ANSWER] * 15


def test_without_it_nobody_waits(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99))

    with ThreadPoolExecutor(1) as pool:
        assert cache.lookup("Why?", LLM) is None
        assert pool.submit(cache.lookup, "Why?", LLM).result(LONG) is None


def test_a_failed_call_costs_those_who_wait_the_seconds_once(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=0.05)
    assert cache.lookup("Why?", LLM) is None  # and then the call fails

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cache.lookup, "Why?", LLM).result(LONG) is None
        # That one is let through itself, and answers.
        pool.submit(cache.update, "Why?", LLM, ANSWER).result(LONG)
    assert cache.lookup("Why?", LLM) == ANSWER


def test_who_leads_is_never_made_to_wait(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)

    assert cache.lookup("Why?", LLM) is None
    # A retry of the call that failed, and another prompt of the same call.
    assert cache.lookup("Why?", LLM) is None
    assert cache.lookup("How?", LLM) is None


def test_an_answer_not_worth_storing_ends_the_wait(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)
    assert cache.lookup("Why?", LLM) is None
    boarded = boarding(cache)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(cache.lookup, "Why?", LLM)
        boarded.wait_for(1)
        cache.update("Why?", LLM, [Generation(text="")])

        assert other.result(LONG) is None
    assert cache.stats().not_stored == 1


async def test_a_cancelled_wait_leaves_the_others_waiting(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)
    assert await cache.alookup("Why?", LLM) is None
    stays, goes = (asyncio.create_task(cache.alookup("Why?", LLM)) for _ in range(2))
    await asyncio.sleep(0)
    goes.cancel()
    with pytest.raises(asyncio.CancelledError):
        await goes

    await cache.aupdate("Why?", LLM, ANSWER)

    assert await stays == ANSWER


def test_calls_that_never_end_leave_only_bounded_traces(open_cache: Open) -> None:
    cache = open_cache(band=(0.8, 0.99), single_flight=LONG)

    for number in range(1100):
        cache.lookup(f"Why {number}?", "llm")

    assert len(cache._flight._flights._flights) <= 1024  # type: ignore[union-attr]  # opened with one


def test_two_caches_on_one_path_make_one_call(open_cache: Open, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    one, other = (
        open_cache(
            CountingEmbeddings(), band=(0.8, 0.99), path=path, single_flight=LONG
        )
        for _ in range(2)
    )
    assert one.lookup("Why?", LLM) is None
    looked = threading.Event()
    claim = other._store.claim

    def noted(*args: Any) -> bool:
        looked.set()
        return claim(*args)

    other._store.claim = noted  # type: ignore[assignment, method-assign]  # counts
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(other.lookup, "Why?", LLM)
        assert looked.wait(LONG)
        one.update("Why?", LLM, ANSWER)

        assert waits.result(LONG) == ANSWER


@pytest.mark.parametrize("yes", [True, False])
def test_sixteen_near_questions_make_one_verdict(open_cache: Open, yes: bool) -> None:
    begun, go = threading.Event(), threading.Event()
    asked = []

    def judge(request: Any) -> bool:
        asked.append(request)
        begun.set()
        assert go.wait(LONG)
        return yes

    cache = open_cache(judge=judge, judge_timeout=None, single_flight=LONG)
    set_llm_cache(cache)
    model = ScriptedChatModel(respond=lambda _: "because")
    model.invoke("Why is it so?")
    boarded = boarding(cache)

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(model.invoke, "Why is it so") for _ in range(16)]
        assert begun.wait(LONG)
        boarded.wait_for(16)
        go.set()
        assert {call.result().text for call in calls} == {"because"}

    assert len(asked) == 1
    stats = cache.stats()
    assert (stats.judged_hits, stats.alias, stats.exact) == (
        (1, 15, 0) if yes else (0, 0, 15)
    )
    assert stats.stored == (1 if yes else 2)


async def test_a_cancelled_lookup_lets_the_next_one_lead(open_cache: Open) -> None:
    begun, never = asyncio.Event(), asyncio.Event()
    asked = []

    async def judge(request: Any) -> bool:
        asked.append(request)
        if len(asked) == 1:
            begun.set()
            await never.wait()
        return True

    cache = open_cache(judge=judge, judge_timeout=None, single_flight=LONG)
    await cache.aupdate("Why is it so?", LLM, ANSWER)
    first = asyncio.create_task(cache.alookup("Why is it so", LLM))
    await begun.wait()
    second = asyncio.create_task(cache.alookup("Why is it so", LLM))
    await asyncio.sleep(0)
    first.cancel()

    assert await second
    assert len(asked) == 2
