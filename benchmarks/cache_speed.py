"""How fast lookups and inserts are, and what an entry takes in memory.

Vectors are drawn at random, which is the hardest for an index; a planted question has
a cosine of 0.9 to a stored one. What embedding takes is left out everywhere.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from cache_data import Vectors, answer, prompt_of
from cache_peers import Peer, PeerCache
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore

DIMENSIONS = 384
NEAR = 0.9
# Without a judge: a planted question is served, and nothing drawn comes near it.
BAND = (0.8, 0.85)
LLM = "[('model', 'm')]"
LOOKUPS = 400
_PLANTED = "Please tell me: "
_TEMPLATE = prompt_of(HumanMessage("QUESTION"))
_NUMBER = re.compile(r"number (\d+)")


def question(number: int) -> str:
    """Return a question as long as people's are."""
    return f"How do I reset the password of the account with the number {number}"


def prompt(text: str) -> str:
    """Return what a chat model hands to its cache, without the time that takes."""
    return _TEMPLATE.replace("QUESTION", text)


class Drawn(Embeddings):
    """Draws a vector for the number in a text; counts what that takes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.cpu = 0.0
        """Seconds of CPU that all of it took."""
        self.wall = 0.0
        """Seconds that all of it took."""

    def embed_query(self, text: str) -> list[float]:
        """Draw the vector of a text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Draw vectors."""
        cpu, wall = time.process_time(), time.perf_counter()
        values: list[list[float]] = [self.vector(text).tolist() for text in texts]
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return values

    def vector(self, text: str) -> Vectors:
        """Draw the vector of a text; of a planted one, near that of its question."""
        found = _NUMBER.search(text)
        number = int(found[1]) if found else 0
        plain = self._direction(number, 0)
        if _PLANTED not in text:
            return plain
        other = self._direction(number, 1)
        other -= (other @ plain) * plain
        other /= np.linalg.norm(other)
        near: Vectors = (
            np.float32(NEAR) * plain + np.float32(1 - NEAR**2) ** 0.5 * other
        )
        return near

    def _direction(self, number: int, kind: int) -> Vectors:
        rng = np.random.default_rng((self._seed, kind, number))
        vector = rng.standard_normal(DIMENSIONS, np.float32)
        unit: Vectors = vector / np.linalg.norm(vector)
        return unit


@dataclass(frozen=True)
class Questions:
    """What is stored and looked up in a partition of some size."""

    size: int
    """How many entries there are."""
    seed: int
    """What is picked by."""

    @cached_property
    def picked(self) -> list[int]:
        """The numbers of the entries that are looked up."""
        rng = np.random.default_rng(self.seed)
        found: list[int] = rng.choice(self.size, LOOKUPS, replace=False).tolist()
        return found

    def items(self) -> Iterator[tuple[str, str, Any]]:
        """Yield what is stored."""
        for number in range(self.size):
            yield prompt(question(number)), LLM, answer(f"answer {number}")

    def exact(self) -> list[str]:
        """Return questions that are stored."""
        return [question(number) for number in self.picked]

    def near(self) -> list[str]:
        """Return planted questions."""
        return [_PLANTED + text for text in self.exact()]

    def far(self) -> list[str]:
        """Return questions that nothing is near to."""
        return [question(self.size + number) for number in range(LOOKUPS)]

    def expected(self) -> list[str]:
        """Return the answers to the first two kinds."""
        return [f"answer {number}" for number in self.picked]


@dataclass(frozen=True)
class Times:
    """What lookups took."""

    seconds: Sequence[float]
    """Of CPU, each."""
    found: float
    """The share of those with an answer that got it."""

    def __str__(self) -> str:
        median, late = np.quantile(self.seconds, (0.5, 0.99))
        return f"{1000 * median:.3f} / {1000 * late:.2f}"


@dataclass(frozen=True)
class Lookups:
    """The times of both kinds."""

    exact: Times
    """Of prompts that are stored."""
    semantic: Times
    """Half of them planted, half misses."""


def lookups(cache: BaseCache, questions: Questions, drawn: Drawn) -> Lookups:
    """Time lookups of a cache that has been filled."""
    # What the first lookup loads is not every lookup's.
    cache.lookup(prompt(question(questions.size + LOOKUPS)), LLM)
    pairs = zip(questions.near(), questions.far(), strict=True)
    mixed = [text for both in pairs for text in both]
    expected = [text for one in questions.expected() for text in (one, None)]
    return Lookups(
        timed(cache, questions.exact(), questions.expected(), drawn),
        timed(cache, mixed, expected, drawn),
    )


def timed(
    cache: BaseCache, texts: list[str], expected: Sequence[str | None], drawn: Drawn
) -> Times:
    """Time lookups of questions, of which some have an answer."""
    seconds, right = [], []
    for text, due in zip(texts, expected, strict=True):
        asked, left_out, started = prompt(text), drawn.cpu, time.process_time()
        hit = cache.lookup(asked, LLM)
        spent = time.process_time() - started - (drawn.cpu - left_out)
        # Of a cache in another process, that one knows.
        seconds.append(cache.cpu if isinstance(cache, PeerCache) else spent)
        if due is not None:
            right.append(hit is not None and hit[0].text == due)
    return Times(seconds, sum(right) / len(right))


@dataclass(frozen=True)
class Filled:
    """What a cache takes at some size."""

    lookups: Lookups
    """The times."""
    stored: float | None = None
    """Answers a second in bulk."""
    bytes: float | None = None
    """Of memory, an entry."""


def ours(folder: Path, questions: Questions) -> Filled:
    """Fill a file, look things up in it, and open it in a process of its own."""
    path = folder / f"{questions.size}.db"
    drawn = Drawn(questions.seed)
    store = LocalStore(path)
    with SemanticJudgeCache(drawn, band=BAND, store=store) as cache:
        started = time.perf_counter()
        count = cache.warm(questions.items())
        stored = count / (time.perf_counter() - started - drawn.wall)
        store.wait_until_indexed()
        found = lookups(cache, questions, drawn)
    return Filled(found, stored, grown(path, questions))


def plain(questions: Questions) -> Filled:
    """Fill LangChain's cache of equal prompts."""
    cache = InMemoryCache()
    for asked, llm_string, value in questions.items():
        cache.update(asked, llm_string, value)
    return Filled(lookups(cache, questions, Drawn(questions.seed)))


