"""Asking two stores: errors, turns, and awaiting."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.cache.stores import Selection, VectorStoreStore
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Questions,
    Read,
    slot_of,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    MODEL,
    entry,
    exact_of,
    key_of,
)
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    open_in_memory,
)

PATIENCE = 30.0


@pytest.mark.parametrize("call", ["mget", "mset"])
def test_an_error_of_the_key_value_store_names_its_type_only(
    vectors: Vectors, kv: Notebook, call: str
) -> None:
    store = open_in_memory(vectors, kv)
    kv.failing = {call}

    with pytest.raises(
        StoreError, match=r"Notebook failed to .*ConnectionError"
    ) as told:
        store.add(entry("a"), EAST)
    assert "secret" not in str(told.value)


def test_so_does_one_of_the_vector_store(vectors: Vectors, kv: Notebook) -> None:
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    vectors.failing = {"search"}

    with pytest.raises(
        StoreError, match=r"Vectors failed to search \(Connection"
    ) as told:
        store.nearest(HOME, EAST, exact="e")
    assert "secret" not in str(told.value)


def test_a_search_that_fails_once_is_made_again(vectors: Vectors, kv: Notebook) -> None:
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    vectors.failing_once = {"search"}

    (found,) = store.nearest(HOME, EAST, exact="e")
    assert found.entry.text == "a"


def test_an_interrupt_is_no_error_of_a_store(kv: Notebook) -> None:
    class Interrupting(Vectors):
        def similarity_search_by_vector(self, *args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

    store = open_in_memory(Interrupting(), kv)
    store.add(entry("a"), EAST)
    with pytest.raises(KeyboardInterrupt):
        store.nearest(HOME, EAST, exact="e")


def test_names_may_be_paths_of_another_system(vectors: Vectors) -> None:
    """`LocalFileStore` gives back names as the system writes paths."""

    class Backslashed(Notebook):
        def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
            return (key.replace("/", "\\") for key in super().yield_keys(prefix=prefix))

    store = open_in_memory(vectors, Backslashed())
    store.add(entry("a"), EAST)

    assert store.counts().entries == 1
    assert store.remove(Selection()) == 1


def test_an_interrupt_ends_what_is_asked_at_once(vectors: Vectors) -> None:
    class Interrupted(Notebook):
        def mget(self, keys: Sequence[str]) -> list[bytes | None]:
            raise KeyboardInterrupt

    ended: list[str] = []

    def questions() -> Questions[None]:
        try:
            yield Read(["a"])
        finally:
            ended.append("ended")

    kv = Notebook()
    store = open_in_memory(vectors, kv)
    store._backends._kv = Interrupted()
    asked = questions()
    with pytest.raises(KeyboardInterrupt):
        store._backends.run(asked)
    assert ended == ["ended"]


class Crowd(Notebook):
    """Notes how many threads were in it at once, and waits for a second one."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.most = self.inside = 0
        self.patience = patience
        self.lock = threading.Lock()
        self.second = threading.Event()

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside > 1:
                self.second.set()
        self.second.wait(self.patience)
        try:
            return super().mget(keys)
        finally:
            with self.lock:
                self.inside -= 1


@pytest.mark.parametrize(("concurrent", "most"), [(False, 1), (True, 2)])
def test_they_are_asked_one_at_a_time_unless_they_can_more(
    vectors: Vectors, concurrent: bool, most: int
) -> None:
    kv = Crowd(0.0)
    store = open_in_memory(vectors, kv, concurrent=concurrent)
    # Whoever may come second is waited for; nobody may where they take turns.
    kv.patience = PATIENCE if concurrent else 0.01

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store.find, [exact_of("a"), exact_of("b")]))

    assert kv.most == most


def test_the_first_vectors_are_added_alone(kv: Notebook) -> None:
    """Many vector stores make their collection then, and fail where two do so."""

    class Making(Vectors):
        made = False

        def add_documents(self, *args: Any, **kwargs: Any) -> list[str]:
            if not self.made:
                self.gate.wait(0.05)
                assert not self.made, "another thread has made the collection"
                self.made = True
            return super().add_documents(*args, **kwargs)

        gate = threading.Event()

    store = open_in_memory(Making(), kv, concurrent=True)
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda n: store.add(entry(f"{n}"), EAST), range(4)))

    assert added == [True] * 4


async def every_async_call(store: VectorStoreStore) -> None:
    store.bind(MODEL)
    assert await store.aadd(entry("a"), EAST) is True
    assert await store.aadd_many([(entry("b"), EAST), (entry("a"), EAST)]) == 2
    found = await store.afind(exact_of("a"))
    assert found is not None
    assert found.entry == await store.aget(key_of("a"))
    (near,) = await store.anearest(HOME, EAST, exact=exact_of("b"))
    assert near.similarity == pytest.approx(1.0)


async def test_the_async_methods_are_awaited_where_that_is_wanted(
    vectors: Vectors, kv: Notebook
) -> None:
    store = open_in_memory(vectors, kv, concurrent=True, native_async=True)
    kv.calls.clear()

    # To bind is a sync call, and one of the two that come before.
    await every_async_call(store)

    assert vectors.awaited == ["add", "add", "delete", "search"]
    assert kv.calls[0] == "mget"
    assert set(kv.calls[1:]) == {"amget", "amset", "amdelete"}


async def test_else_the_sync_ones_run_in_a_thread(
    vectors: Vectors, kv: Notebook
) -> None:
    await every_async_call(open_in_memory(vectors, kv))

    assert vectors.awaited == []
    assert not {call for call in kv.calls if call.startswith("a")}


async def test_an_awaited_error_names_its_type_only(kv: Notebook) -> None:
    store = open_in_memory(kv=kv, concurrent=True, native_async=True)
    kv.failing = {"amget"}
    with pytest.raises(
        StoreError, match=r"Notebook failed to read \(ConnectionError\)"
    ):
        await store.afind(exact_of("a"))

    store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.afind(exact_of("a"))


def test_it_leaves_both_stores_open(vectors: Vectors, kv: Notebook) -> None:
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    store.close()

    assert open_in_memory(vectors, kv).remove(Selection()) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"partition": "p"},
        {"partition": "q", "entry": "0" * 32},
        {"partition": "p", "entry": 7},
        {"partition": "p", "entry": "../" + "0" * 29},
        {"partition": "p", "entry": "0" * 33},
    ],
)
def test_what_others_have_put_there_is_no_candidate(metadata: dict[str, Any]) -> None:
    assert slot_of(Document("", metadata=metadata), "p") is None


def test_what_it_has_put_there_is() -> None:
    metadata = {"partition": "p", "entry": "0" * 32}
    assert slot_of(Document("", metadata=metadata), "p") == "0" * 32
