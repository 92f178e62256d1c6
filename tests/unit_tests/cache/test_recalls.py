"""What was invalidated while its answer was on its way."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.cache import SemanticJudgeCache, recalls
from langchain_prodpatterns.cache.recalls import Recalls
from langchain_prodpatterns.cache.stores import Entry, LocalStore, Selection
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.cache.conftest import (
    CLONES,
    LLM,
    Clock,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

Open = Callable[..., SemanticJudgeCache]
RESET = prompt_of(HumanMessage("How do I reset my password?"))
TYPO = prompt_of(HumanMessage("How do I reset my pasword?"))
ANSWER = answer_of(AIMessage("Click on it."))
ENTRY = Entry("key", "p", "exact", "Why?", '"v"', "n", metadata={"source": "prices.md"})


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    ("selection", "covered"),
    [
        (Selection(), True),
        (Selection(text="Why?"), True),
        (Selection(text="Who?"), False),
        (Selection(namespace="n", partition="p"), True),
        (Selection(namespace="n", partition="q"), False),
        (Selection(namespace="m"), False),
        (Selection(key="key"), True),
        (Selection(key="other"), False),
        (Selection(older_than=0), True),
        (Selection(older_than=3600), False),
        (Selection(where=lambda of: of["source"] == "prices.md"), True),
        (Selection(where=lambda of: of["source"] == "boats.md"), False),
    ],
)
def test_what_fits_is_covered_if_it_began_before(
    selection: Selection, covered: bool
) -> None:
    latest, before = Recalls(), time.perf_counter()
    latest.note(selection)

    assert latest.cover(ENTRY, before) is covered
    assert not latest.cover(ENTRY, time.perf_counter() + 1)
    assert not latest.cover(ENTRY, None)


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_remembers_nothing(clone: Callable[[Any], Any]) -> None:
    latest, before = Recalls(), time.perf_counter()
    latest.note(Selection())

    assert not clone(latest).cover(ENTRY, before)


def test_what_is_no_longer_known_is_taken_for_invalidated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recalls, "_REMEMBERED", 2)
    latest, before = Recalls(), time.perf_counter()
    for _ in range(3):
        latest.note(Selection(namespace="another"))
        later = time.perf_counter()

    assert latest.cover(ENTRY, before)
    assert not latest.cover(ENTRY, later)


async def test_a_chain_that_read_the_old_document_is_not_stored(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=bool)
    changes = [True, False]

    def read(_: str) -> str:
        if changes.pop(0):
            assert cache.invalidate(where=lambda of: of["source"] == "prices.md") == 0
            return "the old price"
        return "the new price"

    chain = cache.wrap(RunnableLambda(read), metadata=lambda _: {"source": "prices.md"})
    answers = []
    for _ in range(3):
        ask = "What does it cost?"
        answers.append(await chain.ainvoke(ask) if by_async else chain.invoke(ask))

    assert answers == ["the old price", "the new price", "the new price"]
    assert (cache.stats().not_stored, cache.stats().stored) == (1, 1)


async def test_a_model_that_was_asked_before_all_was_cleared_is_not_stored(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=bool)

    def respond(_: Any) -> str:
        cache.clear()
        return "the old price"

    model: BaseChatModel = ScriptedChatModel(model="m", respond=respond, cache=cache)
    ask = "What does it cost?"
    _ = await model.ainvoke(ask) if by_async else model.invoke(ask)

    assert cache.stats().entries == 0


def test_what_is_invalidated_while_it_is_written_does_not_stay(
    open_cache: Open,
) -> None:
    class Slow(LocalStore):
        def add(self, *args: Any) -> bool:
            cache.core.recalls.note(Selection())
            return super().add(*args)

    store = Slow()
    cache = open_cache(judge=bool, store=store)
    cache.lookup(RESET, LLM)
    cache.update(RESET, LLM, ANSWER)

    assert (cache.stats().entries, cache.stats().not_stored) == (0, 1)


@pytest.mark.parametrize("how", ["past", "invalidated"])
async def test_what_goes_while_the_judge_is_asked_is_not_served(
    open_cache: Open, judge: ScriptedJudge, how: str, by_async: bool
) -> None:
    clock = Clock()
    store = LocalStore(clock=clock)
    cache = open_cache(judge=judge, store=store, ttl=10)
    cache.update(RESET, LLM, ANSWER)

    def meanwhile(_: Any) -> bool:
        if how == "past":
            clock.now += 10
        else:
            assert cache.invalidate(query="How do I reset my password?") == 1
        return True

    judge.answer = meanwhile
    found = await cache.alookup(TYPO, LLM) if by_async else cache.lookup(TYPO, LLM)

    assert found is None
    assert cache.stats().misses == 1
