"""Reading entries, and putting damaged ones aside."""

from collections.abc import Sequence

import pytest

from langchain_prodpatterns.cache.stores.vector_store import shelf
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    answer,
    entry,
    exact_of,
    key_of,
    near,
)
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    damage,
    make_newer,
    names,
    open_in_memory,
)


class Torn(Notebook):
    """Gives half of what it has, as a file that is being written, when told to."""

    torn = 0

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        found = super().mget(keys)
        if self.torn:
            self.torn -= 1
            return [raw and raw[: len(raw) // 2] for raw in found]
        return found


def test_what_is_read_while_it_is_written_is_not_put_aside() -> None:
    kv = Torn()
    store = open_in_memory(kv=kv)
    store.add(entry("a"), EAST)
    kv.torn = 1

    assert answer(store, "a") is None
    assert answer(store, "a") == "a"
    assert store.counts().quarantined == 0


def test_what_stays_damaged_is_put_aside_with_its_record() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("a"), EAST)
    damage(kv, key_of("a"))

    assert answer(store, "a") is None

    assert len(list(names(kv, "quarantine"))) == 1
    assert list(names(kv, "entries")) == []
    assert store.counts().quarantined == 1


def test_what_cannot_be_put_aside_is_a_miss_all_the_same() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("a"), EAST)
    damage(kv, key_of("a"))
    kv.failing = {"mset"}

    assert answer(store, "a") is None
    assert near(store) == []


def test_the_last_hundred_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_MAX_QUARANTINED", 2)
    kv = Notebook()
    ticks = iter(range(1_000, 2_000))
    store = open_in_memory(kv=kv, clock=lambda: float(next(ticks)))
    for name in ("a", "b", "c"):
        store.add(entry(name), EAST)
        store.quarantine(key_of(name), "reason")

    kept = sorted(names(kv, "quarantine"))
    assert len(kept) == 2
    assert store.counts().quarantined == 3


def test_an_entry_of_a_newer_release_is_a_miss_and_stays() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("a"), EAST)
    (name,) = names(kv, "entries")
    kv.store[name] = kv.store[name].replace(b'"schema":1', b'"schema":2')

    assert answer(store, "a") is None
    assert near(store) == []
    assert list(names(kv, "entries")) == [name]
    assert store.counts().quarantined == 0


def test_a_newer_store_is_refused() -> None:
    kv = Notebook()
    make_newer(kv)
    with pytest.raises(StoreError, match=r"newer release.*another prefix"):
        open_in_memory(kv=kv)


def test_a_store_that_does_not_tell_its_embedder_is_refused() -> None:
    kv = Notebook()
    kv.mset([("prodpatterns/about", b"garbage")])
    with pytest.raises(StoreError, match=r"damaged.*another prefix"):
        open_in_memory(kv=kv)


def test_hits_are_counted_for_those_that_were_served_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "_MAX_HITS", 2)
    store = open_in_memory()
    for name in ("a", "b", "c"):
        store.add(entry(name), EAST)
    for name in ("a", "b", "a", "c"):
        store.touch(key_of(name))

    found = [store.find(exact_of(name)) for name in ("a", "b", "c")]
    assert [one and one.entry.hits for one in found] == [2, 0, 1]
