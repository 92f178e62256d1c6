"""Sudden deaths, torn files, many writers and junk: the table stays right."""

import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import Entry, LocalStore
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

SIZE = 16
MODEL = Fingerprint("model", SIZE)
LONG = bool(os.environ.get("PRODPATTERNS_LONG_TESTS"))

STORE = textwrap.dedent(
    """
    import random, sys, time, zlib
    import numpy as np
    from langchain_prodpatterns.cache.stores import Entry, LocalStore, Selection
    from langchain_prodpatterns.fingerprints import Fingerprint

    def vector(name):
        made = np.random.default_rng(zlib.crc32(name.encode()))
        made = made.standard_normal(16).astype(np.float32)
        return made / np.linalg.norm(made)

    def entry(name):
        return Entry(name, "p", "x-" + name, name, '"' + name + '"', "n")

    def opened(path, **bounds):
        store = LocalStore(path, **bounds)
        store.bind(Fingerprint("model", 16))
        return store
    """
)

KILLED = STORE + textwrap.dedent(
    """
    # One process after another writes, each from a fork that is killed.
    import os, signal
    path, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)

    def write(start):
        store = opened(path)
        number = start
        while True:
            name = str(number)
            store.add(entry(name), vector(name))
            os.write(1, (name + "\\n").encode())
            if number % 3 == 0:
                store.add_alias("a-" + name, None, name)
                store.reject("r-" + name, name)
            if number % 7 == 0 and number > start:
                # Not of those that were acknowledged: its own, just now.
                store.add(entry("gone-" + name), vector(name))
                store.remove(Selection(key="gone-" + name))
            number += 1

    for turn in range(rounds):
        child = os.fork()
        if child == 0:
            write(turn * 1_000_000)
        time.sleep(rng.uniform(0.005, 0.12))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    """
)

WRITER = STORE + textwrap.dedent(
    """
    path, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    store = opened(path)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        one = name + str(number)
        store.add(entry(one), vector(one))
        assert store.find("x-" + one) is not None
        store.tally("p", "near", right=1)
        if number % 5 == 4:
            assert store.remove(Selection(key=name + str(number - 2))) == 1
        if number % 11 == 0:
            store.nearest("p", vector(one), exact="q")
            store.add_many((entry(n), vector(n)) for n in [one + "m", one + "n"])
        number += 1
    print(number)
    store.close()
    """
)


def _start(script: str, *args: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
    )


def _open(path: Path) -> LocalStore:
    store = LocalStore(path)
    store.bind(MODEL)
    return store


