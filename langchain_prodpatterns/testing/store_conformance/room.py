"""A store with bounds keeps them, and what is worth most."""

import json

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Entry
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    Opener,
    StoreKit,
    answer,
    entry,
    key_of,
    near,
    sweep_all,
)
from langchain_prodpatterns.usage import Usage

_ROOM = 10
_CHEAP = Usage(calls=1, usd=0.0001)
_DEAR = Usage(calls=1, usd=1.0)
_MANY_HITS = 30
_MOST_BYTES = 40_000
_KILOBYTE = json.dumps("x" * 1_000)


def _add_cheap(store: CacheStore, count: int, prefix: str) -> None:
    """Add as many as are worth little, one after another, as a cache does."""
    for number in range(count):
        store.add(entry(f"{prefix} {number}", saved=_CHEAP), EAST)


class RoomTests(StoreKit):
    """Eviction."""

    def _with_entries(self, opening: Opener, most: int) -> CacheStore:
        if not self.has_max_entries:
            pytest.skip("the store has no max_entries (has_max_entries = False)")
        return opening(max_entries=most)

    def _with_bytes(self, opening: Opener, most: int) -> CacheStore:
        if not self.has_max_bytes:
            pytest.skip("the store has no max_bytes (has_max_bytes = False)")
        return opening(max_bytes=most)

    def test_no_more_entries_than_there_is_room_for(self, opening: Opener) -> None:
        """`max_entries` holds after a sweep at the latest, and what went is counted."""
        store = self._with_entries(opening, _ROOM)
        _add_cheap(store, 3 * _ROOM, "e")
        sweep_all(store)

        counts = store.counts()
        assert counts.entries == _ROOM
        assert counts.evicted == 2 * _ROOM
        assert counts.expired == 0, "what made room was not past"
        assert len(near(store, limit=5 * _ROOM)) == _ROOM, "evicted, but still found"

    def test_many_at_once_get_no_more_room(self, opening: Opener) -> None:
        """`add_many` keeps the bound, too."""
        store = self._with_entries(opening, _ROOM)
        store.add_many((entry(f"{n}"), EAST) for n in range(5 * _ROOM))
        sweep_all(store)

        assert store.counts().entries == _ROOM

    def test_without_need_nothing_goes(self, opening: Opener) -> None:
        """A store that is exactly full keeps all."""
        store = self._with_entries(opening, _ROOM)
        _add_cheap(store, _ROOM, "e")
        sweep_all(store)

        assert (store.counts().entries, store.counts().evicted) == (_ROOM, 0)

    def test_a_replaced_entry_needs_no_more_room(self, opening: Opener) -> None:
        """An answer in place of another evicts nobody."""
        store = self._with_entries(opening, _ROOM)
        _add_cheap(store, _ROOM, "e")
        for number in range(_ROOM):
            replacing: Entry = entry(f"e {number}", key=key_of(f"new {number}"))
            store.add(replacing, EAST)
        sweep_all(store)

        assert (store.counts().entries, store.counts().evicted) == (_ROOM, 0)

    def test_what_is_served_often_stays(self, opening: Opener) -> None:
        """Among answers of one price those make room that are asked least."""
        store = self._with_entries(opening, _ROOM)
        _add_cheap(store, 1, "often")
        _add_cheap(store, _ROOM - 1, "before")
        for _ in range(_MANY_HITS):
            store.touch(key_of("often 0"))
        _add_cheap(store, 2 * _ROOM, "after")
        sweep_all(store)

        assert answer(store, "often 0") == "often 0"

    def test_what_costs_more_stays(self, opening: Opener) -> None:
        """Among answers of one size those make room that cost least to have again."""
        store = self._with_entries(opening, _ROOM)
        store.add(entry("dear", saved=_DEAR), EAST)
        _add_cheap(store, 3 * _ROOM, "cheap")
        sweep_all(store)

        assert answer(store, "dear") == "dear"

    def test_no_more_bytes_than_there_is_room_for(self, opening: Opener) -> None:
        """`max_bytes` bounds what `counts().bytes` tells, after a sweep."""
        store = self._with_bytes(opening, _MOST_BYTES)
        for number in range(100):
            store.add(entry(f"{number}", value=_KILOBYTE), EAST)
        sweep_all(store)

        counts = store.counts()
        assert counts.bytes <= _MOST_BYTES
        assert 5 <= counts.entries <= 40, "of about 1,000 bytes each"
        assert counts.entries + counts.evicted == 100

    def test_what_is_larger_than_all_room_is_not_stored(self, opening: Opener) -> None:
        """`add` returns that it is not, and nobody is evicted for it."""
        store = self._with_bytes(opening, _MOST_BYTES)
        store.add(entry("small"), EAST)

        huge = entry("huge", value=json.dumps("x" * 2 * _MOST_BYTES))
        assert store.add(huge, EAST) is False
        sweep_all(store)

        assert answer(store, "huge") is None
        assert answer(store, "small") == "small"
