"""The index does as the table does, if need be in the background."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import (
    Entry,
    LocalStore,
    Selection,
    clusters,
    indexer,
)
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.clusters import Move
from langchain_prodpatterns.cache.stores.indexer import Indexer
from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.cache.stores.vectors import Divided, Few, Flat
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

SIZE = 16
MODEL = Fingerprint("model", SIZE)


def vector(number: int) -> Vector:
    made = np.random.default_rng(number).standard_normal(SIZE, np.float32)
    return np.asarray(made / np.linalg.norm(made), np.float32)


def item(number: int, partition: str = "p") -> tuple[Entry, Vector]:
    key = str(number)
    return Entry(key, partition, f"x-{key}", key, '"v"', "n"), vector(number)


def items(start: int, end: int) -> Iterator[tuple[Entry, Vector]]:
    return (item(number) for number in range(start, end))


def near(store: LocalStore, number: int, limit: int = 1) -> list[str]:
    found = store.nearest("p", vector(number), exact="q", limit=limit)
    return [neighbor.entry.key for neighbor in found]


def table(store: LocalStore, partition: str = "p") -> set[int]:
    with store._database.read() as db:
        found = db.execute("SELECT id FROM entries WHERE partition = ?", (partition,))
        return {row for (row,) in found}


def opened(path: Path | None, **kwargs: Any) -> LocalStore:
    store = LocalStore(path, **kwargs)
    store.bind(MODEL)
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[LocalStore]:
    opened_store = opened(path if request.param == "disk" else None)
    yield opened_store
    opened_store.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do with hundreds of rows what is done with many thousand."""
    monkeypatch.setattr(indexer, "AT_ONCE_AT_MOST", 100)
    monkeypatch.setattr(indexer, "CROWD", 300)
    monkeypatch.setattr(indexer, "LISTS", 8)
    monkeypatch.setattr(indexer, "_PIECE", 64)
    monkeypatch.setattr(clusters, "_AT_ONCE", 32)


