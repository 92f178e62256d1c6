"""The nearest, ranked by their exact vectors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores import Entry, LocalStore
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.conftest import Clock

SIZE = 32


def unit(vector: Any) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def store_of(vectors: list[Vector], clock: Clock | None = None) -> LocalStore:
    store = LocalStore(clock=clock or Clock())
    store.bind(Fingerprint("model", SIZE))
    store.add_many(
        (Entry(str(n), "p", f"x-{n}", "t", '"v"', "n", ttl=n + 1.0), vector)
        for n, vector in enumerate(vectors)
    )
    return store


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([1.0, 0.1, 0.01]),
    count=st.integers(1, 60),
    limit=st.integers(1, 8),
    rejected=st.sets(st.integers(0, 59), max_size=10),
    past=st.integers(0, 60),
)
def test_they_are_those_of_a_look_at_all_with_the_same_cosines(
    seed: int, spread: float, count: int, limit: int, rejected: set[int], past: int
) -> None:
    rng = np.random.default_rng(seed)
    center = rng.standard_normal(SIZE)
    vectors = [unit(center + spread * rng.standard_normal(SIZE)) for _ in range(count)]
    query = unit(center + spread * rng.standard_normal(SIZE))
    clock = Clock()
    store = store_of(vectors, clock)
    for number in rejected:
        store.reject("q", str(number))
    clock.now += past

    found = store.nearest("p", query, exact="q", limit=limit)

    living = [n for n in range(count) if n >= past and n not in rejected]
    exact = {n: float(np.dot(query, vectors[n])) for n in living}
    best = sorted(living, key=lambda n: -exact[n])[:limit]
    assert [n.similarity for n in found] == pytest.approx(
        [exact[n] for n in best], abs=1e-6
    )
    assert all(
        n.similarity == pytest.approx(exact[int(n.entry.key)], abs=1e-6) for n in found
    )
    store.close()


def test_what_half_precision_cannot_tell_apart_is_ranked_right() -> None:
    center = unit(np.ones(SIZE, np.float32))
    off = np.zeros(SIZE, np.float32)
    off[0], off[1] = 1, -1
    # Cosines that differ by less than a half-precision number can show.
    vectors = [unit(center + step * 1e-5 * off) for step in range(40, 0, -1)]
    store = store_of(vectors)

    (found,) = store.nearest("p", unit(center), exact="q")

    exact = [float(np.dot(unit(center), vector)) for vector in vectors]
    assert found.similarity == pytest.approx(min(max(exact), 1), abs=1e-7)
    store.close()


def test_rows_that_cannot_be_nearest_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    vectors = [unit(rng.standard_normal(SIZE)) for _ in range(50)]
    store = store_of(vectors)
    reads: list[int] = []
    read = Rows.with_vector

    def noted(self: Rows, row: int, partition: str) -> object:
        reads.append(row)
        return read(self, row, partition)

    monkeypatch.setattr(Rows, "with_vector", noted)

    (found,) = store.nearest("p", vectors[7], exact="q")

    assert (found.entry.key, reads) == ("7", [8])
    store.close()


def test_many_that_are_alike_end_the_search() -> None:
    store = store_of([unit(np.ones(SIZE, np.float32))] * 300)

    found = store.nearest("p", unit(np.ones(SIZE, np.float32)), exact="q", limit=2)

    assert [n.similarity for n in found] == pytest.approx([1, 1])
    store.close()
