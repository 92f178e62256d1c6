import os
from pathlib import Path

import pytest

from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.options import read_options, read_questions


def test_reads_plain_and_json_questions(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_text('One?\n\n{"question": "Two?"}\n', encoding="utf-8")

    assert read_questions(file) == ["One?", "Two?"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no question"),
        (b'{"question": null}', 'JSON without "question"'),
        (b'{"question": " "}', 'JSON without "question"'),
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
        read_questions(file)


def test_a_byte_order_mark_is_no_part_of_a_question(tmp_path: Path) -> None:
    file = tmp_path / "q.txt"
    file.write_bytes(b"\xef\xbb\xbfOne?\n")

    assert read_questions(file) == ["One?"]


@pytest.mark.parametrize("name", ["--docs", "--questions", "--question"])
def test_an_empty_argument_is_refused(name: str) -> None:
    with pytest.raises(DemoError, match=f"{name}: the text after it is empty"):
        read_options([name, " "])


def test_own_documents_have_no_scripted_answers(tmp_path: Path) -> None:
    options = read_options(["--docs", os.fspath(tmp_path), "--question", "Why?"])

    assert options.docs == tmp_path
    assert options.script is None


def test_a_question_is_shown_without_private_values() -> None:
    options = read_options(["--question", "Write to robin@example.com?"])

    assert options.questions == ["Write to robin@example.com?"]
    assert options.shown == ["Write to [EMAIL]?"]


def test_help_and_readme_name_every_variable_of_a_provider(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])

    shown = capsys.readouterr().out
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    for name in ("API_KEY", "BASE_URL", "MODEL", "STRONG_MODEL", "EMBEDDING_MODEL"):
        assert f"OPENAI_{name} " in shown
        assert f"OPENAI_{name}=" in readme
