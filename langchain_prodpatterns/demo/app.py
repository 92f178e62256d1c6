"""The command: progress, answers and the ledger at the end."""

import io
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from langchain_core.documents import Document
from langchain_core.runnables import Runnable
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from langchain_prodpatterns.demo.assistant import admit_pages, build_assistant
from langchain_prodpatterns.demo.documents import load_pages
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.failures import (
    ProviderTrouble,
    describe,
    grouped,
    is_undecided,
    provider_errors,
    unjudged,
)
from langchain_prodpatterns.demo.figures import compare, verdict
from langchain_prodpatterns.demo.options import DATA, Options, read_options
from langchain_prodpatterns.demo.providers import Models, open_models
from langchain_prodpatterns.demo.tools import Orders, build_tools
from langchain_prodpatterns.errors import GuardBlocked, StructuredOutputError
from langchain_prodpatterns.interrupts import (
    INTERRUPTED,
    Interrupts,
    remembered_interrupts,
)
from langchain_prodpatterns.ledger import Ledger, track


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the questions and show what it took.

    Args:
        argv: The arguments, by default those of the process.

    Returns:
        The exit code: 0, 2 for what the user can mend, 130 for Ctrl-C.
    """
    _print_what_can_be_printed()
    # What fails is said below, in one line; nothing else writes to stderr.
    logging.getLogger("langchain_prodpatterns").addHandler(logging.NullHandler())
    console = Console(highlight=False)
    try:
        with remembered_interrupts() as interrupts:
            options = read_options(argv)
            pages = load_pages(options.docs)
            with open_models(options.script) as models:
                Job(console, options, models, interrupts).run(pages)
            interrupts.check()
    except DemoError as error:
        Console(stderr=True, highlight=False).print(
            f"[red]error:[/] {escape(str(error))}", soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return INTERRUPTED
    return 0


def _print_what_can_be_printed() -> None:
    """Replace what the terminal's encoding lacks: an answer may hold any character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class Said(NamedTuple):
    """What is shown under a question."""

    text: str
    failures: tuple[str, ...] = ()
    """Why it is no answer, where the provider had none."""


@dataclass(frozen=True)
class Job:
    """One run of the demo."""

    console: Console
    options: Options
    models: Models
    interrupts: Interrupts

    def run(self, pages: list[Document]) -> None:
        """Answer the questions from the pages, and show the ledger.

        Raises:
            DemoError: When the provider fails.
        """
        with track(prices=self.models.prices) as ledger:
            self.models.check()
            self.console.print(escape(self.models.headline), soft_wrap=True)
            try:
                with tempfile.TemporaryDirectory() as folder:
                    assistant = self._prepare(pages, Path(folder))
                    self._answer_all(assistant)
            finally:
                self._show(ledger)

    def _prepare(self, pages: list[Document], folder: Path) -> Runnable[str, str]:
        """Guard the pages and build the chain."""
        orders = Orders.from_csv(DATA / "orders.csv", folder / "orders.sqlite")
        trouble = ProviderTrouble()
        with self.console.status("reading the documents"):
            with track() as reading:
                admitted = admit_pages(self.models, pages, trouble)
            if trouble.errors:
                reasons = grouped(trouble.reasons())
                msg = f"the guard could not judge the documents: {reasons}"
                raise DemoError(msg)
            failed = self._failed(unjudged(reading.to_records()))
            if not admitted:
                raise DemoError(failed or "the guard let no document through")
            try:
                assistant = build_assistant(self.models, admitted, build_tools(orders))
            except provider_errors() as error:
                msg = f"the documents could not be embedded: {describe(error)}"
                raise DemoError(msg) from None
        self.interrupts.check()
        self.console.print(escape(_read(pages, admitted)), soft_wrap=True)
        if failed:
            self.console.print(f"{escape(failed)}.", soft_wrap=True)
        return assistant

    def _failed(self, reasons: Sequence[str]) -> str:
        """Say how many pages were dropped for want of a verdict, not for their text."""
        if not reasons:
            return ""
        count = len(reasons)
        return (
            f"{count} page{'s' * (count != 1)} could not be judged "
            f"({grouped(reasons)} of {self.models.judge})"
        )

    def _answer_all(self, assistant: Runnable[str, str]) -> None:
        columns = (TextColumn("answering"), BarColumn(), MofNCompleteColumn())
        count = len(self.options.questions)
        unanswered: list[Said] = []
        with Progress(*columns, console=self.console, transient=True) as progress:
            asked = zip(self.options.questions, self.options.shown, strict=True)
            for question, shown in progress.track(asked, total=count):
                said = self._answer(assistant, question, shown)
                self.interrupts.check()
                if said.failures:
                    unanswered.append(said)
        if unanswered:
            reasons = grouped(reason for said in unanswered for reason in said.failures)
            msg = f"{len(unanswered)} of {count} questions got no answer: {reasons}"
            raise DemoError(msg)

    def _answer(self, assistant: Runnable[str, str], question: str, shown: str) -> Said:
        trouble = ProviderTrouble()
        with track() as turn:
            said = _ask(assistant, question, trouble)
        self.console.print(f"\n[bold]{escape(shown)}[/]")
        self.console.print(escape(said.text))
        self.console.print(f"[dim]{escape(_how(turn))}[/]")
        if said.failures and trouble.refused:
            msg = f"the provider has begun to refuse the key: {grouped(said.failures)}"
            raise DemoError(msg)
        return said

    def _show(self, ledger: Ledger) -> None:
        self.console.print()
        self.console.print(escape(ledger.table()), soft_wrap=True)
        rows, unheard = compare(ledger, self.models)
        if not rows:
            return
        in_flight = unheard if self.interrupts.seen else 0
        table = ["\n                provider     ledger"]
        for row in rows:
            word = verdict(row, in_flight=in_flight)
            table.append(f"{row.name:<12}{row.provider:>12}{row.ledger:>11}   {word}")
        if in_flight:
            table.append(f"Calls in flight when it was interrupted: {in_flight}.")
        self.console.print("\n".join(table), soft_wrap=True)


def _ask(
    assistant: Runnable[str, str], question: str, trouble: ProviderTrouble
) -> Said:
    """Put a question to the assistant."""
    try:
        return Said(assistant.invoke(question, {"callbacks": [trouble]}))
    except GuardBlocked as error:
        undecided = is_undecided(error)
        text = f"Blocked: {error.reason if undecided else error.rule}."
    except StructuredOutputError as error:
        undecided = is_undecided(error)
        text = f"No valid answer: {error}"
    except provider_errors() as error:
        undecided, text = True, ""
        trouble.note(error)
    if not undecided or not trouble.errors:
        return Said(text)
    return Said(f"No answer: {grouped(trouble.reasons())}.", trouble.reasons())


def _how(turn: Ledger) -> str:
    """Say in one line which pattern decided what."""
    steps = [f"{record.pattern}: {record.decision}" for record in turn.to_records()]
    calls = turn.summary().calls
    return f"{' · '.join(steps)} · {calls} model call{'s' * (calls != 1)}"


def _read(pages: Sequence[Document], admitted: Sequence[Document]) -> str:
    """Say how many pages were read, and which of them the guard dropped."""
    kept = {page.metadata["number"] for page in admitted}
    dropped = [p.metadata["page"] for p in pages if p.metadata["number"] not in kept]
    read = f"{len(pages)} page{'s' * (len(pages) != 1)} read."
    if not dropped:
        return read
    names = ", ".join(dropped)
    return (
        f"{read} The guard dropped {len(dropped)} of {len(pages)} documents: {names}."
    )
