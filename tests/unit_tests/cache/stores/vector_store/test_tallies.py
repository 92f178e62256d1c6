"""Tallies over a restart."""

import pytest

from langchain_prodpatterns.cache.stores import notes
from langchain_prodpatterns.cache.stores.base import LASTING
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import Notebook, open_in_memory


def test_a_restart_goes_on_to_forget_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notes, "MAX_TALLIED", 2)
    kv, clock = Notebook(), Clock()
    store = open_in_memory(kv=kv, clock=clock)
    for partition in (f"{LASTING}x", "b", "a"):
        clock.now += 1
        store.tally(partition, "cell", right=1)

    again = open_in_memory(kv=kv, clock=clock)
    again.tally("c", "cell", wrong=1)

    own = {name: again.tallies(name) for name in (f"{LASTING}x", "a", "b", "c")}
    assert own == {
        f"{LASTING}x": {"cell": (1, 0)},
        "a": {"cell": (1, 0)},
        "b": {},
        "c": {"cell": (0, 1)},
    }
    assert again.tallies(None) == {"cell": (3, 1)}


def test_a_damaged_tally_begins_anew() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.tally("a", "cell", right=1)
    for name in list(kv.yield_keys(prefix="prodpatterns/tallies/")):
        kv.store[name] = b"garbage"

    store.tally("a", "cell", wrong=2)

    assert store.tallies("a") == store.tallies(None) == {"cell": (0, 2)}
