"""Any history of operations: a store never knows what a plain model does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from langchain_prodpatterns.cache.stores import CacheStore, Entry, Neighbor, Selection
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    COSINE_ERROR,
    HOME,
    StoreKit,
    entry,
    exact_of,
    key_of,
    unit,
)

_REQUESTS = ("p", "q", "r", "s", "t")
_PARTITIONS = (HOME, ABROAD)
_NAMESPACES = ("ours", "theirs")
# Directions around a circle, no two at the same angle from a third.
_VECTORS = tuple(unit(np.cos(t), np.sin(t), 0, 0) for t in (0.0, 0.3, 0.8, 1.7, 2.9))

_Addition: TypeAlias = tuple[str, int, str, str]
"""Request, number of the vector, partition and namespace of an entry."""

_requests = st.sampled_from(_REQUESTS)
_vectors = st.integers(0, len(_VECTORS) - 1)
_numbers = st.integers(0, len(_REQUESTS) - 1)
_additions: st.SearchStrategy[_Addition] = st.tuples(
    _requests, _vectors, st.sampled_from(_PARTITIONS), st.sampled_from(_NAMESPACES)
)


@dataclass
class Model:
    """What a store holds, in the plainest way."""

    entries: dict[str, tuple[Entry, Vector]] = field(default_factory=dict)
    """Request to entry and vector."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Request to key."""
    rejected: set[tuple[str, str]] = field(default_factory=set)
    """Requests and keys."""

    def keys(self) -> set[str]:
        """Return the keys of all entries."""
        return {item.key for item, _ in self.entries.values()}

    def find(self, exact: str) -> str | None:
        """Return the key that answers a request."""
        if exact in self.entries:
            return self.entries[exact][0].key
        return self.aliases.get(exact)

    def add(self, item: Entry, vector: Vector) -> None:
        """Put an entry in place of that of its request."""
        self.drop({self.entries[item.exact][0].key} if self.has(item.exact) else set())
        self.aliases.pop(item.exact, None)
        self.entries[item.exact] = (item, vector)

    def has(self, exact: str) -> bool:
        """Return whether a request has an entry of its own."""
        return exact in self.entries

    def drop(self, keys: set[str]) -> None:
        """Remove entries and what hangs on them."""
        self.entries = {e: p for e, p in self.entries.items() if p[0].key not in keys}
        self.aliases = {e: k for e, k in self.aliases.items() if k not in keys}
        self.rejected = {pair for pair in self.rejected if pair[1] not in keys}

    def cosines(self, partition: str, vector: Vector, exact: str) -> dict[str, float]:
        """Return key to cosine of all that may be a neighbor."""
        return {
            item.key: float(np.dot(stored, vector))
            for item, stored in self.entries.values()
            if item.partition == partition and (exact, item.key) not in self.rejected
        }


def _compare(found: Sequence[Neighbor], cosines: Mapping[str, float]) -> None:
    """Compare neighbors with key to cosine of all that may be one."""
    keys = [neighbor.entry.key for neighbor in found]
    assert len(keys) == len(set(keys)) == min(3, len(cosines))
    for neighbor in found:
        assert neighbor.entry.key in cosines, "no neighbor of this request"
        expected = pytest.approx(cosines[neighbor.entry.key], abs=COSINE_ERROR)
        assert neighbor.similarity == expected
    if found:
        best = pytest.approx(max(cosines.values()), abs=COSINE_ERROR)
        assert found[0].similarity == best, "a nearer one was not found"


