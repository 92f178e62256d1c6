"""Sentence vectors: embedded once, remembered by the hash of their text."""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of

logger = logging.getLogger(__name__)

Vector = npt.NDArray[np.float32]

_STORED = np.dtype("<f4")
# Nothing but what a file name may hold: stores keep keys as file names.
_KEY_PREFIX = "prodpatterns-vector-"


class VectorCache:
    """A bounded memory of vectors, the least recently used forgotten first.

    With a store it is a memory in front of it, and what one process has embedded no
    other one embeds again. A store that fails costs an embedding and a warning.

    It keeps hashes, not texts. Safe to share between threads and compressors; a copy
    by `pickle` or `deepcopy` takes its vectors along.
    """

    def __init__(
        self,
        max_entries: int = 20_000,
        *,
        store: BaseStore[str, bytes] | None = None,
        namespace: str = "",
    ) -> None:
        """Begin empty.

        Args:
            max_entries: Vectors kept in memory: 20,000 of 384 dimensions are about
                31 MB.
            store: Where all vectors are kept as well, such as LangChain's
                `LocalFileStore` or `RedisStore`. It is never emptied here.
            namespace: Tells apart what class, model name and dimension of an embedder
                do not: name the model here when the embedder has no name for it.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        check_count("max_entries", max_entries, optional=False)
        if store is not None and not isinstance(store, BaseStore):
            msg = f"store must be a LangChain ByteStore, got {type(store).__name__}"
            raise ConfigurationError(msg)
        self.max_entries = max_entries
        self.store = store
        self.namespace = namespace
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
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing and self.store is not None:
            stored = self._read(self.store, missing)
            self._remember(stored)
            found |= stored
        return found

    def keep(self, vectors: Mapping[bytes, Vector]) -> None:
        """Remember vectors."""
        self._remember(vectors)
        if vectors and self.store is not None:
            self._write(self.store, vectors)

    def _remember(self, vectors: Mapping[bytes, Vector]) -> None:
        with self._lock:
            for key, vector in vectors.items():
                self._vectors[key] = vector
                self._vectors.move_to_end(key)
            while len(self._vectors) > self.max_entries:
                self._vectors.popitem(last=False)

    @staticmethod
    def _read(
        store: BaseStore[str, bytes], keys: Sequence[bytes]
    ) -> dict[bytes, Vector]:
        try:
            values = store.mget([_name(key) for key in keys])
            vectors = map(_decoded, values)
            return {
                key: vector
                for key, vector in zip(keys, vectors, strict=True)
                if vector is not None
            }
        except Exception as error:  # noqa: BLE001 - a store that is down must not cost the answer
            _warn(store, error, "read")
            return {}

    @staticmethod
    def _write(store: BaseStore[str, bytes], vectors: Mapping[bytes, Vector]) -> None:
        try:
            store.mset(
                [(_name(k), v.astype(_STORED).tobytes()) for k, v in vectors.items()]
            )
        except Exception as error:  # noqa: BLE001 - as above
            _warn(store, error, "written")

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_vectors": self._vectors.copy()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _name(key: bytes) -> str:
    return _KEY_PREFIX + key.hex()


def _decoded(value: object) -> Vector | None:
    """Read a stored vector; what is none is embedded again."""
    if not isinstance(value, bytes) or not value or len(value) % _STORED.itemsize:
        return None
    vector = np.frombuffer(value, _STORED).astype(np.float32)
    return vector if np.isfinite(vector).all() else None


def _warn(store: object, error: Exception, done: str) -> None:
    logger.warning(
        "%s failed (%s): vectors could not be %s and are embedded again",
        type(store).__name__,
        type(error).__name__,
        done,
    )


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
        model = f"{cache.namespace}\n{fingerprint}".encode()
        salt = hashlib.blake2b(model, digest_size=32).digest()
        clean = [without_surrogates(text) for text in texts]
        keys = [hashlib.blake2b(t.encode(), key=salt).digest() for t in clean]
        found = cache.find(keys).items()
        known = {key: vector for key, vector in found if vector.size == dimensions}
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
