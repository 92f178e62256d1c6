"""Two stores on one storage stand for two processes: each sees what the other does."""

from threading import Event

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    StoreKit,
    answer,
    at_once,
    entry,
    exact_of,
    key_of,
    near,
)

_SOON = 600.0
_NEWS_SECONDS = 30.0


class SharingTests(StoreKit):
    """What is common to all who opened the same storage."""

    def test_each_finds_what_the_other_adds(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """Exactly, by an alias and as a neighbor, at once."""
        assert near(other) == []
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))

        assert answer(other, "a") == "a"
        assert answer(other, "q") == "a"
        assert near(other) == ["a"]

        other.add(entry("b", exact=exact_of("a")), EAST)

        assert answer(store, "a") == "b"
        assert near(store) == ["b"]

    def test_none_finds_what_the_other_removes(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """An invalidation that one worker does not see is none."""
        for name in ("a", "b"):
            store.add(entry(name), EAST)
        # Asked before: what it keeps in memory must go, too.
        assert answer(other, "a") == "a"
        assert answer(other, "b") == "b"
        assert sorted(filter(None, near(other))) == ["a", "b"]
        store.remove(Selection(key=key_of("a")))

        assert answer(other, "a") is None
        assert near(other) == ["b"]

        store.clear()

        assert answer(other, "b") is None
        assert near(other) == []
        assert other.counts().entries == 0

    def test_verdicts_and_tallies_are_common(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """What one has learned, all know."""
        store.add(entry("a"), EAST)
        store.reject(exact_of("q"), key_of("a"))
        store.tally(HOME, "cell", right=1)
        other.tally(HOME, "cell", wrong=1)

        assert near(other, asked="q") == []
        assert other.reject(exact_of("q"), key_of("a")) is False
        assert store.tallies(HOME) == other.tallies(HOME) == {"cell": (1, 1)}

    def test_a_claim_is_common(self, store: CacheStore, other: CacheStore) -> None:
        """What one claims, nobody else gets, until it is released."""
        assert store.claim("it", "a", _SOON) is True
        assert other.claim("it", "b", _SOON) is False
        store.release("it", "a")
        assert other.claim("it", "b", _SOON) is True

    def test_both_write_at_once(self, store: CacheStore, other: CacheStore) -> None:
        """Two who write to one storage lose nothing of each other's."""

        def write(number: int) -> None:
            mine = (store, other)[number]
            for n in range(20):
                mine.add(entry(f"{number} {n}"), EAST)
                mine.tally(HOME, "cell", right=1)

        at_once(2, write)

        for either in (store, other):
            assert either.counts().entries == 40
            assert len(near(either, limit=100)) == 40
            assert either.tallies(HOME) == {"cell": (40, 0)}

    def test_a_listener_hears_of_removals(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """`on_recall` tells what others invalidate: answers on their way are dropped.

        It is optional, and may take some seconds.
        """
        on_recall = getattr(other, "on_recall", None)
        if on_recall is None:
            pytest.skip("the store has no on_recall")
        heard: list[Selection] = []
        came = Event()

        def listen(selection: Selection) -> None:
            heard.append(selection)
            came.set()

        on_recall(listen)
        store.add(entry("a", namespace="theirs"), EAST)
        store.remove(Selection(namespace="theirs"))

        assert came.wait(_NEWS_SECONDS), f"not heard of within {_NEWS_SECONDS} s"
        item = entry("a", namespace="theirs")
        assert heard[0].fits(item, age=0.0), "what it heard does not mean that entry"
