"""What many workers do at once adds up, and keeps within its bounds."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import psycopg
import pytest

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Selection
from tests.integration_tests.postgres.cases import (
    FIRST,
    MODEL,
    OpenStore,
    ask,
    entry,
    one,
    stores,
)

COUNTED = {
    "entries": "SELECT count(*) FROM prodpatterns.entries",
    "bytes": "SELECT coalesce(sum(size), 0)::bigint FROM prodpatterns.entries",
    "aliases": "SELECT count(*) FROM prodpatterns.aliases",
    "rejected": "SELECT count(*) FROM prodpatterns.rejected",
}


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


def _counted(dsn: str) -> dict[str, int]:
    return {name: one(dsn, query) for name, query in COUNTED.items()}


def _told(store: PostgresStore) -> dict[str, int]:
    counts = store.counts()
    return {name: getattr(counts, name) for name in COUNTED}


def _history(store: PostgresStore, seed: int, steps: int) -> None:
    """Do this and that."""
    random = Random(seed)
    for _ in range(steps):
        name = str(random.randrange(12))
        namespace = random.choice("nm")
        match random.randrange(8):
            case 0 | 1 | 2:
                key = f"k{random.randrange(10**9)}"
                made = entry(
                    name, key=key, namespace=namespace, value="v" * random.randrange(50)
                )
                store.add(made, FIRST)
            case 3:
                names = {str(random.randrange(12)) for _ in range(4)}
                store.add_many(
                    (entry(n, key=f"k{random.randrange(10**9)}"), None) for n in names
                )
            case 4:
                found = store.find(f"x{name}")
                if found is not None:
                    store.add_alias(f"q{random.randrange(30)}", None, found.entry.key)
            case 5:
                found = store.find(f"x{name}")
                if found is not None:
                    store.reject(f"q{random.randrange(30)}", found.entry.key)
            case 6:
                store.remove(Selection(namespace=namespace, text=f"question {name}"))
            case _:
                store.sweep()


@pytest.mark.parametrize("seed", range(3))
def test_totals_are_what_there_is_after_any_history(
    open_store: OpenStore, dsn: str, seed: int
) -> None:
    store = open_store(max_entries=10)
    store.bind(MODEL)

    _history(store, seed, 60)
    assert _told(store) == _counted(dsn)

    store.sweep()
    assert _told(store) == _counted(dsn)
    # They are added up.
    assert one(dsn, "SELECT count(*) FROM prodpatterns.totals") == 1


def test_totals_are_what_there_is_after_many_histories_at_once(
    open_store: OpenStore, dsn: str
) -> None:
    workers = [open_store() for _ in range(4)]
    for worker in workers:
        worker.bind(MODEL)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_history, workers, range(4), [25] * 4))

    workers[0].sweep()

    assert _told(workers[0]) == _counted(dsn)
    # Nothing is left of what is gone.
    for table in ("vectors", "uses"):
        lost = f"SELECT count(*) FROM prodpatterns.{table} WHERE id NOT IN (SELECT id FROM prodpatterns.entries)"  # noqa: S608 - our own tables
        assert one(dsn, lost) == 0


@pytest.mark.parametrize("bounds", [{"max_entries": 20}, {"max_bytes": 4_000}])
def test_bounds_hold_after_many_writers_at_once(
    open_store: OpenStore, dsn: str, bounds: dict[str, int]
) -> None:
    workers = [open_store(**bounds) for _ in range(4)]

    def write(number: int) -> None:
        for step in range(15):
            workers[number].add(entry(f"{number}-{step}"), None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    counted = _counted(dsn)
    assert counted["entries"] <= bounds.get("max_entries", 10**9)
    assert counted["bytes"] <= bounds.get("max_bytes", 10**9)
    assert counted["entries"] > 5
    evicted = sum(worker.counts().evicted for worker in workers)
    assert evicted == 60 - counted["entries"]


def test_what_is_served_often_stays(open_store: OpenStore) -> None:
    store = open_store(max_entries=4)
    for name in "abcd":
        store.add(entry(name), None)
    for _ in range(5):
        store.touch("kb")

    for name in "efghij":
        store.add(entry(name), None)

    assert store.find("xb") is not None
    assert store.find("xa") is None


def test_many_workers_sweep_each_entry_once(open_store: OpenStore, dsn: str) -> None:
    workers = [open_store() for _ in range(4)]
    workers[0].add_many((entry(str(n), ttl=60.0), FIRST) for n in range(200))
    workers[0].add(entry("stays", ttl=6_000.0), FIRST)
    ask(
        dsn,
        "UPDATE prodpatterns.entries SET expires = now() - interval '1 s' WHERE ttl < 100",
    )

    with ThreadPoolExecutor(4) as pool:
        swept = list(pool.map(lambda worker: worker.sweep(), workers))
    swept.append(workers[0].sweep())

    assert sum(swept) == 200
    assert sum(worker.counts().expired for worker in workers) == 200
    assert _told(workers[0]) == _counted(dsn)
    assert _counted(dsn)["entries"] == 1


def test_a_sweep_is_bounded(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.add_many((entry(str(n), ttl=60.0), None) for n in range(10))
    ask(dsn, "UPDATE prodpatterns.entries SET expires = now() - interval '1 s'")

    assert [store.sweep(4) for _ in range(4)] == [4, 4, 2, 0]


def test_a_sweep_waits_for_nobody(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.add_many((entry(str(n), ttl=60.0), None) for n in range(3))
    ask(dsn, "UPDATE prodpatterns.entries SET expires = now() - interval '1 s'")
    with psycopg.connect(dsn) as holding:
        holding.execute("SELECT FROM prodpatterns.entries WHERE key = 'k1' FOR UPDATE")

        assert store.sweep() == 2

    assert store.sweep() == 1


def test_hits_are_noted_by_many_at_once(open_store: OpenStore, dsn: str) -> None:
    workers = [open_store() for _ in range(4)]
    names = [str(number) for number in range(20)]
    workers[0].add_many((entry(name), None) for name in names)

    def serve(number: int) -> None:
        order = Random(number).sample(names, len(names))
        for _ in range(5):
            for name in order:
                workers[number].touch(f"k{name}")
            workers[number]._db.run(workers[number]._keeper.write_hits(), "write")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(serve, range(4)))

    assert ask(dsn, "SELECT DISTINCT hits FROM prodpatterns.uses") == [(20,)]
    assert (
        one(
            dsn,
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        )
        == 0
    )


def test_the_hits_of_what_is_gone_are_dropped(open_store: OpenStore) -> None:
    store = open_store()
    store.add(entry(), None)
    store.touch("gone")
    store.touch("ka")

    store.sweep()

    found = store.find("xa")
    assert found is not None
    assert found.entry.hits == 1


def test_one_of_many_has_a_claim(open_store: OpenStore) -> None:
    workers = [open_store() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        won = list(
            pool.map(lambda n: workers[n].claim("name", f"holder{n}", 60.0), range(4))
        )

    assert sum(won) == 1
    winner = won.index(True)
    assert workers[winner].claim("name", f"holder{winner}", 60.0)
    workers[0].release("name", "somebody else")
    assert not workers[winner - 1].claim("name", "another", 60.0)
    workers[0].release("name", f"holder{winner}")
    assert workers[winner - 1].claim("name", "another", 60.0)


def test_a_dead_holder_blocks_nobody_for_longer_than_its_claim(
    open_store: OpenStore, dsn: str
) -> None:
    dead, alive = open_store(), open_store()
    assert dead.claim("name", "dead", 60.0)
    dead.close()
    assert not alive.claim("name", "alive", 60.0)

    ask(dsn, "UPDATE prodpatterns.claims SET expires = expires - interval '60 s'")

    assert alive.claim("name", "alive", 60.0)


def test_claims_that_are_past_are_swept(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.claim("past", "me", 60.0)
    ask(dsn, "UPDATE prodpatterns.claims SET expires = now() - interval '1 s'")
    store.claim("held", "me", 60.0)

    store.sweep()

    assert ask(dsn, "SELECT name FROM prodpatterns.claims") == [("held",)]


@pytest.mark.parametrize("off_by", [-1e6, 1e6])
def test_only_the_clock_of_the_database_counts(
    open_store: OpenStore, dsn: str, monkeypatch: pytest.MonkeyPatch, off_by: float
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + off_by)
    store = open_store()
    store.add(entry("lives", ttl=60.0), FIRST)
    store.add(entry("dies", ttl=60.0), FIRST)
    assert store.claim("name", "me", 60.0)
    assert not store.claim("name", "you", 60.0)

    ask(
        dsn,
        "UPDATE prodpatterns.entries SET expires = now() - interval '1 s' "
        "WHERE key = 'kdies'",
    )

    assert store.find("xlives") is not None
    assert store.find("xdies") is None
    assert store.get("kdies") is None
    assert [n.entry.key for n in store.nearest("p", FIRST, exact="q", limit=9)] == [
        "klives"
    ]
    assert store.remove(Selection(older_than=30.0)) == 0
    assert [e.key for e, _ in store.scan()] == ["klives"]
    found = store.find("xlives")
    assert found is not None
    assert abs(found.entry.created - real()) < 600.0


def test_a_time_to_live_may_be_as_long_as_it_likes(open_store: OpenStore) -> None:
    store = open_store()
    for name, ttl in (("a", 1e300), ("b", 1e12)):
        store.add(entry(name, ttl=ttl), None)
        found = store.find(f"x{name}")
        assert found is not None
        assert found.entry.ttl == ttl


def test_what_is_equal_may_be_stored_by_many_at_once(
    open_store: OpenStore, dsn: str
) -> None:
    workers = [open_store() for _ in range(4)]
    for worker in workers:
        worker.bind(MODEL)

    def write(number: int) -> None:
        for step in range(6):
            items = [
                (entry(str(n), key=f"{number}-{step}-{n}"), FIRST)
                for n in Random(number).sample(range(10), 6)
            ]
            workers[number].add_many(items)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    assert _told(workers[0]) == _counted(dsn)
    assert _counted(dsn)["entries"] <= 10


def test_vacuum_gives_back_what_is_gone(open_store: OpenStore, dsn: str) -> None:
    store = open_store()
    store.add_many((entry(str(n)), FIRST) for n in range(50))
    store.clear()

    def is_empty() -> bool:
        # A transaction that is open at that moment may still see what is gone.
        store.vacuum()
        return bool(one(dsn, "SELECT pg_relation_size('prodpatterns.entries')") == 0)

    assert any(is_empty() for _ in range(500))
