"""Which entries make room."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores import Entry, LocalStore, Selection
from langchain_prodpatterns.cache.stores.eviction import Bounds, cost_of
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.usage import NO_USAGE, Usage


def entry(key: str, usd: float = 0.01, value: str = "v") -> Entry:
    return Entry(key, "p", f"x-{key}", None, value, "n", Usage(calls=1, usd=usd))


def keys(store: LocalStore) -> list[str]:
    with store._database.read() as db:
        return [key for (key,) in db.execute("SELECT key FROM entries ORDER BY id")]


def held(store: LocalStore) -> tuple[int, int]:
    """Count what is there, as the totals should have it."""
    with store._database.read() as db:
        found = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries")
        entries, size = found.fetchone()
    return int(entries), int(size)


@pytest.fixture
def three() -> Iterator[LocalStore]:
    store = LocalStore(max_entries=3)
    yield store
    store.close()


@pytest.mark.parametrize("bound", [{"max_entries": 0}, {"max_bytes": 2.5}])
def test_a_bound_that_cannot_work_is_refused(bound: dict[str, Any]) -> None:
    (name,) = bound
    with pytest.raises(ConfigurationError, match=name):
        LocalStore(**bound)


@pytest.mark.parametrize(
    ("saved", "cost"),
    [
        (Usage(1, 500, 500, 0.02, 3.0), 0.02),
        (Usage(1, 500, 500, None, 3.0), 0.001),
        (Usage(1, 500, 500, 0.0, 3.0), 0.001),
        (Usage(2, usd=None, seconds=3.0), 0.0003),
        (Usage(2, usd=None), 0.0002),
        (NO_USAGE, 1e-6),
    ],
)
def test_a_cost_is_in_usd_or_what_stands_for_it(saved: Usage, cost: float) -> None:
    assert cost_of(saved) == pytest.approx(cost)


def test_what_is_within_the_bounds() -> None:
    assert not Bounds()
    assert Bounds(1)
    assert Bounds(None, 1)
    assert Bounds().allow(10**9, 10**12)
    assert Bounds(2, 10).allow(2, 10)
    assert not Bounds(2, 10).allow(3, 10)
    assert not Bounds(2, 10).allow(2, 11)


def test_an_expensive_one_outlives_many_cheap_ones(three: LocalStore) -> None:
    three.add(entry("dear", usd=0.05), None)
    for number in range(20):
        three.add(entry(str(number), usd=0.001), None)

    assert keys(three) == ["dear", "18", "19"]


def test_one_that_is_often_asked_outlives_others(three: LocalStore) -> None:
    three.add(entry("asked"), None)
    for number in range(20):
        three.touch("asked")
        three.add(entry(str(number)), None)

    assert "asked" in keys(three)


def test_a_hit_counts_as_often_as_it_was(three: LocalStore) -> None:
    three.add(entry("a"), None)
    for _ in range(3):
        three.touch("a")
    three.add(entry("b"), None)

    found = three.get("a")
    assert found is not None
    assert found.hits == 3


def test_a_large_one_goes_before_a_small_one_of_the_same_cost(
    three: LocalStore,
) -> None:
    three.add(entry("small"), None)
    three.add(entry("large", value="v" * 500), None)
    three.add(entry("third"), None)
    three.add(entry("fourth"), None)

    assert keys(three) == ["small", "third", "fourth"]


def test_one_that_is_asked_no_more_goes_at_last(three: LocalStore) -> None:
    three.add(entry("dear", usd=0.02), None)
    for _ in range(2):
        three.touch("dear")
    for number in range(200):
        three.add(entry(str(number), usd=0.002), None)

    assert "dear" not in keys(three)


def test_bytes_are_bounded_too() -> None:
    store = LocalStore(max_bytes=2_000)
    for number in range(50):
        store.add(entry(str(number), value="v" * 300), None)
        assert store.counts().bytes <= 2_000

    assert 3 <= store.counts().entries <= 6
    assert store.counts().evicted == 50 - store.counts().entries
    store.close()


def test_one_that_is_larger_than_all_is_not_stored() -> None:
    store = LocalStore(max_bytes=1_000)
    store.add(entry("a"), None)
    store.add(entry("large", value="v" * 2_000), None)

    assert keys(store) == ["a"]
    assert store.counts().evicted == 1
    store.close()


@settings(deadline=None, max_examples=30)
@given(ratio=st.integers(4, 20), kept=st.integers(2, 5), hits=st.integers(0, 3))
def test_it_takes_as_many_as_it_is_worth_to_replace_one(
    ratio: int, kept: int, hits: int
) -> None:
    store = LocalStore(max_entries=kept)
    store.add(entry("dear", usd=0.001 * ratio), None)
    for _ in range(hits):
        store.touch("dear")
    worth = ratio * (1 + hits)
    there = []
    for number in range(2 * kept * (worth + 2)):
        store.add(entry(f"{number:04}", usd=0.001), None)
        there.append("dear" in keys(store))
    store.close()

    # Each that goes raises the inflation by the worth of one, at most.
    assert all(there[: worth // 2])
    assert not there[-1]


@pytest.mark.parametrize("bounds", [{}, {"max_entries": 3}, {"max_bytes": 9_999}])
def test_only_a_bounded_store_keeps_an_index_of_ranks(
    tmp_path: Path, bounds: dict[str, Any]
) -> None:
    LocalStore(tmp_path / "store.db").close()
    for _ in range(2):
        store = LocalStore(tmp_path / "store.db", **bounds)
        with store._database.read() as db:
            found = db.execute(
                "SELECT 1 FROM sqlite_schema WHERE name = 'entries_rank'"
            ).fetchall()
        store.close()
        assert len(found) == (1 if bounds else 0)


OPERATION = st.tuples(
    st.sampled_from(["add", "add", "add", "touch", "remove", "quarantine", "clear"]),
    st.integers(0, 9),
    st.integers(1, 900),
)


@settings(deadline=None, max_examples=60)
@given(
    operations=st.lists(OPERATION, max_size=40),
    max_entries=st.none() | st.integers(1, 5),
    max_bytes=st.none() | st.integers(200, 3_000),
)
def test_the_bounds_hold_and_the_totals_are_right_after_all(
    operations: list[tuple[str, int, int]],
    max_entries: int | None,
    max_bytes: int | None,
) -> None:
    store = LocalStore(max_entries=max_entries, max_bytes=max_bytes)
    for step, (name, number, amount) in enumerate(operations):
        if name == "add":
            one = entry(f"{number}-{step}", usd=amount / 1000, value="v" * amount)
            store.add(one, None)
        elif name == "touch":
            store.touch(f"{number}")
        elif name == "remove":
            store.remove(Selection(older_than=amount))
        elif name == "quarantine":
            store.quarantine(keys(store)[0] if keys(store) else "none", "test")
        else:
            store.clear()
        counts = store.counts()
        assert (counts.entries, counts.bytes) == held(store)
        assert Bounds(max_entries, max_bytes).allow(counts.entries, counts.bytes)
    store.close()
