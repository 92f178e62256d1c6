"""The nearest are found, by the way that is fast for a partition's size."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
import pytest

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.postgres import searching
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Names,
)
from langchain_prodpatterns.errors import StoreError
from tests.integration_tests.postgres.cases import (
    FIRST,
    MODEL,
    OpenStore,
    ask,
    entry,
    near,
    one,
    stores,
)

SIZE = 32
LARGE = 1_500
NEAREST = f"vectors_nearest_{SIZE}"
_KNOWS_ORDER_OF_NAMED = 170_000


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


def _vectors(count: int, seed: int = 5) -> Sequence[Vector]:
    numbers = np.random.default_rng(seed).normal(size=(count, SIZE))
    return list((numbers / np.linalg.norm(numbers, axis=1)[:, None]).astype(np.float32))


def _entries(partition: str, count: int) -> Iterator[Entry]:
    for n in range(count):
        name = f"{partition}-{n}"
        yield entry(name, partition=partition)


def _fill(store: PostgresStore, partition: str, vectors: Sequence[Vector]) -> None:
    items = zip(_entries(partition, len(vectors)), vectors, strict=True)
    assert store.add_many(items) == len(vectors)


def _index(store: PostgresStore, *partitions: str) -> None:
    """Have the thread's work done: large partitions are given to the index."""
    store._hear()
    for partition in partitions:
        store.nearest(partition, _vectors(1)[0], exact="q")
    while store._db.run(store._keeper.index_some(500), "bulk"):
        """There is more."""


def _asked(partition: str, breadth: int | None) -> tuple[bytes, Mapping[str, Any]]:
    """Return the statement of a search, and the values in it."""
    search = searching.Search(partition, _vectors(1)[0], "q", 1)
    batch: Batch = next(
        searching.nearest(search, breadth or 200, indexed=breadth is not None)
    )
    (statement,) = batch.statements
    return Names("prodpatterns", "public").query(statement), statement.values


def _plan(
    connection: psycopg.Connection[tuple[object, ...]],
    partition: str,
    breadth: int | None,
    *,
    analyze: bool = False,
) -> str:
    """Return the plan of a search."""
    query, values = _asked(partition, breadth)
    explain = b"EXPLAIN (ANALYZE, BUFFERS) " if analyze else b"EXPLAIN "
    rows = connection.execute(explain + query, values).fetchall()
    return "\n".join(str(row[0]) for row in rows)


@pytest.fixture
def filled(open_store: OpenStore, dsn: str) -> PostgresStore:
    """A store with a large partition and a small one, which nobody has analyzed."""
    store = open_store(scan_rows=200)
    ask(dsn, "ALTER TABLE prodpatterns.vectors SET (autovacuum_enabled = false)")
    store.bind(MODEL)
    _fill(store, "large", _vectors(LARGE))
    _fill(store, "small", _vectors(50))
    _index(store, "large", "small")
    return store


@pytest.mark.parametrize("analyzed", [True, False])
@pytest.mark.parametrize("mode", ["auto", "force_generic_plan", "force_custom_plan"])
def test_the_planner_takes_the_index_for_what_is_in_it_and_no_other(
    filled: PostgresStore, dsn: str, analyzed: bool, mode: str
) -> None:
    if analyzed:
        ask(dsn, "VACUUM ANALYZE prodpatterns.vectors")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"SET plan_cache_mode = {mode}".encode())
        large = _plan(connection, "large", 100)
        small = _plan(connection, "small", None)

    assert f"Index Scan using {NEAREST}" in large
    # What is not in it is compared beside.
    assert re.search(r"vectors_side_by_side|Seq Scan.*\n.*NOT indexed", large)
    assert NEAREST not in small
    assert "vectors_side_by_side" in small


def test_the_index_is_taken_where_the_planner_thinks_that_little_is_in_it(
    open_store: OpenStore, dsn: str
) -> None:
    """Statistics are from before a partition was given to the index."""
    store = open_store(scan_rows=200)
    store.bind(MODEL)
    ask(dsn, "ALTER TABLE prodpatterns.vectors SET (autovacuum_enabled = false)")
    _fill(store, "large", _vectors(LARGE))
    ask(dsn, "VACUUM ANALYZE prodpatterns.vectors")
    _index(store, "large")

    with psycopg.connect(dsn, autocommit=True) as connection:
        plan = _plan(connection, "large", 100)

    assert f"Index Scan using {NEAREST}" in plan


