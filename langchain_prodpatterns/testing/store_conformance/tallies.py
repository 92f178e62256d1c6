"""Tallies are the evidence for a promise: none is lost, none is counted twice."""

import pytest

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.cache.stores.base import LASTING
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    EAST,
    HOME,
    StoreKit,
    at_once,
    entry,
    partition_of,
)

_THREADS = 4
_TIMES = 25


class TallyTests(StoreKit):
    """Counters a cell, a partition and over all."""

    def test_a_tally_adds_up(self, store: CacheStore) -> None:
        """What was right and what was wrong, each cell on its own."""
        assert store.tallies(HOME) == {}

        store.tally(HOME, "0.9", right=2)
        store.tally(HOME, "0.9", wrong=1)
        store.tally(HOME, "0.9", right=3, wrong=4)
        store.tally(HOME, "0.8", wrong=5)

        assert store.tallies(HOME) == {"0.9": (5, 5), "0.8": (0, 5)}

    def test_the_sums_are_over_all_partitions(self, store: CacheStore) -> None:
        """A new partition begins with what is known of the others."""
        store.tally(HOME, "0.9", right=2)
        store.tally(ABROAD, "0.9", right=1, wrong=1)
        store.tally(ABROAD, "0.8", wrong=1)

        assert store.tallies(HOME) == {"0.9": (2, 0)}
        assert store.tallies(ABROAD) == {"0.9": (1, 1), "0.8": (0, 1)}
        assert store.tallies(None) == {"0.9": (3, 1), "0.8": (0, 1)}
        assert store.tallies(partition_of("unknown")) == {}

    def test_a_tally_may_be_taken_back(self, store: CacheStore) -> None:
        """A verdict that feedback overturns is subtracted where it was added."""
        store.tally(HOME, "0.9", right=3)
        store.tally(HOME, "0.9", right=-1, wrong=1)

        assert store.tallies(HOME) == {"0.9": (2, 1)}
        assert store.tallies(None) == {"0.9": (2, 1)}

    def test_tallies_are_taken_over(self, store: CacheStore) -> None:
        """What was counted elsewhere adds to the sums, too."""
        store.tally(ABROAD, "0.9", right=1)

        assert store.adopt_tallies(HOME, {"0.9": (2, 1), "0.8": (0, 3)})

        assert store.tallies(HOME) == {"0.9": (2, 1), "0.8": (0, 3)}
        assert store.tallies(None) == {"0.9": (3, 1), "0.8": (0, 3)}

    def test_they_are_taken_over_once(self, store: CacheStore) -> None:
        """Nor are they added to what a partition has counted itself."""
        store.tally(ABROAD, "0.8", right=5)
        store.adopt_tallies(HOME, {"0.9": (2, 1)})

        for partition in (HOME, ABROAD):
            assert not store.adopt_tallies(partition, {"0.9": (2, 1)})
        assert not store.adopt_tallies(partition_of("unknown"), {})

        assert store.tallies(ABROAD) == {"0.8": (5, 0)}
        assert store.tallies(None) == {"0.8": (5, 0), "0.9": (2, 1)}

    def test_of_many_threads_one_takes_them_over(self, store: CacheStore) -> None:
        """To look and to add are one step."""
        tallies = {f"0.{cell}": (1, 2) for cell in range(20)}
        done = list[bool]()

        at_once(_THREADS, lambda _: done.append(store.adopt_tallies(HOME, tallies)))

        assert sorted(done) == [False] * (_THREADS - 1) + [True]
        assert store.tallies(HOME) == store.tallies(None) == tallies

    def test_a_partition_is_forgotten_in_the_sums_too(self, store: CacheStore) -> None:
        """`reset_tallies(partition)` takes its share, and leaves that of others."""
        store.tally(HOME, "0.9", right=2, wrong=1)
        store.tally(ABROAD, "0.9", right=5)
        store.reset_tallies(HOME)
        store.reset_tallies(partition_of("unknown"))

        assert store.tallies(HOME) == {}
        assert store.tallies(ABROAD) == {"0.9": (5, 0)}
        assert store.tallies(None)["0.9"] == (5, 0)

    def test_all_are_forgotten(self, store: CacheStore) -> None:
        """`reset_tallies(None)` forgets them all, but no entry."""
        store.add(entry("a"), EAST)
        store.tally(HOME, "0.9", right=2)
        store.tally(ABROAD, "0.9", right=2)
        store.tally(f"{LASTING}pairs", "0.9", right=2)
        store.reset_tallies(None)

        for partition in (HOME, ABROAD, f"{LASTING}pairs", None):
            assert store.tallies(partition) == {}
        assert store.counts().entries == 1

    def test_tallies_outlive_the_entries(self, store: CacheStore) -> None:
        """What was learned from an answer stays known without it."""
        store.add(entry("a"), EAST)
        store.tally(HOME, "0.9", right=1)
        store.add(entry("b", exact=entry("a").exact), EAST)

        assert store.tallies(HOME) == {"0.9": (1, 0)}

    def test_many_threads_lose_none(self, store: CacheStore) -> None:
        """Each addition is one step: none reads what another is about to change."""

        def add(_: int) -> None:
            for _ in range(_TIMES):
                store.tally(HOME, "0.9", right=1, wrong=2)

        at_once(_THREADS, add)

        expected = {"0.9": (_THREADS * _TIMES, 2 * _THREADS * _TIMES)}
        assert store.tallies(HOME) == expected
        assert store.tallies(None) == expected

    def test_partitions_beyond_the_bound_stay_in_the_sums(
        self, store: CacheStore
    ) -> None:
        """Once it is swept: those added to last stay, and `LASTING` ones."""
        most = self.tallied_partitions
        if most is None:
            pytest.skip("set tallied_partitions to test what is forgotten of many")
        store.tally(f"{LASTING}pairs", "0.9", right=1)
        for number in range(most + 3):
            store.tally(partition_of(f"{number}"), "0.9", right=1)
        store.sweep()

        kept = [n for n in range(most + 3) if store.tallies(partition_of(f"{n}"))]

        assert kept == list(range(3, most + 3))
        assert store.tallies(f"{LASTING}pairs") == {"0.9": (1, 0)}
        assert store.tallies(None) == {"0.9": (most + 4, 0)}
