"""Bringing older tables up."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import Entry, Found, LocalStore, Selection
from langchain_prodpatterns.cache.stores.schema import VERSION
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage

VERSION_2 = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    partition TEXT NOT NULL,
    exact TEXT NOT NULL UNIQUE,
    namespace BLOB NOT NULL,
    text BLOB,
    vector BLOB,
    value TEXT NOT NULL,
    saved TEXT NOT NULL,
    checksum TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    used INTEGER NOT NULL
);
CREATE INDEX entries_used ON entries (used);
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE aliases (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL UNIQUE,
    asked TEXT,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE
);
CREATE INDEX aliases_asked ON aliases (asked);
CREATE INDEX aliases_key ON aliases (key);
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    UNIQUE (exact, key)
);
CREATE INDEX rejected_key ON rejected (key);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    value BLOB
);
CREATE TABLE embedder (name TEXT NOT NULL, dimensions INTEGER);
PRAGMA application_id = 0x70706361;
PRAGMA user_version = 2;
INSERT INTO embedder VALUES ('model', 3);
"""
EAST = np.array([1, 0, 0], np.float32)


def insert(db: sqlite3.Connection, key: str, expires: float | None, seal: str) -> None:
    """Write a row as version 2 did."""
    saved = Usage(calls=1, input_tokens=700, output_tokens=300, usd=None)
    facts = {name: getattr(saved, name) for name in Usage.__slots__}
    sealed: tuple[Any, ...] = (
        *(key, "p", f"x-{key}", b"n", key.encode(), EAST.tobytes()),
        *('"v"', json.dumps(facts), expires),
    )
    db.execute(
        "INSERT INTO entries (key, partition, exact, namespace, text, vector, value, "
        "saved, expires, checksum, created, used) VALUES (?,?,?,?,?,?,?,?,?,?,50,1)",
        (*sealed, seal or hashlib.sha256(repr(sealed).encode()).hexdigest()),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that version 2 has written."""
    path = tmp_path / "store.db"
    db = sqlite3.connect(path)
    db.executescript(VERSION_2)
    insert(db, "a", None, "")
    insert(db, "late", 100.0, "")
    insert(db, "bad", None, "wrong")
    db.execute("INSERT INTO aliases VALUES (1, 'q', ?, 'a')", (digest("said"),))
    db.execute("INSERT INTO rejected VALUES (1, 'r', 'a')")
    db.commit()
    db.close()
    return path


def open_at(path: Path, now: float) -> LocalStore:
    store = LocalStore(path, max_entries=3, clock=lambda: now)
    store.bind(Fingerprint("model", 3))
    return store


def test_the_entries_of_version_2_are_served(path: Path) -> None:
    store = open_at(path, now=99.0)

    found = store.find("x-a")

    saved = Usage(calls=1, input_tokens=700, output_tokens=300, usd=None)
    assert found is not None
    assert found.entry == Entry("a", "p", "x-a", "a", '"v"', "n", saved, created=50.0)
    assert store.find("q") == Found(found.entry, "alias")
    late = store.get("late")
    assert late is not None
    assert late.ttl == 50.0
    assert [n.entry.key for n in store.nearest("p", EAST, exact="r", limit=3)] == [
        "late"
    ]
    assert store.counts().quarantined == 1
    store.close()


def test_what_is_past_and_what_is_damaged_stays_so(path: Path) -> None:
    store = open_at(path, now=100.0)

    assert store.get("late") is None
    assert store.get("bad") is None
    assert store.counts().quarantined == 1
    store.close()


def test_the_tables_are_as_new_ones(path: Path, tmp_path: Path) -> None:
    def shape(path: Path) -> set[Any]:
        LocalStore(path).close()
        db = sqlite3.connect(path)
        tables = db.execute(
            "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall()
        columns = [
            (table, *column)
            for table in ("entries", "aliases")
            for column in db.execute("SELECT name FROM pragma_table_info(?)", (table,))
        ]
        version = db.execute("PRAGMA user_version").fetchone()
        db.close()
        return {*tables, *columns, version}

    assert shape(path) == shape(tmp_path / "new.db")
    assert (VERSION,) in shape(path)


def test_ranks_totals_and_room_are_as_if_they_had_been_stored_now(path: Path) -> None:
    store = open_at(path, now=99.0)
    before = store.counts()
    assert before.entries == 3
    assert before.bytes > 100

    dear = Entry("dear", "p", "x-dear", None, '"v"', "n", Usage(calls=1, usd=1.0))
    store.add(dear, None)
    # The damaged one has no worth: it goes first.
    assert [store.get(key) is not None for key in ("a", "late", "dear")] == [True] * 3
    store.tally("p", "near", right=1)
    assert store.claim("work", "me", 5)
    assert store.remove(Selection(partition="p")) == 3
    store.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE totals (x)")
    db.close()

    with pytest.raises(StoreError, match="totals already exists"):
        LocalStore(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert db.execute("SELECT count(used) FROM entries").fetchone() == (3,)
    db.close()


def test_a_version_that_is_too_old_is_refused(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 1")
    db.close()

    with pytest.raises(StoreError, match=r"version 1, .* from version 2 on"):
        LocalStore(path)
