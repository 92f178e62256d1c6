"""What the README shows is what a reader gets."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_prodpatterns import Route
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

README = Path(__file__).parents[2] / "README.md"
MOST_LINES = 20


def _blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_snippet_is_short_and_prints_what_is_shown(tmp_path: Path) -> None:
    snippet, shown = _blocks("python")[0], _blocks("text")[0]
    script = tmp_path / "snippet.py"
    script.write_text(snippet, encoding="utf-8")

    run = subprocess.run(  # noqa: S603 - our own README
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert len([line for line in snippet.splitlines() if line.strip()]) <= MOST_LINES
    assert run.stderr == ""
    assert run.stdout == shown


class Ticket(BaseModel):
    """A typed answer."""

    title: str


def test_each_in_three_lines_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, embeddings = ScriptedChatModel(default="x"), LexicalEmbeddings()

    names: dict[str, Any] = {}
    exec(_blocks("python")[1], names)  # noqa: S102 - our own README
    chains = names["build"](
        model,
        model,
        embeddings,
        ChatPromptTemplate.from_template("{question}"),
        InMemoryVectorStore(embeddings).as_retriever(),
        [Route("a", "one thing"), Route("b", "another")],
        Ticket,
    )

    assert all(isinstance(chain, Runnable) for chain in chains)


def test_the_commands_are_targets_of_the_makefile() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")

    for command in re.findall(r"^make (\S+)", "\n".join(_blocks("bash")), re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_the_benchmarks_named_exist() -> None:
    named = set(re.findall(r"benchmarks/\w+\.py", README.read_text(encoding="utf-8")))

    assert named
    assert all((README.parent / path).is_file() for path in named)
