"""Judges, embeddings and stores that fail, lie or hang: a miss, and never more."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import CacheStore, LocalStore
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from tests.unit_tests.cache.conftest import (
    LLM,
    CountingEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)
from tests.unit_tests.patience import PATIENCE

Open = Callable[..., SemanticJudgeCache]
OLD, NEW, OTHER = (
    prompt_of(HumanMessage(f"How do I reset my {word}?"))
    for word in ("password", "pasword", "clock")
)
TEXT = answer_of(AIMessage("Click on it."))
METHODS = [name for name in vars(CacheStore) if not name.startswith("_")]


class Odd(BaseException):
    """What nobody expects."""


class FaultyStore:
    """A store of which some methods fail from now on."""

    def __init__(self) -> None:
        self.inner = LocalStore()
        self.failing: set[str] = set()
        self.error: Callable[[], BaseException] = StoreError

    def __getattr__(self, name: str) -> Any:
        if name in {"inner", "failing", "error"}:
            raise AttributeError(name)
        if name in self.failing:
            raise self.error()
        return getattr(self.inner, name)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def look_up(cache: SemanticJudgeCache, prompt: str, *, by_async: bool) -> Any:
    if by_async:
        return await cache.alookup(prompt, LLM)
    return cache.lookup(prompt, LLM)


async def update(cache: SemanticJudgeCache, prompt: str, *, by_async: bool) -> None:
    if by_async:
        await cache.aupdate(prompt, LLM, TEXT)
    else:
        cache.update(prompt, LLM, TEXT)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.mark.parametrize("method", [*METHODS, "all"])
@pytest.mark.parametrize("error", [StoreError, OSError, RecursionError, MemoryError])
@pytest.mark.parametrize("yes", [True, False])
async def test_a_store_that_fails_never_fails_the_call(
    open_cache: Open,
    store: FaultyStore,
    method: str,
    error: Callable[[], BaseException],
    yes: bool,
    by_async: bool,
) -> None:
    cache = open_cache(judge=lambda _: yes, store=store)
    chain = cache.wrap(RunnableLambda(str.upper))
    await update(cache, OLD, by_async=by_async)
    await chain.ainvoke("how do I pay by card")
    store.error = error
    store.failing = (
        set(METHODS) - {"close"} if method == "all" else {method} - {"close"}
    )

    for prompt in (OLD, NEW, OTHER):
        await look_up(cache, prompt, by_async=by_async)
        await update(cache, prompt, by_async=by_async)
    for text in ("how do I pay by card", "how can I pay by card", "why"):
        answer = await chain.ainvoke(text) if by_async else chain.invoke(text)
        assert answer.startswith(text.upper()[:3])

    store.failing.clear()
    assert await look_up(cache, OLD, by_async=by_async)


async def test_a_store_that_is_away_is_counted_and_told_of_by_itself_only(
    open_cache: Open,
    store: FaultyStore,
    caplog: pytest.LogCaptureFixture,
    by_async: bool,
) -> None:
    cache = open_cache(judge=bool, store=store)
    store.failing, store.error = {"find", "add"}, StoreUnavailable

    assert await look_up(cache, OLD, by_async=by_async) is None
    await update(cache, OLD, by_async=by_async)

    assert caplog.messages == []
    stats = cache.stats()
    assert (stats.unavailable, stats.errors, stats.lookups) == (2, 0, 0)
    assert "without the store 2" in str(stats)


def test_figures_of_a_store_that_is_away_are_those_last_seen(
    open_cache: Open, store: FaultyStore
) -> None:
    cache = open_cache(judge=bool, store=store)
    store.failing, store.error = {"counts", "tallies"}, StoreUnavailable
    assert cache.stats().entries == 0
    store.failing.clear()
    cache.update(OLD, LLM, TEXT)
    seen = cache.stats()
    store.failing = {"tallies"}

    assert cache.stats() == seen
    assert seen.entries == 1


async def test_an_interrupt_in_the_store_passes(
    open_cache: Open, store: FaultyStore
) -> None:
    cache = open_cache(judge=bool, store=store)
    store.failing, store.error = {"find"}, KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.lookup(OLD, LLM)


@pytest.mark.parametrize("yes", [True, False])
async def test_a_judge_that_always_says_the_same(
    open_cache: Open, yes: bool, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: yes)
    await update(cache, OLD, by_async=by_async)

    assert (await look_up(cache, NEW, by_async=by_async) is not None) is yes
    stats = cache.stats()
    assert (stats.judged_hits, stats.judged_misses) == (int(yes), int(not yes))


async def test_users_catch_a_judge_that_lies(
    open_cache: Open, judge: ScriptedJudge, by_async: bool
) -> None:
    cache = open_cache(judge=judge)
    words = ["pasword", "passwort", "passwords", "passwordd", "pssword", "pazzword"]
    for word in words:
        await update(cache, OLD, by_async=by_async)
        prompt = prompt_of(HumanMessage(f"How do I reset my {word}?"))
        hit = await look_up(cache, prompt, by_async=by_async)
        if hit is None:
            continue
        mark = hit[0].message.response_metadata["prodpatterns.cache"]
        cache.feedback(mark["hit_id"], correct=False)
        # What was told is learned at once, and not after some more verdicts.
        cache._policy.learning.forget()

    # One complaint, and what the judge says yes to is no longer served.
    promise = cache.stats().promise
    assert promise.judge_error > promise.delta
    assert cache.stats().judged_hits == 1


@pytest.mark.parametrize(
    "answer",
    [
        "yes",
        1,
        0,
        "true",
        {},
        {"yes": None},
        {"yes": "TRUE!"},
        [True],
        object(),
        b"\x00",
    ],
)
async def test_what_is_no_verdict_is_never_a_yes(
    open_cache: Open, answer: Any, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: answer)
    await update(cache, OLD, by_async=by_async)

    assert await look_up(cache, NEW, by_async=by_async) is None
    assert cache.stats().judge_failures == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Odd])
async def test_what_is_no_error_of_the_judge_s_passes(
    open_cache: Open, judge: ScriptedJudge, error: type[BaseException]
) -> None:
    cache = open_cache(judge=judge)
    judge.answer = error()
    cache.update(OLD, LLM, TEXT)

    with pytest.raises(error):
        cache.lookup(NEW, LLM)
    judge.answer = True
    assert cache.lookup(NEW, LLM)


async def test_a_judge_that_hangs_holds_nobody_up_for_longer_than_allowed(
    open_cache: Open, by_async: bool
) -> None:
    forever = threading.Event()

    async def hang(_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    judge = RunnableLambda(lambda _: forever.wait(PATIENCE), afunc=hang)
    cache = open_cache(judge=judge, judge_timeout=0.01)
    chain = cache.wrap(RunnableLambda(str.upper))
    texts = ("how do I pay by card", "how can I pay by card")
    for text in texts:
        answer = await chain.ainvoke(text) if by_async else chain.invoke(text)
        assert answer == text.upper()
    forever.set()

    assert cache.stats().judge_failures == 1
    assert cache.stats().judged_misses == 1


class Crooked(CountingEmbeddings):
    """Embeddings that give what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.vector: Any = None

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.vector or super().embed_query(text)
        return vector


