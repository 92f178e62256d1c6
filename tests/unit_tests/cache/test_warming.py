"""Storing many answers at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cache.warming import BATCH, batches
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.cache.conftest import (
    LLM,
    Clock,
    CountingEmbeddings,
    PlannedEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

Open = Callable[..., SemanticJudgeCache]
Item = tuple[str, str, Any]
PROMPT = prompt_of(HumanMessage("Why?"))


def item(text: str, answer: str = "Click on it.") -> Item:
    return prompt_of(HumanMessage(text)), LLM, answer_of(AIMessage(answer))


def items(count: int) -> list[Item]:
    return [
        item(f"How do I reset password number {number}?") for number in range(count)
    ]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def warm(
    cache: SemanticJudgeCache, given: Any, *, by_async: bool, **kwargs: Any
) -> int:
    if by_async:
        return await cache.awarm(given, **kwargs)
    return cache.warm(given, **kwargs)


def test_batches_are_whole_and_never_empty() -> None:
    assert list(batches([])) == []
    assert [len(batch) for batch in batches(range(2 * BATCH + 1))] == [BATCH, BATCH, 1]


async def test_what_is_stored_is_found_exactly_and_nearly(
    cache: SemanticJudgeCache, embeddings: CountingEmbeddings, by_async: bool
) -> None:
    assert await warm(cache, items(BATCH + 3), by_async=by_async) == BATCH + 3

    assert len(embeddings.texts) == BATCH + 3
    assert cache.stats().stored == cache.stats().entries == BATCH + 3
    exact = cache.explain(*items(2)[1][:2])
    near = cache.explain(item("How do I reset pasword number 1?")[0], LLM)
    assert (exact.decision, near.decision) == ("exact", "judged hit")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((PROMPT, LLM, "in 14 days"), r"items\[1\]\[2\] .* Generation.*, got str"),
        ((PROMPT, LLM, [AIMessage("a")]), r"items\[1\]\[2\] .*got a AIMessage among"),
        (
            (PROMPT, "answer"),
            r"items\[1\] must be \(prompt, llm_string, gen.*got tuple",
        ),
        ((7, LLM, [Generation(text="a")]), r"items\[1\] must be \(prompt, llm_string"),
        ("abc", r"items\[1\] must be \(prompt, llm_string, generations\).*got str"),
    ],
)
async def test_what_is_no_answer_is_refused(
    cache: SemanticJudgeCache, wrong: Any, said: str, by_async: bool
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await warm(cache, [item("a"), wrong], by_async=by_async)


async def test_what_finds_no_room_does_not_count(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=bool, max_bytes=1_600)
    long = item("How do I reset my clock?", "Click on it. " * 1_000)

    assert await warm(cache, [item("a"), long], by_async=by_async) == 1
    cache.update(*long)

    stats = cache.stats()
    assert (stats.stored, stats.entries, stats.not_stored) == (1, 1, 1)


async def test_answers_of_unknown_time_are_judged_where_time_is_the_cost(
    open_cache: Open, judge: ScriptedJudge, by_async: bool
) -> None:
    cache = open_cache(judge=judge, cost=lambda usage: usage.seconds)
    cache._policy.costs.note_verdict(Usage(calls=1, seconds=1.0))
    await warm(cache, items(3), by_async=by_async)

    for number in range(3):
        typo = item(f"How do I reset pasword number {number}?")
        assert cache.explain(*typo[:2]).decision == "judged hit"


async def test_what_is_not_worth_it_is_left_out(
    cache: SemanticJudgeCache, embeddings: CountingEmbeddings, by_async: bool
) -> None:
    cut = answer_of(AIMessage("a", response_metadata={"finish_reason": "length"}))
    odd = answer_of(AIMessage("a", response_metadata={"client": object()}))
    prompt = item("Why?")[0]
    given = [item("a", ""), (prompt, LLM, cut), (prompt, LLM, odd), (prompt, LLM, [])]

    assert await warm(cache, [*given, item("b")], by_async=by_async) == 1
    stats = cache.stats()
    assert (stats.stored, stats.not_stored, stats.unserializable) == (1, 3, 1)
    assert embeddings.texts == ["b"]


async def test_the_last_of_equal_requests_stays(
    cache: SemanticJudgeCache, embeddings: CountingEmbeddings, by_async: bool
) -> None:
    given = [item("Why?", answer) for answer in ("a", "b", "c")]
    await warm(cache, given, by_async=by_async)

    hit = cache.lookup(*given[0][:2])
    assert hit is not None
    assert hit[0].text == "c"
    assert cache.stats().entries == 1
    assert embeddings.texts == ["Why?"]


async def test_what_was_stored_stays_when_the_items_fail(
    cache: SemanticJudgeCache, by_async: bool
) -> None:
    def failing() -> Iterator[Item]:
        yield from items(BATCH + 10)
        msg = "no more"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="no more"):
        await warm(cache, failing(), by_async=by_async)
    assert cache.stats().entries == cache.stats().stored == BATCH
    assert cache.lookup(*items(1)[0][:2])


async def test_answers_live_as_long_as_they_are_told(
    open_cache: Open, by_async: bool
) -> None:
    clock = Clock()
    cache = open_cache(judge=bool, ttl=10, store=LocalStore(clock=clock))
    await warm(cache, [item("own")], by_async=by_async)
    await warm(cache, [item("given")], by_async=by_async, ttl=20)
    await warm(
        cache, [item("told", "30")], by_async=by_async, ttl=lambda a: float(a[0].text)
    )

    alive = []
    for _ in range(4):
        asked = (item(text)[0] for text in ("own", "given", "told"))
        alive.append([cache.lookup(prompt, LLM) is not None for prompt in asked])
        clock.now += 10
    assert alive == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]


@pytest.mark.parametrize("ttl", [0, -1, "1", True])
async def test_a_time_to_live_that_is_none_is_refused(
    cache: SemanticJudgeCache, ttl: Any, by_async: bool
) -> None:
    with pytest.raises(ConfigurationError, match="ttl must be"):
        await warm(cache, items(1), by_async=by_async, ttl=ttl)
    with pytest.raises(ConfigurationError, match="ttl must give"):
        await warm(cache, items(1), by_async=by_async, ttl=lambda _: ttl)
    assert cache.stats().entries == 0


async def test_answers_are_found_by_their_metadata(
    cache: SemanticJudgeCache, by_async: bool
) -> None:
    await warm(cache, items(3), by_async=by_async, metadata={"doc": 1, "__x": 2})
    await warm(cache, [item("other")], by_async=by_async)

    assert cache.invalidate(where=lambda found: dict(found) == {"doc": 1}) == 3
    assert cache.stats().entries == 1


async def test_requests_without_a_text_or_a_direction_are_stored_for_themselves(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(PlannedEmbeddings(zero=[0.0, 0.0], one=[1.0, 0.0]), judge=bool)
    tool = prompt_of(AIMessage("not a user"))
    given = [item("zero"), item("one"), (tool, LLM, answer_of(AIMessage("x")))]

    assert await warm(cache, given, by_async=by_async) == 3
    assert all(cache.lookup(prompt, LLM) for prompt, _, _ in given)


class Wrong(CountingEmbeddings):
    """Embeddings that give other vectors than were asked for."""

    def __init__(self, vectors: list[list[float]]) -> None:
        super().__init__()
        self.vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.vectors


@pytest.mark.parametrize(
    ("vectors", "error"),
    [([[1.0]], ValueError), ([[1.0, 0.0], [1.0, 0.0, 0.0]], StoreError)],
    ids=["too few", "of two lengths"],
)
async def test_vectors_that_do_not_fit_are_an_error_and_nothing_is_stored(
    open_cache: Open, vectors: Any, error: type[Exception], by_async: bool
) -> None:
    cache = open_cache(Wrong(vectors), judge=bool)

    with pytest.raises(error):
        await warm(cache, items(2), by_async=by_async)
    assert cache.stats().stored == 0


class Flat(CountingEmbeddings):
    """Embeddings that cost nothing."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, float(len(text))] for text in texts]


async def test_ten_thousand_are_stored_in_batches(
    open_cache: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, store, batch = Flat(), LocalStore(tmp_path / "c.db"), []
    many = store.add_many
    monkeypatch.setattr(store, "add_many", lambda given: batch.append(1) or many(given))  # type: ignore[func-returns-value]  # in a lambda
    cache = open_cache(embeddings, ScriptedJudge(), store=store)
    given = ((f"plain {n}", LLM, [Generation(text="a")]) for n in range(10_000))

    assert cache.warm(given) == 10_000
    assert len(batch) == -(-10_000 // BATCH)
    assert cache.stats().entries == 10_000
