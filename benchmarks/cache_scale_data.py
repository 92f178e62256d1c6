"""What the load benchmark stores and asks: real neighborhoods, as many as wanted.

Some 4,000 questions of the evaluation data (Quora pairs) are embedded by MiniLM and
written in their principal axes. A *reflection* of all of them, which turns some axes
around, is another set of questions with the very same cosines among themselves and the
same spread over the axes, unrelated to the first one. So a million entries are some 250
reflections, each with the neighbors that real questions have: the nearest other one of
a question has a median cosine of .77.

A paraphrase lies at a cosine of .80 to .95 to its question, in the direction of another
real question. It is found if what is found is at least as near as its own question.

In each partition half of the texts are the same as in every other one, the most popular
ones: an index over all partitions meets their twins first.
"""

import bisect
import itertools
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cache_data import Vectors, local_embeddings, read
from langchain_core.embeddings import Embeddings

DIMENSIONS = 384
NEAREST, FARTHEST = 0.95, 0.80
_PAIRS = 2_000
_REFLECTIONS = 1_025
_NEW_FROM = 512
"""The reflection from which on questions are not stored beforehand."""
_WORDS = re.compile(r"called ([a-j]+)(?:, said like ([a-j]+))?")
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_DIGITS = str.maketrans("abcdefghij", "0123456789")
TOLERANCE = 0.005
"""What half precision may take from a cosine."""


def axes() -> Vectors:
    """Embed the real questions; return them in their principal axes."""
    pairs = itertools.islice(read("qqp_pairs"), _PAIRS)
    texts = sorted({row[key] for row in pairs for key in _SIDES})
    vectors = local_embeddings().matrix(texts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, principal = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(vectors @ principal, np.float32)


_SIDES = ("question_a", "question_b")


class Reflected(Embeddings):
    """Makes the vector of a numbered question, or of a paraphrase of it."""

    def __init__(self, path: Path, seed: int) -> None:
        """Read the real ones.

        Args:
            path: Where `axes` was saved.
            seed: What the reflections and the paraphrases are drawn by.
        """
        self._real: Vectors = np.load(path)
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._order = rng.permutation(len(self._real))
        signs = rng.choice([-1, 1], (_REFLECTIONS, DIMENSIONS))
        self._signs: Vectors = signs.astype(np.float32)

    @property
    def first_new(self) -> int:
        """The number from which on no question is stored beforehand."""
        return _NEW_FROM * len(self._real)

    def vector(self, number: int) -> Vectors:
        """Make the vector of a question."""
        reflection, row = divmod(number, len(self._real))
        made: Vectors = self._real[self._order[row]] * self._signs[reflection]
        return made

    def paraphrase(self, number: int, version: int) -> Vectors:
        """Make the vector of a question in other words."""
        rng = np.random.default_rng((self._seed, number, version))
        own = self.vector(number)
        away = self._real[rng.integers(len(self._real))] * self._signs[-1]
        away = away - (away @ own) * own
        cosine = np.float32(rng.uniform(FARTHEST, NEAREST))
        turned: Vectors = away / np.linalg.norm(away) * (1 - cosine**2) ** 0.5
        return cosine * own + turned

    def of_text(self, text: str) -> Vectors:
        """Make the vector of a text that `worded` has written."""
        number, version = read_back(text)
        return (
            self.vector(number) if version is None else self.paraphrase(number, version)
        )

    def embed_query(self, text: str) -> list[float]:
        """Make the vector of a text."""
        values: list[float] = self.of_text(text).tolist()
        return values

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Make vectors."""
        return [self.embed_query(text) for text in texts]

    def cosine(self, asked: str, number: int) -> float:
        """Return how near a text is to a question."""
        return float(self.of_text(asked) @ self.vector(number))

    def is_found(self, asked: str, number: int, found: int) -> bool:
        """Whether what is found is at least as near as the question's own."""
        due = self.cosine(asked, number) - TOLERANCE
        return found == number or self.cosine(asked, found) >= due


def worded(number: int, version: int | None = None) -> str:
    """Return the text of a question, or of a paraphrase of it.

    Numbers are spelled in letters: two questions that differ in a number are not one
    to the guards of our cache, whatever their cosine.
    """
    text = f"how do i reset the password of the account called {_spelled(number)}"
    return text if version is None else f"{text}, said like {_spelled(version)}"


def read_back(text: str) -> tuple[int, int | None]:
    """Return the number of a question, and the version if it is a paraphrase."""
    found = _WORDS.search(text)
    if found is None:
        return 0, None
    number, version = (
        None if word is None else int(word.translate(_DIGITS))
        for word in found.groups()
    )
    return number or 0, version


def _spelled(number: int) -> str:
    return str(number).translate(_LETTERS)


@dataclass(frozen=True)
class Layout:
    """Which questions are in which partition."""

    entries: int
    """How many entries there are."""
    partitions: int
    """How many partitions."""

    @property
    def size(self) -> int:
        """Entries of a partition."""
        return self.entries // self.partitions

    @property
    def shared(self) -> int:
        """How many of them, the most popular ones, every partition has."""
        return self.size // 2 if self.partitions > 1 else 0

    def number(self, partition: int, rank: int) -> int:
        """Return the number of a question by its popularity in a partition."""
        own = self.size - self.shared
        return rank if rank < self.shared else rank + partition * own


class Zipf:
    """Draws ranks: the second is drawn half as often as the first, and so on."""

    def __init__(self, count: int) -> None:
        self._count = count

    @cached_property
    def _sums(self) -> list[float]:
        weights: npt.NDArray[np.float64] = 1 / np.arange(1, self._count + 1)
        sums: list[float] = list(itertools.accumulate(weights.tolist()))
        return sums

    def draw(self, chance: float) -> int:
        """Return the rank, from 0 on, of a number from 0 to 1."""
        return min(bisect.bisect(self._sums, chance * self._sums[-1]), self._count - 1)
