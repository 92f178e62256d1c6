"""Rows of JSON lines and CSV, good and bad."""

import gzip
import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.commands.calibrate_rows import (
    BadRow,
    LeftOut,
    Rows,
    read_rows,
    text_of,
    yes_or_no,
)
from langchain_prodpatterns.errors import ConfigurationError


def read_one(fields: Mapping[str, Any]) -> tuple[str, bool]:
    if fields.get("skip"):
        msg = "it says skip"
        raise LeftOut(msg)
    return text_of(fields, "text"), yes_or_no(fields, "label")


def read(path: Path, *, strict: bool = False) -> Rows[tuple[str, bool]]:
    return read_rows(path, read_one, strict=strict)


def test_json_lines_are_read_and_bad_ones_told_by_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'{"text": "a", "label": true, "date": "2026-10-02T10:00:00Z"}\n'
        b"\n"
        b"secret\n"
        b"[1]\n"
        b'{"text": "\xff", "label": 1}\n'
        b'{"text": "b", "label": "No", "start_time": "2026-09-30"}\n'
        b'{"text": " ", "label": 1}\n'
        b'{"text": "c", "label": "secret"}\n'
        b'{"skip": 1}\n{"skip": 2}\n'
    )

    rows = read(path)

    assert rows.items == (("a", True), ("b", False))
    assert rows.bad == (
        (3, "no JSON"),
        (4, "no JSON object"),
        (5, "no text"),
        (7, "no 'text', or one that is no text"),
        (8, "no 'label', or one that is neither true nor false"),
    )
    assert dict(rows.left_out) == {"it says skip": 2}
    assert rows.date == "2026-10-02"


def test_csv_is_read_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.CSV"
    path.write_bytes(b'text,label\n"two\nlines",1\nb,0,0\n\xff,1\nc,\nd,false\n')

    rows = read(path)

    assert rows.items == (("two\nlines", True), ("d", False))
    assert [number for number, _ in rows.bad] == [4, 5, 6]
    assert rows.date is None


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\na,1\n"))

    assert read(path).items == (("a", True),)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_mark_before_the_text_is_no_part_of_it(tmp_path: Path, ending: bytes) -> None:
    table, path = tmp_path / "rows.csv", tmp_path / "rows.jsonl"
    table.write_bytes(BOM_UTF8 + ending.join([b"text,label", b"a,1", b""]))
    path.write_bytes(BOM_UTF8 + b'{"text": "a", "label": 1}' + ending)

    assert read(table) == read(path) == Rows((("a", True),))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_two_bytes_a_character_are_refused_by_name(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\ufefftext,label\na,1\n", encoding)

    with pytest.raises(ConfigurationError, match=r"'rows.csv' is UTF-16: save it as"):
        read(path)


@pytest.mark.parametrize(
    "packed",
    [b"text,label\na,1\n", gzip.compress(b"text,label\na,1\n")[:-9]],
    ids=["not packed", "torn"],
)
def test_what_is_not_packed_or_torn_is_refused(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(packed)

    with pytest.raises(ConfigurationError, match=r"'rows.csv.gz' is no gzip file, or"):
        read(path)


def test_half_of_a_character_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"label": 1, "text": "\\ud83d\\ude00"}\n{"label": 1, "text": "\\ud83d"}\n'
    )

    assert read(path) == Rows((("😀", True),), ((2, "no text"),))


def test_strictly_the_first_bad_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": 1}\nsecret\n')

    with pytest.raises(ConfigurationError, match=r"line 2 of 'rows.jsonl' is no row"):
        read(path, strict=True)


@pytest.mark.parametrize("text", ["", "secret\n", '{"skip": 1}\n'])
def test_nothing_to_go_by_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match="has no row to calibrate") as caught:
        read(path)
    assert "secret" not in str(caught.value)


def test_a_deep_or_huge_row_is_a_bad_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps({"text": "a" * 200_000, "label": 1})
    path.write_text(f"{'[' * 100_000}\n{good}\n")

    assert [number for number, _ in read(path).bad] == [1]
    table = tmp_path / "rows.csv"
    table.write_text(f"text,label\n{'a' * 200_000},1\nb,1\n")
    assert read(table).items == (("b", True),)


def test_the_errors_are_none_of_the_users(tmp_path: Path) -> None:
    assert issubclass(BadRow, Exception)
    with pytest.raises(OSError, match="rows"):
        read(tmp_path / "rows.jsonl")
