"""An entry is found by its request, whole, and in place of the one before."""

import json
from dataclasses import replace
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    NORTH,
    StoreKit,
    answer,
    entry,
    exact_of,
    key_of,
    near,
)
from langchain_prodpatterns.usage import NO_USAGE, Usage

_FULL_USAGE = Usage(
    calls=2,
    input_tokens=1_234_567_890,
    output_tokens=3,
    usd=0.000123,
    seconds=1.25,
    unmetered_calls=1,
    cache_read_tokens=4,
    cache_write_tokens=5,
)

_KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "emoji": {
        "text": "¿qué? 👩‍👩‍👧 \U0001f9ea",
        "value": '"日本 \U0001f600"',
        "namespace": "mañana",
    },
    "a lone surrogate": {"text": "half of a pair: \ud83d", "namespace": "\udc00"},
    "a NUL": {"text": "before\x00after", "value": json.dumps("\x00")},
    "quotes": {"text": "'; DROP TABLE entries; -- \" % \\ {}", "namespace": "a'b\\"},
    "blanks": {"text": " \t\r\n ", "namespace": ""},
    "an empty text": {"text": ""},
    "a long text": {"text": "long " * 40_000, "value": json.dumps("long " * 40_000)},
    "all that was saved": {"saved": _FULL_USAGE},
    "no known price": {"saved": Usage(calls=1, usd=None)},
    "nothing saved": {"saved": NO_USAGE},
    "metadata": {
        "metadata": {
            "nested": [{"a": None}, 1.5, True, 2**53],
            "any text": "\x00 \ud800 é",
            "": {},
        }
    },
}


class EntryTests(StoreKit):
    """Adding entries and finding them."""

    @pytest.mark.parametrize("kind", _KINDS)
    def test_an_entry_comes_back_whole(self, store: CacheStore, kind: str) -> None:
        """`find` and `get` return every field as it was given to `add`.

        Texts are what users write: any Python string, halves of surrogate pairs and
        NUL included. What cannot be kept would be a miss for ever, or an error.
        """
        given = entry("a", **_KINDS[kind])

        assert store.add(given, EAST) is True, "`add` must return that it is stored"

        found = store.find(given.exact)
        assert found is not None, "`find` does not find what was just added"
        assert found.by == "exact"
        assert replace(found.entry, created=0.0, hits=0) == given
        assert store.get(given.key) == found.entry, "`get` and `find` must agree"

    def test_the_time_to_live_comes_back(self, store: CacheStore) -> None:
        """`ttl` is read as it was given: an export keeps what is left of it."""
        store.add(entry("a", ttl=5_000.0), EAST)
        store.add(entry("b", ttl=None), EAST)

        lasting, limited = store.get(key_of("b")), store.get(key_of("a"))
        assert lasting is not None
        assert lasting.ttl is None
        assert limited is not None
        assert limited.ttl == pytest.approx(5_000.0, abs=0.01)

    def test_the_store_says_when_an_entry_was_created(self, store: CacheStore) -> None:
        """`created` is by the store's clock: those of many hosts do not agree."""
        store.add(entry("a", created=-5.0), EAST)
        store.add(entry("b", created=1e12), EAST)

        first, second = store.get(key_of("a")), store.get(key_of("b"))
        assert first is not None
        assert second is not None
        assert first.created != -5.0, "`created` must not be taken from the caller"
        assert first.created <= second.created < 1e12

    def test_what_is_not_there_is_none(self, store: CacheStore) -> None:
        """An unknown request or key is `None`, in an empty store and in a full one."""
        assert store.find(exact_of("a")) is None
        assert store.get(key_of("a")) is None
        assert near(store) == []

        store.add(entry("b"), EAST)

        assert store.find(exact_of("a")) is None
        assert store.get(key_of("a")) is None

    def test_an_entry_without_a_vector_is_found_exactly_only(
        self, store: CacheStore
    ) -> None:
        """What has no semantic text has no vector: it answers its own request."""
        given = entry("a", text=None)
        store.add(given, None)

        found = store.find(given.exact)
        assert found is not None
        assert found.entry.text is None
        assert near(store) == []

    def test_metadata_that_is_no_json_is_refused(self, store: CacheStore) -> None:
        """It raises `ConfigurationError` and stores nothing: it could not be read."""
        with pytest.raises(ConfigurationError):
            store.add(entry("a", metadata={"when": object()}), EAST)

        assert store.find(exact_of("a")) is None
        assert store.counts().entries == 0

    def test_the_same_request_is_replaced(self, store: CacheStore) -> None:
        """A request has one answer, the latest; nothing of the former is left."""
        store.add(entry("old"), EAST)
        store.add_alias(exact_of("asked"), None, key_of("old"))
        assert answer(store, "old") == answer(store, "asked") == "old"
        store.add(entry("new", exact=exact_of("old")), NORTH)

        assert answer(store, "old") == "new"
        assert store.get(key_of("old")) is None
        assert near(store) == ["new"], "the vector of the replaced entry is still found"
        assert store.find(exact_of("asked")) is None, "an alias of the replaced entry"
        assert store.counts().entries == 1

    def test_the_same_request_may_move_to_another_partition(
        self, store: CacheStore
    ) -> None:
        """What replaces an entry may be of another partition; the old one is gone."""
        store.add(entry("old"), EAST)
        store.add(entry("new", exact=exact_of("old"), partition="0" * 32), EAST)

        assert near(store) == []
        assert near(store, partition="0" * 32) == ["new"]

    def test_the_same_entry_twice_is_one(self, store: CacheStore) -> None:
        """To import a file a second time changes nothing."""
        for _ in range(2):
            assert store.add(entry("a"), EAST) is True

        assert answer(store, "a") == "a"
        assert near(store) == ["a"]
        assert store.counts().entries == 1

    def test_hits_are_never_more_than_there_were(self, store: CacheStore) -> None:
        """`touch` may be written down late, but counts each hit once at most."""
        store.add(entry("a"), EAST)
        for _ in range(3):
            store.touch(key_of("a"))
        store.touch(key_of("unknown"))
        store.add(entry("b"), EAST)

        touched, untouched = store.get(key_of("a")), store.get(key_of("b"))
        assert touched is not None
        assert 0 <= touched.hits <= 3
        assert untouched is not None
        assert untouched.hits == 0

    def test_counts_tell_what_is_held(self, store: CacheStore) -> None:
        """`counts` is what operators watch: entries, aliases, pairs and bytes."""
        assert store.counts().entries == store.counts().bytes == 0

        store.add(entry("a"), EAST)
        small = store.counts().bytes
        store.add(entry("b", value=json.dumps("long " * 1_000)), EAST)
        store.add_alias(exact_of("alias"), None, key_of("a"))
        store.reject(exact_of("no"), key_of("a"))

        counts = store.counts()
        assert (counts.entries, counts.aliases, counts.rejected) == (2, 1, 1)
        assert small > 0
        assert counts.bytes >= small + 5_000, "`bytes` must include the answers"
