"""A file that is whole or none."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cli import main
from langchain_prodpatterns.commands import exporting
from langchain_prodpatterns.commands.archive import entry_line
from tests.unit_tests.commands.conftest import Run, entry, fill, keys_in


def lines_in(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("ascii")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture
def part(target: Path) -> Path:
    return target.with_name("answers.jsonl.part")


@pytest.fixture
def interrupted(
    run: Run, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """An export that Ctrl-C ended after the first entry; what it said."""

    def ends(given: Any, vector: Any) -> str:
        if given.key != "a":
            raise KeyboardInterrupt
        return entry_line(given, vector)

    with monkeypatch.context() as patched:
        patched.setattr(exporting, "entry_line", ends)
        ran = run("export", target, "--store", filled)
    assert ran.code == 130
    return ran.err


def test_the_cache_is_not_written_over(run: Run, filled: Path) -> None:
    ran = run("export", filled, "--store", f"sqlite:///{filled}")

    assert (ran.code, ran.out) == (2, "")
    assert "is what is read, and would be lost: name another" in ran.err
    assert keys_in(filled) == ["a", "b", "c"]


def test_every_entry_is_a_line(run: Run, filled: Path, target: Path) -> None:
    ran = run("export", target, "--store", filled)

    header, *entries = lines_in(target)
    assert ran.out == f"3 entries exported to {target}\n"
    assert header == {
        "format": "prodpatterns-cache",
        "version": 1,
        "embedder": {"name": "LexicalEmbeddings()", "dimensions": 64},
        "entries": 3,
    }
    assert [one["key"] for one in entries] == ["a", "b", "c"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_part_may_be_exported(run: Run, filled: Path, target: Path) -> None:
    ran = run("export", target, "--store", filled, "--namespace", "other", "--json")

    assert ran.record == {
        "entries": 1,
        "resumed": 0,
        "learned": 0,
        "file": str(target),
    }
    assert [one["key"] for one in lines_in(target)[1:]] == ["b"]
    run("export", target, "--store", filled, "--partition", "p")
    assert [one["key"] for one in lines_in(target)[1:]] == ["a", "c"]


def test_the_standard_output_holds_the_lines_only(run: Run, filled: Path) -> None:
    ran = run("export", "-", "--store", filled)

    assert [json.loads(line).get("key") for line in ran.out.splitlines()] == [
        *(None, "a", "b", "c")
    ]
    assert ran.err == "3 entries exported to -\n"


def test_a_failed_export_leaves_the_file_as_it_was(
    run: Run, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_text("as it was")

    def fail(*_: object) -> str:
        raise OSError("no space left on the device")

    monkeypatch.setattr(exporting, "entry_line", fail)
    ran = run("export", target, "--store", filled)

    assert ran.code == 1
    assert "no space left" in ran.err
    assert target.read_text() == "as it was"


def test_an_interrupted_export_says_how_to_go_on(
    interrupted: str, target: Path, part: Path
) -> None:
    assert f"what was written is in {part}; --resume goes on there" in interrupted
    assert not target.exists()
    assert [one.get("key") for one in lines_in(part)] == [None, "a"]


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    "torn",
    [
        "",
        '{"key": "b", "par',
        "\0\xff garbage\n",
        '{"partition": "p", "tallies": {}}\n',
    ],
)
def test_it_goes_on_where_it_ended(
    run: Run, filled: Path, target: Path, part: Path, torn: str
) -> None:
    with part.open("ab") as page:
        page.write(torn.encode("latin-1"))

    ran = run("export", target, "--store", filled, "--resume", "--json")

    assert ran.record == {
        "entries": 3,
        "resumed": 1,
        "learned": 0,
        "file": str(target),
    }
    assert [one.get("key") for one in lines_in(target)] == [None, "a", "b", "c"]
    assert not part.exists()


@pytest.mark.parametrize("ended", [False, True], ids=["goes on", "has ended"])
def test_two_at_once_leave_no_half_file(
    run: Run,
    filled: Path,
    target: Path,
    part: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ended: bool,
) -> None:
    target.write_text("as it was")

    def other_begins(given: Any, vector: Any) -> str:
        if given.key == "c":
            part.unlink()
            if not ended:
                part.write_text("half of the other")
        return entry_line(given, vector)

    monkeypatch.setattr(exporting, "entry_line", other_begins)
    ran = run("export", target, "--store", filled)

    assert ran.code == 1
    assert "another export to" in ran.err
    assert target.read_text() == "as it was"
    assert part.exists() is not ended


@pytest.mark.usefixtures("interrupted")
def test_without_being_told_it_begins_anew(
    run: Run, filled: Path, target: Path, part: Path
) -> None:
    store = LocalStore(filled)
    store.quarantine("a", "for a test")
    store.close()

    run("export", target, "--store", filled)

    assert [one.get("key") for one in lines_in(target)] == [None, "b", "c"]
    assert not part.exists()


def test_what_is_no_unfinished_export_is_not_gone_on_from(
    run: Run, filled: Path, target: Path, part: Path
) -> None:
    part.write_text("a file of the user's")

    ran = run("export", target, "--store", filled, "--resume")

    assert ran.code == 1
    assert "leave --resume out" in ran.err
    assert part.read_text() == "a file of the user's"


@pytest.mark.usefixtures("interrupted")
def test_nor_is_one_of_other_embeddings(run: Run, target: Path, tmp_path: Path) -> None:
    other = LocalStore(tmp_path / "other.db")
    other.close()

    ran = run("export", target, "--store", tmp_path / "other.db", "--resume")

    assert ran.code == 1
    assert "was begun with vectors of LexicalEmbeddings()" in ran.err


def test_the_standard_output_cannot_be_gone_on_from(run: Run, filled: Path) -> None:
    assert run("export", "-", "--store", filled, "--resume").code == 2


def test_resume_begins_where_nothing_was_begun(
    run: Run, filled: Path, target: Path
) -> None:
    assert run("export", target, "--store", filled, "--resume").code == 0
    assert len(lines_in(target)) == 4


def test_a_reader_that_has_had_enough_ends_it_quietly(
    filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout.write", closed)
    code = main(["cache", "export", "-", "--store", str(filled)])

    assert code == 1
    assert capsys.readouterr().err == ""


def test_a_lone_surrogate_is_kept(run: Run, tmp_path: Path, target: Path) -> None:
    path = fill(tmp_path / "odd.db", entry("a", "half \ud800", namespace="\udc00"))

    assert run("export", target, "--store", path).code == 0

    (_, one) = lines_in(target)
    assert (one["text"], one["namespace"]) == ("half \ud800", "\udc00")