@pytest.mark.parametrize(
    "vector",
    [
        [float("nan")] * 128,
        [float("inf")] * 128,
        [0.0] * 128,
        [1.0] * 127,
        [1.0] * 129,
        [[1.0]],
        ["a"] * 128,
        "vector",
        {"a": 1},
    ],
    ids=["nan", "inf", "zero", "short", "long", "nested", "texts", "text", "mapping"],
)
async def test_vectors_that_are_none_leave_the_exact_tier(
    open_cache: Open, vector: Any, by_async: bool
) -> None:
    embeddings = Crooked()
    cache = open_cache(embeddings, judge=lambda _: True)
    await update(cache, OLD, by_async=by_async)
    embeddings.vector = vector

    assert await look_up(cache, NEW, by_async=by_async) is None
    await update(cache, NEW, by_async=by_async)
    assert await look_up(cache, OLD, by_async=by_async)
    embeddings.vector = None
    # Nothing of it was left behind.
    hit = await look_up(
        cache, prompt_of(HumanMessage("How do I reset my passwort?")), by_async=by_async
    )
    assert hit[0].text == "Click on it."
    assert cache.stats().judged_hits == 1


def test_a_file_of_another_length_names_both(open_cache: Open, tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with open_cache(judge=bool, path=path) as cache:
        cache.update(OLD, LLM, TEXT)

    with pytest.raises(StoreError, match=r"dimension 128.*dimension 64"):
        open_cache(CountingEmbeddings(dimensions=64), bool, path=path)


async def test_embeddings_of_another_length_leave_the_exact_tier(
    open_cache: Open,
    tmp_path: Path,
    by_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "c.db"
    with open_cache(judge=bool, path=path) as cache:
        cache.update(OLD, LLM, TEXT)
    embeddings = CountingEmbeddings(dimensions=64)
    # Their provider is down when the file is opened, so it cannot be refused.
    embeddings.error = ConnectionError()
    cache = open_cache(embeddings, judge=bool, path=path)
    embeddings.error = None
    errors = cache.stats().errors

    for prompt in (NEW, OTHER):
        if by_async:
            assert await cache.alookup(prompt, LLM) is None
            await cache.aupdate(prompt, LLM, TEXT)
            assert await cache.alookup(prompt, LLM)
        else:
            assert cache.lookup(prompt, LLM) is None
            cache.update(prompt, LLM, TEXT)
            assert cache.lookup(prompt, LLM)

    assert (cache.stats().stored, cache.stats().exact) == (2, 2)
    assert cache.stats().errors == errors + 2
    told = [r for r in caplog.messages if "64 dimensions, the stored vectors" in r]
    assert len(told) == 1
    assert cache.core.tiers._store.counts().indexed == 1
