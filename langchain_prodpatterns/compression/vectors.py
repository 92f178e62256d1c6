"""Sentence vectors: embedded once, remembered by the hash of their text."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of

Vector = npt.NDArray[np.float32]


class VectorCache:
    """A bounded memory of vectors, the least recently used forgotten first.

    It keeps hashes, not texts. Safe to share between threads and compressors; a copy
    by `pickle` or `deepcopy` takes its vectors along.
    """

    def __init__(self, max_entries: int = 20_000) -> None:
        """Begin empty.

        Args:
            max_entries: Vectors kept: 20,000 of 384 dimensions are about 31 MB.

        Raises:
            ConfigurationError: When `max_entries` is less than 1.
        """
        check_count("max_entries", max_entries, optional=False)
        self.max_entries = max_entries
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are known."""
        with self._lock:
            found = {key: self._vectors[key] for key in keys if key in self._vectors}
            for key in found:
                self._vectors.move_to_end(key)
        return found

    def keep(self, vectors: dict[bytes, Vector]) -> None:
        """Remember vectors."""
        with self._lock:
            for key, vector in vectors.items():
                self._vectors[key] = vector
                self._vectors.move_to_end(key)
            while len(self._vectors) > self.max_entries:
                self._vectors.popitem(last=False)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_vectors": self._vectors.copy()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


@dataclass(frozen=True)
class Embedding:
    """The vectors that the passages of one question need."""

    cache: VectorCache
    """Where vectors are remembered."""
    keys: Sequence[bytes]
    """The key of each passage."""
    known: dict[bytes, Vector]
    """What was remembered."""
    missing: dict[bytes, str]
    """The texts to embed, each once."""

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        embeddings: Embeddings,
        cache: VectorCache,
        dimensions: int,
    ) -> "Embedding":
        """Find out what has to be embedded.

        Args:
            texts: The text of each passage.
            embeddings: The embedder; vectors of another one are not used.
            cache: Where vectors are remembered.
            dimensions: The length of the embedder's vectors.

        Returns:
            What is known and what is missing.
        """
        fingerprint = Fingerprint(fingerprint_of(embeddings).name, dimensions)
        salt = hashlib.blake2b(str(fingerprint).encode(), digest_size=32).digest()
        clean = [without_surrogates(text) for text in texts]
        keys = [hashlib.blake2b(t.encode(), key=salt).digest() for t in clean]
        known = cache.find(keys)
        missing = {
            key: text for key, text in zip(keys, clean, strict=True) if key not in known
        }
        return cls(cache, keys, known, missing)

    def similarity(self, query: list[float], fresh: list[list[float]]) -> Scores:
        """Compare every passage with the question, and remember what is new.

        Args:
            query: The vector of the question.
            fresh: The vectors of `missing`, in its order.

        Returns:
            One cosine a passage.

        Raises:
            ValueError: When the embedder returned something else than one finite
                vector of the same length for each text.
        """
        wanted = np.asarray(query, dtype=np.float32)
        new = [np.asarray(vector, dtype=np.float32) for vector in fresh]
        if len(new) != len(self.missing):
            msg = f"{len(self.missing)} texts gave {len(new)} vectors"
            raise ValueError(msg)
        if not all(np.isfinite(vector).all() for vector in (wanted, *new)):
            msg = "a vector holds a number that is not finite"
            raise ValueError(msg)
        vectors = self.known | dict(zip(self.missing, new, strict=True))
        matrix = np.stack([vectors[key] for key in self.keys])
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(wanted)
        cosines: Scores = (matrix @ wanted / np.maximum(lengths, 1e-12)).astype(float)
        self.cache.keep({key: vectors[key] for key in self.missing})
        return cosines


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which no tokenizer and no encoder takes."""
    return text.encode("utf-8", "replace").decode()
