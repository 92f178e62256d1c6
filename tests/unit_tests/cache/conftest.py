"""What the tests of the cache share."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.flights import Flights, Place
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.testing import LexicalEmbeddings

CLONES: list[Callable[[Any], Any]] = [
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - written a moment ago
]
"""The ways to copy an object."""

LLM = "[('model_name', 'm'), ('stop', None)]"
"""The `llm_string` of a model that LangChain cannot serialize."""


class Boarding:
    """Counts who has joined a flight, at its head or behind, to wait for them all."""

    def __init__(self, flights: Flights) -> None:
        self._joined = 0
        self._told = threading.Condition()
        self._join = flights.join
        flights.join = self._count  # type: ignore[method-assign]  # counts

    def _count(self, key: str) -> Place:
        place = self._join(key)
        with self._told:
            self._joined += 1
            self._told.notify_all()
        return place

    def wait_for(self, count: int) -> None:
        with self._told:
            assert self._told.wait_for(lambda: self._joined >= count, 60), self._joined

    async def await_for(self, count: int) -> None:
        await asyncio.to_thread(self.wait_for, count)


class CountingEmbeddings(Embeddings):
    """Lexical embeddings that remember what they embedded, and can fail."""

    def __init__(self, dimensions: int = 128, model: str = "lexical") -> None:
        self.model = model
        self.texts: list[str] = []
        self.error: Exception | None = None
        self._inner = LexicalEmbeddings(dimensions=dimensions)

    def embed_query(self, text: str) -> list[float]:
        self.texts.append(text)
        if self.error is not None:
            raise self.error
        return self._inner.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)


class PlannedEmbeddings(Embeddings):
    """Vectors by text: the cosines of a test are what the test says."""

    def __init__(self, **vectors: list[float]) -> None:
        self.vectors = vectors

    def embed_query(self, text: str) -> list[float]:
        return self.vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class ScriptedJudge:
    """A judge that answers by a table, and remembers what it was asked."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.requests: list[SameAnswerRequest] = []
        self._lock = threading.Lock()

    def __call__(self, request: SameAnswerRequest) -> Any:
        with self._lock:
            self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(request) if callable(self.answer) else self.answer


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def prompt_of(*messages: BaseMessage) -> str:
    """Return what a chat model hands to its cache."""
    return dumps([message.model_copy(update={"id": None}) for message in messages])


def answer_of(message: BaseMessage) -> list[Any]:
    return [ChatGeneration(message=message)]


@pytest.fixture
def embeddings() -> CountingEmbeddings:
    return CountingEmbeddings()


@pytest.fixture
def judge() -> ScriptedJudge:
    return ScriptedJudge()


@pytest.fixture
def open_cache(
    embeddings: CountingEmbeddings,
) -> Iterator[Callable[..., SemanticJudgeCache]]:
    """Open caches that are closed at the end."""
    opened: list[SemanticJudgeCache] = []

    def make(*args: Any, **kwargs: Any) -> SemanticJudgeCache:
        cache = SemanticJudgeCache(*(args or (embeddings,)), **kwargs)
        opened.append(cache)
        return cache

    yield make
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(
    open_cache: Callable[..., SemanticJudgeCache], judge: ScriptedJudge
) -> SemanticJudgeCache:
    return open_cache(judge=judge)