class History(RuleBasedStateMachine):
    """A store and its model, to which the same is done."""

    store: CacheStore
    """Is opened once, and cleared before each history."""

    def __init__(self) -> None:
        super().__init__()
        self.store.clear()
        self.model = Model()
        self._made = 0

    def _key(self, number: int) -> str:
        """Return the key of one of the entries; there are some."""
        keys = sorted(self.model.keys())
        return keys[number % len(keys)]

    def _has_entries(self) -> bool:
        return bool(self.model.entries)

    @initialize(given=st.lists(_additions, max_size=8))
    def begin(self, given: list[_Addition]) -> None:
        """Begin with some entries: in an empty store there is little to go wrong."""
        for addition in given:
            self.add(addition)

    @rule(addition=_additions)
    def add(self, addition: _Addition) -> None:
        """Store an answer."""
        request, vector, partition, namespace = addition
        self._made += 1
        item = replace(
            entry(request, partition=partition, namespace=namespace),
            key=key_of(f"{request} {self._made}"),
            metadata={"made": self._made},
        )
        assert self.store.add(item, _VECTORS[vector]) is True
        self.model.add(item, _VECTORS[vector])

    @precondition(_has_entries)
    @rule(request=_requests, number=_numbers)
    def approve(self, request: str, number: int) -> None:
        """Store an alias of a request that has no answer of its own."""
        exact, key = exact_of(request), self._key(number)
        if self.model.has(exact):
            return
        self.store.add_alias(exact, None, key)
        self.model.rejected.discard((exact, key))
        self.model.aliases[exact] = key

    @precondition(_has_entries)
    @rule(request=_requests, number=_numbers)
    def reject(self, request: str, number: int) -> None:
        """Store that an entry does not answer a request."""
        exact, key = exact_of(request), self._key(number)
        pair = (exact, key)
        assert self.store.reject(exact, key) is (pair not in self.model.rejected)
        self.model.rejected.add(pair)
        if self.model.aliases.get(exact) == key:
            del self.model.aliases[exact]

    @precondition(_has_entries)
    @rule(number=_numbers, how=st.sampled_from(["remove", "put aside", "sweep"]))
    def lose_one(self, number: int, how: str) -> None:
        """Remove an entry by its key, put it aside, or sweep, where nothing is past."""
        key = self._key(number)
        if how == "sweep":
            assert self.store.sweep() == 0
            return
        if how == "remove":
            assert self.store.remove(Selection(key=key)) == 1
        else:
            self.store.quarantine(key, "unreadable value")
        self.model.drop({key})

    @rule(
        namespace=st.sampled_from(_NAMESPACES),
        partition=st.sampled_from([*_PARTITIONS, None]),
    )
    def lose_some(self, namespace: str, partition: str | None) -> None:
        """Remove what is of a namespace and a partition; without one, clear."""
        if partition is None:
            self.store.clear()
            self.model = Model()
            return
        selection = Selection(namespace=namespace, partition=partition)
        gone = {i.key for i, _ in self.model.entries.values() if selection.fits(i, 0)}
        assert self.store.remove(selection) == len(gone)
        self.model.drop(gone)

    @rule(vector=_vectors)
    def search(self, vector: int) -> None:
        """Look for neighbors of each request; brute force knows them."""
        question = _VECTORS[vector]
        for request, partition in product(_REQUESTS, _PARTITIONS):
            exact = exact_of(request)
            found = self.store.nearest(partition, question, exact=exact, limit=3)
            _compare(found, self.model.cosines(partition, question, exact))

    @invariant()
    def answers_as_the_model_does(self) -> None:
        """Every request has the answer that the model has, and nothing else is held."""
        for request in _REQUESTS:
            found = self.store.find(exact_of(request))
            key = None if found is None else found.entry.key
            assert key == self.model.find(exact_of(request)), request
        counts = self.store.counts()
        assert counts.entries == len(self.model.entries)
        assert counts.aliases == len(self.model.aliases)
        assert counts.rejected == len(self.model.rejected)


class HistoryTests(StoreKit):
    """A stateful test by hypothesis."""

    examples = 25
    """How many histories are tried."""

    phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)
    """What hypothesis does. To explain takes longer than to find and to shorten."""

    def test_any_history_ends_as_in_the_model(self, store: CacheStore) -> None:
        """What is added, approved, rejected and removed in any order stays right.

        Hypothesis prints the shortest history after which the store and the model
        differ, as a program.
        """
        given: Any = type("History", (History,), {"store": store})
        run_state_machine_as_test(
            given,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                phases=self.phases,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
