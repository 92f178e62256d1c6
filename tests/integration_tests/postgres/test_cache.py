"""`SemanticJudgeCache` on PostgreSQL, as many processes use it."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore
from tests.integration_tests.postgres.cases import OpenStore, ask, one, stores
from tests.unit_tests.cache.conftest import (
    LLM,
    PlannedEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

ROOT = Path(__file__).parents[3]
ASKED, SIMILAR, OTHER = "opening hours", "when is it open", "the price of tea"
EMBEDDINGS = PlannedEmbeddings(
    **{ASKED: [1.0, 0.0, 0.0], SIMILAR: [0.95, 0.312, 0.0], OTHER: [0.0, 0.0, 1.0]}
)
ANSWER = "from nine to five"


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


def _same(request: Any) -> bool:
    return OTHER not in f"{request}"


@pytest.fixture
def open_cache(open_store: OpenStore) -> Iterator[Callable[..., SemanticJudgeCache]]:
    opened: list[SemanticJudgeCache] = []

    def make(judge: Any = None, **given: Any) -> SemanticJudgeCache:
        judge = judge or ScriptedJudge(_same)
        opened.append(SemanticJudgeCache(EMBEDDINGS, judge, store=open_store(**given)))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()


def _prompt(text: str) -> str:
    return prompt_of(HumanMessage(text))


def _decision(answer: Any) -> str:
    """Return how an answer was found; `miss` where it was not."""
    if answer is None:
        return "miss"
    (generation,) = answer
    assert generation.message.content == ANSWER
    told: dict[str, str] = generation.message.response_metadata["prodpatterns.cache"]
    return told["decision"]


def test_the_whole_story(open_cache: Callable[..., SemanticJudgeCache]) -> None:
    judge = ScriptedJudge(_same)
    writer, reader = open_cache(), open_cache(judge)

    assert _decision(reader.lookup(_prompt(ASKED), LLM)) == "miss"
    writer.update(_prompt(ASKED), LLM, answer_of(AIMessage(ANSWER)))

    assert _decision(reader.lookup(_prompt(ASKED), LLM)) == "exact"
    assert _decision(reader.lookup(_prompt(SIMILAR), LLM)) == "judged hit"
    assert len(judge.requests) == 1
    # Another process knows what was judged.
    assert _decision(writer.lookup(_prompt(SIMILAR), LLM)) == "alias"
    assert _decision(reader.lookup(_prompt(OTHER), LLM)) == "miss"
    assert _decision(reader.lookup(_prompt(ASKED), "another model")) == "miss"

    assert writer.invalidate(query=ASKED) == 1
    for text in (ASKED, SIMILAR):
        assert _decision(reader.lookup(_prompt(text), LLM)) == "miss"


async def test_the_whole_story_in_an_event_loop(
    open_cache: Callable[..., SemanticJudgeCache],
) -> None:
    writer, reader = open_cache(), open_cache()

    assert _decision(await reader.alookup(_prompt(ASKED), LLM)) == "miss"
    await writer.aupdate(_prompt(ASKED), LLM, answer_of(AIMessage(ANSWER)))

    assert _decision(await reader.alookup(_prompt(ASKED), LLM)) == "exact"
    assert _decision(await reader.alookup(_prompt(SIMILAR), LLM)) == "judged hit"
    assert _decision(await writer.alookup(_prompt(SIMILAR), LLM)) == "alias"
    assert _decision(await reader.alookup(_prompt(OTHER), LLM)) == "miss"
    await writer.aclear()
    assert _decision(await reader.alookup(_prompt(ASKED), LLM)) == "miss"


def test_feedback_takes_an_answer_from_who_it_does_not_answer(
    open_cache: Callable[..., SemanticJudgeCache],
) -> None:
    cache, other = open_cache(), open_cache()
    cache.update(_prompt(ASKED), LLM, answer_of(AIMessage(ANSWER)))
    served: Any
    (served,) = cache.lookup(_prompt(SIMILAR), LLM) or []
    hit = served.message.response_metadata["prodpatterns.cache"]["hit_id"]

    cache.feedback(hit, correct=False)

    assert _decision(other.lookup(_prompt(SIMILAR), LLM)) == "miss"
    assert _decision(other.lookup(_prompt(ASKED), LLM)) == "exact"


def test_what_was_counted_is_there_for_all(
    open_cache: Callable[..., SemanticJudgeCache], dsn: str
) -> None:
    cache = open_cache()
    cache.update(_prompt(ASKED), LLM, answer_of(AIMessage(ANSWER)))
    cache.lookup(_prompt(ASKED), LLM)
    cache.lookup(_prompt(SIMILAR), LLM)
    cache.close()

    assert one(dsn, "SELECT hits FROM prodpatterns.uses") == 2
    assert one(dsn, "SELECT count(*) FROM prodpatterns.tallies") > 0


_WORKER = """
    import sys, time
    from langchain_core.runnables import RunnableLambda
    from langchain_prodpatterns.cache import SemanticJudgeCache
    from langchain_prodpatterns.cache.stores import PostgresStore
    from langchain_prodpatterns.testing import LexicalEmbeddings
    import psycopg

    dsn = sys.argv[1]

    def work(text):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO calls VALUES (%s)", (text,))
            # Until all of them have asked: whoever did not wait would have called.
            for _ in range(3_000):
                waiting = connection.execute("SELECT count(*) FROM ready").fetchone()
                if waiting[0] == 4:
                    break
                time.sleep(0.02)
        return f"answer to {text}"

    store = PostgresStore(dsn, timeout=60.0)
    cache = SemanticJudgeCache(LexicalEmbeddings(), band=(0.0, 0.99), store=store)
    chain = cache.wrap(RunnableLambda(work), scope="work")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO ready VALUES (1)")
    assert chain.invoke("the question") == "answer to the question"
    cache.close()
"""


def test_four_processes_make_one_call(dsn: str) -> None:
    PostgresStore.migrate(dsn)
    ask(dsn, "CREATE TABLE calls (text text)")
    ask(dsn, "CREATE TABLE ready (one int)")
    workers = [
        subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-c", textwrap.dedent(_WORKER), dsn],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for worker in workers:
        _, error = worker.communicate(timeout=200)
        assert worker.returncode == 0, error

    assert ask(dsn, "SELECT text FROM calls") == [("the question",)]
