"""Embeddings for tests and offline demos: no model, no download."""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from pydantic import BaseModel, ConfigDict, Field

_WORD = re.compile(r"\w+")
_NGRAM_SIZES = (3, 4, 5)
_LONG_WORD = 40
_INLINE_CHARS = 10_000
_SIGN_BIT = np.uint32(1 << 31)

_Hashes = npt.NDArray[np.uint32]


class LexicalEmbeddings(BaseModel, Embeddings):
    """Hashed character n-grams of a text's words, of unit length.

    The same text gives the same vector in every process, on every machine. Texts that
    share words, parts of words and pairs of neighbouring words are near each other.

    !!! warning
        It knows spelling, not meaning. "cheap" is far from "inexpensive", and "I want
        a refund" is near to "I want no refund". Use it to test the flow of a program
        and to run a demo offline, never to judge how good retrieval or a cache is.

    The features are the 3- to 5-grams of each word between blanks, each word and each
    pair of neighbouring words, hashed with CRC-32 to a component and a sign (the
    hashing trick: Weinberger et al., 2009, "Feature Hashing for Large Scale Multitask
    Learning"). Case, Unicode compatibility forms and punctuation do not matter. A text
    without a letter or digit is hashed by its characters; an empty one has the first
    unit vector.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    dimensions: int = Field(default=512, ge=16, le=65_536)
    """Components of a vector. Fewer than about 256 make unrelated texts collide."""

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self._embed(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, in their order."""
        return [self._embed(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text; a long one in a thread."""
        return (await self.aembed_documents([text]))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, in their order; many or long ones in a thread."""
        if sum(map(len, texts)) <= _INLINE_CHARS:
            return self.embed_documents(texts)
        return await run_in_executor(None, self.embed_documents, texts)

    def _embed(self, text: str) -> list[float]:
        hashes = _features(unicodedata.normalize("NFKC", text).casefold())
        if not hashes.size:
            return self._first_unit_vector()
        signs = np.where(hashes & _SIGN_BIT, -1.0, 1.0)
        vector = np.bincount(
            hashes % self.dimensions, weights=signs, minlength=self.dimensions
        )
        length = float(np.linalg.norm(vector))
        # Features of opposite sign can cancel each other out.
        return (vector / length).tolist() if length else self._first_unit_vector()

    def _first_unit_vector(self) -> list[float]:
        return [1.0] + [0.0] * (self.dimensions - 1)


def _features(text: str) -> _Hashes:
    """Hash every feature of a normalized text."""
    words = _WORD.findall(text)
    if not words:
        stripped = text.strip()
        return _word_features(stripped) if stripped else np.empty(0, np.uint32)
    pairs = [f"{left} {right}" for left, right in pairwise(words)]
    return np.concatenate([*map(_of_word, words), _hash_all(pairs)])


def _of_word(word: str) -> _Hashes:
    return _cached(word) if len(word) <= _LONG_WORD else _word_features(word)


def _word_features(word: str) -> _Hashes:
    """Hash a word and its character n-grams."""
    padded = f" {word} "
    grams = [
        padded[at : at + size]
        for size in _NGRAM_SIZES
        for at in range(len(padded) - size + 1)
    ]
    return _hash_all([word, *grams])


@lru_cache(maxsize=50_000)
def _cached(word: str) -> _Hashes:
    """Remember words: a text repeats itself, and texts repeat each other."""
    return _word_features(word)


def _hash_all(features: Sequence[str]) -> _Hashes:
    return np.fromiter(
        # Lone surrogates are text in Python and must not fail here.
        (zlib.crc32(feature.encode("utf-8", "surrogatepass")) for feature in features),
        np.uint32,
        count=len(features),
    )
