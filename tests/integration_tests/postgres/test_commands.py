"""`prodpatterns cache` on a real database, and on the way there and back."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from langchain_prodpatterns.cache.stores import Entry, LocalStore
from langchain_prodpatterns.cache.stores.base import CacheStore
from langchain_prodpatterns.cache.stores.urls import open_store
from langchain_prodpatterns.cli import main
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage

Run = Callable[..., tuple[int, str, str]]
MODEL = Fingerprint("model", 8)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def start(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["cache", *map(str, arguments)])
        return code, *capsys.readouterr()

    return start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cache on SQLite, with what JSON and SQL may stumble over in it."""
    path = tmp_path / "answers.db"
    with closing(LocalStore(path)) as store:
        store.bind(MODEL)
        for number, text in enumerate(["plain", "ümläut 😀", 'quo"te\n', None] * 30):
            vector = np.zeros(8, np.float32)
            vector[number % 8] = 1.0
            store.add(_entry(number, text), None if text is None else vector)
        for number in range(4):
            store.tally(f"{number:032x}", "3c", right=number + 1, wrong=1)
    return path


def _entry(number: int, text: str | None) -> Entry:
    return Entry(
        key=f"{number:032x}",
        partition=f"{number % 3:032x}",
        exact=f"{number + 1_000:032x}",
        text=text,
        value=json.dumps({"output": f"answer {number}"}),
        namespace=f"tenant {number % 2}",
        saved=Usage(1, number, 2, None if number % 2 else 0.25, 1.5),
        metadata={"number": number, "pages": ["a", "b"]},
        ttl=3_600.0 if number % 5 == 0 else None,
    )


def contents(store: CacheStore) -> list[Any]:
    """Everything that is to survive the way, in one order."""
    names = ("key", "partition", "exact", "text", "value", "namespace", "saved")
    found = [
        (
            *(getattr(entry, name) for name in names),
            json.dumps(entry.metadata, sort_keys=True),
            None if vector is None else [round(float(one), 3) for one in vector],
            entry.ttl is not None,
        )
        for entry, vector in store.scan()
    ]
    return [store.tallies(None), *sorted(found, key=lambda one: one[0])]


def test_there_and_back_again(run: Run, file: Path, dsn: str, tmp_path: Path) -> None:
    there, back, again = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.db"))

    for arguments in (
        ("export", there, "--store", file),
        ("import", there, "--store", dsn),
        ("export", back, "--store", dsn),
        ("import", back, "--store", again),
    ):
        code, _, told = run(*arguments)
        assert (code, told) == (0, "")
    _, second, _ = run("import", there, "--store", dsn, "--json")

    assert json.loads(second) == {
        "stored": 0,
        "present": 120,
        "expired": 0,
        "learned": 0,
        "bad": [],
    }
    with (
        closing(LocalStore(file)) as first,
        closing(open_store(dsn)) as database,
        closing(LocalStore(again)) as last,
    ):
        assert contents(first) == contents(database) == contents(last)
        assert database.fingerprint == MODEL
        ttls = [one.ttl for one, _ in last.scan() if one.ttl is not None]
    assert len(ttls) == 24
    assert all(3_000 < ttl <= 3_600 for ttl in ttls)


def test_the_figures_are_those_of_a_file(run: Run, file: Path, dsn: str) -> None:
    exported = file.with_suffix(".jsonl")
    run("export", exported, "--store", file)
    run("import", exported, "--store", dsn)

    _, of_file, _ = run("stats", "--store", file, "--json")
    code, of_database, _ = run("stats", "--store", dsn, "--json")

    assert code == 0
    one, other = json.loads(of_file), json.loads(of_database)
    assert one.keys() == other.keys()
    for name in ("entries", "partitions", "embedder", "expired", "promise"):
        assert one[name] == other[name]
    for record in (one, other):
        counted = {of["namespace"]: of["entries"] for of in record["namespaces"]}
        assert counted == {"tenant 0": 60, "tenant 1": 60}
        assert [of["entries"] for of in record["largest"]] == [20] * 6


def test_entries_are_explained_and_removed(run: Run, file: Path, dsn: str) -> None:
    exported = file.with_suffix(".jsonl")
    run("export", exported, "--store", file)
    run("import", exported, "--store", dsn)

    _, explained, _ = run(
        *("explain", "--query", "plain", "--store", dsn, "--json", "--limit", 3)
    )
    counted = run(
        *("invalidate", "--metadata", "number=8", "--dry-run", "--store", dsn)
    )
    removed = run(
        *("invalidate", "--namespace", "tenant 1", "--yes", "--store", dsn, "--json")
    )
    vacuumed = run("vacuum", "--reindex", "--store", dsn, "--json")

    assert [one["text"] for one in json.loads(explained)["found"]] == ["plain"] * 3
    assert counted == (0, "1 answers would be removed\n", "")
    assert json.loads(removed[1])["removed"] == 60
    assert vacuumed[0] == 0
    assert json.loads(vacuumed[1]) == {
        "removed": 0,
        "freed_bytes": None,
        "indexed": 0,
    }


@pytest.mark.parametrize("command", ["stats", "vacuum"])
def test_who_only_looks_makes_no_tables(run: Run, dsn: str, command: str) -> None:
    code, out, told = run(command, "--store", dsn)

    assert (code, out) == (1, "")
    assert told.count("\n") == 1
    with closing(psycopg.connect(dsn)) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'prodpatterns'"
        ).fetchone()
    assert found == (0,)


def test_the_owner_migrates_into_the_schema_of_the_url(run: Run, dsn: str) -> None:
    sign = "&" if "?" in dsn else "?"
    url = f"{dsn}{sign}prodpatterns_schema=mine"

    first = run("migrate", "--store", url, "--dimensions", "8", "--json")
    again = run("migrate", "--store", url)

    assert first[0] == 0
    assert json.loads(first[1])["migrations"]
    assert again == (0, "up to date\n", "")
    assert run("stats", "--store", url)[0] == 0
    assert run("stats", "--store", dsn)[0] == 1


def test_a_database_that_is_not_there_is_told_of_without_the_password(
    run: Run,
) -> None:
    url = "postgresql://user:secret@127.0.0.1:1/db?connect_timeout=1"

    code, out, told = run("stats", "--store", url)

    assert (code, out) == (1, "")
    assert told.startswith("prodpatterns cache stats: ")
    assert told.count("\n") == 1
    assert "secret" not in told
