"""A bad row is a miss: put aside and counted, never served, never an error."""

import pytest

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    Opener,
    StoreKit,
    answer,
    entry,
    exact_of,
    key_of,
    near,
    unit,
)


class DamageTests(StoreKit):
    """Damaged rows, quarantine, and storage of a later version."""

    @pytest.mark.parametrize("way", ["find", "alias", "get", "nearest", "scan"])
    def test_a_damaged_entry_is_a_miss(self, store: CacheStore, way: str) -> None:
        """On every way to it, and it is put aside, so that it costs nothing again."""
        for name, vector in {"bad": EAST, "good": unit(1, 0.5, 0, 0)}.items():
            store.add(entry(name), vector)
        store.add_alias(exact_of("q"), None, key_of("bad"))
        self.damage(store, key_of("bad"))

        if way == "find":
            assert store.find(exact_of("bad")) is None
        elif way == "alias":
            assert store.find(exact_of("q")) is None
        elif way == "get":
            assert store.get(key_of("bad")) is None
        elif way == "nearest":
            assert near(store, limit=1) == ["good"], "it hides the next nearest"
        else:
            assert [item.text for item, _ in store.scan()] == ["good"]
            assert store.find(exact_of("bad")) is None, "a scan writes nothing"

        assert store.counts().quarantined == 1
        assert store.counts().entries == 1
        assert answer(store, "good") == "good"

    def test_a_damaged_request_is_stored_anew(self, store: CacheStore) -> None:
        """The next answer takes its place."""
        store.add(entry("bad"), EAST)
        self.damage(store, key_of("bad"))
        store.add(entry("good", exact=exact_of("bad")), EAST)

        assert answer(store, "bad") == "good"
        assert near(store) == ["good"]

    def test_an_entry_is_put_aside_by_hand(self, store: CacheStore) -> None:
        """The cache does so with a value that it cannot read."""
        for name in ("a", "b"):
            store.add(entry(name), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        store.quarantine(key_of("a"), "unreadable value")

        assert answer(store, "a") is None
        assert answer(store, "q") is None
        assert store.get(key_of("a")) is None
        assert near(store) == ["b"]
        assert [item.text for item, _ in store.scan()] == ["b"]
        counts = store.counts()
        assert (counts.entries, counts.quarantined, counts.evicted) == (1, 1, 0)

    def test_what_is_not_there_is_not_put_aside(self, store: CacheStore) -> None:
        """Two who read a bad row both put it aside: it is counted once."""
        store.add(entry("a"), EAST)
        for _ in range(2):
            store.quarantine(key_of("a"), "unreadable value")
        store.quarantine(key_of("unknown"), "unreadable value")

        assert store.counts().quarantined == 1

    def test_an_entry_put_aside_is_stored_anew(self, store: CacheStore) -> None:
        """Quarantine is of a row, not of a request."""
        store.add(entry("a"), EAST)
        store.quarantine(key_of("a"), "unreadable value")
        store.add(entry("a"), EAST)

        assert answer(store, "a") == "a"
        assert near(store) == ["a"]

    def test_storage_of_a_later_version_is_refused(
        self, store: CacheStore, opening: Opener
    ) -> None:
        """To open or to use it raises `StoreError`: its rows may mean another thing."""
        store.add(entry("a"), EAST)
        self.make_newer(store)

        with pytest.raises(StoreError):
            opening().find(exact_of("a"))