def _check(store: LocalStore) -> set[str]:
    """Check that nothing is an orphan and the index is as the table; return the keys."""
    with store._database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        for table in ("aliases", "rejected"):
            orphans = db.execute(
                f"SELECT count(*) FROM {table} WHERE key NOT IN "  # noqa: S608 - our own tables
                "(SELECT key FROM entries)"
            ).fetchone()
            assert orphans == (0,)
        totals = db.execute("SELECT entries, bytes FROM totals").fetchone()
        found = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries")
        assert totals == found.fetchone()
        rows = dict(db.execute("SELECT id, key FROM entries").fetchall())
    assert store.wait_until_indexed(60)
    assert store._indexer.ids("p") == set(rows)
    return set(rows.values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no SIGKILL here")
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    out, _ = _start(KILLED, path, 100, 7).communicate(timeout=300)
    # The last line of a round may be cut: what was not said was not acknowledged.
    acknowledged = out.split()
    assert len(acknowledged) > 10

    store = _open(path)
    keys = _check(store)

    assert set(acknowledged) <= keys
    for name in acknowledged:
        found = store.find(f"x-{name}")
        assert found is not None
        assert found.entry.value == f'"{name}"'
    assert store.counts().quarantined == 0
    store.close()


def _some(count: int) -> list[tuple[Entry, Vector]]:
    matrix = np.random.default_rng(1).standard_normal((count, SIZE)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return [
        (Entry(str(n), "p", f"x-{n}", str(n), f'"{n}"', "n"), vector)
        for n, vector in enumerate(matrix)
    ]


def _served(store: LocalStore, items: list[tuple[Entry, Vector]]) -> list[str]:
    """Look everything up, each way; what is served must be right."""
    served = []
    for entry, vector in items:
        found = store.find(entry.exact)
        if found is not None:
            assert found.entry.value == entry.value
            served.append(entry.key)
        for near in store.nearest("p", vector, exact="q", limit=2):
            assert near.entry.value == f'"{near.entry.key}"'
    return served


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("how", ["truncated", "garbled"])
def test_of_a_torn_log_only_whole_rows_are_served(
    tmp_path: Path, seed: int, how: str
) -> None:
    path, rng = tmp_path / "store.db", random.Random(seed)
    items = _some(60)
    writer = _open(path)
    writer.add_many(items[:20])
    with writer._database.write() as db:
        # What follows stays in the log.
        db.execute("UPDATE totals SET entries = entries")
    writer._database._writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer._database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for entry, vector in items[20:]:
        writer.add(entry, vector)
    torn = tmp_path / "torn.db"
    torn.write_bytes(path.read_bytes())
    log = (tmp_path / "store.db-wal").read_bytes()
    writer.close()
    at = rng.randrange(len(log))
    if how == "truncated":
        log = log[:at]
    else:
        log = log[:at] + rng.randbytes(min(64, len(log) - at)) + log[at + 64 :]
    (tmp_path / "torn.db-wal").write_bytes(log)

    store = _open(torn)

    served = _served(store, items)
    # A prefix of what was written, in the order in which it was.
    assert served == [str(n) for n in range(len(served))]
    assert len(served) >= 20
    assert _check(store) == set(served)
    store.add(Entry("new", "p", "x-new", "new", '"new"', "n"), items[0][1])
    assert store.find("x-new") is not None
    store.close()


def test_two_processes_write_while_another_reads(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = _open(path)
    # Each process needs some time to start.
    writers = [_start(WRITER, path, name, 60 if LONG else 3) for name in "ab"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        for near in store.nearest("p", _some(1)[0][1], exact="q", limit=3):
            assert near.entry.value == f'"{near.entry.key}"'
            reads += 1
        time.sleep(0.001)
    written = [int(writer.communicate(timeout=60)[0]) for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0]
    keys = _check(store)
    expected = {
        key
        for name, count in zip("ab", written, strict=True)
        for number in range(count)
        for key in _left(name, number, count)
    }
    assert keys == expected
    assert store.tallies(None) == {"near": (sum(written), 0)}
    assert store.counts().quarantined == 0
    assert reads > 0
    store.close()


def _left(name: str, number: int, count: int) -> list[str]:
    """Name what a writer leaves of its turn of a number."""
    one = f"{name}{number}"
    is_removed = (number + 2) % 5 == 4 and number + 2 < count
    return ([] if is_removed else [one]) + (
        [f"{one}m", f"{one}n"] if number % 11 == 0 else []
    )


COLUMNS = (
    *("partition", "namespace", "text", "vector", "value", "saved", "metadata"),
    *("created", "expires", "checksum", "hits", "rank", "cost"),
)


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_rows_of_junk_are_put_aside(seed: int) -> None:
    rng = random.Random(seed)
    store = LocalStore(max_entries=2_000)
    store.bind(MODEL)
    items = _some(1_000)
    store.add_many(items)
    if seed % 2:
        store.nearest("p", items[0][1], exact="q")

    def junk(column: str) -> Any:
        text = rng.randbytes(rng.randrange(80))
        made = [text, text.decode("latin-1"), rng.randrange(2**62), rng.random(), None]
        return rng.choice(made if column == "text" else made[:4])

    with store._database.write() as db:
        for entry, _ in items:
            changed = rng.sample(COLUMNS[:10], rng.randint(1, 4))
            for column in (*changed, *rng.sample(COLUMNS[10:], 1)):
                db.execute(
                    f"UPDATE entries SET {column} = ? WHERE key = ?",  # noqa: S608 - our own columns
                    (junk(column), entry.key),
                )

    assert _served(store, items) == []
    store.add(Entry("new", "q", "x-new", "new", '"new"', "n"), items[0][1])
    assert [n.entry.key for n in store.nearest("q", items[0][1], exact="z")] == ["new"]
    assert store.counts().quarantined + store.counts().expired == 1_000
    store.close()


def test_a_file_of_junk_never_crashes(tmp_path: Path) -> None:
    path, rng = tmp_path / "store.db", random.Random(3)
    items = _some(40)
    store = _open(path)
    store.add_many(items)
    store.close()
    whole = path.read_bytes()
    for _ in range(200):
        at, length = rng.randrange(len(whole)), rng.randrange(1, 2_000)
        path.write_bytes(whole[:at] + rng.randbytes(length) + whole[at + length :])
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        try:
            damaged = _open(path)
        except StoreError:
            continue
        for entry, vector in items[::5]:
            try:
                _served(damaged, [(entry, vector)])
                damaged.add(Entry(f"n{at}", "p", f"y-{at}", None, '"v"', "n"), None)
            except StoreError:
                continue
        damaged.close()


def test_a_total_that_is_wrong_would_be_seen(tmp_path: Path) -> None:
    store = _open(tmp_path / "store.db")
    store.add_many(_some(3))
    with store._database.write() as db:
        db.execute("UPDATE totals SET entries = 7")

    with pytest.raises(AssertionError):
        _check(store)
    store.close()
