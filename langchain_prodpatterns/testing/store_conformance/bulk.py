"""Many entries at once, and many who write at once."""

import json
from collections.abc import Iterator
from threading import Event

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Entry
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    NORTH,
    StoreKit,
    answer,
    at_once,
    entry,
    exact_of,
    key_of,
    near,
    unit,
)

_MANY = 2_500
_WRITERS = 4
_EACH = 20


class _Broken(Exception):
    """Raised by what entries are read from."""


def _marked(name: str, writer: int) -> Entry:
    """Return an entry whose every part tells who wrote it."""
    mark = f"{name} by {writer}"
    return entry(
        mark,
        exact=exact_of(name),
        value=json.dumps(mark),
        metadata={"mark": mark},
    )


def _is_whole(item: Entry) -> bool:
    """Whether all parts of an entry were written together."""
    mark = item.text
    return (
        mark is not None
        and item.key == key_of(mark)
        and item.value == json.dumps(mark)
        and item.metadata == {"mark": mark}
    )


class BulkTests(StoreKit):
    """Warming a cache, and concurrent writers."""

    def test_many_are_added_at_once(self, store: CacheStore) -> None:
        """`add_many` takes any number from an iterator, and returns how many."""

        def items() -> Iterator[tuple[Entry, Vector | None]]:
            for number in range(_MANY):
                yield entry(f"{number}"), unit(1, number / _MANY, 0, 0)
            yield entry("planted"), NORTH

        assert store.add_many(items()) == _MANY + 1

        assert store.counts().entries == _MANY + 1
        assert answer(store, "0") == "0"
        assert answer(store, f"{_MANY - 1}") == f"{_MANY - 1}"
        assert near(store, NORTH, limit=1) == ["planted"]

    def test_none_is_added_of_nothing(self, store: CacheStore) -> None:
        """An empty iterator is no error."""
        assert store.add_many([]) == 0
        assert store.counts().entries == 0

    def test_many_may_have_one_request(self, store: CacheStore) -> None:
        """Of two in one batch the later one stays."""
        first, second = entry("a"), entry("b", exact=exact_of("a"))
        store.add_many([(first, EAST), (second, EAST), (entry("c"), None)])

        assert answer(store, "a") == "b"
        assert store.get(first.key) is None
        assert near(store) == ["b"]
        assert store.counts().entries == 2

    def test_what_was_stored_stays_when_the_rest_cannot_be_had(
        self, store: CacheStore
    ) -> None:
        """What the iterator raises reaches the caller; whole batches are kept."""

        def items() -> Iterator[tuple[Entry, Vector | None]]:
            for number in range(_MANY):
                yield entry(f"{number}"), EAST
            raise _Broken

        with pytest.raises(_Broken):
            store.add_many(items())

        kept = store.counts().entries
        assert 0 < kept <= _MANY, "about a thousand are stored in a transaction"
        assert answer(store, "0") == "0"
        store.add(entry("after"), EAST)
        assert answer(store, "after") == "after"

    def test_the_items_may_ask_the_store(self, store: CacheStore) -> None:
        """They are made while they are added: no lock is held meanwhile."""

        def items() -> Iterator[tuple[Entry, Vector | None]]:
            for number in range(3):
                assert answer(store, "unknown") is None
                yield entry(f"{number}"), EAST

        assert store.add_many(items()) == 3

    def test_writers_of_different_requests_lose_none(self, store: CacheStore) -> None:
        """Threads that write at once each find all that they wrote."""

        def write(writer: int) -> None:
            for number in range(_EACH):
                store.add(entry(f"{writer} {number}"), EAST)

        at_once(_WRITERS, write)

        names = [f"{w} {n}" for w in range(_WRITERS) for n in range(_EACH)]
        assert [answer(store, name) for name in names] == names
        found = near(store, limit=2 * len(names))
        assert sorted(filter(None, found)) == sorted(names)
        assert store.counts().entries == len(names)

    def test_writers_of_one_request_leave_one_answer(self, store: CacheStore) -> None:
        """Without single flight many store the same: one stays, whole."""

        def write(writer: int) -> None:
            for _ in range(_EACH):
                store.add(_marked("q", writer), EAST)

        at_once(_WRITERS, write)

        found = store.find(exact_of("q"))
        assert found is not None
        assert _is_whole(found.entry)
        assert store.counts().entries == 1
        assert near(store) == [found.entry.text], "two entries of one request"

    def test_readers_see_whole_entries_only(self, store: CacheStore) -> None:
        """Whoever reads while another writes sees what is there before or after."""
        done = Event()
        store.add(_marked("q", 0), EAST)

        def write() -> None:
            try:
                for number in range(1, 40):
                    store.add(_marked("q", number), EAST)
            finally:
                done.set()

        def read() -> list[Entry]:
            seen = []
            while not done.is_set():
                found = store.find(exact_of("q"))
                neighbors = store.nearest(HOME, EAST, exact=exact_of("r"))
                assert found is not None, (
                    "a request had no answer while it was replaced"
                )
                seen += [found.entry, *(n.entry for n in neighbors)]
            return seen

        def work(number: int) -> list[Entry]:
            if number:
                return read()
            write()
            return []

        seen = [item for part in at_once(3, work) for item in part]

        assert [item for item in seen if not _is_whole(item)] == []

    def test_verdicts_of_many_are_kept(self, store: CacheStore) -> None:
        """Aliases and rejections from many threads are all there."""
        store.add(entry("a"), EAST)

        def decide(number: int) -> None:
            store.add_alias(exact_of(f"yes {number}"), None, key_of("a"))
            store.reject(exact_of(f"no {number}"), key_of("a"))

        at_once(2 * _WRITERS, decide)

        counts = store.counts()
        assert (counts.aliases, counts.rejected) == (2 * _WRITERS, 2 * _WRITERS)
