"""The async methods that a store has do what the sync ones do."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Entry, Found, Neighbor
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.closing import CALLS
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    HOME,
    StoreKit,
    answer,
    entry,
    exact_of,
    near,
    unit,
)

_ASKED = ("a", "b", "new", "exact only", "q")


def _prepare(store: CacheStore) -> None:
    """Bring a store into the state in which a method and its twin are called."""
    store.clear()
    for holder in ("a", "b"):
        store.release("it", holder)
    store.add(entry("a"), EAST)
    store.add(entry("b"), unit(1, 1, 0, 0))
    store.tally(HOME, "cell", right=3)


def _timeless(value: Any) -> Any:
    """Return a result without what depends on when it came to be."""
    if isinstance(value, Entry):
        return replace(value, created=0.0)
    if isinstance(value, Found):
        return replace(value, entry=_timeless(value.entry))
    if isinstance(value, Neighbor):
        return replace(value, entry=_timeless(value.entry))
    if isinstance(value, list | tuple):
        return [_timeless(item) for item in value]
    return value


def _state(store: CacheStore) -> Any:
    """Return what can be seen of a store."""
    counts = store.counts()
    return (
        [answer(store, name) for name in _ASKED],
        near(store, asked="q"),
        store.tallies(HOME),
        store.tallies(None),
        (counts.entries, counts.aliases, counts.rejected, counts.bytes),
        store.claim("it", "b", 600.0),
    )


class TwinTests(StoreKit):
    """`afind`, `anearest`, `aadd` and the others, where a store has them."""

    @pytest.mark.parametrize("method", CALLS)
    def test_an_async_method_does_what_the_sync_one_does(
        self, store: CacheStore, method: str
    ) -> None:
        """It returns the same and leaves the same, whatever it awaits inside."""
        if not hasattr(store, f"a{method}"):
            pytest.skip(f"the store has no a{method}: the cache calls {method}")
        call = CALLS[method]
        _prepare(store)
        expected = getattr(store, method)(*call.args, **call.kwargs)
        left = _state(store)
        _prepare(store)

        async def twin() -> Any:
            try:
                return await getattr(store, f"a{method}")(*call.args, **call.kwargs)
            finally:
                # Connections of an event loop do not outlive it.
                state.append(await asyncio.to_thread(_state, store))
                if hasattr(store, "aclose"):
                    await store.aclose()

        state: list[Any] = []
        got = asyncio.run(twin())

        if method != "counts":
            assert _timeless(got) == _timeless(expected)
        else:
            assert (got.entries, got.bytes) == (expected.entries, expected.bytes)
        assert state == [left]

    def test_it_is_closed_from_a_loop(self, store: CacheStore) -> None:
        """After `aclose` it is as closed as after `close`, and may be closed again."""
        if not hasattr(store, "aclose"):
            pytest.skip("the store has no aclose: the cache calls close")
        store.add(entry("a"), EAST)

        asyncio.run(store.aclose())

        with pytest.raises(StoreError):
            store.find(exact_of("a"))
        store.close()