class Gate:
    """Stops the background where it calls a method, until it is let through."""

    def __init__(self, kind: type, name: str, patch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        method = getattr(kind, name)

        def gated(*args: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                self.reached.set()
                self.open.wait(60)
            return method(*args)

        patch.setattr(kind, name, gated)


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "prodpatterns-index"]


def test_few_rows_are_taken_in_by_the_first_search(store: LocalStore) -> None:
    store.add_many(items(0, 50))

    assert near(store, 7) == ["7"]
    assert threads() == []
    assert store.counts().indexed == 50
    assert not store.counts().building


@pytest.mark.usefixtures("small")
def test_many_rows_are_taken_in_when_a_file_is_opened(path: Path) -> None:
    with_many = opened(path)
    with_many.add_many(items(0, 250))
    with_many.close()

    store = opened(path)

    # Nobody has searched.
    assert store._indexer.wait(60)
    assert store.counts().indexed == 250
    assert near(store, 200) == ["200"]
    store.close()


@pytest.mark.usefixtures("small")
def test_exact_hits_are_served_while_vectors_are_taken_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_many = opened(path)
    with_many.add_many(items(0, 250))
    with_many.close()
    gate = Gate(Indexer, "_take_in_all", monkeypatch)

    store = opened(path)
    assert gate.reached.wait(60)

    assert store.find("x-3") is not None
    assert near(store, 3) == []
    assert store.counts().building
    assert not store.wait_until_indexed(timeout=0)
    gate.open.set()
    assert store.wait_until_indexed(60)
    assert near(store, 3) == ["3"]
    store.close()


@pytest.mark.usefixtures("small")
def test_a_search_finds_what_is_in_memory_already(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_many(items(0, 90))
    near(store, 0)
    store.add_many(items(90, 290))
    gate = Gate(Indexer, "_take_in_all", monkeypatch)

    assert near(store, 5) == ["5"]
    assert near(store, 200) != ["200"]

    gate.open.set()
    assert store.wait_until_indexed(60)
    assert near(store, 200) == ["200"]
    assert store._indexer.ids("p") == table(store)


@pytest.mark.usefixtures("small")
def test_a_crowded_partition_is_divided(store: LocalStore) -> None:
    store.add_many(items(0, 500))
    assert store.wait_until_indexed(60)

    assert isinstance(store._indexer._partitions["p"], Divided)
    assert store._indexer.ids("p") == table(store)
    assert store.counts().indexed == 500
    assert [near(store, n) for n in range(500)] == [[str(n)] for n in range(500)]
    assert store.nearest("p", vector(3), exact="q")[0].similarity == pytest.approx(1)


@pytest.mark.usefixtures("small")
def test_a_partition_that_grows_crowded_is_divided_beside_searches(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(Indexer, "_move", monkeypatch)
    for start in range(0, 300, 50):
        store.add_many(items(start, start + 50))
        near(store, 0)
    assert gate.reached.wait(60)

    store.add(*item(300))
    store.remove(Selection(key="7"))
    assert near(store, 300) == ["300"]
    assert near(store, 7) != ["7"]
    assert store.counts().building
    gate.open.set()
    assert store.wait_until_indexed(60)

    assert isinstance(store._indexer._partitions["p"], Divided)
    assert near(store, 300) == ["300"]
    assert near(store, 7) != ["7"]
    assert store._indexer.ids("p") == table(store)


@pytest.mark.usefixtures("small")
def test_what_is_forgotten_while_it_is_divided_stays_forgotten(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Move.finish

    def forget_then_finish(move: Move) -> Any:
        monkeypatch.setattr(Move, "finish", finish)
        store._indexer._begin_anew()
        return finish(move)

    store.add_many(items(0, 320))
    monkeypatch.setattr(Move, "finish", forget_then_finish)
    assert store.wait_until_indexed(60)

    # It was taken in anew, and not once more.
    assert Move.finish is finish
    assert store.counts().indexed == 320
    assert store._indexer.ids("p") == table(store)


def _queries(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what the indexer asks of the table."""
    asked: list[str] = []
    for name in ("added", "buried", "backlog"):
        method = getattr(Rows, name)

        def noted(self: Any, *args: Any, name: str = name, method: Any = method) -> Any:
            asked.append(name)
            return method(self, *args)

        monkeypatch.setattr(Rows, name, noted)
    return asked


def test_nothing_is_asked_of_the_table_when_nobody_has_written(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(*item(1))
    near(store, 1)
    asked = _queries(store, monkeypatch)

    assert near(store, 1) == ["1"]
    assert near(store, 2) == ["1"]
    assert asked == []

    store.add(*item(2))
    assert near(store, 2) == ["2"]
    assert asked == ["backlog", "added", "buried", "backlog", "added", "buried"]


def test_what_another_store_writes_is_seen_by_the_next_search(path: Path) -> None:
    first, second = opened(path), opened(path)
    first.add_many(items(0, 20))
    assert near(second, 3) == ["3"]
    first.remove(Selection(key="3"))
    assert near(second, 3) != ["3"]
    second.add(*item(20))
    assert near(first, 20) == ["20"]
    assert near(second, 20) == ["20"]

    assert first._indexer.ids("p") == second._indexer.ids("p") == table(first)
    first.close()
    second.close()


def test_who_is_far_behind_takes_all_in_anew(store: LocalStore) -> None:
    store.add_many(items(0, 20))
    near(store, 0)
    store.remove(Selection(key="3"))
    with store._database.write() as db:
        # As after some ten thousand more.
        db.execute("DELETE FROM graves")
        db.execute("INSERT INTO graves VALUES (70000, 999, 'p')")

    assert near(store, 3) != ["3"]
    assert store._indexer.ids("p") == table(store)
    assert store.counts().indexed == 19


def test_a_partition_grows_from_few_to_many(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "FEW", 5)
    kinds = []
    for number in range(8):
        store.add(*item(number))
        assert near(store, number) == [str(number)]
        kinds.append(type(store._indexer._partitions["p"]))

    assert kinds == [Few] * 5 + [Flat] * 3
    assert store._indexer.ids("p") == table(store)


def test_a_partition_with_nothing_left_takes_no_memory(store: LocalStore) -> None:
    store.add(*item(1))
    store.add(*item(2, partition="q"))
    near(store, 1)
    store.remove(Selection(key="2"))
    near(store, 1)

    assert set(store._indexer._partitions) == {"p"}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "where",
    [
        (Indexer, "_take_in_all"),
        (Rows, "added"),
        (Flat, "sample"),
        (Indexer, "_move"),
        (Move, "fill"),
    ],
)
def test_to_close_ends_the_background(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    store = opened(path)
    store.add_many(items(0, 400))
    gate = Gate(*where, monkeypatch)
    store.wait_until_indexed(timeout=0)
    assert gate.reached.wait(60)

    closing = threading.Thread(target=store.close)
    closing.start()
    gate.open.set()
    closing.join(60)

    assert not closing.is_alive()
    assert threads() == []
    for ask in (store.wait_until_indexed, lambda: near(store, 1)):
        with pytest.raises(StoreError, match="is closed"):
            ask()
    assert threads() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
@pytest.mark.usefixtures("small")
def test_a_process_that_is_forked_meanwhile_searches_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    store.add_many(items(0, 400))
    with monkeypatch.context() as patch:
        gate = Gate(Indexer, "_move", patch)
        store.wait_until_indexed(timeout=0)
        assert gate.reached.wait(60)
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child
            try:
                patch.undo()
                gate.open.set()
                done = store.wait_until_indexed(60) and near(store, 7) == ["7"]
                os._exit(0 if done else 1)
            finally:
                os._exit(2)
        gate.open.set()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.wait_until_indexed(60)
    assert near(store, 7) == ["7"]
    store.close()


@pytest.mark.usefixtures("small")
def test_no_thread_is_left_by_many_stores(path: Path) -> None:
    for start in range(0, 2_000, 200):
        store = opened(path)
        store.add_many(items(start, start + 200))
        near(store, start)
        store.close()

    assert threads() == []


@pytest.mark.usefixtures("small")
def test_a_background_that_fails_leaves_the_store_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    store.add_many(items(0, 250))
    added: Callable[..., Any] = Rows.added

    def fail(self: Rows, *args: Any) -> Any:
        msg = "disk I/O error"
        raise sqlite3.OperationalError(msg)

    monkeypatch.setattr(Rows, "added", fail)
    assert store.wait_until_indexed(60)
    assert store.find("x-1") is not None
    assert near(store, 1) == []

    store.wait_until_indexed(60)
    monkeypatch.setattr(Rows, "added", added)
    assert store.wait_until_indexed(60)
    assert near(store, 1) == ["1"]
    store.close()


def test_damaged_vectors_are_put_aside_by_the_background_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "AT_ONCE_AT_MOST", 10)
    store = opened(path)
    store.add_many(items(0, 30))
    with store._database.write() as db:
        db.execute("UPDATE entries SET vector = 'junk' WHERE key = '4'")

    assert store.wait_until_indexed(60)
    assert store.counts().quarantined == 1
    assert store._indexer.ids("p") == table(store)
    store.close()


def test_it_holds_what_it_is_told_to(path: Path) -> None:
    bare = Indexer(lambda: pytest.fail("nobody reads"))

    assert bare.search("p", vector(1), 3) == []
    assert bare.wait(0)
    assert (bare.size, bare.is_building, bare.ids("p")) == (0, False, set())
    bare.remove("p", [1])
    bare.stop()
