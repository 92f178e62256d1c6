"""`prodpatterns report`."""

import json
from pathlib import Path

import pytest

from langchain_prodpatterns import track
from langchain_prodpatterns.cli import main
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.commands.conftest import Ran


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    with track() as ledger:
        ScriptedChatModel(default="hi").invoke("a private question")
    ledger.to_jsonl(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    capsys.readouterr()
    return Ran(main(["report", *map(str, arguments)]), *capsys.readouterr())


def test_it_prints_the_table_and_writes_the_page(
    capsys: pytest.CaptureFixture[str], lines: Path
) -> None:
    target = lines.with_name("page.html")

    ran = run(capsys, lines, "--out", target)

    assert (ran.code, ran.err) == (0, "")
    assert "saved" in ran.out
    assert ran.out.endswith(f"{target} is written\n")
    assert "<h1>Ledger</h1>" in target.read_text("utf-8")


def test_the_ledger_is_not_written_over(
    capsys: pytest.CaptureFixture[str], lines: Path
) -> None:
    before = lines.read_bytes()

    ran = run(capsys, lines, "--out", lines)

    assert (ran.code, ran.out) == (2, "")
    assert "--out" in ran.err
    assert lines.read_bytes() == before


def test_machines_have_the_sums(
    capsys: pytest.CaptureFixture[str], lines: Path
) -> None:
    record = run(capsys, lines, "--json").record

    assert record["calls"] == 1
    assert record["by_pattern"]["model"]["calls"] == 1
    assert (record["bad"], record["out"]) == ([], None)


def test_bad_lines_are_told_by_number_and_strictly_refused(
    capsys: pytest.CaptureFixture[str], lines: Path
) -> None:
    with lines.open("a") as page:
        page.write("secret\n" * 12)

    ran = run(capsys, lines, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["bad"] == list(range(2, 14))
    assert ran.err.startswith("line 2 is left out: no JSON object\n")
    assert ran.err.endswith("and 2 more lines\n")
    assert "secret" not in ran.err

    strict = run(capsys, lines, "--strict", "--out", lines.with_name("page.html"))
    assert strict.code == 1
    assert "12 lines that are none of a ledger" in strict.err
    assert not lines.with_name("page.html").exists()


def test_a_file_with_nothing_in_it_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()

    ran = run(capsys, empty)
    assert (ran.code, ran.out) == (1, "")
    assert "nothing is booked in empty.jsonl: write it with Ledger.to_jsonl" in ran.err
    assert run(capsys, tmp_path / "not there").code == 1


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("a", "--unknown")])
def test_wrong_arguments_are_told_of_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ran = run(capsys, *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
