"""What is past is never served, and is swept."""

import pytest

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    StoreKit,
    answer,
    at_once,
    entry,
    exact_of,
    key_of,
    near,
    sweep_all,
    unit,
)

_SWEEPERS = 4


class LifetimeTests(StoreKit):
    """The time to live, and the sweeper."""

    def _add_short(self, store: CacheStore, count: int) -> None:
        store.add_many((entry(f"{n}", ttl=self.life), EAST) for n in range(count))

    def test_what_is_past_is_not_served(self, store: CacheStore) -> None:
        """From the last moment of its `ttl` on, on no way, swept or not."""
        store.add(entry("a", ttl=self.life), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        # Asked before: what is kept in memory ends with its time, too.
        for name in ("a", "q"):
            store.find(exact_of(name))
        self.age(store, self.life)

        assert store.find(exact_of("a")) is None, "found by its request"
        assert store.find(exact_of("q")) is None, "found by an alias"
        assert store.get(key_of("a")) is None, "found by its key"
        assert near(store) == [], "found as a neighbor"
        assert list(store.scan()) == [], "found by a scan"

    def test_what_is_not_yet_past_is_served(self, store: CacheStore) -> None:
        """Until then it is found on every way."""
        self.need_held_time()
        store.add(entry("a", ttl=self.life), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        self.age(store, 0.9 * self.life)

        assert answer(store, "a") == "a"
        assert answer(store, "q") == "a"
        assert store.get(key_of("a")) is not None
        assert near(store) == ["a"]

    def test_without_a_time_to_live_it_stays(self, store: CacheStore) -> None:
        """`None` is for ever, and a long time outlasts a short one."""
        store.add(entry("short", ttl=self.life), EAST)
        store.add(entry("long", ttl=1_000 * self.life), EAST)
        store.add(entry("ever"), unit(1, 0.1, 0, 0))
        self.age(store, self.life)
        sweep_all(store)

        assert near(store) == ["long", "ever"]

    def test_past_ones_do_not_hide_a_living_one(self, store: CacheStore) -> None:
        """However many nearer ones are past, the nearest that lives is found."""
        self._add_short(store, 40)
        store.add(entry("alive"), unit(1, 0.5, 0, 0))
        self.age(store, self.life)

        assert near(store, limit=1) == ["alive"]

    def test_a_request_is_stored_anew_after_its_time(self, store: CacheStore) -> None:
        """A row that is past and not yet swept is in nobody's way."""
        store.add(entry("old", ttl=self.life), EAST)
        self.age(store, self.life)
        store.add(entry("new", exact=exact_of("old")), EAST)
        sweep_all(store)

        assert answer(store, "old") == "new"
        assert near(store) == ["new"]

    def test_a_sweep_removes_what_is_past_and_counts_it(
        self, store: CacheStore
    ) -> None:
        """Rows that nobody finds any more take room until they are swept."""
        self._add_short(store, 3)
        store.add_alias(exact_of("q"), None, key_of("0"))
        store.reject(exact_of("r"), key_of("1"))
        store.add(entry("stays"), EAST)
        self.age(store, self.life)
        sweep_all(store)

        counts = store.counts()
        assert (counts.entries, counts.expired) == (1, 3)
        assert (counts.aliases, counts.rejected) == (0, 0), "they go with their entry"
        assert counts.evicted == 0, "what is past was not removed to make room"
        assert answer(store, "stays") == "stays"

    def test_a_sweep_of_nothing_removes_nothing(self, store: CacheStore) -> None:
        """`sweep` returns 0 where nothing is past, and leaves what lives."""
        assert store.sweep() == 0

        store.add(entry("a", ttl=1_000 * self.life), EAST)

        assert store.sweep() == 0
        assert answer(store, "a") == "a"

    def test_a_sweep_is_bounded(self, store: CacheStore) -> None:
        """`sweep(limit)` removes no more rows: it must not hold others up for long."""
        self._add_short(store, 25)
        self.age(store, self.life)

        gone = [store.sweep(10) for _ in range(4)]

        assert max(gone) <= 10
        assert sum(gone) == 25
        assert store.counts().entries == 0

    def test_many_may_sweep_at_once(self, store: CacheStore) -> None:
        """Every worker may: each row goes once, and is counted once."""
        # First, since a store may sweep when something is added.
        store.add(entry("stays"), EAST)
        self._add_short(store, 60)
        self.age(store, self.life)

        gone = at_once(_SWEEPERS, lambda _: sweep_all(store, 7))
        # Those who found a row taken by another may have stopped early.
        rest = sweep_all(store)

        assert sum(gone) + rest == 60
        assert (store.counts().entries, store.counts().expired) == (1, 60)

    @pytest.mark.parametrize("ttl", [1e-6, 1e9])
    def test_any_time_to_live_is_taken(self, store: CacheStore, ttl: float) -> None:
        """Very short and very long times are times."""
        store.add(entry("a", ttl=ttl), EAST)
        self.age(store, 0.01)

        assert answer(store, "a") == ("a" if ttl > 1 else None)
