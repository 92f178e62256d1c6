"""Removing the answers that fit."""

import io
from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores import LocalStore
from tests.unit_tests.commands.conftest import Run, keys_in


class Terminal(io.StringIO):
    """A standard input that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        (["--query", "What does a kayak cost?"], ["a", "b"]),
        (["--hit-id", "a.exact-a"], ["b", "c"]),
        (["--partition", "q"], ["a", "c"]),
        (["--namespace", "default"], ["b"]),
        (["--older-than", "0s"], []),
        (["--older-than", "7d"], ["a", "b", "c"]),
        (["--metadata", "page=dogs"], ["b", "c"]),
        (["--metadata", "page=dogs", "--namespace", "other"], ["a", "b", "c"]),
        (["--metadata", "page=dogs", "--metadata", "x=y"], ["a", "b", "c"]),
    ],
)
def test_what_fits_every_criterion_is_removed(
    run: Run, filled: Path, criteria: list[str], left: list[str]
) -> None:
    counted = run("invalidate", "--store", filled, *criteria, "--dry-run", "--json")
    kept = keys_in(filled)
    ran = run("invalidate", "--store", filled, *criteria, "--yes", "--json")

    matched = 3 - len(left)
    assert counted.record == {"matched": matched, "removed": 0, "dry_run": True}
    assert kept == ["a", "b", "c"]
    assert ran.record == {"matched": matched, "removed": matched, "dry_run": False}
    assert keys_in(filled) == left


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("y\n", ["b"]),
        ("YES\n", ["b"]),
        ("n\n", ["a", "b", "c"]),
        ("\n", ["a", "b", "c"]),
        ("", ["a", "b", "c"]),
    ],
)
def test_who_sits_there_is_asked_first(
    run: Run,
    filled: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    left: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    ran = run("invalidate", "--store", filled, "--namespace", "default")

    assert ran.code == 0
    assert ran.err == "Remove 2 answers? [y/N] "
    assert keys_in(filled) == left


def test_nobody_is_asked_who_is_not_there(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    ran = run("invalidate", "--store", filled, "--namespace", "default")

    assert ran.code == 2
    assert "give --yes to remove, or --dry-run to count" in ran.err
    assert keys_in(filled) == ["a", "b", "c"]


@pytest.mark.parametrize("criteria", [[], ["--hit-id", "no hit id"]])
def test_it_takes_a_criterion(run: Run, filled: Path, criteria: list[str]) -> None:
    ran = run("invalidate", "--store", filled, *criteria, "--yes")

    assert ran.code == 2
    assert "--hit-id" in ran.err or "is no hit id" in ran.err
    assert keys_in(filled) == ["a", "b", "c"]


def test_a_store_that_cannot_remove_fails(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langchain_prodpatterns.errors import StoreUnavailable

    def away(*_: object) -> int:
        raise StoreUnavailable("the database is away: try again")

    monkeypatch.setattr(LocalStore, "remove", away)

    ran = run("invalidate", "--store", filled, "--namespace", "default", "--yes")

    assert ran.code == 1
    assert ran.err == "prodpatterns cache invalidate: the database is away: try again\n"
