"""The entries of an export, stored once."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import Entry, LocalStore
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.commands import importing
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.commands.conftest import Run, entry, fill, keys_in

NOTHING = {"stored": 0, "present": 0, "expired": 0, "learned": 0, "bad": []}


@pytest.fixture
def exported(run: Run, filled: Path, tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    assert run("export", path, "--store", filled).code == 0
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def contents(path: Path) -> list[tuple[dict[str, Any], list[float] | None]]:
    """Everything but what a store notes by itself."""
    store = LocalStore(path)
    found = [(_fields(one), _numbers(vector)) for one, vector in store.scan()]
    store.close()
    return found


def _fields(one: Entry) -> dict[str, Any]:
    names = ("key", "partition", "exact", "text", "value", "namespace", "saved")
    return {**{name: getattr(one, name) for name in names}, "of": dict(one.metadata)}


def _numbers(vector: Vector | None) -> list[float] | None:
    return None if vector is None else vector.tolist()


def ttl_of(path: Path, key: str) -> float:
    store = LocalStore(path)
    found = store.get(key)
    store.close()
    assert found is not None
    assert found.ttl is not None
    return found.ttl


def test_a_round_trip_keeps_everything(
    run: Run, filled: Path, exported: Path, new: Path
) -> None:
    ran = run("import", exported, "--store", new)

    assert ran.code == 0
    assert ran.out == (
        "3 entries imported; 0 were there, 0 are past, 0 lines are bad\n"
    )
    assert contents(new) == contents(filled)
    store = LocalStore(new)
    assert store.fingerprint == Fingerprint("LexicalEmbeddings()", 64)
    store.close()


def test_what_is_left_to_live_is_kept(run: Run, exported: Path, new: Path) -> None:
    _edit(exported, 3, expires=_line(exported, 3)["expires"] - 1_800)

    run("import", exported, "--store", new)

    assert 1_700 < ttl_of(new, "c") <= 1_800


def test_to_import_again_changes_nothing(
    run: Run, filled: Path, exported: Path, new: Path
) -> None:
    run("import", exported, "--store", new)
    store = LocalStore(new)
    store.add_alias("exact-z", None, "a")
    store.close()
    before = contents(new)

    ran = run("import", exported, "--store", new, "--json")

    assert ran.record == {**NOTHING, "present": 3}
    assert contents(new) == before
    store = LocalStore(new)
    assert store.counts().aliases == 1
    store.close()


def test_an_answer_that_is_there_is_kept(
    run: Run, exported: Path, tmp_path: Path
) -> None:
    path = fill(tmp_path / "other.db", entry("newer", exact="exact-a"))

    ran = run("import", exported, "--store", path, "--json")

    assert ran.record == {**NOTHING, "stored": 2, "present": 1}
    assert keys_in(path) == ["b", "c", "newer"]


def test_what_is_past_is_left_out(run: Run, exported: Path, new: Path) -> None:
    _edit(exported, 3, expires=1_000.0)

    ran = run("import", exported, "--store", new, "--json")

    assert ran.record == {**NOTHING, "stored": 2, "expired": 1}
    assert keys_in(new) == ["a", "b"]


def _line(path: Path, number: int) -> Any:
    return json.loads(path.read_text("ascii").splitlines()[number])


def _edit(path: Path, number: int, **changed: Any) -> None:
    lines = path.read_text("ascii").splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changed})
    path.write_text("\n".join(lines) + "\n", "ascii")


def test_bad_lines_are_left_out_by_their_number(
    run: Run, exported: Path, new: Path
) -> None:
    lines = exported.read_bytes().splitlines()
    lines[2:2] = [b"", b"a private text", b"\xff"]
    exported.write_bytes(b"\n".join(lines))

    ran = run("import", exported, "--store", new, "--json")

    assert ran.code == 0
    assert ran.record["stored"] == 3
    assert ran.record["bad"] == [
        {"line": 4, "reason": "no JSON object"},
        {"line": 5, "reason": "no text"},
    ]
    assert ran.err == (
        "line 4 is left out: no JSON object\nline 5 is left out: no text\n"
    )


def test_of_many_bad_lines_the_first_are_told(
    run: Run, exported: Path, new: Path
) -> None:
    with exported.open("a") as page:
        page.writelines(["{\n"] * 15)

    ran = run("import", exported, "--store", new)

    assert ran.err.count("is left out") == 10
    assert ran.err.endswith("and 5 more lines\n")
    assert "15 lines are bad" in ran.out


def test_strict_stops_at_the_first_bad_line(
    run: Run, exported: Path, new: Path
) -> None:
    lines = exported.read_text().splitlines()
    lines.insert(2, "{")
    exported.write_text("\n".join(lines))

    ran = run("import", exported, "--store", new, "--strict")

    assert ran.code == 1
    assert "line 3 is no entry: no JSON object. So far: 1 entries imported" in ran.err
    assert keys_in(new) == ["a"]


def test_another_embedder_is_refused(run: Run, exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    store = LocalStore(path)
    store.bind(Fingerprint("another"))
    vector = [1.0, *[0.0] * 7]
    import numpy as np

    store.add(entry("x"), np.array(vector, np.float32))
    store.close()

    ran = run("import", exported, "--store", path)

    assert ran.code == 1
    assert "LexicalEmbeddings(), dimension 64" in ran.err
    assert "another, dimension 8" in ran.err
    assert keys_in(path) == ["x"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON object"),
        (b"no export\n", "no JSON object"),
        (b"\xff\n", "no text"),
        (b'{"format": "prodpatterns-cache", "version": 9}\n', "of version 9"),
    ],
)
def test_what_is_no_export_is_refused(
    run: Run, tmp_path: Path, new: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)

    ran = run("import", path, "--store", new)

    assert ran.code == 1
    assert f"cannot import {path}: " in ran.err
    assert reason in ran.err


def test_a_file_that_is_not_there_is_told_of(run: Run, new: Path) -> None:
    ran = run("import", "nowhere.jsonl", "--store", new)

    assert ran.code == 1
    assert "nowhere.jsonl" in ran.err


def test_the_standard_input_may_be_read(
    run: Run, exported: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO(exported.read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))

    assert run("import", "-", "--store", new, "--json").record["stored"] == 3


def test_many_are_stored_together_and_ctrl_c_keeps_what_was_done(
    run: Run, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path / "many.db", *(entry(f"{n:02}") for n in range(25)))
    exported = tmp_path / "many.jsonl"
    run("export", exported, "--store", path)
    monkeypatch.setattr(importing, "_AT_ONCE", 10)

    with monkeypatch.context() as patched:
        patched.setattr(importing, "_store", _ending(importing._store, after=2))
        ran = run("import", exported, "--store", new)
    stored = keys_in(new)
    again = run("import", exported, "--store", new, "--json")

    assert ran.code == 130
    assert "interrupted: 20 entries imported" in ran.err
    assert len(stored) == 20
    assert again.record == {**NOTHING, "stored": 5, "present": 20}


def _ending(store: Callable[..., None], after: int) -> Callable[..., None]:
    left = iter(range(after))

    def ends(*arguments: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        store(*arguments)

    return ends


def test_an_export_without_vectors_goes_anywhere(
    run: Run, tmp_path: Path, new: Path
) -> None:
    path, exported = tmp_path / "bare.db", tmp_path / "bare.jsonl"
    store = LocalStore(path)
    store.add(entry("a", partition="p"), None)
    store.close()
    run("export", exported, "--store", path)

    assert run("import", exported, "--store", new, "--json").record["stored"] == 1
    assert contents(new) == contents(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_no_cache_is_made_for_a_file_that_cannot_be_read(
    run: Run, tmp_path: Path, name: str
) -> None:
    ran = run("import", tmp_path / name, "--store", tmp_path / "new.db")

    assert ran.code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes")
def test_a_pipe_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(importing, "_opened", opened.append)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    importing.check_source(str(pipe))

    assert opened == []
