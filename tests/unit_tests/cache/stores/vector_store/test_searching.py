"""Candidates, and what is made of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import Selection
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    EAST,
    HOME,
    NORTH,
    entry,
    exact_of,
    key_of,
    near,
    partition_of,
    unit,
)
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    names,
    open_in_memory,
)


class Liar(Vectors):
    """Finds what it is told to find, whatever is asked."""

    found: Sequence[Document] = ()

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        self.counts.append(k)
        return list(self.found)[:k]

    def all(self) -> list[Document]:
        return self.get_by_ids(list(self.store))


def around(number: int, of: int) -> Vector:
    """Return a vector that is the farther from the east, the greater the number."""
    angle = np.pi * number / of
    return unit(np.cos(angle), np.sin(angle), 0, 0)


@given(st.permutations(range(6)))
def test_the_order_of_the_vector_store_does_not_matter(order: list[int]) -> None:
    vectors = Liar()
    store = open_in_memory(vectors)
    for number in range(6):
        store.add(entry(f"{number}"), around(number, 6))
    documents = vectors.all()
    vectors.found = [documents[place] for place in order]

    found = store.nearest(HOME, EAST, exact="e", limit=3)

    assert [n.entry.text for n in found] == ["0", "1", "2"]
    cosines = [float(np.dot(EAST, around(number, 6))) for number in range(3)]
    assert [n.similarity for n in found] == pytest.approx(cosines)


def test_what_is_found_twice_is_one_neighbor() -> None:
    vectors = Liar()
    store = open_in_memory(vectors)
    store.add(entry("a"), EAST)
    vectors.found = vectors.all() * 3

    assert near(store, limit=3) == ["a"]


def test_what_is_of_another_partition_by_the_entry_is_none() -> None:
    """The vector store may be wrong, or behind: the entry says whose it is."""
    vectors = Liar()
    store = open_in_memory(vectors)
    store.add(entry("a", partition=ABROAD), EAST)
    (document,) = vectors.all()
    forged = document.metadata | {"partition": digest(HOME)}
    vectors.found = [Document("", metadata=forged), Document("", metadata={})]

    assert near(store) == []


def test_a_vector_that_was_left_behind_is_none() -> None:
    vectors = Liar()
    store = open_in_memory(vectors)
    store.add(entry("a"), EAST)
    vectors.found = vectors.all()
    store.remove(Selection(key=key_of("a")))

    assert near(store) == []


def test_a_vector_that_was_left_behind_says_nothing_of_what_came_after() -> None:
    vectors = Liar()
    store = open_in_memory(vectors)
    store.add(entry("old"), EAST)
    vectors.found = vectors.all()
    store.add(entry("new", exact=exact_of("old")), NORTH)

    (found,) = store.nearest(HOME, EAST, exact="e")

    assert (found.entry.text, found.similarity) == ("new", 0.0)


def test_a_rejected_pair_is_of_one_entry_and_not_of_its_successor() -> None:
    """A process may reject an entry at the moment in which another replaces it."""
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("old"), EAST)
    store.reject(exact_of("q"), key_of("old"))
    left = {name: kv.store[name] for name in names(kv, "rejected")}
    store.add(entry("new", exact=exact_of("old")), EAST)
    kv.store.update(left)

    assert near(store, asked="q") == ["new"]


def test_an_alias_is_of_one_entry_and_not_of_its_successor() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("old"), EAST)
    store.add_alias(exact_of("q"), None, key_of("old"))
    left = {name: kv.store[name] for name in names(kv, "aliases")}
    store.add(entry("new", exact=exact_of("old")), EAST)
    kv.store.update(left)

    assert store.find(exact_of("q")) is None


def test_a_vector_of_another_length_in_the_store_is_no_neighbor() -> None:
    """As where another process cleared the store, and began anew with other vectors."""
    vectors, kv = Liar(), Notebook()
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    near(store)
    other = open_in_memory(vectors, kv)
    other.clear()
    other.add(entry("b"), unit(1, 0, 0))
    vectors.found = vectors.all()

    assert near(store) == []


def test_a_cosine_is_one_at_most() -> None:
    vector = np.array([0.6, 0.8, 0.0, 0.0], np.float32) * np.float32(1.0000002)
    store = open_in_memory()
    store.add(entry("a"), vector)
    (found,) = store.nearest(HOME, vector, exact="e")

    assert float(np.dot(vector, vector)) > 1.0
    assert found.similarity == 1.0


def test_after_a_clear_the_embedder_is_asked_for_anew() -> None:
    store = open_in_memory()
    store.add(entry("a"), EAST)
    near(store)
    store.clear()
    store.add(entry("b"), unit(1, 0, 0))

    assert near(store, unit(1, 0, 0)) == ["b"]


def test_as_many_candidates_are_taken_as_were_asked_for() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors, candidates=5)
    store.add_many((entry(f"{n}"), around(n, 40)) for n in range(20))

    near(store, limit=1)
    near(store, limit=7)

    assert vectors.counts == [5, 11]


def test_more_are_taken_where_too_few_are_neighbors() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors, candidates=4)
    store.add_many((entry(f"{n}"), around(n, 40)) for n in range(40))
    for number in range(5):
        store.reject(exact_of("q"), key_of(f"{number}"))

    assert near(store, asked="q", limit=1) == ["5"]
    assert vectors.counts == [4, 16]


def test_no_more_are_taken_where_there_are_none() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors)
    store.add(entry("a", partition=ABROAD), EAST)

    assert near(store, limit=1) == []
    assert vectors.counts == [8]


def test_without_a_filter_many_are_taken_and_looked_through() -> None:
    vectors, kv = Vectors(), Notebook()
    store = open_in_memory(vectors, kv, partition_filter=None)
    store.add_many((entry(f"{n}", partition=ABROAD), EAST) for n in range(300))
    store.add(entry("here"), unit(1, 0.1, 0, 0))
    reads = kv.calls.count("mget")

    assert near(store, limit=1) == ["here"]

    assert vectors.counts == [64, 256, 1024]
    # What is of another partition is told by the vector store, and never read.
    assert len(kv.calls) < reads + 20


def test_without_a_filter_a_neighbor_may_be_too_far_away() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors, partition_filter=None)
    store.add_many((entry(f"{n}", partition=ABROAD), EAST) for n in range(1_100))
    store.add(entry("here"), unit(1, 0.1, 0, 0))

    assert near(store) == []
    assert vectors.counts[-1] == 1024


def test_a_vector_of_another_length_is_near_to_nothing() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors)
    store.add(entry("a"), EAST)

    assert near(store, unit(1, 0, 0)) == []
    assert vectors.counts == []


def test_an_empty_store_does_not_ask_the_vector_store() -> None:
    """Which may not have a collection yet."""
    vectors = Vectors()
    assert near(open_in_memory(vectors)) == []
    assert vectors.counts == []


def test_an_exact_hit_takes_one_read() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("a"), EAST)
    kv.calls.clear()

    assert store.find(exact_of("a")) is not None
    assert kv.calls == ["mget"]


def test_candidates_are_read_together() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add_many((entry(f"{n}"), around(n, 40)) for n in range(8))
    near(store)
    kv.calls.clear()

    assert len(near(store, limit=8)) == 8
    assert kv.calls == ["mget"]


def test_a_past_entry_hides_no_other() -> None:
    clock = Clock()
    store = open_in_memory(clock=clock, candidates=2)
    store.add_many((entry(f"{n}", ttl=5.0), EAST) for n in range(6))
    store.add(entry("stays"), unit(1, 0.1, 0, 0))
    clock.now += 5.0

    assert near(store, limit=1) == ["stays"]


def test_partitions_are_ids_to_the_vector_store() -> None:
    """Whatever they are: a filter has nothing to escape."""
    vectors = Vectors()
    seen: list[str] = []

    def note(partition: str) -> dict[str, Any]:
        seen.append(partition)
        return {}

    store = open_in_memory(vectors, partition_filter=note)
    store.add(entry("a", partition='" or 1 == 1 \ud800'), EAST)
    near(store, partition='" or 1 == 1 \ud800')
    near(store, partition=partition_of("home"))

    for partition in seen:
        assert len(partition) == 32
        assert int(partition, 16) >= 0
