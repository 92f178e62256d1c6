"""What the tests of failures share: a cache over a network that fails, and its user."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.testing import LexicalEmbeddings

T = TypeVar("T")

TIMEOUT = 1.0
"""Seconds that each question to the database may take."""
DEADLINE = 2 * TIMEOUT + 8.0
"""Seconds that a lookup takes at most: two questions, and what a machine under load
needs for the rest. Without a deadline it would take for ever."""
LONG = 60.0
"""Seconds after which something has failed to happen."""
_PAUSE = 0.02

Way: TypeAlias = Literal["sync", "async"]
WAYS: tuple[Way, ...] = ("sync", "async")

QUESTIONS = [f"Why is the sky over town {word} blue" for word in ("a", "b", "c", "d")]


def answer_to(question: str) -> str:
    """Return what is stored for a question: it tells whether it is the right one."""
    return f"Because of {question}"


def near(question: str) -> str:
    """Return the question in other words."""
    return f"{question}, please"


@contextmanager
def using(dsn: str, way: Way = "sync", **options: Any) -> Iterator["User"]:
    """Open a cache whose near hits need no judge, for someone who uses it."""
    given = {"timeout": TIMEOUT, "recovery": 0.1, "hear_seconds": 0.2} | options
    store = PostgresStore(dsn, **given)
    embeddings = LexicalEmbeddings(dimensions=64)
    with (
        SemanticJudgeCache(embeddings, band=(0.6, 0.7), store=store) as cache,
        asyncio.Runner() as runner,
    ):
        yield User(cache, way, runner)


class User:
    """Asks a cache as a model does, sync or in an event loop that stays his own."""

    def __init__(
        self, cache: SemanticJudgeCache, way: Way, runner: asyncio.Runner
    ) -> None:
        self.cache, self._way, self._runner = cache, way, runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in his event loop."""
        return self._runner.run(work)

    def look_up(self, question: str) -> bool:
        """Look a question up, in time; return whether it is answered, rightly."""
        started = time.monotonic()
        if self._way == "sync":
            found = self.cache.lookup(question, "llm")
        else:
            found = self.run(self.cache.alookup(question, "llm"))
        assert time.monotonic() - started < DEADLINE
        if found is None:
            return False
        assert found[0].text == answer_to(question.removesuffix(", please"))
        return True

    def store(self, question: str) -> None:
        """Store its answer, in time."""
        value = [Generation(text=answer_to(question))]
        started = time.monotonic()
        if self._way == "sync":
            self.cache.update(question, "llm", value)
        else:
            self.run(self.cache.aupdate(question, "llm", value))
        assert time.monotonic() - started < DEADLINE

    def fill(self) -> None:
        """Store every answer, and see that it is there."""
        for question in QUESTIONS:
            eventually(partial(self.keeps, question))

    def keeps(self, question: str) -> bool:
        """Store its answer; return whether it is found then."""
        self.store(question)
        return self.look_up(question) and self.look_up(near(question))

    def count(self, event: Any) -> int:
        """Return how often something was counted."""
        return self.cache.core.counters.so_far()[event]

    def sees_everything(self) -> bool:
        """Return whether every answer is found, by its request and a near one."""
        asked = [*QUESTIONS, *map(near, QUESTIONS)]
        return all(self.look_up(question) for question in asked)

    def sees_nothing(self) -> bool:
        """Return whether nothing is found, and each try is counted as that."""
        before = self.count("unavailable")
        asked = [*QUESTIONS, *map(near, QUESTIONS)]
        found = [self.look_up(question) for question in asked]
        assert self.count("unavailable") - before == len(asked) - sum(found)
        return not any(found)


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end
        threading.Event().wait(_PAUSE)
