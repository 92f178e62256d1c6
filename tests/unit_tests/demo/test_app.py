from pathlib import Path

import pytest

from langchain_prodpatterns import cli
from langchain_prodpatterns.demo import app
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.errors import MissingExtraError


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_reads_plain_and_json_questions(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text('One?\n\n{"question": "Two?"}\n', encoding="utf-8")

    assert app._read_questions(file) == ["One?", "Two?"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no question"),
        (b'{"quest": 1}', 'JSON without "question"'),
        (b"{not json}", 'JSON without "question"'),
        (b"\xff\xff", "is not UTF-8 text"),
    ],
)
def test_a_wrong_file_of_questions_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_bytes(content)

    with pytest.raises(DemoError, match=message):
        app._read_questions(file)


def test_a_missing_file_of_questions_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = app.main(["--questions", str(tmp_path / "none")])

    assert code == 2
    assert capsys.readouterr().err.startswith("error: --questions: cannot read")


def test_question_and_questions_exclude_each_other() -> None:
    with pytest.raises(SystemExit) as exit_:
        app.main(["--question", "a", "--questions", "b"])

    assert exit_.value.code == 2


def test_an_empty_question_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--question", " "]) == 2
    assert capsys.readouterr().err == "error: --question: the question is empty\n"


def test_ctrl_c_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(script: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "open_models", interrupt)

    assert app.main(["--question", "a"]) == app.INTERRUPTED
    assert "Interrupted." in capsys.readouterr().out


def test_a_missing_extra_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(script: object) -> None:
        raise MissingExtraError("the offline provider", "testing")

    monkeypatch.setattr("langchain_prodpatterns.demo.offline.start_provider", missing)

    assert app.main(["--question", "a"]) == 2
    assert "langchain-prodpatterns[testing]" in capsys.readouterr().err


def test_the_console_script_knows_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--help"]) == 0
    assert "prodpatterns demo" in capsys.readouterr().out
    assert cli.main([]) == 2
    assert cli.main(["dance"]) == 2
