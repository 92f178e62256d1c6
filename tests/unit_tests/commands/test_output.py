"""Results, and what is told beside them."""

import sys
from io import BytesIO, TextIOWrapper

import pytest

from langchain_prodpatterns.commands.output import Output, progress, tell


def test_a_result_is_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output().show({"n": 1}, "one")
    Output(as_json=True).show({"n": "ü"}, "one")
    Output(as_json=True, beside=True).show({"n": 1}, "one")
    tell("aside")

    out, err = capsys.readouterr()
    assert out == 'one\n{"n": "\\u00fc"}\n'
    assert err == '{"n": 1}\naside\n'


def test_a_name_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().show({}, "a\nb\x1b[31m\u202e\ud800 ü")
    tell("a\x1b[31m")

    assert capsys.readouterr() == (
        "a\nb\\x1b[31m\\u202e\\ud800 ü\n",
        "a\\x1b[31m\n",
    )


def test_a_page_that_cannot_write_a_line_of_a_table_gets_a_question_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(page, encoding="cp1252"))

    Output().show({}, "─ ü")

    assert page.getvalue().decode("cp1252").split() == ["?", "ü"]


def test_nobody_who_looks_sees_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("export", 3) as advance:
        advance()
        advance(2)

    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_is_seen_beside_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress("export", 3) as advance:
        advance(2)

    out, err = capsys.readouterr()
    assert out == ""
    assert "export" in err
    assert "2/3" in err
