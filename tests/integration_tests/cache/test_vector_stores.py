"""The store on FAISS, Chroma and Milvus, as their LangChain packages have them."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import faiss
import numpy as np
import pytest
from langchain_core.stores import InMemoryByteStore

from langchain_prodpatterns.cache.stores import (
    CacheStore,
    VectorHandover,
    VectorStoreStore,
    notes,
)
from langchain_prodpatterns.cache.stores.vector_store import filters
from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    answer,
    entry,
    exact_of,
    key_of,
    near,
    unit,
)
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import (
    damage,
    make_newer,
    serve,
)

with warnings.catch_warnings():
    # It says at import that it is being sunset, which nobody who runs this can change.
    warnings.simplefilter("ignore", DeprecationWarning)
    community = pytest.importorskip("langchain_community.vectorstores")
    docstores = pytest.importorskip("langchain_community.docstore.in_memory")
storage = pytest.importorskip("langchain_classic.storage")
chromadb = pytest.importorskip("chromadb")
chroma = pytest.importorskip("langchain_chroma")
milvus = pytest.importorskip("langchain_milvus")

_DIMENSIONS = 4


def open_faiss(dimensions: int = _DIMENSIONS) -> Any:
    """Open FAISS of `langchain_community`, which filters after the search."""
    index = faiss.IndexFlatL2(dimensions)
    return community.FAISS(VectorHandover(), index, docstores.InMemoryDocstore(), {})


@contextmanager
def open_chroma() -> Iterator[Any]:
    """Open a collection of Chroma in this process."""
    quiet = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.EphemeralClient(settings=quiet)
    # In memory all clients have one database.
    name = f"cache-{uuid4().hex}"
    yield chroma.Chroma(name, VectorHandover(), client=client)
    client.delete_collection(name)


@contextmanager
def open_milvus(folder: Path) -> Iterator[Any]:
    """Open Milvus in a file."""
    store = milvus.Milvus(
        VectorHandover(),
        connection_args={"uri": str(folder / "milvus.db")},
        index_params={"index_type": "FLAT", "metric_type": "COSINE"},
    )
    with closing(store.client):
        yield store


@pytest.fixture(scope="module")
def one_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Open Milvus once: to make a collection takes half a second."""
    with open_milvus(tmp_path_factory.mktemp("milvus")) as store:
        yield store


class OnAVectorStore(StoreConformance):
    """What the suite needs to know of each of them."""

    has_max_entries = False
    has_max_bytes = False
    tallied_partitions = 8
    clock: Clock
    kv: Any

    @pytest.fixture
    def vectorstore(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        raise NotImplementedError

    @pytest.fixture
    def open_store(
        self,
        vectorstore: Any,
        options: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Callable[..., VectorStoreStore]:
        monkeypatch.setattr(notes, "MAX_TALLIED", self.tallied_partitions)
        self.clock = Clock()
        self.kv = InMemoryByteStore()
        return lambda: VectorStoreStore(
            vectorstore, self.kv, clock=self.clock, **options
        )

    @pytest.mark.xfail(
        reason="a collection has vectors of one length: others need another collection",
        strict=True,
    )
    def test_a_cleared_store_takes_another_embedder(self, store: CacheStore) -> None:
        super().test_a_cleared_store_takes_another_embedder(store)

    def age(self, store: CacheStore, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self, store: CacheStore, key: str) -> None:
        damage(self.kv, key)

    def make_newer(self, store: CacheStore) -> None:
        make_newer(self.kv)


class TestOnFaiss(OnAVectorStore):
    """FAISS may not be searched while it is written to."""

    @pytest.fixture
    def vectorstore(self) -> Any:
        return open_faiss()

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"partition_filter": filters.faiss_filter}


class TestOnChroma(OnAVectorStore):
    """Chroma's client is safe for threads."""

    @pytest.fixture
    def vectorstore(self) -> Iterator[Any]:
        with open_chroma() as store:
            yield store

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"partition_filter": filters.chroma_filter, "concurrent": True}


class TestOnMilvus(OnAVectorStore):
    """So is that of Milvus."""

    @pytest.fixture
    def vectorstore(self, one_milvus: Any) -> Any:
        if one_milvus.col is not None:
            one_milvus.delete(expr="pk != ''")
        return one_milvus

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"partition_filter": filters.milvus_filter, "concurrent": True}


# What the embeddings of `serve` give.
_LEXICAL = LexicalEmbeddings().dimensions


