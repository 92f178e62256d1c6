"""Tallies and claims."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores import LocalStore, notes
from tests.unit_tests.cache.conftest import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "disk"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[LocalStore]:
    path = tmp_path / "store.db" if request.param == "disk" else None
    opened = LocalStore(path, clock=clock)
    yield opened
    opened.close()


def test_tallies_add_up_in_a_partition_and_over_all(store: LocalStore) -> None:
    store.tally("p", "near", right=2)
    store.tally("p", "near", right=1, wrong=1)
    store.tally("q", "near", wrong=4)
    store.tally("q", "far", right=1)

    assert store.tallies("p") == {"near": (3, 1)}
    assert store.tallies("q") == {"near": (0, 4), "far": (1, 0)}
    assert store.tallies("other") == {}
    assert store.tallies(None) == {"near": (3, 5), "far": (1, 0)}


def test_a_partition_is_forgotten_in_the_sums_too(store: LocalStore) -> None:
    store.tally("p", "near", right=2, wrong=1)
    store.tally("p", "far", right=9)
    store.tally("q", "near", wrong=4)

    store.reset_tallies("p")
    assert store.tallies("p") == {}
    assert store.tallies(None) == {"near": (0, 4), "far": (0, 0)}

    store.reset_tallies(None)
    assert store.tallies("q") == store.tallies(None) == {}


def test_partitions_are_bounded_and_the_sums_are_whole(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MAX_TALLIED", 2)
    for partition in ("a", "b", "a", "c"):
        store.tally(partition, "near", right=1)

    kept = {name: store.tallies(name) for name in "abc"}
    assert kept == {"a": {"near": (2, 0)}, "b": {}, "c": {"near": (1, 0)}}
    assert store.tallies(None) == {"near": (4, 0)}


def test_tallies_of_many_threads_add_up(store: LocalStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            pool.submit(store.tally, "p", "near", right=1)

    assert store.tallies("p") == store.tallies(None) == {"near": (200, 0)}


def test_a_claim_is_held_by_one(store: LocalStore, clock: Clock) -> None:
    assert store.claim("work", "first", 10)
    assert not store.claim("work", "second", 10)
    assert store.claim("other work", "second", 10)

    clock.now += 9
    assert store.claim("work", "first", 10)
    clock.now += 9
    assert not store.claim("work", "second", 10)
    clock.now += 1
    assert store.claim("work", "second", 10)
    assert not store.claim("work", "first", 10)


def test_only_the_holder_releases(store: LocalStore) -> None:
    store.claim("work", "first", 10)
    store.release("work", "second")
    assert not store.claim("work", "second", 10)

    store.release("work", "first")
    assert store.claim("work", "second", 10)


def test_claims_that_are_over_are_swept(store: LocalStore, clock: Clock) -> None:
    for number in range(5):
        store.claim(str(number), "first", 10)
    clock.now += 10
    store.claim("work", "first", 10)

    with store._database.read() as db:
        assert db.execute("SELECT name FROM claims").fetchall() == [("work",)]


def test_one_of_many_threads_has_a_claim(store: LocalStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(lambda n: store.claim("work", str(n), 10), range(40), timeout=60)
        )

    assert sum(taken) == 1
