"""What a store's author fills in, and what the tests of the suite are made of."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pytest

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import CacheStore, Entry, Neighbor
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage

T = TypeVar("T")

Opener: TypeAlias = Callable[..., CacheStore]
"""Opens the store of a test; takes `max_entries` and `max_bytes`."""

COSINE_ERROR = 2e-3
"""How far a cosine may be from the exact one: vectors may be kept in half precision."""

VERDICTS_AN_ENTRY = 64
"""Aliases, and rejected pairs, that an entry keeps at most."""

_SHORT, _LONG = 0.3, 1_000.0
_PATIENCE = 60.0
_MOST_SWEEPS = 1_000


def unit(*values: float) -> Vector:
    """Return a vector of unit length."""
    vector = np.array(values, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


EAST, NORTH = unit(1, 0, 0, 0), unit(0, 1, 0, 0)

MODEL = Fingerprint("conformance", EAST.size)
"""The embedding model of the suite's vectors."""


def key_of(name: str) -> str:
    """Return the key of an entry: 32 hexadecimal digits, as a cache gives it."""
    return digest("key", name)


def exact_of(name: str) -> str:
    """Return the digest of a request."""
    return digest("exact", name)


def partition_of(name: str) -> str:
    """Return the digest that names a partition."""
    return digest("partition", name)


HOME, ABROAD = partition_of("home"), partition_of("abroad")


def entry(name: str, **changed: Any) -> Entry:
    """Return an entry whose text is its name, in the partition `HOME`.

    Args:
        name: What key, request, text and value are made of.
        **changed: Fields that are to be others.
    """
    made = Entry(
        key=key_of(name),
        partition=HOME,
        exact=exact_of(name),
        text=name,
        value=json.dumps(name),
        namespace="default",
        saved=Usage(calls=1, input_tokens=20, output_tokens=10, usd=0.001, seconds=0.5),
    )
    return replace(made, **changed)


def texts(neighbors: Sequence[Neighbor]) -> list[str | None]:
    """Return the texts of neighbors, in their order."""
    return [neighbor.entry.text for neighbor in neighbors]


def near(
    store: CacheStore,
    vector: Vector = EAST,
    *,
    partition: str = HOME,
    asked: str = "another question",
    limit: int = 10,
) -> list[str | None]:
    """Return the texts of the nearest entries, the nearest first."""
    exact = exact_of(asked)
    return texts(store.nearest(partition, vector, exact=exact, limit=limit))


def answer(store: CacheStore, name: str) -> str | None:
    """Return the text of the entry that answers a request."""
    found = store.find(exact_of(name))
    return None if found is None else found.entry.text


def sweep_all(store: CacheStore, limit: int = 10_000) -> int:
    """Sweep until nothing is left to remove; return how many went."""
    total = 0
    for _ in range(_MOST_SWEEPS):
        gone = store.sweep(limit)
        total += gone
        if not gone:
            return total
    pytest.fail(
        f"sweep({limit}) said {_MOST_SWEEPS} times that something went: it must return "
        "0 when nothing is past and there is room for all"
    )


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Run a function in threads that start together; return what they return.

    Args:
        count: How many threads.
        work: Takes the number of its thread. What it raises is raised here.
    """
    barrier = Barrier(count)

    def start(number: int) -> T:
        barrier.wait(_PATIENCE)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


class StoreKit:
    """The hooks and fixtures of the suite."""

    has_max_entries = True
    """Whether `open_store` takes `max_entries`."""

    has_max_bytes = True
    """Whether `open_store` takes `max_bytes`."""

    tallied_partitions: int | None = None
    """How many partitions' tallies are kept, where a test can add to more than that."""

    @pytest.fixture
    def open_store(self) -> Opener:
        """Return a function that opens the store; a subclass must have this fixture."""
        pytest.fail(
            f"{type(self).__name__} needs a fixture `open_store` that returns a "
            "function which opens the store, see the docstring of "
            "langchain_prodpatterns.testing.store_conformance"
        )

    def age(self, store: CacheStore, seconds: float) -> None:
        """Make all that is in a store look older, claims included.

        Args:
            store: The store.
            seconds: By how much.
        """
        # A little more, since the clock of a store may be coarser than this one.
        time.sleep(seconds + 0.05)

    def damage(self, store: CacheStore, key: str) -> None:
        """Spoil what is stored of an entry, as a broken disk or a stranger would.

        Args:
            store: The store.
            key: The entry.
        """
        pytest.skip("override damage(store, key) to test what is done with bad rows")

    def make_newer(self, store: CacheStore) -> None:
        """Mark the storage of a store as written by a later version."""
        pytest.skip("override make_newer(store) to test what a later version has left")

    def process_opener(self) -> Callable[[], CacheStore]:
        """Return what another process opens the storage of this test with."""
        pytest.skip("override process_opener() to test claims in many processes")

    @property
    def holds_time(self) -> bool:
        """Whether only `age` lets time pass, or so little passes as does not matter."""
        return type(self).age is not StoreKit.age

    @property
    def life(self) -> float:
        """Seconds that what is to be over soon lives: few where a test must sleep."""
        return _LONG if self.holds_time else _SHORT

    def need_held_time(self) -> None:
        """Skip a test whose outcome would depend on the speed of the machine."""
        if not self.holds_time:
            pytest.skip("override age(store, seconds) to test what is not yet over")

    @pytest.fixture
    def opening(self, open_store: Opener) -> Iterator[Opener]:
        """Open stores that are closed at the end."""
        opened: list[CacheStore] = []

        def make(*, embedder: Fingerprint | None = MODEL, **options: Any) -> CacheStore:
            store = open_store(**options)
            opened.append(store)
            if embedder is not None:
                store.bind(embedder)
            return store

        yield make
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, opening: Opener) -> CacheStore:
        """Open a store without bounds."""
        return opening()

    @pytest.fixture
    def other(self, store: CacheStore, opening: Opener) -> CacheStore:
        """Open a second store on the storage of the first."""
        if not store.shared:
            pytest.skip("the store is not shared: nobody else sees what is in it")
        return opening()
