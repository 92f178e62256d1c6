"""Removing what is past, and giving room back."""

from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores import LocalStore
from tests.unit_tests.commands.conftest import Run, entry, fill, keys_in


def test_what_is_past_goes_and_its_room_is_given_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [entry(f"{n}", value="x" * 3_000, ttl=1e-6) for n in range(200)]
    path = fill(tmp_path / "answers.db", entry("kept"), *many)
    monkeypatch.setattr(LocalStore.sweep, "__defaults__", (64,))

    ran = run("vacuum", "--store", path, "--json")
    again = run("vacuum", "--store", path)

    assert ran.record["removed"] == 200
    assert ran.record["freed_bytes"] > 200 * 3_000
    assert keys_in(path) == ["kept"]
    assert again.out == "0 entries removed, 0 B given back to the disk\n"


def test_a_store_without_a_vacuum_is_swept(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LocalStore, "vacuum")

    ran = run("vacuum", "--store", filled, "--json")

    assert ran.record == {"removed": 0, "freed_bytes": None, "indexed": None}
    assert run("vacuum", "--store", filled).out == "0 entries removed\n"


def test_an_index_is_made_anew_where_there_is_one(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "reindex", lambda _: 7, raising=False)
    monkeypatch.delattr(LocalStore, "vacuum")

    ran = run("vacuum", "--store", filled, "--reindex")

    assert ran.out == "0 entries removed, 7 vectors given to the index\n"
    assert run("vacuum", "--store", filled, "--json").record["indexed"] is None


def test_no_index_is_made_anew_where_there_is_none(run: Run, filled: Path) -> None:
    ran = run("vacuum", "--store", filled, "--reindex")

    assert ran.code == 2
    assert "--reindex is for PostgreSQL: LocalStore keeps its index itself" in ran.err
