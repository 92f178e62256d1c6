"""`prodpatterns calibrate`: what all three have in common."""

import os
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.commands import calibrate as command
from tests.unit_tests.commands.calibrating import (
    EMBEDDINGS,
    lines,
    pair,
    routes,
    texts,
)
from tests.unit_tests.commands.conftest import Calibrate, cache


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--help"),
        (("cache",), "--help"),
        (("unknown", "x"), "--help"),
        (("cache", "DATA", "--test", "1"), "'1' is no number from 0.05 to 0.95"),
        (("cache", "DATA", "--seed", "-1"), "is no whole number from 0 on"),
        (("cache", "DATA"), "give the cache's embeddings: --embeddings"),
        (
            ("guard", "DATA", "--false-positives", "0"),
            "is no number from 0.0001 to 0.5",
        ),
        (("router", "DATA", "--save"), "--save needs --out FILE"),
        (
            ("guard", "DATA", "--save", "--out", "g.json"),
            "--save writes what is learned",
        ),
    ],
)
def test_wrong_arguments_are_told_of_in_one_line(
    calibrate: Calibrate, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    rows = {"cache": [{"question": "a"}], "guard": texts(5)}.get(arguments[0] if arguments else "", routes())  # fmt: skip
    data = lines(tmp_path / "data.jsonl", rows)

    ran = calibrate(*(data if one == "DATA" else one for one in arguments))

    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (
            ("cache", "--embeddings", EMBEDDINGS),
            [pair(at, same=True) for at in range(9)],
        ),
        (("router", "--embeddings", EMBEDDINGS), routes()),
        (("guard",), texts(20)),
    ],
    ids=["cache", "router", "guard"],
)
def test_a_copy_of_a_row_is_no_more_evidence(
    calibrate: Calibrate, tmp_path: Path, command: tuple[str, ...], rows: list[Any]
) -> None:
    once = calibrate(*command, lines(tmp_path / "once.jsonl", rows), "--json").record
    twice = calibrate(*command, lines(tmp_path / "twice.jsonl", [*rows, *rows]), "--json")  # fmt: skip

    assert twice.record["left_out"] == {"an earlier one says the same": len(rows)}
    assert twice.record == {**once, "left_out": twice.record["left_out"]}
    assert f"{len(rows)} rows are left out: an earlier one says" in twice.err


def test_what_users_ask_again_is_drawn_again(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    rows = [pair(at, same=True) for at in range(9)]
    data = lines(tmp_path / "twice.jsonl", [*rows, *rows])

    assert cache(calibrate, data, "--as-traffic", "--json").record["rows"]["used"] == 18


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("--out", "pairs.jsonl"),
        ("--report", "pairs.jsonl"),
        ("--out", "pairs.jsonl.verdicts"),
        ("--report", "nowhere/c.html"),
    ],
)
def test_where_it_cannot_write_it_says_before_it_works(
    calibrate: Calibrate, pairs: Path, option: str, target: str
) -> None:
    before = pairs.read_bytes()

    ran = calibrate("cache", pairs, "--embeddings", "no:where", option, target)

    assert (ran.code, ran.out) == (2, "")
    assert f"{option} '{target}' is" in ran.err
    assert pairs.read_bytes() == before


def test_what_was_found_is_told_where_it_cannot_be_written(
    calibrate: Calibrate, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(text: str, path: str) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(command, "write_page", full)

    ran = cache(calibrate, pairs, "--delta", "0.2", "--report", "c.html")

    assert (ran.code, ran.out) == (1, "")
    assert "on the other 60 pairs: from" in ran.err
    assert "No space left on device" in ran.err.splitlines()[-1]


def test_what_is_saved_is_not_written_over(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "routes.jsonl", routes())

    assert (
        "--save 'r.npz' is that of --out"
        in calibrate(*("router", data, "--out", "r.npz", "--save")).err
    )
    assert (
        "--out '.' is a folder"
        in calibrate(*("router", data, "--out", ".", "--save")).err
    )


def test_bad_lines_are_told_by_number_and_strictly_refused(
    calibrate: Calibrate, pairs: Path
) -> None:
    with pairs.open("a") as page:
        page.write("secret\n" * 12)

    ran = cache(calibrate, pairs, "--json")
    assert ran.record["bad"] == list(range(200, 212))
    assert "line 200 is left out: no JSON\n" in ran.err
    assert ran.err.endswith("and 2 more lines\n")
    assert "secret" not in ran.err
    strict = cache(calibrate, pairs, "--strict")
    assert strict.code == 2
    assert "line 200 of 'pairs.jsonl' is no row: no JSON" in strict.err


def test_a_file_that_is_not_there_is_an_error_in_one_line(calibrate: Calibrate) -> None:
    ran = cache(calibrate, "missing.jsonl")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("prodpatterns calibrate cache: ")
    assert ran.err.count("\n") == 1
