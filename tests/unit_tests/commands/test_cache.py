"""What every command on a cache has in common: its store, its errors, its exit codes."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from langchain_prodpatterns.cli import main
from langchain_prodpatterns.commands import cache, stats
from tests.unit_tests.commands.conftest import Run

POSTGRES = "langchain_prodpatterns.cache.stores.postgres"
COMMANDS: list[tuple[str, ...]] = [
    ("stats",),
    ("explain", "--query", "q"),
    ("invalidate", "--query", "q", "--yes"),
    ("export", "-"),
    ("vacuum",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[0])
@pytest.mark.parametrize("kind", ["nothing", "an empty file"])
def test_no_command_makes_a_cache_of_nothing(
    run: Run, tmp_path: Path, command: tuple[str, ...], kind: str
) -> None:
    path = tmp_path / "answers.db"
    if kind == "an empty file":
        path.touch()

    ran = run(*command, "--store", path)

    assert ran.code == 1
    assert ran.err.startswith(f"prodpatterns cache {command[0]}: there is no cache at")
    assert ran.err.count("\n") == 1
    assert not path.exists() or path.stat().st_size == 0


def test_the_environment_names_the_store_and_the_argument_another(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODPATTERNS_STORE", str(filled))

    assert run("stats", "--json").record["entries"] == 3
    assert run("stats", "--store", f"{filled}.not").code == 1


def test_without_a_store_it_is_asked_for(run: Run) -> None:
    ran = run("stats")

    assert ran.code == 2
    assert ran.err == (
        "prodpatterns cache stats: give the store's URL: --store URL, or "
        "$PRODPATTERNS_STORE\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("unknown",),
        ("stats", "--unknown"),
        ("stats", "--delta", "2"),
        ("explain",),
        ("export",),
        ("invalidate", "--older-than", "soon"),
        ("invalidate", "--metadata", "page"),
        ("migrate", "--dimensions", "0"),
    ],
)
def test_wrong_arguments_are_told_of_in_one_line(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments)

    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "--help" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("stats", "--store", "mysql://u:secret@h/db"),
        ("stats", "--stroe", "postgresql://u:secret@h/db"),
        ("stats", "--store", "postgresql://u:secret@h/db"),
        ("stats", "--store", "postgresql://h/db?password=secret"),
        ("migrate", "--store", "sqlite://u:secret@h/db"),
    ],
)
def test_no_password_is_printed(
    run: Run, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(dsn: str, **_: object) -> None:
        msg = f"cannot connect:\nto {dsn}"
        raise OSError(msg)

    monkeypatch.setitem(sys.modules, POSTGRES, _postgres(fail))

    ran = run(*arguments)

    assert ran.code in {1, 2}
    assert "secret" not in ran.err
    assert "***" in ran.err
    assert ran.err.count("\n") == 1


def _postgres(store: Any) -> ModuleType:
    module = ModuleType(POSTGRES)
    module.PostgresStore = store  # type: ignore[attr-defined]
    return module


def test_a_damaged_file_is_an_error_in_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    path.write_bytes(b"no database" * 1_000)

    ran = run("stats", "--store", path)

    assert ran.code == 1
    assert "remove it, or give another path" in ran.err
    assert ran.err.count("\n") == 1


def test_an_interrupt_has_its_own_exit_code(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(stats, "run", interrupt)

    assert main(["cache", "stats", "--store", str(filled)]) == 130


def test_help_is_no_error(run: Run) -> None:
    for name in cache._COMMANDS:
        ran = run(name, "--help")

        assert ran.code == 0
        assert "--store URL" in ran.out
    assert "COMMAND" in run("--help").out


def test_a_database_is_migrated_by_its_owner(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Store:
        @classmethod
        def migrate(cls, dsn: str, **how: Any) -> list[str]:
            asked.append((dsn, how))
            return ["1: tables"] if len(asked) == 1 else []

    monkeypatch.setitem(sys.modules, POSTGRES, _postgres(Store))
    url = "postgresql://h/db?prodpatterns_schema=mine"

    first = run("migrate", "--store", url, "--dimensions", "384", "--unlogged")
    again = run(
        *("migrate", "--store", url, "--row-level-security", "--json"),
        *("--grant-to", "app", "--grant-to", "report"),
    )

    assert (first.code, first.out) == (0, "1: tables\n")
    assert again.record == {"migrations": []}
    common = {"schema": "mine"}
    tables = {"dimensions": 384, "unlogged": True, "row_level_security": False}
    rows = {"dimensions": None, "unlogged": None, "row_level_security": True}
    assert asked == [
        ("postgresql://h/db", {**common, **tables, "grant_to": []}),
        ("postgresql://h/db", {**common, **rows, "grant_to": ["app", "report"]}),
    ]


def test_a_file_needs_no_migration(run: Run, filled: Path) -> None:
    ran = run("migrate", "--store", filled)

    assert ran.code == 2
    assert "migrate is for PostgreSQL" in ran.err
