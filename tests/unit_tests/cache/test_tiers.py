"""What a lookup remembers of a verdict, by why the judge was asked."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_prodpatterns.cache import SemanticJudgeCache, policy
from langchain_prodpatterns.cache.evidence import Cell
from langchain_prodpatterns.cache.stores import LocalStore
from tests.unit_tests.cache.conftest import (
    LLM,
    PlannedEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

Open = Callable[..., SemanticJudgeCache]
OLD, NEW = (
    prompt_of(HumanMessage(text))
    for text in ("can we pay by card", "is paying by card possible")
)
TEXT = answer_of(AIMessage("Yes."))
NEAR = [0.9, 0.19**0.5]
CELL = str(Cell.of(0.9, guarded=False))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def store() -> LocalStore:
    return LocalStore()


@pytest.fixture
def opened(
    open_cache: Open, judge: ScriptedJudge, store: LocalStore
) -> SemanticJudgeCache:
    embeddings = PlannedEmbeddings(
        **{"can we pay by card": [1.0, 0.0], "is paying by card possible": NEAR}
    )
    cache = open_cache(embeddings, judge, store=store)
    cache.update(OLD, LLM, TEXT)
    return cache


async def look_up(cache: SemanticJudgeCache, *, by_async: bool) -> Any:
    return await cache.alookup(NEW, LLM) if by_async else cache.lookup(NEW, LLM)


@pytest.mark.parametrize("yes", [True, False])
async def test_an_audit_stands_for_twenty(
    opened: SemanticJudgeCache,
    judge: ScriptedJudge,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    yes: bool,
    by_async: bool,
) -> None:
    store.tally("elsewhere", CELL, right=1_000)
    monkeypatch.setattr(policy, "draw_of", lambda _: 0.0)
    judge.answer = yes
    partition = opened.explain(OLD, LLM).partition

    assert (await look_up(opened, by_async=by_async) is not None) is yes
    stats = opened.stats()
    assert (stats.audits, stats.served) == (1, 0)
    assert (stats.aliases, stats.rejected) == (int(yes), int(not yes))
    assert store.tallies(partition) == {
        CELL: (int(yes), int(not yes)),
        f"unseen:{CELL}": (19, 0),
    }


async def test_who_is_not_drawn_is_served_and_nothing_is_learned(
    opened: SemanticJudgeCache,
    judge: ScriptedJudge,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    by_async: bool,
) -> None:
    store.tally("elsewhere", CELL, right=1_000)
    monkeypatch.setattr(policy, "draw_of", lambda _: 0.05)

    assert await look_up(opened, by_async=by_async)
    assert (opened.stats().served, opened.stats().audits) == (1, 0)
    assert judge.requests == []
    assert set(store.tallies(None)) == {CELL}


@pytest.mark.parametrize("yes", [True, False])
async def test_a_judge_that_is_watched_is_heard_and_not_followed(
    opened: SemanticJudgeCache,
    judge: ScriptedJudge,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    yes: bool,
    by_async: bool,
) -> None:
    opened._policy.learning.note_judge(refused=5, accepted=5)
    monkeypatch.setattr(policy, "draw_of", lambda _: 0.2)
    judge.answer = yes
    partition = opened.explain(OLD, LLM).partition

    assert await look_up(opened, by_async=by_async) is None
    assert opened.stats().judged_misses == 1
    assert (opened.stats().aliases, opened.stats().rejected) == (0, int(not yes))
    assert store.tallies(partition) == {
        CELL: (int(yes), int(not yes)),
        f"unseen:{CELL}": (3, 0),
    }
    if yes:
        assert "not yet believed" in opened.explain(NEW, LLM).reason


async def test_what_is_explored_stands_for_fifty(
    opened: SemanticJudgeCache,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    by_async: bool,
) -> None:
    store.tally("elsewhere", CELL, wrong=8, right=2)
    monkeypatch.setattr(policy, "draw_of", lambda _: 0.0)
    monkeypatch.setattr(opened._policy.costs, "needed", lambda _: 0.9)
    partition = opened.explain(OLD, LLM).partition

    assert await look_up(opened, by_async=by_async)
    assert store.tallies(partition)[f"unseen:{CELL}"] == (49, 0)


async def test_a_verdict_that_did_not_come_is_no_evidence(
    opened: SemanticJudgeCache,
    judge: ScriptedJudge,
    store: LocalStore,
    by_async: bool,
) -> None:
    judge.answer = LookupError()

    assert await look_up(opened, by_async=by_async) is None
    assert store.tallies(None) == {}
