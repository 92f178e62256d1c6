"""A claim has one holder: single flight over threads, processes and hosts."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from threading import Barrier

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.testing.store_conformance.kit import StoreKit, at_once

_THREADS = 8
_ROUNDS = 10
_PROCESSES = 2
_START_SECONDS = 120.0
_SOON = 600.0

_together: list[Barrier] = []
"""In a worker process: where they wait for each other."""


def _meet(barrier: Barrier) -> None:
    _together.append(barrier)


def _claim_all(opener: Callable[[], CacheStore], holder: str) -> list[bool]:
    """Claim one name after another, in a process of its own."""
    store = opener()
    try:
        _together[0].wait(_START_SECONDS)
        return [store.claim(f"round {n}", holder, _SOON) for n in range(_ROUNDS)]
    finally:
        store.close()


class ClaimTests(StoreKit):
    """Leases."""

    def _claim(self, store: CacheStore, name: str, number: int) -> bool:
        return store.claim(name, f"holder {number}", _SOON)

    def test_one_of_many_threads_gets_it(self, store: CacheStore) -> None:
        """Of those who ask at one moment exactly one calls the model."""
        for number in range(_ROUNDS):
            claim = partial(self._claim, store, f"round {number}")
            got = at_once(_THREADS, claim)

            assert got.count(True) == 1, f"{got.count(True)} of {_THREADS} got it"

    def test_one_of_many_processes_gets_it(self, store: CacheStore) -> None:
        """The same where they share nothing but the storage."""
        opener = self.process_opener()
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(_PROCESSES)
        with ProcessPoolExecutor(
            _PROCESSES, mp_context=context, initializer=_meet, initargs=(barrier,)
        ) as pool:
            holders = [f"process {n}" for n in range(_PROCESSES)]
            got = list(pool.map(_claim_all, [opener] * _PROCESSES, holders))

        winners = [sum(claims) for claims in zip(*got, strict=True)]
        assert winners == [1] * _ROUNDS

    def test_a_claim_is_of_one_name(self, store: CacheStore) -> None:
        """Who does one thing does not keep others from another."""
        assert store.claim("one", "a", _SOON) is True
        assert store.claim("two", "b", _SOON) is True
        assert store.claim("one", "b", _SOON) is False

    def test_the_holder_may_claim_again(self, store: CacheStore) -> None:
        """That renews it: a long answer takes longer than a lease."""
        assert store.claim("it", "a", self.life) is True
        assert store.claim("it", "a", 1_000 * self.life) is True
        self.age(store, self.life)

        assert store.claim("it", "b", _SOON) is False, "the renewal did not count"

    def test_a_claim_is_over_after_its_time(self, store: CacheStore) -> None:
        """A holder that died blocks nobody for longer than that."""
        store.claim("it", "dead", self.life)
        self.age(store, self.life)

        assert store.claim("it", "b", _SOON) is True
        assert store.claim("it", "dead", _SOON) is False, "it had lost it"

    def test_one_of_many_gets_what_is_over(self, store: CacheStore) -> None:
        """Those who wait for a dead holder do not all take its place."""
        store.claim("it", "dead", self.life)
        self.age(store, self.life)

        got = at_once(_THREADS, partial(self._claim, store, "it"))

        assert got.count(True) == 1

    def test_a_claim_that_is_released_is_free(self, store: CacheStore) -> None:
        """Those who wait need not wait for its time."""
        store.claim("it", "a", _SOON)
        store.release("it", "a")

        assert store.claim("it", "b", _SOON) is True

    def test_only_its_holder_releases_it(self, store: CacheStore) -> None:
        """One whose time was over must not free what is another's by now."""
        store.claim("it", "a", _SOON)
        store.release("it", "b")
        store.release("unknown", "b")

        assert store.claim("it", "b", _SOON) is False

    def test_a_claim_in_vain_changes_nothing(self, store: CacheStore) -> None:
        """To ask does not prolong the holder's time."""
        self.need_held_time()
        store.claim("it", "a", self.life)
        store.claim("it", "b", 1_000 * self.life)
        self.age(store, self.life)

        assert store.claim("it", "c", _SOON) is True