def other(peer: Peer, python: Path, questions: Questions) -> Filled:
    """Fill another project's cache.

    Raises:
        PeerError: When its process fails.
    """
    drawn = Drawn(questions.seed)
    with PeerCache(peer, python, drawn) as cache:
        before = cache.memory()
        stored = questions.size / cache.warm(questions.items())
        grown_by = cache.memory() - before
        found = lookups(cache, questions, drawn)
    return Filled(found, stored, grown_by / questions.size)


def grown(path: Path, questions: Questions) -> float:
    """Return the bytes an entry by which a process grows that opens a file."""
    script = Path(__file__).with_name("cache_memory.py")
    told = [str(path), str(questions.size), str(questions.seed)]
    found = subprocess.run(  # noqa: S603 - this very benchmark
        [sys.executable, str(script), *told], check=True, capture_output=True, text=True
    )
    return float(found.stdout)


def inserted(update: Callable[[str, str, Any], float], count: int, seed: int) -> float:
    """Return how many answers a second are stored one by one.

    Args:
        update: Stores an answer; returns the seconds that took.
        count: How many to store.
        seed: What the vectors are drawn by.
    """
    items = list(Questions(count, seed).items())
    return count / sum(update(*item) for item in items)


def updating(cache: BaseCache, drawn: Drawn) -> Callable[[str, str, Any], float]:
    """Return what stores an answer and tells the seconds, embedding left out."""

    def update(asked: str, llm_string: str, value: Any) -> float:
        left_out, started = drawn.wall, time.perf_counter()
        cache.update(asked, llm_string, value)
        if isinstance(cache, PeerCache):
            return cache.wall
        return time.perf_counter() - started - (drawn.wall - left_out)

    return update


def bare(questions: Questions) -> Times:
    """Time FAISS alone: the limit of what compares with every vector."""
    drawn = Drawn(questions.seed)
    # For one question a second thread only waits, at the price of its CPU.
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(DIMENSIONS)
    for begin in range(0, questions.size, 10_000):
        numbers = range(begin, min(begin + 10_000, questions.size))
        index.add(np.stack([drawn.vector(question(number)) for number in numbers]))
    seconds, found = [], []
    for number, near, far in zip(
        questions.picked, questions.near(), questions.far(), strict=True
    ):
        for text in (near, far):
            vector = drawn.vector(text)[None]
            started = time.process_time()
            _, rows = index.search(vector, 1)
            seconds.append(time.process_time() - started)
            if text == near:
                found.append(int(rows[0, 0]) == number)
    return Times(seconds, sum(found) / len(found))