def test_the_plan_stays_after_many_executions(filled: PostgresStore, dsn: str) -> None:
    """After some, the server may take a plan that knows no value."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
        for _ in range(12):
            plan = _plan(connection, "large", 100, analyze=True)
        assert f"Index Scan using {NEAREST}" in plan
        for _ in range(12):
            plan = _plan(connection, "small", None, analyze=True)
        assert NEAREST not in plan


def test_a_small_partition_among_large_ones_is_not_planned_at_each_search(
    open_store: OpenStore, dsn: str
) -> None:
    store = open_store()
    store.bind(MODEL)
    _fill(store, "large", _vectors(LARGE))
    _fill(store, "small", _vectors(10))
    store.vacuum()
    query, values = _asked("small", None)

    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
        for _ in range(12):
            connection.execute(query, values)
        planned = connection.execute(
            "SELECT custom_plans FROM pg_prepared_statements", prepare=False
        ).fetchall()

    # As often as the server tries, before it keeps a plan.
    assert planned == [(5,)]


def test_what_was_sorted_to_be_compared_is_not_sorted_again(
    filled: PostgresStore, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.info.server_version < _KNOWS_ORDER_OF_NAMED:
            pytest.skip("this server forgets the order of a named query's rows")
        plan = _plan(connection, "small", None)

    assert plan.count("Sort Key") == 1


def test_a_search_says_how_far_the_index_looks_and_leaves_the_session_as_it_was(
    filled: PostgresStore, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        pages = [
            int(re.findall(rf"{NEAREST}.*\n(?:.*\n)*?.*hit=(\d+)", plan)[0])
            for breadth in (5, 500)
            for plan in [_plan(connection, "large", breadth, analyze=True)]
        ]
        left = connection.execute(
            "SELECT current_setting('hnsw.ef_search'), "
            "current_setting('hnsw.iterative_scan')"
        ).fetchone()

    assert pages[1] > 2 * pages[0]
    assert left == ("40", "off")


def test_only_a_large_partition_is_given_to_the_index(
    filled: PostgresStore, dsn: str
) -> None:
    indexed = dict(
        ask(
            dsn,
            "SELECT partition, count(*) FILTER (WHERE indexed) "
            "FROM prodpatterns.vectors GROUP BY 1",
        )
    )

    # Those that came last are compared beside it.
    assert indexed == {"large": LARGE - 200 // 16, "small": 0}
    assert one(dsn, f"SELECT to_regclass('prodpatterns.{NEAREST}') IS NOT NULL")


def test_all_of_a_large_partition_is_given_to_the_index_at_once(
    open_store: OpenStore, dsn: str
) -> None:
    store = open_store(scan_rows=200)
    assert store.reindex() == 0
    store.bind(MODEL)
    vectors = _vectors(LARGE)
    _fill(store, "large", vectors)
    _fill(store, "small", vectors[:200])

    assert store.reindex() == LARGE
    # Whatever comes later is given to it, too.
    store.add(entry("late", partition="large"), vectors[7])
    assert store.reindex() == 1

    assert one(dsn, "SELECT count(*) FROM prodpatterns.vectors WHERE indexed") == (
        LARGE + 1
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert f"Index Scan using {NEAREST}" in _plan(connection, "large", 100)
    for partition, n in (("large", 3), ("large", LARGE - 1), ("small", 5)):
        (found,) = store.nearest(partition, vectors[n], exact="q")
        assert found.entry.key == f"k{partition}-{n}"


def test_where_they_lay_before_nothing_is_left_for_a_search_to_go_over(
    filled: PostgresStore, dsn: str
) -> None:
    looked = r"vectors_side_by_side.*\n(?:(?!->).*\n)*?.*hit=(\d+)"

    def is_clean() -> bool:
        # A transaction that is open at that moment may still see what is gone.
        filled.reindex()
        with psycopg.connect(dsn, autocommit=True) as connection:
            plan = _plan(connection, "large", 100, analyze=True)
        return int(re.findall(looked, plan)[0]) < 5

    assert any(is_clean() for _ in range(50))


def test_an_index_that_cannot_be_made_anew_is_there_as_it_was(
    filled: PostgresStore, dsn: str
) -> None:
    before = one(dsn, "SELECT count(*) FROM prodpatterns.vectors WHERE indexed")
    ask(
        dsn,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'no'; END$$; "
        "CREATE TRIGGER fail BEFORE UPDATE ON prodpatterns.vectors "
        "FOR EACH ROW EXECUTE FUNCTION fail()",
    )

    with pytest.raises(StoreError, match=r"refused a statement \(RaiseException\)"):
        filled.reindex()

    assert before == one(dsn, "SELECT count(*) FROM prodpatterns.vectors WHERE indexed")
    assert one(dsn, f"SELECT to_regclass('prodpatterns.{NEAREST}') IS NOT NULL")


def test_an_indexed_vector_and_a_new_one_are_both_found(
    filled: PostgresStore,
) -> None:
    vectors = _vectors(LARGE)
    new = _vectors(1, seed=77)[0]
    filled.add(entry("new", partition="large"), new)

    for n in (0, LARGE - 1):
        (found,) = filled.nearest("large", vectors[n], exact="q")
        assert found.entry.key == f"klarge-{n}"
        assert found.similarity == pytest.approx(1.0, abs=1e-3)
    (found,) = filled.nearest("large", new, exact="q")
    assert found.entry.key == "knew"


def test_recall_is_high_where_partitions_hold_the_same(open_store: OpenStore) -> None:
    """5,000 vectors: 20 partitions with the same texts, all in the index."""
    store = open_store(scan_rows=100, ef_search=100)
    store.bind(MODEL)
    vectors = _vectors(250)
    partitions = [f"p{n}" for n in range(20)]
    for partition in partitions:
        _fill(store, partition, vectors)
    _index(store, *partitions)
    noise = _vectors(40, seed=9)

    right = 0
    for number, shift in enumerate(noise):
        asked = vectors[number] + 0.3 * shift
        asked = (asked / np.linalg.norm(asked)).astype(np.float32)
        partition = partitions[number % 20]
        best = int(np.argmax(np.array(vectors) @ asked))
        (found,) = store.nearest(partition, asked, exact="q")
        assert found.entry.partition == partition
        right += found.entry.key == f"k{partition}-{best}"

    assert right >= 38


@pytest.mark.parametrize("indexed", [False, True])
def test_nothing_is_hidden_by_what_does_not_count(
    open_store: OpenStore, dsn: str, indexed: bool
) -> None:
    """The nearest are rejected, past or damaged; the next one is found."""
    store = open_store(scan_rows=10 if indexed else None)
    store.bind(MODEL)
    cosines = np.linspace(0.999, 0.9, 90)
    items = [
        (entry(str(n), partition="p"), near(float(c), SIZE))
        for n, c in enumerate(cosines)
    ]
    store.add_many(
        [*items, (entry("next"), near(0.8, SIZE)), (entry("far"), near(0.1, SIZE))]
    )
    if indexed:
        _index(store, "p")
    for n in range(40):
        assert store.reject("q", f"k{n}")
    ask(
        dsn,
        "UPDATE prodpatterns.entries SET expires = now() - interval '1 s' "
        "WHERE key = ANY(%s)",
        ([f"k{n}" for n in range(40, 87)],),
    )
    ask(
        dsn,
        "UPDATE prodpatterns.entries SET value = 'x' WHERE key = ANY(%s)",
        ([f"k{n}" for n in range(87, 90)],),
    )

    found = store.nearest("p", near(1.0, SIZE), exact="q", limit=1)

    assert [one.entry.key for one in found] == ["knext"]
    # The index may have gone by one of them.
    assert store.counts().quarantined in ({2, 3} if indexed else {3})


def test_what_was_rejected_for_one_is_found_by_another(open_store: OpenStore) -> None:
    store = open_store()
    store.bind(MODEL)
    store.add(entry(), FIRST)
    store.reject("q", "ka")

    assert store.nearest("p", FIRST, exact="q") == []
    assert [n.entry.key for n in store.nearest("p", FIRST, exact="other")] == ["ka"]


def test_a_similarity_is_exact_to_half_precision(open_store: OpenStore) -> None:
    store = open_store()
    store.bind(MODEL)
    cosines = [1.0, 0.99, 0.95, 0.9, 0.5, 0.0, -0.5, -1.0]
    store.add_many((entry(str(n)), near(c)) for n, c in enumerate(cosines))

    found = store.nearest("p", FIRST, exact="q", limit=9)

    assert [n.similarity for n in found] == pytest.approx(cosines, abs=1e-3)
    assert max(n.similarity for n in found) <= 1.0


def test_a_worker_that_knows_a_partition_as_small_finds_what_another_has_indexed(
    open_store: OpenStore,
) -> None:
    """It learned the size a moment before the partition was given to the index."""
    mine, other = open_store(scan_rows=200), open_store(scan_rows=200)
    for store in (mine, other):
        store.bind(MODEL)
    vectors = _vectors(400)
    _fill(mine, "p", vectors[:100])
    assert mine.nearest("p", vectors[0], exact="q")
    _fill(other, "p", vectors)
    _index(other, "p")

    (found,) = mine.nearest("p", vectors[3], exact="q")

    assert found.entry.key == "kp-3"


def test_vectors_of_another_model_are_refused_and_not_compared(
    open_store: OpenStore,
) -> None:
    from langchain_prodpatterns.fingerprints import Fingerprint

    store = open_store()
    store.bind(MODEL)
    store.add(entry(), FIRST)

    with pytest.raises(StoreError, match="holds vectors of test, dimension 4, not of"):
        store.add(entry("b"), near(1.0, 8))
    assert store.nearest("p", near(1.0, 8), exact="q") == []
    with pytest.raises(StoreError, match="give the same embeddings, or another schema"):
        open_store().bind(Fingerprint("other"))
    # Emptied, it takes those of another.
    store.clear()
    other = open_store()
    other.bind(Fingerprint("other"))
    assert other.add(entry(), near(1.0, 8))
    assert other.nearest("p", near(1.0, 8), exact="q")
