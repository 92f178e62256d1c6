"""Reading rows."""

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.cache.stores.schema import connect
from langchain_prodpatterns.cache.stores.sealing import SEALED, as_blob, checksum


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect(None)
    yield connection
    connection.close()


def insert(
    db: sqlite3.Connection,
    key: str,
    *,
    expires: float | None = None,
    vector: bytes | None = None,
    seal: bytes | None = None,
) -> None:
    sealed = (
        *(key, "p", f"x-{key}", b"n", as_blob(key), vector),
        *('"v"', "{}", "{}", 0.0, expires),
    )
    db.execute(
        f"INSERT INTO entries ({SEALED}, checksum, size, cost, rank) VALUES "  # noqa: S608 - our own columns
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, 1)",
        (*sealed, seal or checksum(sealed)),
    )


def rows(db: sqlite3.Connection, now: float = 10.0) -> Rows:
    return Rows(db, now, {})


def test_expired_and_damaged_rows_are_as_good_as_none(db: sqlite3.Connection) -> None:
    insert(db, "a", expires=11.0)
    insert(db, "old", expires=10.0)
    insert(db, "bad", seal=b"x")
    read = rows(db)

    found = [read.one("key = ?", key) for key in ("a", "old", "bad", "none")]

    assert [entry and entry.key for entry in found] == ["a", None, None, None]
    assert read.damaged == {"bad": "wrong checksum"}


def test_the_expired_are_told_with_their_partitions(db: sqlite3.Connection) -> None:
    insert(db, "for ever")
    insert(db, "a", expires=11.0)
    insert(db, "old", expires=10.0)

    assert rows(db).expired() == [(3, "p")]
    assert rows(db, now=9).expired() == []


def test_the_backlog_is_no_more_than_there_are(db: sqlite3.Connection) -> None:
    assert rows(db).backlog(0) == 0
    for key in "abc":
        insert(db, key)
    db.execute("DELETE FROM entries WHERE key < 'c'")

    assert (rows(db).backlog(0), rows(db).backlog(3)) == (1, 0)
    assert (rows(db).count("p"), rows(db).count("q")) == (1, 0)


def test_rows_that_went_are_known_for_a_time(db: sqlite3.Connection) -> None:
    for key in "abc":
        insert(db, key)
    assert (rows(db).last_grave(), rows(db).buried(0)) == (0, [])
    db.execute("DELETE FROM entries WHERE key < 'c'")

    assert rows(db).last_grave() == 2
    assert rows(db).buried(0) == [(1, 1, "p"), (2, 2, "p")]
    assert rows(db).buried(2) == []
    db.execute("INSERT INTO graves VALUES (65537, 9, 'p')")
    assert rows(db).buried(0) is None
    assert rows(db).buried(65536) == [(65537, 9, "p")]


def test_vectors_are_read_once_and_damaged_ones_are_put_aside(
    db: sqlite3.Connection,
) -> None:
    db.execute("INSERT INTO embedder VALUES ('m', 2)")
    good = np.array([1, 0], np.float32)
    insert(db, "a", vector=good.tobytes())
    insert(db, "without")
    insert(db, "short", vector=good.tobytes()[:4])
    insert(db, "infinite", vector=np.array([np.inf, 0], np.float32).tobytes())
    insert(db, "huge", vector=np.array([1e30, 0], np.float32).tobytes())
    read = rows(db)

    added = read.added(0, 9)

    assert added is not None
    assert added.last_id == 5
    assert added.groups["p"][0] == [1]
    assert set(read.damaged) == {"short", "infinite", "huge"}
    first = read.added(0, 1)
    assert first is not None
    assert first.last_id == 1
    assert read.added(added.last_id, 9) is None


def test_any_text_comes_back(db: sqlite3.Connection) -> None:
    insert(db, "a")
    text = as_blob("broken \ud800")
    db.execute("UPDATE entries SET text = ?", (text,))
    (sealed,) = db.execute(f"SELECT {SEALED} FROM entries").fetchall()  # noqa: S608 - our own columns
    db.execute("UPDATE entries SET checksum = ?", (checksum(sealed),))

    entry = rows(db).one("1")

    assert entry is not None
    assert entry.text == "broken \ud800"
