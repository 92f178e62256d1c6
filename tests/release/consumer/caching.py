"""A cache around a chain, behind a model, and its upkeep."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, assert_type

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns import CachedRunnable, SemanticJudgeCache
from langchain_prodpatterns.cache import (
    CacheDecision,
    CacheStats,
    Calibration,
    CurvePoint,
    JudgeRecord,
    LabeledPair,
    LocalStore,
    Promise,
    SameAnswerRequest,
)
from langchain_prodpatterns.cache.stores import (
    CacheStore,
    Entry,
    Found,
    Neighbor,
    PostgresStore,
    Selection,
    StoreCounts,
    VectorHandover,
    VectorStoreStore,
)
from langchain_prodpatterns.telemetry import CacheTelemetry


def same(request: SameAnswerRequest) -> bool:
    return request.new_question.lower() == request.stored_question.lower()


def answer(llm: BaseChatModel, embeddings: Embeddings) -> str:
    prompt = ChatPromptTemplate.from_template("Answer: {question}")
    with SemanticJudgeCache(embeddings, same, delta=0.05, ttl=60.0) as cache:
        chain = cache.wrap(prompt | llm | StrOutputParser(), scope="faq")
        assert_type(chain, CachedRunnable[dict[str, Any], str])
        decision = chain.explain({"question": "Why?"})
        assert_type(decision, CacheDecision)
        cache.feedback("hit", correct=False)
        assert_type(cache.invalidate(older_than=timedelta(days=1)), int)
        return chain.invoke({"question": "Why?"})


async def behind_a_model(llm: BaseChatModel, embeddings: Embeddings) -> float:
    cache = SemanticJudgeCache(embeddings, llm, path="answers.sqlite")
    set_llm_cache(cache)
    telemetry = CacheTelemetry(cache)
    await llm.ainvoke("Why?")
    stats = cache.stats()
    assert_type(stats, CacheStats)
    telemetry.close()
    await cache.aclose()
    return stats.exact / max(1, stats.lookups)


def calibrated(cache: SemanticJudgeCache, rows: Iterable[tuple[str, str]]) -> str:
    pairs = [LabeledPair(first, second, same_answer=True) for first, second in rows]
    found: Calibration = cache.calibrate(pairs, as_traffic=True)
    points: tuple[CurvePoint, ...] = tuple(found.curve)
    judge: JudgeRecord | None = found.judge
    promise: Promise | None = cache.stats().promise
    return f"{len(points)} {judge} {promise}"


def stores(embeddings: Embeddings, host: str) -> list[CacheStore]:
    handover = VectorHandover()
    return [
        LocalStore("answers.sqlite", max_entries=1_000),
        PostgresStore(f"postgresql://app@{host}/answers"),
        VectorStoreStore(InMemoryVectorStore(handover), InMemoryByteStore()),
    ]


def kept(store: CacheStore, entry: Entry, numbers: list[float]) -> tuple[int, int]:
    vector = np.asarray(numbers, dtype=np.float32)
    store.add(entry, vector)
    found: Found | None = store.find(entry.exact)
    near: Sequence[Neighbor] = store.nearest(
        entry.partition, vector, exact=entry.exact, limit=3
    )
    counts: StoreCounts = store.counts()
    removed = store.remove(Selection(namespace="old"))
    return len(near) + bool(found), counts.entries + removed
