"""Removing entries, and what is left to do when the vector store is away."""

from typing import Any

import pytest

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import Selection
from langchain_prodpatterns.cache.stores.vector_store import removing
from langchain_prodpatterns.cache.stores.vector_store.records import seal
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    answer,
    entry,
    exact_of,
    key_of,
    near,
)
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    damage,
    names,
    open_in_memory,
)

ALL = Selection()


@pytest.mark.parametrize("way", ["raises", "says no"])
def test_a_vector_that_cannot_be_removed_is_removed_by_a_sweep(
    vectors: Vectors, kv: Notebook, way: str
) -> None:
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    store.add(entry("b"), EAST)
    vectors.failing = {"delete"} if way == "raises" else set()
    vectors.refuses_to_delete = way == "says no"

    assert store.remove(Selection(key=key_of("a"))) == 1
    assert near(store) == ["b"]
    assert len(vectors.store) == 2
    assert store.sweep() == 0
    assert len(vectors.store) == 2

    vectors.failing, vectors.refuses_to_delete = set(), False
    assert store.sweep() == 0
    assert len(vectors.store) == 1
    assert list(names(kv, "graves")) == []
    assert near(store) == ["b"]


def test_a_sweep_asks_no_more_for_what_is_not_there(
    vectors: Vectors, kv: Notebook
) -> None:
    """FAISS fails to remove what it does not have, as after a restart."""

    class Strict(Vectors):
        def delete(self, ids: Any = None, **kwargs: Any) -> Any:
            assert set(ids) <= set(self.store)
            return super().delete(ids)

    strict = Strict()
    store = open_in_memory(strict, kv)
    store.add(entry("a"), EAST)
    strict.store.clear()

    store.remove(ALL)

    assert list(names(kv, "graves")) == []


def test_a_vector_store_without_get_by_ids_is_told_to_delete(kv: Notebook) -> None:
    class Blind(Vectors):
        def get_by_ids(self, ids: Any, /) -> Any:
            raise NotImplementedError

    blind = Blind()
    store = open_in_memory(blind, kv)
    store.add(entry("a"), EAST)
    store.remove(ALL)

    assert blind.store == {}


def test_what_another_process_was_about_to_remove_stays_where_it_did_not(
    vectors: Vectors, kv: Notebook
) -> None:
    """It died after it wrote down that the vector is to go."""
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    (point,) = vectors.store
    name = f"graves/{point}"
    grave = seal(name, {"slot": digest(exact_of("a"))})
    kv.mset([(f"prodpatterns/{name}", grave)])

    store.sweep()

    assert near(store) == ["a"]
    assert list(names(kv, "graves")) == []


def test_an_entry_that_came_meanwhile_is_not_removed(vectors: Vectors) -> None:
    store = open_in_memory(vectors)
    store.add(entry("old"), EAST)

    def replace_it(metadata: object) -> bool:
        store.add(entry("new", exact=exact_of("old")), EAST)
        return True

    assert store.remove(Selection(where=replace_it)) == 0
    assert near(store) == ["new"]


def test_many_are_removed_in_batches(
    vectors: Vectors, kv: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "BATCH", 4)
    store = open_in_memory(vectors, kv)
    store.add_many((entry(f"{n}"), EAST) for n in range(10))
    kv.calls.clear()

    assert store.remove(Selection(partition=HOME)) == 10
    assert vectors.store == {}
    assert kv.calls.count("mset") == 3


def test_past_entries_can_be_removed_too(kv: Notebook) -> None:
    """Who asks for the data of a tenant to go means what is no longer served, too."""
    clock = Clock()
    store = open_in_memory(kv=kv, clock=clock)
    store.add(entry("a", ttl=1.0), EAST)
    clock.now += 1.0

    assert store.remove(Selection(namespace="default")) == 1
    assert list(names(kv, "entries")) == []


def test_a_sweep_leaves_nothing_of_what_is_past(vectors: Vectors, kv: Notebook) -> None:
    clock = Clock()
    store = open_in_memory(vectors, kv, clock=clock)
    for number in range(5):
        store.add(entry(f"{number}", ttl=1.0), EAST)
        store.add_alias(exact_of(f"q{number}"), None, key_of(f"{number}"))
    clock.now += 1.0

    assert [store.sweep(3), store.sweep(3), store.sweep(3)] == [3, 2, 0]
    assert store.counts().expired == 5
    assert vectors.store == {}
    assert list(kv.store) == ["prodpatterns/about"]


def test_to_clear_leaves_nothing(vectors: Vectors, kv: Notebook) -> None:
    store = open_in_memory(vectors, kv)
    for name in ("a", "b"):
        store.add(entry(name), EAST)
    store.add_alias(exact_of("q"), "asked", key_of("a"))
    store.reject(exact_of("r"), key_of("a"))
    store.tally(HOME, "cell", right=1)
    store.quarantine(key_of("b"), "reason")
    damage(kv, key_of("a"))

    store.clear()

    assert list(kv.store) == ["prodpatterns/about"]
    assert store.fingerprint is None


def test_where_the_entries_cannot_be_removed_that_is_an_error(
    vectors: Vectors, kv: Notebook
) -> None:
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    kv.failing = {"mdelete"}

    with pytest.raises(StoreError, match="Notebook failed to forget"):
        store.remove(ALL)
    assert answer(store, "a") == "a"
    assert len(vectors.store) == 1


def test_bytes_of_many_are_estimated_by_some(
    kv: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_in_memory(kv=kv)
    store.add_many((entry(f"{n:03}"), None) for n in range(40))
    exactly = store.counts().bytes
    monkeypatch.setattr(removing, "_SAMPLE", 10)
    kv.calls.clear()

    assert store.counts().bytes == exactly
    assert kv.calls == ["mget"]
