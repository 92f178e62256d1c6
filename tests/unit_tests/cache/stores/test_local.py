"""The local store, in memory and on disk."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import (
    Entry,
    LocalStore,
    Selection,
    local,
    writing,
)
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.indexer import Indexer
from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.cache.conftest import CLONES, Clock

Open = Callable[..., LocalStore]
MODEL = Fingerprint("model", 3)


@pytest.fixture(params=["memory", "disk"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[LocalStore] = []

    def make(**kwargs: Any) -> LocalStore:
        path = tmp_path / "store.db" if request.param == "disk" else None
        store = LocalStore(path, **kwargs)
        store.bind(MODEL)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> LocalStore:
    return open_store()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def entry(key: str, **changed: Any) -> Entry:
    fields = {
        "key": key,
        "partition": "p",
        "exact": f"x-{key}",
        "text": f"text {key}",
        "value": f'"{key}"',
        "namespace": "default",
        "saved": Usage(calls=1, input_tokens=2, usd=None, seconds=0.5),
        **changed,
    }
    return Entry(**fields)


def unit(*values: float) -> Vector:
    vector = np.array(values, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


EAST, NORTH = unit(1, 0, 0), unit(0, 1, 0)


def near(
    store: LocalStore, vector: Vector = EAST, exact: str = "q", **kw: Any
) -> list[str]:
    kw.setdefault("limit", 4)
    return [n.entry.key for n in store.nearest("p", vector, exact=exact, **kw)]


def test_an_entry_comes_back_whole(open_store: Open) -> None:
    store = open_store(clock=Clock())
    given = entry(
        "a", text="lone \ud800", namespace="\ud801", metadata={"n": [1]}, ttl=9.0
    )
    store.add(given, EAST)
    stored = replace(given, created=1_000.0)

    found = store.find("x-a")

    assert found is not None
    assert (found.entry, found.by) == (stored, "exact")
    assert store.get("a") == stored
    assert store.find("other") is None
    assert store.get("other") is None


def test_the_nearest_come_first_with_their_cosines(store: LocalStore) -> None:
    store.add(entry("far"), NORTH)
    store.add(entry("near"), unit(1, 1, 0))
    store.add(entry("same"), EAST)

    found = store.nearest("p", EAST, exact="q", limit=2)

    assert [n.entry.key for n in found] == ["same", "near"]
    assert [n.similarity for n in found] == pytest.approx([1.0, 0.5**0.5])
    assert all(n.similarity <= 1 for n in found)


def test_no_neighbor_is_of_another_partition(store: LocalStore) -> None:
    store.add(entry("a", partition="other"), EAST)

    assert near(store) == []


def test_hits_are_told(open_store: Open) -> None:
    store = open_store(max_entries=5)
    store.add(entry("a"), EAST)
    store.touch("a")
    store.add(entry("b"), EAST)

    found = store.get("a")
    assert found is not None
    assert found.hits == 1


def test_many_are_added_in_transactions(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_ADD_AT_ONCE", 10)
    store = open_store(max_entries=40)

    assert store.add_many((entry(str(n)), EAST) for n in range(45)) == 45

    assert store.counts().entries == 40
    assert len(near(store, limit=50)) == 40


def test_what_was_added_stays_when_the_rest_cannot_be_had(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_ADD_AT_ONCE", 10)

    def items() -> Iterator[tuple[Entry, Vector | None]]:
        yield from ((entry(str(n)), EAST) for n in range(25))
        raise ValueError

    with pytest.raises(ValueError):
        store.add_many(items())
    assert store.counts().entries == 20


def test_an_entry_without_a_vector_is_found_exactly_only(store: LocalStore) -> None:
    store.add(entry("a", text=None), None)

    assert store.find("x-a") is not None
    assert near(store) == []


def test_the_same_request_is_replaced(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    assert near(store) == ["a"]
    store.add(entry("b", exact="x-a"), EAST)

    assert near(store) == ["b"]
    assert store.counts().entries == 1


@pytest.mark.parametrize("path", [":memory:", "", "."])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"path of a file, got .*leave it out"):
        LocalStore(path)


@pytest.mark.parametrize("path", [3, b"answers.db", True])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="path must be the path of a file or"):
        LocalStore(path)


def test_an_alias_answers_and_goes_with_its_entry(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    store.add_alias("x-alias", "alias", "a")

    found = store.find("x-alias")
    assert found is not None
    assert (found.by, found.entry.key) == ("alias", "a")

    store.remove(Selection(key="a"))
    assert store.find("x-alias") is None


def test_an_alias_of_nothing_is_none(store: LocalStore) -> None:
    store.add_alias("x-alias", "alias", "gone")
    store.reject("x-alias", "gone")

    assert store.find("x-alias") is None


def test_an_answer_of_its_own_wins_over_an_alias(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    store.add_alias("x-b", "b", "a")
    store.add(entry("b"), EAST)

    found = store.find("x-b")
    assert found is not None
    assert (found.by, found.entry.key) == ("exact", "b")


def test_a_rejected_pair_is_never_a_neighbor_nor_an_alias(store: LocalStore) -> None:
    for key in ("a", "b", "c"):
        store.add(entry(key), EAST)
    store.add_alias("q", "q", "a")
    for key in ("a", "b"):
        store.reject("q", key)

    assert store.find("q") is None
    assert near(store, limit=1) == ["c"]
    assert sorted(near(store, exact="other")) == ["a", "b", "c"]


def test_an_approval_takes_a_rejection_back(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    store.reject("q", "a")
    store.add_alias("q", "q", "a")

    assert near(store) == ["a"]
    assert store.find("q") is not None


def test_expired_is_not_served_from_the_boundary_on(open_store: Open) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    store.add(entry("a", ttl=10), EAST)
    store.add_alias("q", "q", "a")

    clock.now += 9.999
    assert store.find("x-a")
    assert near(store) == ["a"]

    clock.now = 1_010.0
    assert near(store, exact="z") == []
    assert store.find("x-a") is None
    assert store.find("q") is None
    assert store.get("a") is None


def test_expired_is_swept_by_the_next_entry(open_store: Open) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    store.add(entry("a", ttl=10), EAST)
    clock.now += 10
    store.add(entry("b"), EAST)

    assert store.counts().entries == 1


def test_the_least_recently_used_makes_room(open_store: Open) -> None:
    store = open_store(max_entries=2)
    store.add(entry("a"), EAST)
    store.add(entry("b"), EAST)
    store.touch("a")
    store.add(entry("c"), EAST)

    assert sorted(near(store)) == ["a", "c"]
    assert (store.counts().entries, store.counts().evicted) == (2, 1)


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (Selection(key="a"), ["b", "c"]),
        (Selection(text="text a"), ["b", "c"]),
        (Selection(text="said"), ["a", "c"]),
        (Selection(namespace="mine"), ["a", "b"]),
        (Selection(partition="p"), []),
        (Selection(partition="other"), ["a", "b", "c"]),
        (Selection(where=lambda m: m.get("doc") == 7), ["a", "b"]),
        (Selection(where=lambda m: m.get("doc") == 7, key="a"), ["a", "b", "c"]),
        (Selection(older_than=5), ["c"]),
        (Selection(older_than=5, key="c"), ["a", "b", "c"]),
        (Selection(), []),
    ],
)
def test_removal_by_criteria(
    open_store: Open, selection: Selection, left: list[str]
) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    store.add(entry("a"), EAST)
    store.add(entry("b"), EAST)
    store.add_alias("q", digest("said"), "b")
    clock.now += 5
    store.add(entry("c", namespace="mine", metadata={"doc": 7}), EAST)

    removed = store.remove(selection)

    assert removed == 3 - len(left)
    assert sorted(near(store)) == left


def test_a_predicate_sees_every_entry_in_bunches(store: LocalStore) -> None:
    store.add_many((entry(str(n), metadata={"n": n}), EAST) for n in range(600))

    assert store.remove(Selection(where=lambda m: m["n"] % 2 == 0)) == 300
    assert {int(key) % 2 for key in near(store, limit=600)} == {1}


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_a_scan_goes_through_all_with_their_vectors(
    store: LocalStore, batch: int
) -> None:
    store.add_many((entry(str(n), metadata={"n": n}), EAST) for n in range(7))
    store.add(entry("textless"), None)

    found = list(store.scan(batch=batch))

    assert [one.key for one, _ in found] == [*map(str, range(7)), "textless"]
    assert [vector is None for _, vector in found] == [False] * 7 + [True]
    assert found[0][1] is not None
    assert np.array_equal(found[0][1], EAST)


def test_a_scan_leaves_out_what_is_not_asked_for_or_past(open_store: Open) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    store.add(entry("mine", namespace="mine", metadata={"n": 1}), EAST)
    store.add(entry("past", namespace="mine", metadata={"n": 1}, ttl=1.0), EAST)
    store.add(entry("other", metadata={"n": 1}), EAST)
    clock.now += 2

    chosen = Selection(namespace="mine", where=lambda m: m["n"] == 1)
    assert [one.key for one, _ in store.scan(chosen)] == ["mine"]


def test_a_sweep_removes_some_of_what_is_past(open_store: Open) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    store.add_many((entry(str(n), ttl=1.0), EAST) for n in range(5))
    store.add(entry("stays"), EAST)
    clock.now += 2

    assert [store.sweep(limit=3), store.sweep(limit=3), store.sweep()] == [3, 2, 0]
    assert (store.counts().entries, store.counts().expired) == (1, 5)


def test_a_predicate_that_raises_removes_nothing(store: LocalStore) -> None:
    store.add(entry("a", metadata={"n": 1}), EAST)
    store.add(entry("b"), EAST)

    with pytest.raises(KeyError):
        store.remove(Selection(where=lambda m: bool(m["n"])))
    assert store.counts().entries == 2


def test_a_predicate_runs_while_others_write(store: LocalStore) -> None:
    store.add(entry("a"), EAST)

    def add(_: Any) -> bool:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(store.add, entry("b"), NORTH).result(timeout=30)
        return True

    assert store.remove(Selection(where=add, key="a")) == 1
    assert near(store) == ["b"]


def test_clear_forgets_the_embedding_model_too(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    store.tally("p", "cell", right=1)
    store.clear()

    assert store.counts().entries == 0
    assert store.tallies(None) == {}
    assert store.fingerprint is None
    assert near(store) == []
    store.add(entry("b"), EAST)
    assert near(store) == ["b"]


def test_a_vector_of_another_length_is_refused(store: LocalStore) -> None:
    store.add(entry("a"), EAST)

    with pytest.raises(StoreError, match=r"dimension 3.*dimension 2"):
        store.add(entry("b"), unit(1, 0))
    assert store.find("x-b") is None
    assert near(store, unit(1, 0)) == []


@pytest.mark.parametrize("other", [Fingerprint("rival"), Fingerprint("model", 4)])
def test_another_embedding_model_is_refused_by_name(
    store: LocalStore, other: Fingerprint
) -> None:
    store.add(entry("a"), EAST)

    with pytest.raises(StoreError) as caught:
        store.bind(other)
    assert str(MODEL) in str(caught.value)
    assert str(other) in str(caught.value)


def _tamper(store: LocalStore, statement: str, *values: Any) -> None:
    with store._database.write() as db:
        db.execute(statement, values)


@pytest.mark.parametrize(
    "column", ["value", "text", "vector", "saved", "namespace", "partition"]
)
@pytest.mark.parametrize("junk", [b"\xff\x00", "junk", 7])
def test_a_damaged_row_is_a_miss_and_put_aside(
    store: LocalStore, column: str, junk: Any
) -> None:
    store.add(entry("a"), EAST)
    store.add(entry("b"), NORTH)
    near(store)
    statement = f"UPDATE entries SET {column} = ? WHERE key = 'a'"  # noqa: S608 - our own columns
    _tamper(store, statement, junk)

    assert store.find("x-a") is None
    assert near(store, limit=1) == ["b"]
    assert store.counts().quarantined == 1
    assert store.counts().entries == 1


def test_a_text_with_a_damaged_byte_is_put_aside(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    _tamper(store, "UPDATE entries SET value = CAST(x'22ff22' AS TEXT)")

    assert store.find("x-a") is None
    assert store.counts().quarantined == 1


@pytest.mark.parametrize("junk", [b"", b"123", b"\xff" * 12, "text", 3.5])
def test_a_damaged_vector_never_reaches_the_index(store: LocalStore, junk: Any) -> None:
    store.add(entry("a"), EAST)
    store.add(entry("b"), EAST)
    _tamper(store, "UPDATE entries SET vector = ? WHERE key = 'a'", junk)

    assert near(store) == ["b"]
    assert store.counts().quarantined == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(), checksum=st.text(max_size=5))
def test_random_rows_are_never_served(junk: bytes, checksum: str) -> None:
    store = LocalStore()
    store.bind(MODEL)
    store.add(entry("a"), EAST)
    _tamper(store, "UPDATE entries SET value = ?, checksum = ?", junk, checksum)

    assert store.find("x-a") is None
    assert near(store) == []
    store.close()


def test_quarantine_by_hand(store: LocalStore) -> None:
    store.add(entry("a"), EAST)
    store.quarantine("a", "unreadable")

    assert store.find("x-a") is None
    assert store.counts().quarantined == 1


@contextmanager
def _another_writes(path: Path) -> Iterator[None]:
    """Hold the file as another process does that is in the middle of a write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_no_hit_is_lost_among_many_threads(path: Path) -> None:
    store = LocalStore(path)

    class Yielding(dict[str, int]):
        """Lets others go on in the middle of counting."""

        def get(self, key: str, default: Any = None) -> Any:
            found = super().get(key, default)
            inside.append(key)
            for _ in range(100):
                time.sleep(0)
            return found

    inside: list[str] = []
    store._hits = Yielding()

    def touch() -> None:
        for _ in range(20):
            store.touch("a")

    threads = [threading.Thread(target=touch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert store._taken_hits() == {"a": len(inside)} == {"a": 80}
    store.close()


def test_reading_never_waits_for_who_writes(path: Path) -> None:
    store = LocalStore(path, max_entries=9)
    store.bind(MODEL)
    store.add(entry("a"), EAST)
    reads: list[Any] = []

    def read() -> None:
        reads.extend([store.find("x-a"), near(store), store.counts().entries])
        for number in range(2 * local._HITS_AT_ONCE):
            store.touch(str(number))

    def write() -> None:
        with store._database.write(patience=60):
            pass

    writing, reading = (threading.Thread(target=work) for work in (write, read))
    with _another_writes(path):
        writing.start()
        reading.start()
        reading.join(30)
        assert not reading.is_alive()
    writing.join(30)

    assert reads[1:] == [["a"], 1]
    store.close()


def test_a_damaged_row_is_not_served_while_another_writes(path: Path) -> None:
    store = LocalStore(path)
    store.bind(MODEL)
    store.add(entry("a"), EAST)
    _tamper(store, "UPDATE entries SET value = 'junk'")

    with _another_writes(path):
        assert store.find("x-a") is None
    assert store.counts().quarantined == 0
    assert store.find("x-a") is None
    assert store.counts().quarantined == 1
    store.close()


def test_verdicts_on_an_entry_are_bounded(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "VERDICTS_AN_ENTRY", 3)
    store.add(entry("a"), EAST)
    store.add(entry("b"), NORTH)
    store.add_alias("other", None, "b")
    for number in range(5):
        store.add_alias(f"alias {number}", None, "a")
        store.reject(f"other {number}", "a")

    assert (store.counts().aliases, store.counts().rejected) == (4, 3)
    assert [bool(store.find(f"alias {n}")) for n in range(5)] == [False] * 2 + [
        True
    ] * 3
    assert near(store, exact="other 4") == ["b"]


def test_the_quarantine_is_bounded(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_QUARANTINED", 2)
    for number in range(5):
        store.add(entry(str(number)), EAST)
        store.quarantine(str(number), "unreadable")

    with store._database.read() as db:
        kept = db.execute("SELECT key FROM quarantine ORDER BY id").fetchall()
    assert kept == [("3",), ("4",)]
    assert store.counts().quarantined == 5


def test_notes_of_hits_are_written_in_bunches_and_at_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_HITS_AT_ONCE", 64)

    def used(store: LocalStore) -> list[str]:
        with store._database.read() as db:
            rows = db.execute("SELECT key FROM entries ORDER BY hits, id").fetchall()
        return [key for (key,) in rows]

    store = LocalStore(path, max_entries=200)
    for number in range(100):
        store.add(entry(str(number)), None)
    for number in range(64):
        store.touch(str(number))
    assert used(store)[-1] == "63"
    store.touch("7")
    assert used(store)[-1] == "63"
    store.close()

    again = LocalStore(path)
    assert used(again)[-1] == "7"
    again.close()


def test_a_damaged_file_is_refused_with_what_to_do(path: Path) -> None:
    store = LocalStore(path)
    store.bind(MODEL)
    for number in range(50):
        store.add(entry(str(number)), EAST)
    store.close()
    page = 4096
    content = path.read_bytes()
    path.write_bytes(content[:page] + b"\xab" * (len(content) - page))

    with pytest.raises(StoreError, match=r"store\.db.* another path"):
        LocalStore(path).bind(MODEL)


def test_what_is_asked_of_a_closed_store_is_refused(store: LocalStore) -> None:
    store.close()

    for ask in (store.counts, store.clear, lambda: store.find("x")):
        with pytest.raises(StoreError, match="is closed"):
            ask()


def test_a_failed_write_changes_nothing(store: LocalStore) -> None:
    store.add(entry("a"), EAST)

    with pytest.raises(StoreError, match="UNIQUE constraint failed"):
        store.add(entry("a", exact="x-b"), EAST)
    assert near(store) == ["a"]
    assert store.find("x-a") is not None


def test_many_threads(store: LocalStore) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait(timeout=30)
        for step in range(10):
            store.add(entry(f"{number}-{step}"), EAST)
            assert store.find(f"x-{number}-{step}")
            assert near(store)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.counts().entries == 80
    assert len(near(store, limit=100)) == 80


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_has_the_entries(store: LocalStore, clone: Any) -> None:
    store.add(entry("a"), EAST)

    other = clone(store)

    assert near(other) == ["a"]
    assert other.fingerprint == MODEL
    other.close()
    assert near(store) == ["a"]


def test_a_file_is_opened_again_with_its_index(path: Path) -> None:
    store = LocalStore(path)
    store.bind(MODEL)
    for number in range(5_000):
        store.add(entry(str(number)), NORTH if number else EAST)
    store.close()

    again = LocalStore(path)
    assert near(again, limit=1) == ["0"]
    assert len(near(again, NORTH, limit=5_000)) == 5_000
    again.close()


def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    first, second = LocalStore(path), LocalStore(path)
    for store in (first, second):
        store.bind(MODEL)
    first.add(entry("a"), EAST)
    assert near(second) == ["a"]
    second.add(entry("b"), EAST)
    assert sorted(near(first)) == ["a", "b"]
    second.remove(Selection(key="a"))
    assert near(first) == ["b"]
    second.clear()
    assert near(first) == []
    second.add(entry("c"), EAST)
    assert near(first) == ["c"]
    first.close()
    second.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough", b"\x00" * 4096]
)
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"store\.db"):
        LocalStore(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()

    with pytest.raises(StoreError, match="another program"):
        LocalStore(path)


def test_a_newer_schema_is_refused(path: Path) -> None:
    LocalStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()

    with pytest.raises(StoreError, match="version 99"):
        LocalStore(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder that exists, both"):
        LocalStore(tmp_path / "missing" / "store.db")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_process_opens_the_file_anew(path: Path) -> None:
    store = LocalStore(path)
    store.bind(MODEL)
    store.add(entry("a"), EAST)
    inherited = store._opened
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        try:
            store.add(entry("b"), None)
            os._exit(0 if store._opened is not inherited else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.find("x-a")
    assert store.find("x-b")
    store.close()


class Interrupting:
    """A connection behind one of whose statements an interrupt comes."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self.connection = connection
        self.statement: str | None = statement

    def execute(self, statement: str, *args: Any) -> Any:
        result = self.connection.execute(statement, *args)
        if statement == self.statement:
            self.statement = None
            raise KeyboardInterrupt
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
def test_an_interrupt_anywhere_leaves_no_transaction_open(
    store: LocalStore, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        database = store._database
        patch.setattr(database, "_writer", Interrupting(database._writer, statement))
        with pytest.raises(KeyboardInterrupt):
            store.add(entry("a"), EAST)

    store.add(entry("b"), EAST)
    assert store.get("b") is not None
    assert (store.get("a") is not None) == (statement == "COMMIT")


def test_the_index_does_not_grow_with_rows_that_made_room(
    open_store: Open,
) -> None:
    store = open_store(max_entries=5)
    for number in range(200):
        # A partition each, as every conversation has: no search finds the old ones.
        key = str(number)
        store.nearest(key, EAST, exact="q")
        store.add(entry(key, partition=key), EAST)

    assert store.counts().indexed <= 6
    (found,) = store.nearest("199", EAST, exact="q")
    assert found.entry.key == "199"


def _count(monkeypatch: pytest.MonkeyPatch, kind: Any, name: str) -> list[Any]:
    """Note each call of a method."""
    calls: list[Any] = []
    method = getattr(kind, name)

    def noted(self: Any, *args: Any) -> Any:
        calls.append(args)
        return method(self, *args)

    monkeypatch.setattr(kind, name, noted)
    return calls


@pytest.mark.parametrize("how", ["expired", "removed"])
def test_many_that_are_gone_are_dropped_at_once(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    for n in range(50):
        store.add(entry(f"old-{n}", ttl=10), unit(1, n / 100, 0))
    near(store)
    if how == "expired":
        clock.now += 10
    else:
        store.remove(Selection(older_than=0))
    searches = _count(monkeypatch, Indexer, "search")
    reads = _count(monkeypatch, Rows, "with_vector")

    assert near(store, limit=1) == []
    assert len(searches) <= 2
    assert len(reads) <= 4
    assert store.counts().indexed == 0


def test_those_that_live_stay_when_others_are_dropped(open_store: Open) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    for n in range(5):
        store.add(entry(f"old-{n}", ttl=10), EAST)
    near(store)
    clock.now += 5
    for n in range(3):
        store.add(entry(f"new-{n}"), unit(1, 1, n))
    near(store)
    clock.now += 5

    assert near(store, limit=1) == ["new-0"]
    assert store.counts().indexed == 3


def test_many_damaged_rows_take_few_searches(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(60):
        store.add(entry(f"bad-{n}"), unit(1, n / 100, 0))
    near(store)
    with store._database.write() as db:
        db.execute("UPDATE entries SET checksum = 'x'")
    searches = _count(monkeypatch, Indexer, "search")

    assert near(store, limit=1) == []
    assert len(searches) <= 7


def test_a_vacuum_gives_room_back_and_keeps_the_rest(open_store: Open) -> None:
    store = open_store()
    store.add_many((entry(f"{n}", value="x" * 2_000), EAST) for n in range(500))
    store.remove(Selection(where=lambda _: True))
    store.add(entry("kept"), NORTH)

    freed = store.vacuum()

    assert freed > 500 * 2_000
    assert near(store, NORTH) == ["kept"]
    assert store.vacuum() == 0


def test_a_vacuum_waits_for_nobody_for_ever(path: Path) -> None:
    with closing(LocalStore(path)) as store, closing(sqlite3.connect(path)) as other:
        store.add(entry("a"), EAST)
        store._database._writer.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="failed"):
            store.vacuum()
