"""What the user asks for: the arguments and the file of questions."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_prodpatterns import GuardRunnable
from langchain_prodpatterns.demo.errors import DemoError

DATA = Path(__file__).parent / "data"

_EPILOG = """\
Without OPENAI_API_KEY everything runs offline, and the answers are scripted. With it
the models of a provider answer, whose environment variables are:
  OPENAI_API_KEY          the key; a local server takes any
  OPENAI_BASE_URL         http://localhost:11434/v1 for Ollama, :8000/v1 for vLLM
  OPENAI_MODEL            the cheap model (gpt-4o-mini)
  OPENAI_STRONG_MODEL     the strong model (gpt-4o)
  OPENAI_EMBEDDING_MODEL  the embeddings (text-embedding-3-small)
The whole run makes about 250 model calls: one a page, and 5 or 6 a question.
"""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    docs: Path
    questions: list[str]
    shown: list[str]
    """The questions as they may be printed."""
    script: Path | None


def read_options(argv: Sequence[str] | None) -> Options:
    """Read the arguments.

    Args:
        argv: The arguments, by default those of the process.

    Raises:
        DemoError: When they ask for what cannot be.
    """
    arguments = _parser().parse_args(argv)
    for name in ("docs", "questions", "question"):
        given = getattr(arguments, name)
        if given is not None and not given.strip():
            msg = f"--{name}: the text after it is empty"
            raise DemoError(msg)
    questions = (
        read_questions(Path(arguments.questions or DATA / "questions.jsonl"))
        if arguments.question is None
        else [arguments.question]
    )
    return Options(
        docs=Path(arguments.docs or DATA / "handbook"),
        questions=questions,
        shown=[GuardRunnable().invoke(question) for question in questions],
        script=DATA if arguments.docs is None else None,
    )


def read_questions(path: Path) -> list[str]:
    """Read a file with one question a line, or JSON lines with `question`.

    Args:
        path: The file.

    Raises:
        DemoError: When it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        msg = f"--questions: {path} is not UTF-8 text"
        raise DemoError(msg) from None
    except OSError as error:
        msg = f"--questions: cannot read {path}: {error.strerror}"
        raise DemoError(msg) from None
    questions = [_question(line, path) for line in lines if line.strip()]
    if not questions:
        msg = f"--questions: {path} holds no question"
        raise DemoError(msg)
    return questions


def _question(line: str, path: Path) -> str:
    if not line.lstrip().startswith("{"):
        return line.strip()
    question = _field(line)
    if not isinstance(question, str) or not question.strip():
        msg = f'--questions: a line of {path} is JSON without "question"'
        raise DemoError(msg)
    return question


def _field(line: str) -> Any:
    try:
        return json.loads(line).get("question")
    except ValueError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prodpatterns demo",
        description="A support assistant that pipes through every pattern.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--docs",
        help="a folder of .md and .txt files (default: the handbook of the package)",
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--questions",
        help='a file with one question a line, or JSON lines with "question"',
    )
    asked.add_argument("--question", help="one question")
    return parser
