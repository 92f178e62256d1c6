"""The command: arguments, progress, answers and the ledger at the end."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import Runnable
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from langchain_prodpatterns import GuardRunnable
from langchain_prodpatterns.demo.assistant import build_assistant
from langchain_prodpatterns.demo.documents import load_pages
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.providers import Models, open_models
from langchain_prodpatterns.demo.tools import Orders, build_tools
from langchain_prodpatterns.errors import GuardBlocked, StructuredOutputError
from langchain_prodpatterns.ledger import Ledger, track

DATA = Path(__file__).parent / "data"
INTERRUPTED = 130


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    docs: Path
    questions: list[str]
    shown: list[str]
    """The questions as they may be printed."""
    script: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the questions and show what it took.

    Args:
        argv: The arguments, by default those of the process.

    Returns:
        The exit code: 0, 2 for what the user can mend, 130 for Ctrl-C.
    """
    console = Console(highlight=False)
    try:
        options = _options(argv)
        pages = load_pages(options.docs)
        with open_models(options.script) as models:
            console.print(escape(models.headline), soft_wrap=True)
            return _run(console, options, pages, models)
    except DemoError as error:
        Console(stderr=True, highlight=False).print(
            f"[red]error:[/] {escape(str(error))}", soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return INTERRUPTED


def _run(
    console: Console, options: Options, pages: list[Document], models: Models
) -> int:
    with track(prices=models.prices) as ledger, tempfile.TemporaryDirectory() as folder:
        orders = Orders.from_csv(DATA / "orders.csv", Path(folder) / "orders.sqlite")
        with console.status("reading the documents"):
            assistant = build_assistant(models, pages, build_tools(orders))
        console.print(f"{len(pages)} pages read. {escape(_dropped(ledger))}".rstrip())
        try:
            _answer_all(console, assistant, options)
        finally:
            _show_ledger(console, ledger, models)
    return 0


def _answer_all(
    console: Console, assistant: Runnable[str, str], options: Options
) -> None:
    columns = (TextColumn("answering"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        asked = zip(options.questions, options.shown, strict=True)
        for question, shown in progress.track(asked, total=len(options.questions)):
            with track() as turn:
                answer = _answer(assistant, question)
            console.print(f"\n[bold]{escape(shown)}[/]")
            console.print(escape(answer))
            console.print(f"[dim]{escape(_how(turn))}[/]")


def _answer(assistant: Runnable[str, str], question: str) -> str:
    try:
        return assistant.invoke(question)
    except GuardBlocked as error:
        return f"Blocked: {error.rule}."
    except StructuredOutputError as error:
        return f"No valid answer: {error}"


def _how(turn: Ledger) -> str:
    """Say in one line which pattern decided what."""
    steps = [f"{record.pattern}: {record.decision}" for record in turn.to_records()]
    calls = turn.summary().calls
    return f"{' · '.join(steps)} · {calls} model call{'s' * (calls != 1)}"


def _dropped(ledger: Ledger) -> str:
    reasons = [
        record.reason
        for record in ledger.to_records()
        if record.pattern == "guard" and record.decision not in {"clean", "redacted"}
    ]
    return f"Guard on the documents: {'; '.join(reasons)}." if reasons else ""


def _show_ledger(console: Console, ledger: Ledger, models: Models) -> None:
    summary = ledger.summary()
    console.print()
    console.print(escape(ledger.table()), soft_wrap=True)
    if models.provider is None:
        return
    provider = models.provider
    provider.wait_idle()
    console.print("\n                provider     ledger")
    for name, theirs, ours in (
        ("calls", provider.calls, summary.calls),
        ("tokens in", provider.input_tokens, summary.input_tokens),
        ("tokens out", provider.output_tokens, summary.output_tokens),
    ):
        verdict = "equal" if theirs == ours else "[red]DIFFERENT[/]"
        console.print(f"{name:<12}{theirs:>12}{ours:>11}   {verdict}")


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="prodpatterns demo",
        description="A support assistant that pipes through every pattern.",
    )
    parser.add_argument(
        "--docs",
        type=Path,
        help="a folder of .md and .txt files (default: the handbook of the package)",
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--questions",
        type=Path,
        help='a file with one question a line, or JSON lines with "question"',
    )
    asked.add_argument("--question", help="one question")
    arguments = parser.parse_args(argv)
    own_docs = arguments.docs is not None
    if arguments.question is not None:
        if not arguments.question.strip():
            msg = "--question: the question is empty"
            raise DemoError(msg)
        questions = [arguments.question]
    else:
        questions = _read_questions(arguments.questions or DATA / "questions.jsonl")
    return Options(
        docs=arguments.docs or DATA / "handbook",
        questions=questions,
        shown=[GuardRunnable().invoke(question) for question in questions],
        script=None if own_docs else DATA,
    )


def _read_questions(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
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
    try:
        row: Any = json.loads(line)
        return str(row["question"])
    except (ValueError, KeyError, TypeError):
        msg = f'--questions: a line of {path} is JSON without "question"'
        raise DemoError(msg) from None