@contextmanager
def opened(name: str, folder: Path, **options: Any) -> Iterator[VectorStoreStore]:
    """Open a store on an empty vector store, for vectors of the tests' embeddings."""
    with ExitStack() as stack:
        on: dict[str, Any] = {"concurrent": True}
        if name == "faiss":
            vectors = open_faiss(_LEXICAL)
            on = {"partition_filter": filters.faiss_filter}
        elif name == "chroma":
            vectors = stack.enter_context(open_chroma())
            on["partition_filter"] = filters.chroma_filter
        else:
            vectors = stack.enter_context(open_milvus(folder))
            on["partition_filter"] = filters.milvus_filter
        yield VectorStoreStore(vectors, InMemoryByteStore(), **(on | options))


STORES = ("faiss", "chroma", "milvus")


@pytest.mark.parametrize("by_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", STORES)
async def test_a_cache_serves_from_it(
    name: str, by_async: bool, tmp_path: Path
) -> None:
    with opened(name, tmp_path) as store:
        await serve(store, by_async=by_async)


@pytest.mark.parametrize("name", ["chroma", "milvus"])
async def test_it_may_be_awaited(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, native_async=True) as store:
        await serve(store, by_async=True)


@pytest.mark.parametrize("name", STORES)
def test_all_of_them_tell_the_same_cosines(name: str, tmp_path: Path) -> None:
    """Though one gives squared distances, and another similarities."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, _LEXICAL)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with opened(name, tmp_path) as store:
        store.add_many(
            (entry(f"{n}", partition=f"p{n % 3}"), vector)
            for n, vector in enumerate(vectors)
        )
        asked = vectors[0] + vectors[3]
        asked /= np.linalg.norm(asked)
        found = store.nearest("p0", asked, exact="e", limit=2)

    assert {neighbor.entry.text for neighbor in found} == {"0", "3"}
    cosines = sorted((float(asked @ vectors[n]) for n in (0, 3)), reverse=True)
    assert [n.similarity for n in found] == pytest.approx(cosines, abs=1e-6)


def test_threads_that_are_first_make_one_collection_of_milvus(tmp_path: Path) -> None:
    vector = np.eye(1, _LEXICAL, dtype=np.float32)[0]
    with opened("milvus", tmp_path) as store, ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda n: store.add(entry(f"{n}"), vector), range(4)))
        assert added == [True] * 4
        assert len(store.nearest(HOME, vector, exact="e", limit=9)) == 4


def test_without_a_filter_a_partition_is_found_in_faiss() -> None:
    store = VectorStoreStore(open_faiss(), InMemoryByteStore())
    store.add_many((entry(f"{n}", partition=f"{n}"), EAST) for n in range(200))
    store.add(entry("here"), unit(1, 0.1, 0, 0))

    assert near(store, limit=1) == ["here"]


class TestOnFiles:
    """Entries in files, which outlive the process; the vectors with them in Milvus."""

    def open(self, folder: Path, vectors: Any) -> VectorStoreStore:
        kv = storage.LocalFileStore(folder / "kv")
        by = filters.milvus_filter
        return VectorStoreStore(vectors, kv, partition_filter=by, concurrent=True)

    def test_what_was_stored_is_there_after_a_restart(self, tmp_path: Path) -> None:
        with open_milvus(tmp_path) as vectors:
            store = self.open(tmp_path, vectors)
            store.add(entry("a"), EAST)
            store.add(entry("b"), EAST)
            store.add_alias(exact_of("q"), None, key_of("a"))
            store.reject(exact_of("r"), key_of("b"))
            store.tally(HOME, "cell", right=2)
        with open_milvus(tmp_path) as vectors:
            again = self.open(tmp_path, vectors)
            assert [answer(again, name) for name in ("a", "q", "r")] == ["a", "a", None]
            assert near(again, asked="r") == ["a"]
            assert again.tallies(None) == {"cell": (2, 0)}
            counts = again.counts()
            assert (counts.entries, counts.aliases, counts.rejected) == (2, 1, 1)
            again.clear()
            assert near(again) == []

    def test_what_is_spoiled_on_the_disk_is_a_miss(self, tmp_path: Path) -> None:
        store = VectorStoreStore(open_faiss(), storage.LocalFileStore(tmp_path))
        store.add(entry("a"), EAST)
        (path,) = (tmp_path / "prodpatterns" / "entries").iterdir()
        path.write_bytes(path.read_bytes()[:-40])

        assert answer(store, "a") is None
        assert near(store) == []
        assert store.counts().quarantined == 1
        store.clear()
        assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == ["about"]
