"""Counting entries by whose they are, in a store that can and in one that cannot."""

from collections.abc import Iterator
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cache.stores.census import Census, Group, take_census
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.test_local import EAST, entry


class Counted:
    """A store without a census of its own."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name == "census":
            raise AttributeError(name)
        return getattr(self._store, name)


@pytest.fixture(params=["by itself", "by a scan"])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[LocalStore, Any]]:
    store = LocalStore(clock=Clock())
    store.bind(Fingerprint("model", 3))
    yield store, store if request.param == "by itself" else Counted(store)
    store.close()


def test_an_empty_store_has_nothing_of_anyone(stores: tuple[LocalStore, Any]) -> None:
    census = take_census(stores[1])

    assert (census.namespaces, census.largest, census.partitions) == ([], [], 0)
    assert (census.expired, census.oldest, census.newest) == (0, None, None)


def test_entries_are_counted_by_namespace_and_partition(
    stores: tuple[LocalStore, Any],
) -> None:
    store, counted = stores
    clock: Any = store._clock
    store.add(entry("a", namespace="one", partition="p1"), EAST)
    store.add(entry("b", namespace="one", partition="p1"), None)
    clock.now += 5
    store.add(entry("c", namespace="one", partition="p2"), EAST)
    store.add(entry("d", namespace="\ud800", partition="p3", ttl=60.0), EAST)
    store.touch("d")
    store.add(entry("e", namespace="two", partition="p4", ttl=1.0), EAST)
    clock.now += 5

    census = take_census(counted, largest=2)

    names = [(one.namespace, one.entries, one.hits) for one in census.namespaces]
    assert names == [("one", 3, 0), ("\ud800", 1, 1)]
    assert [one.entries for one in census.largest] == [2, 1]
    assert census.largest[0].partition == "p1"
    assert census.partitions == 3
    assert census.expired == 1
    assert (census.oldest, census.newest) == (1_000.0, 1_005.0)


def test_both_ways_count_the_same(stores: tuple[LocalStore, Any]) -> None:
    store, counted = stores
    for key in "abc":
        store.add(entry(key, text=f"ü {key}", metadata={"n": key}), EAST)

    census = take_census(counted)

    (group,) = census.namespaces
    assert group == Group("default", None, 3, store.counts().bytes, 0)


def test_damaged_rows_are_told_of_by_who_knows_them() -> None:
    store = LocalStore()
    store.add(entry("a"), None)
    store.quarantine("a", "for a test")

    assert store.census().quarantined == 1
    assert take_census(Counted(store)).quarantined is None
    assert Census().quarantined is None
    store.close()
