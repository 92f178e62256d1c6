"""A scan gives all that lives, with its vectors, and holds nobody up."""

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import CacheStore, Entry, Selection
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    COSINE_ERROR,
    EAST,
    NORTH,
    StoreKit,
    answer,
    entry,
    key_of,
    near,
    unit,
)

_VECTORS = {f"e{n}": unit(1, n, n * n, -n) for n in range(7)}


def _fill(store: CacheStore) -> None:
    for name, vector in _VECTORS.items():
        store.add(entry(name), vector)


class ScanTests(StoreKit):
    """Reading all that is in a store: what an export needs."""

    @pytest.mark.parametrize("batch", [1, 2, 7, 500])
    def test_each_entry_comes_once(self, store: CacheStore, batch: int) -> None:
        """However many are read at a time."""
        _fill(store)

        found = [item.text for item, _ in store.scan(batch=batch)]

        assert sorted(filter(None, found)) == sorted(_VECTORS)

    def test_what_comes_is_whole(self, store: CacheStore) -> None:
        """Entry and vector are such as to be added to another store."""
        _fill(store)
        store.add(entry("exact only", text=None), None)

        found: dict[str, tuple[Entry, Vector | None]] = {
            item.key: (item, vector) for item, vector in store.scan()
        }

        assert len(found) == len(_VECTORS) + 1
        for item, _ in found.values():
            assert item == store.get(item.key)
        assert found[key_of("exact only")][1] is None
        for name, given in _VECTORS.items():
            vector = found[key_of(name)][1]
            assert vector is not None
            assert vector.dtype == np.float32
            assert vector == pytest.approx(given, abs=COSINE_ERROR)

    def test_a_selection_is_scanned_alone(self, store: CacheStore) -> None:
        """The criteria are those of a removal."""
        store.add(entry("a"), EAST)
        store.add(entry("b", partition=ABROAD, metadata={"doc": 7}), EAST)
        store.add(entry("c", namespace="mine", metadata={"doc": 7}), EAST)

        def scanned(selection: Selection) -> list[str | None]:
            return sorted((item.text for item, _ in store.scan(selection)), key=str)

        assert scanned(Selection(namespace="mine")) == ["c"]
        assert scanned(Selection(partition=ABROAD)) == ["b"]
        assert scanned(Selection(text="a")) == ["a"]
        assert scanned(Selection(key=key_of("c"))) == ["c"]
        assert scanned(Selection(where=lambda m: m.get("doc") == 7)) == ["b", "c"]
        assert scanned(Selection(older_than=1e9)) == []

    def test_an_empty_store_gives_nothing(self, store: CacheStore) -> None:
        """Neither before an embedding model is known, nor after."""
        assert list(store.scan()) == []

    def test_the_store_may_be_used_meanwhile(self, store: CacheStore) -> None:
        """A scan takes long: others, and whoever scans, go on reading and writing.

        What goes meanwhile may still come; what comes meanwhile may be missed.
        """
        _fill(store)
        seen = set()
        for item, _ in store.scan(batch=2):
            assert item.key not in seen, "an entry came twice"
            seen.add(item.key)
            # Not for what comes meanwhile: a scan may find it, and then never ends.
            if item.text in _VECTORS:
                store.remove(Selection(key=item.key))
                store.add(entry(f"again {item.text}"), NORTH)

        assert seen >= {key_of(name) for name in _VECTORS}
        assert answer(store, "again e0") == "again e0"

    def test_a_scan_may_be_left(self, store: CacheStore) -> None:
        """Whoever stops reading leaves no lock behind."""
        _fill(store)
        scan = iter(store.scan(batch=1))
        next(scan)
        del scan

        store.add(entry("after"), EAST)
        store.clear()

        assert store.counts().entries == 0

    def test_a_store_is_copied_by_its_scan(self, store: CacheStore) -> None:
        """What `scan` gives, `add_many` takes: an export and an import."""
        _fill(store)
        copied = list(store.scan())
        store.clear()

        assert store.add_many(copied) == len(_VECTORS)
        for name, vector in _VECTORS.items():
            assert near(store, vector, limit=1) == [name]
