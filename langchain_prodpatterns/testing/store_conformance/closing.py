"""What a store can be asked, as calls; and that a closed one refuses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    EAST,
    HOME,
    StoreKit,
    answer,
    entry,
    exact_of,
    key_of,
)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a call to a store."""

    args: tuple[Any, ...] = ()
    """By position."""
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """By name."""


CALLS = {
    "find": Call((exact_of("a"),)),
    "nearest": Call((HOME, EAST), {"exact": exact_of("q"), "limit": 3}),
    "get": Call((key_of("a"),)),
    "add": Call((entry("new"), EAST)),
    "add_many": Call(([(entry("new"), EAST), (entry("exact only"), None)],)),
    "add_alias": Call((exact_of("q"), None, key_of("a"), "near")),
    "reject": Call((exact_of("q"), key_of("a"))),
    "remove": Call((Selection(key=key_of("a")),)),
    "tally": Call((HOME, "cell", 1, 2)),
    "tallies": Call((HOME,)),
    "adopt_tallies": Call((ABROAD, {"cell": (1, 0), "other": (0, 2)})),
    "reset_tallies": Call((HOME,)),
    "claim": Call(("it", "a", 600.0)),
    "release": Call(("it", "b")),
    "quarantine": Call((key_of("a"), "unreadable value")),
    "sweep": Call((100,)),
    "clear": Call(),
    "counts": Call(),
}
"""Method to arguments: all that reads or writes, but for `scan`, `bind` and `touch`."""


class ClosingTests(StoreKit):
    """The end of a store."""

    @pytest.mark.parametrize("method", CALLS)
    def test_a_closed_store_says_so(self, store: CacheStore, method: str) -> None:
        """It raises `StoreError`, which the cache counts; no engine's own error.

        `touch` may be noted in vain: a hit does not wait for it.
        """
        store.add(entry("a"), EAST)
        store.close()
        call = CALLS[method]

        with pytest.raises(StoreError):
            getattr(store, method)(*call.args, **call.kwargs)

    def test_a_closed_store_is_not_scanned(self, store: CacheStore) -> None:
        """At the latest when its first entry is asked for."""
        store.close()

        with pytest.raises(StoreError):
            list(store.scan())

    def test_to_close_twice_is_to_close(self, store: CacheStore) -> None:
        """Whoever closes a cache need not know whether another did."""
        store.add(entry("a"), EAST)
        store.touch(key_of("a"))
        store.close()
        store.close()

    def test_one_may_close_while_others_stay(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """It releases what is its own: another on the same storage goes on."""
        store.add(entry("a"), EAST)
        store.close()

        assert answer(other, "a") == "a"
