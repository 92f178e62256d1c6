import copy
import pickle
import threading

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_prodpatterns.compression import VectorCache
from langchain_prodpatterns.compression.vectors import Embedding, without_surrogates
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import LexicalEmbeddings


def pickled(cache: VectorCache) -> VectorCache:
    copied: VectorCache = pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own bytes
    return copied


def key(number: int) -> bytes:
    return str(number).encode()


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([number], dtype=np.float32)


def test_the_least_recently_used_is_forgotten() -> None:
    cache = VectorCache(max_entries=2)
    cache.keep({key(1): vector(1), key(2): vector(2)})
    cache.find([key(1)])
    cache.keep({key(3): vector(3)})
    assert set(cache.find([key(1), key(2), key(3)])) == {key(1), key(3)}
    assert len(cache) == 2


def test_max_entries_is_checked() -> None:
    with pytest.raises(
        ConfigurationError,
        match="max_entries must be a whole number, at least 1, got 0",
    ):
        VectorCache(max_entries=0)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_copies_keep_the_vectors_and_have_their_own_lock(copied: object) -> None:
    assert callable(copied)
    cache = VectorCache(max_entries=5)
    cache.keep({key(1): vector(1)})
    other = copied(cache)
    other.keep({key(2): vector(2)})
    assert len(cache) == 1
    assert len(other) == 2
    assert other.max_entries == 5


def test_many_threads() -> None:
    cache = VectorCache(max_entries=50)
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            start.wait()
            for number in range(300):
                cache.keep({key(offset + number): vector(number)})
                cache.find([key(number), key(offset + number)])
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(each * 100,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache) == 50


class Named(LexicalEmbeddings):
    """Embeddings of one class that differ by the model they ask."""

    model_id: str


def embedding(
    texts: list[str],
    cache: VectorCache,
    embedder: Embeddings | None = None,
    dimensions: int = 2,
) -> Embedding:
    return Embedding.of(texts, embedder or LexicalEmbeddings(), cache, dimensions)


def test_each_text_is_embedded_once() -> None:
    wanted = embedding(["a", "b", "a"], VectorCache())
    assert list(wanted.missing.values()) == ["a", "b"]
    cosines = wanted.similarity([1, 0], [[2, 0], [1, 1]])
    assert cosines.tolist() == pytest.approx([1, 0.5**0.5, 1])


def test_what_was_embedded_is_remembered() -> None:
    cache = VectorCache()
    embedding(["a", "b"], cache).similarity([1, 0], [[1, 0], [0, 1]])
    again = embedding(["b", "c"], cache)
    assert list(again.missing.values()) == ["c"]
    assert again.similarity([1, 0], [[1, 0]]).tolist() == [0, 1]
    known = embedding(["b", "a"], cache)
    assert known.missing == {}
    assert known.similarity([1, 0], []).tolist() == [0, 1]


def test_another_embedder_does_not_get_its_vectors() -> None:
    cache = VectorCache()
    embedding(["a"], cache).similarity([1], [[1]])
    others = [
        DeterministicFakeEmbedding(size=2),
        Named(model_id="one"),
        Named(model_id="two"),
    ]
    for other in others:
        wanted = embedding(["a"], cache, other)
        assert list(wanted.missing.values()) == ["a"]
        wanted.similarity([1], [[1]])
    longer = embedding(["a"], cache, LexicalEmbeddings(), dimensions=64)
    assert list(longer.missing.values()) == ["a"]


def test_a_zero_vector_is_near_to_nothing() -> None:
    found = embedding(["a", "b"], VectorCache()).similarity([1, 0], [[0, 0], [1, 0]])
    assert found.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("query", "fresh"),
    [
        ([1.0], [[1.0]]),
        ([1.0], [[1.0], [float("nan")]]),
        ([float("inf")], [[1.0], [2.0]]),
        ([1.0], [[1.0], [1.0, 2.0]]),
        ([1.0, 0.0], [[1.0], [2.0]]),
        ([1.0], []),
    ],
)
def test_wrong_vectors_are_refused_and_not_remembered(
    query: list[float], fresh: list[list[float]]
) -> None:
    cache = VectorCache()
    with pytest.raises(ValueError):
        embedding(["a", "b"], cache).similarity(query, fresh)
    assert len(cache) == 0


def test_lone_surrogates_are_replaced() -> None:
    assert without_surrogates("a\ud800b") == "a?b"
    assert list(embedding(["\udfff"], VectorCache()).missing.values()) == ["?"]
