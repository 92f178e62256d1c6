import copy
import logging
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.stores import BaseStore, InMemoryByteStore

from langchain_prodpatterns.compression import ContextCompressor, VectorCache
from langchain_prodpatterns.compression.vectors import Embedding, without_surrogates
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.compression.doubles import (
    CountingEmbeddings,
    FileStore,
    asked,
)


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


def test_a_store_outlives_the_memory(tmp_path: Path) -> None:
    VectorCache(store=FileStore(tmp_path)).keep({key(1): vector(1), key(2): vector(2)})
    other = VectorCache(store=FileStore(tmp_path), max_entries=1)
    assert other.find([key(1), key(2), key(3), key(1)]) == {
        key(1): vector(1),
        key(2): vector(2),
    }
    assert len(other) == 1


def test_what_is_in_memory_is_not_asked_for_again() -> None:
    store = InMemoryByteStore()
    cache = VectorCache(store=store)
    cache.keep({key(1): vector(1)})
    VectorCache(store=store).keep({key(2): vector(2)})
    cache.find([key(2)])
    store.mdelete(list(store.yield_keys()))
    assert set(cache.find([key(1), key(2)])) == {key(1), key(2)}


def test_a_store_sees_file_names_and_hashes() -> None:
    store = InMemoryByteStore()
    cache = VectorCache(store=store)
    embedding(["private"], cache).similarity([1, 0], [[1, 0]])
    (name,) = store.yield_keys()
    assert re.fullmatch(r"prodpatterns-vector-[0-9a-f]{128}", name)


async def test_a_second_question_embeds_one_text_after_a_restart(
    tmp_path: Path,
) -> None:
    def compressor(embeddings: Embeddings) -> ContextCompressor:
        cache = VectorCache(store=FileStore(tmp_path))
        return ContextCompressor(embeddings, token_budget=40, vectors=cache)

    first, second, third = (CountingEmbeddings() for _ in range(3))
    expected = compressor(first).invoke(asked())
    assert len(first.texts) == 8
    assert compressor(second).invoke(asked()) == expected
    assert (second.texts, len(second.queries)) == ([], 1)
    await compressor(third).ainvoke(asked(question="What do penguins eat?"))
    assert (third.texts, len(third.queries)) == ([], 1)


def test_another_process_finds_the_vectors(tmp_path: Path) -> None:
    compressor = ContextCompressor(
        LexicalEmbeddings(), vectors=VectorCache(store=FileStore(tmp_path))
    )
    compressor.invoke(asked())
    program = """
import sys
from pathlib import Path
from langchain_prodpatterns.compression import VectorCache
from langchain_prodpatterns.compression.vectors import Embedding
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.compression.doubles import FileStore, world_cup
embedder = LexicalEmbeddings()
texts = ["Penguins: They eat fish and krill.", "Penguins: They dance."]
cache = VectorCache(store=FileStore(Path(sys.argv[1])))
size = len(embedder.embed_query(""))
print(list(Embedding.of(texts, embedder, cache, size).missing.values()))
"""
    found = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert found.stdout == "['Penguins: They dance.']\n"


@pytest.mark.parametrize(
    "value",
    [b"", b"abc", b"\0" * 4, np.full(2, np.nan, np.float32).tobytes(), "text", None],
)
def test_what_is_no_vector_is_embedded_again(value: Any) -> None:
    store = InMemoryByteStore()
    embedding(["a"], VectorCache(store=store)).similarity([1, 0], [[1, 0]])
    (name,) = store.yield_keys()
    store.mset([(name, value)])
    again = embedding(["a"], VectorCache(store=store))
    assert list(again.missing.values()) == ["a"]
    assert again.similarity([1, 0], [[1, 0]]).tolist() == [1]
    assert embedding(["a"], VectorCache(store=store)).missing == {}


class DownStore(BaseStore[str, bytes]):
    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        raise OSError("secret")

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        raise OSError("secret")

    def mdelete(self, keys: Sequence[str]) -> None:
        raise OSError("secret")

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        raise OSError("secret")


class ShortStore(DownStore):
    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        return []


@pytest.mark.parametrize("store", [DownStore(), ShortStore()])
def test_a_store_that_fails_costs_an_embedding(
    store: DownStore, caplog: pytest.LogCaptureFixture
) -> None:
    counting = CountingEmbeddings()
    compressor = ContextCompressor(
        counting, token_budget=40, vectors=VectorCache(store=store)
    )
    plain = ContextCompressor(CountingEmbeddings(), token_budget=40)
    with caplog.at_level(logging.WARNING):
        assert compressor.invoke(asked()) == plain.invoke(asked())
        assert compressor.invoke(asked()) == plain.invoke(asked())
    assert len(counting.texts) == 8
    assert "vectors could not be read" in caplog.text
    assert "vectors could not be written" in caplog.text
    assert "secret" not in caplog.text


def test_a_namespace_tells_models_apart_that_have_no_name() -> None:
    store = InMemoryByteStore()
    for name in ("one", "two"):
        cache = VectorCache(store=store, namespace=name)
        wanted = embedding(["a"], cache)
        assert list(wanted.missing.values()) == ["a"]
        wanted.similarity([1, 0], [[1, 0]])
    again = embedding(["a"], VectorCache(store=store, namespace="one"))
    assert again.missing == {}


def test_another_store_is_refused() -> None:
    wrong: Any = {}
    with pytest.raises(ConfigurationError, match="must be a LangChain ByteStore"):
        VectorCache(store=wrong)
