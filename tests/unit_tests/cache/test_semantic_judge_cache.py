"""The cache: decisions, verdicts, lifetime, failures."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from langchain_prodpatterns import Ledger, track
from langchain_prodpatterns.cache import (
    CacheDecision,
    SemanticJudgeCache,
    storing,
    tiers,
)
from langchain_prodpatterns.cache.steps import unit_vector
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.testing import (
    Fault,
    LexicalEmbeddings,
    Rule,
    ScriptedChatModel,
)
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.cache.conftest import (
    CLONES,
    LLM,
    Clock,
    CountingEmbeddings,
    PlannedEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

Open = Callable[..., SemanticJudgeCache]

RESET = prompt_of(HumanMessage("How do I reset my password?"))
TYPO = prompt_of(HumanMessage("How do I reset my pasword?"))
OTHER = prompt_of(HumanMessage("What do you cost?"))
ANSWER = answer_of(AIMessage("Click on it."))


async def look_up(cache: SemanticJudgeCache, prompt: str, *, by_async: bool) -> Any:
    if by_async:
        return await cache.alookup(prompt, LLM)
    return cache.lookup(prompt, LLM)


async def update(
    cache: SemanticJudgeCache, prompt: str, answer: Any, *, by_async: bool
) -> None:
    if by_async:
        await cache.aupdate(prompt, LLM, answer)
    else:
        cache.update(prompt, LLM, answer)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def said(answer: Any) -> dict[str, Any]:
    mark: dict[str, Any] = answer[0].message.response_metadata["prodpatterns.cache"]
    return mark


async def test_the_tiers(
    cache: SemanticJudgeCache, judge: ScriptedJudge, by_async: bool
) -> None:
    assert await look_up(cache, RESET, by_async=by_async) is None
    await update(cache, RESET, ANSWER, by_async=by_async)

    exact = await look_up(cache, RESET, by_async=by_async)
    judged = await look_up(cache, TYPO, by_async=by_async)
    alias = await look_up(cache, TYPO, by_async=by_async)

    assert [said(x)["decision"] for x in (exact, judged, alias)] == [
        "exact",
        "judged hit",
        "alias",
    ]
    assert said(judged)["similarity"] > 0.7
    assert judged[0].text == "Click on it."
    assert len(judge.requests) == 1
    assert await look_up(cache, OTHER, by_async=by_async) is None


async def test_an_exact_hit_embeds_nothing_and_asks_nobody(
    cache: SemanticJudgeCache,
    embeddings: CountingEmbeddings,
    judge: ScriptedJudge,
    by_async: bool,
) -> None:
    await update(cache, RESET, ANSWER, by_async=by_async)
    embeddings.texts.clear()

    assert await look_up(cache, RESET, by_async=by_async)
    assert embeddings.texts == []
    assert judge.requests == []


async def test_only_the_user_text_is_embedded_and_once_a_miss(
    cache: SemanticJudgeCache, embeddings: CountingEmbeddings, by_async: bool
) -> None:
    prompt = prompt_of(SystemMessage("Be brief."), HumanMessage("Why?"))
    await look_up(cache, prompt, by_async=by_async)
    await update(cache, prompt, ANSWER, by_async=by_async)

    assert embeddings.texts == ["Why?"]


async def test_the_judge_sees_both_questions_the_answer_and_the_system_prompt(
    cache: SemanticJudgeCache, judge: ScriptedJudge, by_async: bool
) -> None:
    system = SystemMessage("Be brief.")
    old = prompt_of(system, HumanMessage("How do I reset my password?"))
    new = prompt_of(system, HumanMessage("How do I reset my pasword?"))
    await update(cache, old, ANSWER, by_async=by_async)
    await look_up(cache, new, by_async=by_async)

    (request,) = judge.requests
    assert request.new_question == "How do I reset my pasword?"
    assert request.stored_question == "How do I reset my password?"
    assert request.stored_answer == "Click on it."
    assert request.context == "Be brief."


async def test_a_rejection_is_remembered(
    cache: SemanticJudgeCache, judge: ScriptedJudge, by_async: bool
) -> None:
    judge.answer = False
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, TYPO, by_async=by_async) is None
    judge.answer = True
    assert await look_up(cache, TYPO, by_async=by_async) is None

    assert len(judge.requests) == 1
    assert (cache.stats().judged_misses, cache.stats().misses) == (1, 1)


@pytest.mark.parametrize(
    "answer", ["garbage", None, {"yes": "perhaps"}, LookupError("secret")]
)
async def test_no_verdict_is_a_miss_and_is_not_remembered(
    cache: SemanticJudgeCache,
    judge: ScriptedJudge,
    answer: Any,
    by_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await update(cache, RESET, ANSWER, by_async=by_async)
    judge.answer = answer
    for failures in (1, 2):
        assert await look_up(cache, TYPO, by_async=by_async) is None
        assert cache.stats().judge_failures == failures
    assert caplog.text.count("the judge gave no verdict") == 1
    assert "secret" not in caplog.text

    judge.answer = True
    assert await look_up(cache, TYPO, by_async=by_async)


async def test_a_late_judge_is_a_miss(open_cache: Open, by_async: bool) -> None:
    forever = threading.Event()

    async def hang(_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    judge = RunnableLambda(lambda _: forever.wait(60), afunc=hang)
    cache = open_cache(judge=judge, judge_timeout=0.01)
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, TYPO, by_async=by_async) is None
    assert cache.stats().judge_failures == 1
    forever.set()


E, N = [1.0, 0.0], [0.0, 1.0]


def _planned(**vectors: list[float]) -> PlannedEmbeddings:
    return PlannedEmbeddings(old=E, **vectors)


def _ask(text: str) -> str:
    return prompt_of(HumanMessage(text))


async def test_the_band_without_a_judge(open_cache: Open, by_async: bool) -> None:
    embeddings = _planned(sure=E, doubtful=[0.9, 0.4359], far=N)
    cache = open_cache(embeddings, band=(0.8, 0.95))
    await update(cache, _ask("old"), ANSWER, by_async=by_async)

    # All three differ from "old" in their only word, which looks like a name.
    for text in ("sure", "doubtful", "far"):
        assert await look_up(cache, _ask(text), by_async=by_async) is None


async def test_above_the_band_a_clean_hit_is_served_unjudged(
    open_cache: Open, by_async: bool
) -> None:
    texts = ("can we pay by card", "is paying by card possible", "can we pay 2 by card")
    embeddings = PlannedEmbeddings(**dict.fromkeys(texts, E))
    judge = ScriptedJudge(False)
    alone = open_cache(embeddings, band=(0.8, 0.95))
    judged = open_cache(embeddings, judge, band=(0.8, 0.95))
    for cache in (alone, judged):
        await update(cache, _ask(texts[0]), ANSWER, by_async=by_async)
        hit = await look_up(cache, _ask(texts[1]), by_async=by_async)
        assert said(hit)["decision"] == "served"

    assert judge.requests == []
    assert await look_up(alone, _ask(texts[2]), by_async=by_async) is None
    assert await look_up(judged, _ask(texts[2]), by_async=by_async) is None
    assert len(judge.requests) == 1


def test_without_a_band_even_the_same_vector_is_judged(open_cache: Open) -> None:
    texts = ("can we pay by card", "is paying by card possible")
    judge = ScriptedJudge(True)
    cache = open_cache(PlannedEmbeddings(**dict.fromkeys(texts, E)), judge)
    cache.update(_ask(texts[0]), LLM, ANSWER)

    assert said(cache.lookup(_ask(texts[1]), LLM))["decision"] == "judged hit"
    assert len(judge.requests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        prompt_of(
            SystemMessage("Be rude."), HumanMessage("How do I reset my password?")
        ),
        prompt_of(
            HumanMessage("Hi"),
            AIMessage("Hi"),
            HumanMessage("How do I reset my password?"),
        ),
    ],
)
async def test_no_near_hit_crosses_a_partition(
    cache: SemanticJudgeCache, judge: ScriptedJudge, changed: str, by_async: bool
) -> None:
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, changed, by_async=by_async) is None
    assert cache.lookup(RESET, "another model") is None
    assert judge.requests == []


def test_namespaces_on_one_file_are_apart(
    open_cache: Open, embeddings: CountingEmbeddings, tmp_path: Path
) -> None:
    mine, theirs = (
        open_cache(embeddings, ScriptedJudge(), path=tmp_path / "c.db", namespace=name)
        for name in ("mine", "theirs")
    )
    mine.update(RESET, LLM, ANSWER)

    assert theirs.lookup(RESET, LLM) is None
    assert theirs.lookup(TYPO, LLM) is None
    assert mine.invalidate(namespace="theirs") == 0
    assert mine.invalidate(namespace="mine") == 1


def test_key_parts_a_template(open_cache: Open, judge: ScriptedJudge) -> None:
    cache = open_cache(
        judge=judge, key=lambda ms: str(ms[-1].content).partition("Q: ")[2]
    )

    def rag(context: str, question: str) -> str:
        return _ask(f"{context} Q: {question}")

    cache.update(rag("A", "How do I reset my password?"), LLM, ANSWER)
    assert cache.lookup(rag("B", "How do I reset my password?"), LLM) is None
    assert cache.lookup(rag("A", "How do I reset my pasword?"), LLM)
    assert judge.requests[0].stored_question == "How do I reset my password?"


def test_explain_decides_and_writes_nothing(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    assert cache.explain(RESET, LLM).decision == "miss"
    cache.update(RESET, LLM, ANSWER)

    exact = cache.explain(RESET, LLM)
    near = [cache.explain(TYPO, LLM) for _ in range(2)]

    assert isinstance(exact, CacheDecision)
    assert (exact.decision, exact.hit, exact.similarity) == ("exact", True, None)
    assert [d.decision for d in near] == ["judged hit", "judged hit"]
    assert near[0].similarity
    assert near[0].partition == exact.partition
    assert len(judge.requests) == 2
    judge.answer = False
    assert cache.explain(TYPO, LLM).decision == "judged miss"
    judge.answer = True
    assert said(cache.lookup(TYPO, LLM))["decision"] == "judged hit"
    assert cache.stats().lookups == 1


def test_wrong_feedback_on_a_near_hit_ends_that_pair(cache: SemanticJudgeCache) -> None:
    cache.update(RESET, LLM, ANSWER)
    hit = said(cache.lookup(TYPO, LLM))

    cache.feedback(hit["hit_id"], correct=False)

    assert cache.lookup(TYPO, LLM) is None
    assert cache.lookup(RESET, LLM)


@pytest.mark.parametrize("seen_as", ["judged hit", "alias"])
def test_what_is_told_of_a_near_hit_counts_once_however_it_was_seen(
    open_cache: Open, judge: ScriptedJudge, seen_as: str, tmp_path: Path
) -> None:
    path = tmp_path / "cache.db"
    cache = open_cache(judge=judge, path=path)
    cache.update(RESET, LLM, ANSWER)
    hits = [said(cache.lookup(TYPO, LLM)) for _ in range(2)]
    (hit,) = (hit for hit in hits if hit["decision"] == seen_as)

    cache.feedback(hit["hit_id"], correct=False)
    cache.close()
    # Nor is it news to another process, or to the same one tomorrow.
    again = open_cache(judge=judge, path=path)
    for hit in hits:
        again.feedback(hit["hit_id"], correct=False)

    evidence = again._policy.learning.afresh().evidence
    assert (evidence.right.sum(), evidence.wrong.sum()) == (0, 1)
    assert again.stats().promise.judge_error > 0
    assert again.lookup(TYPO, LLM) is None


def test_statistics_print_as_words(cache: SemanticJudgeCache) -> None:
    cache.update(RESET, LLM, ANSWER)
    for prompt in (RESET, TYPO, TYPO, OTHER):
        cache.lookup(prompt, LLM)

    lines = str(cache.stats()).splitlines()

    assert lines[0] == (
        "4 lookups, 75.0% of them hits: 1 exact, 1 by alias, 0 unjudged, 1 judged"
    )
    assert lines[1].startswith("1 misses, ")
    assert lines[2].startswith("1 entries, ")
    assert lines[3] == cache.stats().reason


def test_right_feedback_counts_once(open_cache: Open) -> None:
    cache = open_cache(band=(0.5, 0.6))
    cache.update(RESET, LLM, ANSWER)
    hit = said(cache.lookup(TYPO, LLM))
    assert hit["decision"] == "served"

    cache.feedback(hit["hit_id"], correct=True)
    alias = said(cache.lookup(TYPO, LLM))
    assert alias["decision"] == "alias"
    for known in (hit, alias):
        cache.feedback(known["hit_id"], correct=True)

    assert cache.stats().evidence == 1


def test_wrong_feedback_on_an_exact_hit_removes_the_answer(
    cache: SemanticJudgeCache,
) -> None:
    cache.update(RESET, LLM, ANSWER)

    cache.feedback(said(cache.lookup(RESET, LLM))["hit_id"], correct=False)

    assert cache.lookup(RESET, LLM) is None
    assert cache.stats().entries == 0


def test_right_feedback_makes_a_pair_exact(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    cache.update(RESET, LLM, ANSWER)
    judge.answer = None
    missed = cache.explain(TYPO, LLM)
    assert missed.decision == "judged miss"

    cache.feedback(missed.hit_id or "", correct=True)

    assert said(cache.lookup(TYPO, LLM))["decision"] == "alias"


def test_an_answer_found_by_feedback_is_invalidated_by_that_question(
    cache: SemanticJudgeCache,
) -> None:
    cache.update(RESET, LLM, ANSWER)
    cache.feedback(cache.explain(TYPO, LLM).hit_id or "", correct=True)

    assert cache.invalidate(query="How do I reset my pasword?") == 1
    assert cache.lookup(TYPO, LLM) is None


def test_right_feedback_on_an_exact_hit_changes_nothing(
    cache: SemanticJudgeCache,
) -> None:
    cache.update(RESET, LLM, ANSWER)

    cache.feedback(said(cache.lookup(RESET, LLM))["hit_id"], correct=True)

    assert said(cache.lookup(RESET, LLM))["decision"] == "exact"


def test_feedback_on_what_is_gone_or_no_id(cache: SemanticJudgeCache) -> None:
    cache.feedback("gone.exact", correct=False)
    for wrong in ("", "x", ".x", "x.", "x..y", "a.b.c.d"):
        with pytest.raises(ConfigurationError, match="no hit id"):
            cache.feedback(wrong, correct=True)


@pytest.mark.parametrize("correct", ["no", "", None, 3])
async def test_feedback_that_is_neither_yes_nor_no_changes_nothing(
    cache: SemanticJudgeCache, correct: Any
) -> None:
    cache.update(RESET, LLM, ANSWER)
    hit_id = said(cache.lookup(RESET, LLM))["hit_id"]

    with pytest.raises(ConfigurationError, match="correct must be True or False"):
        cache.feedback(hit_id, correct)
    with pytest.raises(ConfigurationError, match="correct must be True or False"):
        await cache.afeedback(hit_id, correct)
    assert cache.lookup(RESET, LLM)


def test_invalidation(open_cache: Open, judge: ScriptedJudge) -> None:
    clock = Clock()
    cache = open_cache(judge=judge, store=LocalStore(clock=clock))
    for prompt in (RESET, OTHER):
        cache.update(prompt, LLM, ANSWER)
    hit_id = said(cache.lookup(TYPO, LLM))["hit_id"]

    assert cache.invalidate(query="How do I reset my pasword?") == 1
    assert cache.invalidate(hit_id=hit_id) == 0
    assert cache.lookup(RESET, LLM) is None
    assert cache.invalidate(query="nobody asked") == 0
    assert cache.invalidate(older_than=1) == 0
    clock.now += 60
    assert cache.invalidate(older_than=timedelta(minutes=1)) == 1
    with pytest.raises(ConfigurationError, match="criterion"):
        cache.invalidate()


async def test_ttl_and_eviction_reach_the_store(open_cache: Open) -> None:
    clock = Clock()
    store = LocalStore(max_entries=1, clock=clock)
    cache = open_cache(judge=lambda _: True, ttl=10, store=store)
    cache.update(RESET, LLM, ANSWER)
    cache.update(OTHER, LLM, ANSWER)
    assert cache.lookup(RESET, LLM) is None
    assert cache.stats().evicted == 1
    clock.now += 10
    assert cache.lookup(OTHER, LLM) is None


def test_a_store_that_is_empty_is_no_missing_one(open_cache: Open) -> None:
    class Sized(LocalStore):
        def __len__(self) -> int:
            return self.counts().entries

    store = Sized()
    open_cache(judge=bool, store=store).update(RESET, LLM, ANSWER)

    assert len(store) == 1


async def test_a_hit_is_noted_off_the_loop(open_cache: Open) -> None:
    threads = []

    class Noting(LocalStore):
        def touch(self, key: str) -> None:
            threads.append(threading.get_ident())
            super().touch(key)

    cache = open_cache(judge=lambda _: True, store=Noting())
    cache.update(RESET, LLM, ANSWER)
    for prompt in (RESET, TYPO, TYPO):
        assert await cache.alookup(prompt, LLM)
    assert (await cache.aexplain(RESET, LLM)).hit

    assert len(threads) == 3
    assert threading.get_ident() not in threads


def test_a_hit_is_used_and_so_stays(open_cache: Open) -> None:
    cache = open_cache(judge=lambda _: True, max_entries=2)
    third = _ask("Where are your offices?")
    cache.update(RESET, LLM, ANSWER)
    cache.update(OTHER, LLM, ANSWER)
    cache.lookup(RESET, LLM)
    cache.update(third, LLM, ANSWER)

    assert cache.lookup(RESET, LLM)
    assert cache.lookup(OTHER, LLM) is None


def test_stats_and_rates(cache: SemanticJudgeCache) -> None:
    assert cache.stats().hit_rate == 0
    cache.lookup(RESET, LLM)
    cache.update(RESET, LLM, ANSWER)
    cache.lookup(RESET, LLM)

    stats = cache.stats()
    assert (stats.exact, stats.misses, stats.stored, stats.entries) == (1, 1, 1, 1)
    assert (stats.lookups, stats.hits, stats.hit_rate) == (2, 1, 0.5)


async def test_clear(cache: SemanticJudgeCache, by_async: bool) -> None:
    cache.update(RESET, LLM, ANSWER)
    if by_async:
        await cache.aclear()
    else:
        cache.clear()

    assert cache.lookup(RESET, LLM) is None


class Private(Exception):
    pass


async def test_embeddings_that_fail_leave_the_exact_tier(
    cache: SemanticJudgeCache,
    embeddings: CountingEmbeddings,
    caplog: pytest.LogCaptureFixture,
    by_async: bool,
) -> None:
    embeddings.error = Private("the user's secret")

    assert await look_up(cache, RESET, by_async=by_async) is None
    await update(cache, RESET, ANSWER, by_async=by_async)
    assert await look_up(cache, RESET, by_async=by_async)

    assert cache.stats().errors == 2
    assert "Private" in caplog.text
    assert "secret" not in caplog.text


async def test_embeddings_that_change_their_length_are_a_miss(
    open_cache: Open, by_async: bool
) -> None:
    embeddings = PlannedEmbeddings(old=E, new=[1.0, 0.0, 0.0])
    cache = open_cache(embeddings, judge=lambda _: True)
    await update(cache, _ask("old"), ANSWER, by_async=by_async)

    assert await look_up(cache, _ask("new"), by_async=by_async) is None
    await update(cache, _ask("new"), ANSWER, by_async=by_async)
    assert cache.stats().errors == 1
    assert await look_up(cache, _ask("old"), by_async=by_async)


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]]
)
def test_a_vector_without_direction_leaves_the_exact_tier(
    open_cache: Open, vector: list[float]
) -> None:
    cache = open_cache(PlannedEmbeddings(odd=vector), judge=lambda _: True)
    cache.update(_ask("odd"), LLM, ANSWER)

    assert cache.lookup(_ask("odd"), LLM)
    assert cache.stats().errors == 0


@pytest.mark.parametrize(
    ("vector", "given"),
    [
        (None, "NoneType with shape ()"),
        (1.0, "float with shape ()"),
        ([], "list with shape (0,)"),
        ([[1.0, 0.0], [0.0, 1.0]], "list with shape (2, 2)"),
        (["no"], "list with no numbers"),
    ],
)
async def test_what_is_no_vector_is_told_and_served_to_nobody_else(
    open_cache: Open,
    caplog: pytest.LogCaptureFixture,
    vector: Any,
    given: str,
    by_async: bool,
) -> None:
    embeddings = PlannedEmbeddings(one=vector, other=vector)
    cache = open_cache(embeddings, band=(0.8, 0.98))
    await update(cache, _ask("one"), ANSWER, by_async=by_async)

    assert await look_up(cache, _ask("other"), by_async=by_async) is None
    assert await look_up(cache, _ask("one"), by_async=by_async)
    assert cache.stats().errors == 2
    assert f"a list of numbers for a text, gave {given}" in caplog.text


async def test_what_are_no_generations_are_told_of(
    cache: SemanticJudgeCache, caplog: pytest.LogCaptureFixture, by_async: bool
) -> None:
    await update(cache, RESET, "an answer", by_async=by_async)
    assert "return_val must be a list of Generation" in caplog.text
    assert cache.stats().errors == 1


async def test_a_key_that_fails_is_a_miss(open_cache: Open, by_async: bool) -> None:
    def key(_: Any) -> str:
        raise Private

    cache = open_cache(judge=lambda _: True, key=key)
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, RESET, by_async=by_async) is None
    assert cache.stats().errors == 2


@pytest.mark.parametrize("chat", [True, False])
async def test_a_key_that_changes_the_text_is_told_of_once(
    open_cache: Open, caplog: pytest.LogCaptureFixture, by_async: bool, *, chat: bool
) -> None:
    cache = open_cache(judge=lambda _: True, key=lambda ms: str(ms[-1].content).lower())
    asked = [f"How do I reset my {what}?" for what in ("Password", "password", "PIN")]
    for text in asked:
        prompt = _ask(text) if chat else text
        assert await look_up(cache, prompt, by_async=by_async) is None
        await update(cache, prompt, ANSWER, by_async=by_async)

    assert caplog.text.count("does not stand in the request") == 1
    assert "password" not in caplog.text.lower()


async def test_a_key_that_gives_a_part_is_not_told_of(
    open_cache: Open, caplog: pytest.LogCaptureFixture, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: True, key=lambda ms: ms[-1].content.strip("! "))
    assert await look_up(cache, _ask("  how are you!"), by_async=by_async) is None
    assert await look_up(cache, "how are you", by_async=by_async) is None
    assert caplog.text == ""


async def test_a_closed_cache_is_a_miss(
    cache: SemanticJudgeCache, by_async: bool
) -> None:
    cache.close()
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, RESET, by_async=by_async) is None


@pytest.mark.parametrize("method", ["touch", "add_alias", "reject"])
async def test_what_is_found_is_served_also_where_nothing_can_be_noted(
    open_cache: Open,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    by_async: bool,
) -> None:
    cache = open_cache(judge=lambda _: method != "reject")
    await update(cache, RESET, ANSWER, by_async=by_async)

    def busy(*_: Any) -> None:
        msg = "busy"
        raise StoreError(msg)

    monkeypatch.setattr(cache._store, method, busy)
    hits = [await look_up(cache, p, by_async=by_async) for p in (RESET, TYPO)]

    assert [hit is not None for hit in hits] == [True, method != "reject"]
    stats = cache.stats()
    assert (stats.exact, stats.judged_hits + stats.judged_misses) == (1, 1)
    assert stats.errors == (2 if method == "touch" else 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(
    cache: SemanticJudgeCache, embeddings: CountingEmbeddings, error: Any
) -> None:
    embeddings.error = error()

    with pytest.raises(error):
        cache.lookup(RESET, LLM)
    embeddings.error = None
    assert cache.lookup(RESET, LLM) is None
    cache.update(RESET, LLM, ANSWER)
    assert cache.lookup(RESET, LLM)


async def test_a_cancellation_passes(open_cache: Open) -> None:
    asked = asyncio.Event()

    async def hang(_: Any) -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    cache = open_cache(judge=hang)
    await cache.aupdate(RESET, LLM, ANSWER)
    task = asyncio.create_task(cache.alookup(TYPO, LLM))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert cache.stats().errors == 0


def test_a_value_that_json_cannot_hold_is_passed_over_with_one_warning(
    cache: SemanticJudgeCache, caplog: pytest.LogCaptureFixture
) -> None:
    odd = answer_of(AIMessage("a", response_metadata={"client": object()}))
    with caplog.at_level(logging.WARNING):
        cache.update(RESET, LLM, odd)
        cache.update(OTHER, LLM, odd)

    assert cache.stats().unserializable == 2
    assert len(caplog.records) == 1
    assert cache.lookup(RESET, LLM) is None


def test_a_value_that_cannot_be_read_is_a_miss_and_put_aside(
    cache: SemanticJudgeCache,
) -> None:
    cache.update(RESET, LLM, ANSWER)
    found = cache._store.find(cache._identify(RESET, LLM).exact)
    assert found is not None
    broken = replace(found.entry, value='{"$": "nothing"}', key="k2")
    cache._store.add(broken, None)

    assert cache.lookup(RESET, LLM) is None
    assert cache.stats().quarantined == 1


def test_a_near_answer_that_cannot_be_read_is_a_miss(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    cache.update(RESET, LLM, ANSWER)
    found = cache._store.find(cache._identify(RESET, LLM).exact)
    assert found is not None
    vector = unit_vector(cache.embeddings.embed_query(found.entry.text or ""))
    cache._store.add(replace(found.entry, value="[", key="k2"), vector)

    assert cache.lookup(TYPO, LLM) is None
    assert (judge.requests, cache.stats().quarantined) == ([], 1)


class Custom(BaseModel):
    text: str


def test_an_answer_of_a_type_that_is_not_imported_is_a_miss_but_is_kept(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = Custom
    made: list[Custom] = []

    def answer(_: str) -> Custom:
        made.append(custom(text="x"))
        return made[-1]

    chain = cache.wrap(RunnableLambda(answer))
    chain.invoke("Why?")
    with monkeypatch.context() as without:
        without.delattr(sys.modules[__name__], "Custom")
        chain.invoke("Why?")
    assert len(made) == 2

    assert chain.invoke("Why?") == custom(text="x")
    assert (cache.stats().exact, cache.stats().quarantined) == (1, 0)


async def test_the_judge_does_not_go_through_the_cache_it_serves(
    open_cache: Open, by_async: bool
) -> None:
    model = ScriptedChatModel(respond=lambda _: "no json")
    cache = open_cache(judge=model)
    model.cache = cache
    await update(cache, RESET, ANSWER, by_async=by_async)

    assert await look_up(cache, TYPO, by_async=by_async) is None

    assert cache.stats().lookups == 1
    assert cache.stats().stored == 1
    assert model.calls == 2  # the verdict, and the one repair


async def test_the_judge_s_calls_are_booked_to_the_lookup(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=ScriptedChatModel(respond=lambda _: "no json"))
    await update(cache, RESET, ANSWER, by_async=by_async)
    with track() as ledger:
        await look_up(cache, TYPO, by_async=by_async)

    (record,) = ledger.to_records()
    assert (record.pattern, record.decision, record.calls) == (
        "cache",
        "judged miss",
        2,
    )


async def test_lookups_are_in_the_ledger_with_what_they_saved(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: True)
    model = ScriptedChatModel(replies=["Click on it."], cache=cache)

    async def ask() -> AIMessage:
        question = "How do I reset my password?"
        return await model.ainvoke(question) if by_async else model.invoke(question)

    with track() as ledger:
        for _ in range(3):
            await ask()

    records = [r for r in ledger.to_records() if r.pattern == "cache"]
    assert [r.decision for r in records] == ["miss", "exact", "exact"]
    assert [r.saved_calls for r in records] == [0, 1, 1]
    assert records[1].saved_tokens == model.input_tokens + model.output_tokens
    assert records[1].saved_seconds > 0
    assert ledger.summary().calls == model.calls == 1


async def test_a_handler_on_the_model_hears_hits_too(open_cache: Open) -> None:
    cache = open_cache(judge=lambda _: True)
    model = ScriptedChatModel(replies=["Click on it."], cache=cache)
    with track() as ledger:
        chain: Runnable[Any, Any] = RunnableLambda(model.invoke, model.ainvoke)
        chain.invoke("How do I reset my password?")
        await chain.ainvoke("How do I reset my password?")

    decisions = [r.decision for r in ledger.to_records() if r.pattern == "cache"]
    assert decisions == ["miss", "exact"]


def test_a_ledger_passed_as_a_handler_books_hits_once(
    cache: SemanticJudgeCache,
) -> None:
    model = ScriptedChatModel(replies=["Click on it."], cache=cache)
    model.invoke("How do I reset my password?")
    ledger = Ledger()
    model.invoke("How do I reset my password?", {"callbacks": [ledger]})

    (record,) = ledger.to_records()
    assert (record.pattern, record.decision, record.saved_calls) == (
        "cache",
        "exact",
        1,
    )


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"embeddings": "openai"}, "embeddings must be"),
        ({}, "needs band"),
        ({"band": (0.9, 0.1)}, "band must be"),
        ({"judge": 3}, "judge must be"),
        ({"judge": bool, "judge_timeout": 0}, "timeout must be"),
        ({"judge": bool, "ttl": 0}, "ttl must be"),
        ({"judge": bool, "ttl": True}, "ttl must be"),
        ({"judge": bool, "ttl": "60"}, "ttl must be a number of seconds.*'60'"),
        ({"judge": bool, "ttl": timedelta(1)}, "ttl must be a number of seconds"),
        ({"judge": bool, "judge_timeout": "5"}, "judge_timeout must be a number"),
        ({"judge": bool, "path": 3}, "path must be the path of a file or None, got 3"),
        ({"judge": bool, "max_entries": 0}, "max_entries must be"),
        ({"judge": bool, "max_entries": 1.5}, "max_entries must be a whole number"),
        ({"judge": bool, "max_entries": "9"}, "max_entries must be a whole number"),
        ({"judge": bool, "namespace": ""}, "namespace must be"),
        ({"judge": bool, "namespace": None}, "namespace must be"),
        ({"judge": bool, "key": "question"}, "key must be"),
    ],
)
def test_arguments_that_cannot_work(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SemanticJudgeCache(**{"embeddings": LexicalEmbeddings(), **kwargs})


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(TypeError):
        SemanticJudgeCache(LexicalEmbeddings(), bool, threshold=0.02)  # type: ignore[call-arg]  # what is refused


@pytest.mark.parametrize(
    "other",
    [
        CountingEmbeddings(model="rival"),
        CountingEmbeddings(dimensions=64),
        LexicalEmbeddings(dimensions=128),
    ],
)
def test_a_file_of_other_embeddings_is_refused(
    open_cache: Open, tmp_path: Path, other: Any
) -> None:
    path = tmp_path / "c.db"
    first = open_cache(judge=bool, path=path)
    first.update(RESET, LLM, ANSWER)

    with pytest.raises(StoreError) as caught:
        open_cache(other, bool, path=path)
    assert "CountingEmbeddings(lexical), dimension 128" in str(caught.value)
    assert type(other).__name__ in str(caught.value).partition("embeddings given")[2]


def test_a_file_is_opened_also_while_the_embeddings_are_down(
    open_cache: Open, embeddings: CountingEmbeddings, tmp_path: Path
) -> None:
    path = tmp_path / "c.db"
    open_cache(judge=bool, path=path).update(RESET, LLM, ANSWER)
    embeddings.error = ConnectionError("down")

    again = open_cache(judge=bool, path=path)
    assert again.lookup(RESET, LLM)
    assert again.lookup(TYPO, LLM) is None
    embeddings.error = None
    assert again.lookup(TYPO, LLM)


def test_vectors_of_another_length_are_like_no_other(
    open_cache: Open, tmp_path: Path
) -> None:
    path = tmp_path / "c.db"
    open_cache(judge=bool, path=path).update(RESET, LLM, ANSWER)
    other = CountingEmbeddings(dimensions=64)
    other.error = ConnectionError("down")
    again = open_cache(other, bool, path=path)
    other.error = None

    assert again.lookup(TYPO, LLM) is None
    again.update(TYPO, LLM, ANSWER)
    # Without its vector: only the same request is answered.
    stats = again.stats()
    assert (stats.stored, stats.entries, stats.indexed) == (1, 2, 1)
    assert said(again.lookup(TYPO, LLM))["decision"] == "exact"


def test_a_file_is_opened_again_with_answers_verdicts_and_aliases(
    open_cache: Open, judge: ScriptedJudge, tmp_path: Path
) -> None:
    path = tmp_path / "c.db"
    judge.answer = lambda request: "pasword" in request.new_question
    with open_cache(judge=judge, path=path) as cache:
        cache.update(RESET, LLM, ANSWER)
        assert cache.lookup(TYPO, LLM)
        assert cache.lookup(_ask("How do I reset my password now?"), LLM) is None

    asked = len(judge.requests)
    again = open_cache(judge=judge, path=path)
    assert said(again.lookup(RESET, LLM))["decision"] == "exact"
    assert said(again.lookup(TYPO, LLM))["decision"] == "alias"
    assert again.lookup(_ask("How do I reset my password now?"), LLM) is None
    assert len(judge.requests) == asked


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_works_on_its_own(clone: Any) -> None:
    cache = SemanticJudgeCache(LexicalEmbeddings(), band=(0.8, 0.99))
    cache.update(RESET, LLM, ANSWER)

    other = clone(cache)

    assert other.lookup(RESET, LLM)
    other.clear()
    assert cache.lookup(RESET, LLM)
    other.close()
    cache.close()


def test_failed_calls_leave_only_bounded_traces(cache: SemanticJudgeCache) -> None:
    model = ScriptedChatModel(rules=[Rule("", Fault.server_error())], cache=cache)
    for number in range(1_100):
        with pytest.raises(Exception, match="scripted server error"):
            model.invoke(f"question {number}")

    assert len(cache._pending._misses) <= 1024
    assert cache.stats().stored == 0


def test_the_local_store_is_the_store(cache: SemanticJudgeCache) -> None:
    assert isinstance(cache._store, LocalStore)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ({"older_than": "1d"}, "older_than must be seconds.*'1d'"),
        ({"older_than": -1}, "older_than must be seconds, 0 or more"),
        ({"older_than": timedelta(days=-1)}, "older_than must be seconds, 0 or more"),
        ({"query": 3}, "query must be a text or None, got int"),
        ({"namespace": b"a"}, "namespace must be a text or None, got bytes"),
        ({"hit_id": 3}, "3 is no hit id"),
    ],
)
def test_criteria_that_cannot_work_remove_nothing(
    cache: SemanticJudgeCache, criterion: dict[str, Any], message: str
) -> None:
    cache.update(RESET, LLM, ANSWER)

    with pytest.raises(ConfigurationError, match=message):
        cache.invalidate(**criterion)
    assert cache.stats().entries == 1


async def test_answers_are_read_and_written_off_the_event_loop(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            threads.append(threading.get_ident())
            return function(*args)

        return call

    for module, name in ((storing, "pack"), (tiers, "unpack"), (tiers, "fired")):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    await cache.aupdate(RESET, LLM, ANSWER)
    await cache.alookup(RESET, LLM)
    await cache.alookup(TYPO, LLM)

    assert len(threads) == len(["pack", "unpack", "fired", "unpack"])
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("wrapped", [False, True])
async def test_what_is_long_is_read_off_the_event_loop(
    open_cache: Open, *, wrapped: bool
) -> None:
    readers: list[int] = []

    def key(_: Any) -> None:
        readers.append(threading.get_ident())

    text = "long " * 50_000
    if wrapped:
        chain = open_cache(judge=bool).wrap(RunnableLambda(len), key=key)
        await chain.ainvoke(text)
        assert [chunk async for chunk in chain.astream(text)] == [len(text)]
    else:
        cache = open_cache(judge=bool, key=key)
        await cache.alookup(prompt_of(HumanMessage(text)), LLM)
        await cache.aupdate(prompt_of(HumanMessage(text)), LLM, ANSWER)

    assert len(readers) == 2
    assert threading.get_ident() not in readers


def test_a_view_has_its_own_namespace_and_the_same_entries(
    cache: SemanticJudgeCache,
) -> None:
    prompt = prompt_of(HumanMessage("how are you"))
    tenant = cache.scoped("acme")
    tenant.update(prompt, LLM, answer_of(AIMessage("fine")))
    assert cache.lookup(prompt, LLM) is None
    assert cache.scoped("acme").lookup(prompt, LLM) is not None
    assert cache.scoped().namespace == cache.namespace
    assert cache.invalidate(namespace="acme") == 1
    with pytest.raises(ConfigurationError, match="namespace must be a text"):
        cache.scoped(3)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(ConfigurationError, match="key must be a function of the mess"):
        cache.scoped(key="question")  # type: ignore[arg-type]  # that is the test


def test_a_view_names_its_own_semantic_text(cache: SemanticJudgeCache) -> None:
    exact = cache.scoped(key=lambda _: None)
    one, other = (prompt_of(HumanMessage(f"how are you {x}")) for x in ("", "all"))
    exact.update(one, LLM, answer_of(AIMessage("fine")))
    assert exact.lookup(one, LLM) is not None
    assert exact.lookup(other, LLM) is None


def test_an_answer_of_several_calls_says_what_it_had_cost(
    cache: SemanticJudgeCache,
) -> None:
    prompt = prompt_of(HumanMessage("how are you"))
    cost = Usage(calls=3, input_tokens=20, output_tokens=10)
    cache.update(prompt, LLM, answer_of(AIMessage("fine")), saved=cost)
    with track() as ledger:
        assert cache.lookup(prompt, LLM) is not None
    (row,) = ledger.to_records()
    assert (row.saved_calls, row.saved_tokens) == (3, 30)
