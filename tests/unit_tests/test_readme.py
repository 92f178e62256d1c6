"""What the README shows is what a reader gets."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.outputs import Generation
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_prodpatterns import Route, SemanticJudgeCache
from langchain_prodpatterns.cache import stores
from langchain_prodpatterns.cli import main
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.usage import Usage
from tests.strictness import STRICT
from tests.unit_tests import examples

EMBEDDINGS = "langchain_prodpatterns.testing:LexicalEmbeddings"
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
        [sys.executable, *STRICT, script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert len([line for line in snippet.splitlines() if line.strip()]) <= MOST_LINES
    assert run.stderr == ""
    assert run.stdout == shown


def test_what_explain_prints_is_what_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.sqlite"
    with SemanticJudgeCache(LexicalEmbeddings(), lambda _: True, path=path) as cache:
        for question in (
            "May my dog come on the ferry?",
            "May my cat come along?",
            "What does a kayak cost?",
        ):
            saved = Usage(calls=1, input_tokens=200, output_tokens=50, usd=0.0021)
            cache.update(question, "model", [Generation(text="x")], saved=saved)
    lines = "".join(_blocks("bash")).splitlines()
    typed = next(line for line in lines if "cache explain" in line)
    arguments = shlex.split(typed.replace("my_app:embeddings", EMBEDDINGS))[1:]

    code = main([*arguments, "--store", str(path)])

    shown = next(block for block in _blocks("text") if "would" in block)
    assert code == 0
    assert _steady(capsys.readouterr().out) == _steady(shown)


def _steady(text: str) -> str:
    """Return a text without what another run has otherwise: keys and ages."""
    return re.sub(r"\b[0-9a-f]{32}\b|\b\d+s\b| +|─+", "~", text)


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


def test_calibrations_are_loaded_as_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    snippet = next(one for one in _blocks("python") if "from_calibration" in one)
    commands = [
        one for one in "".join(_blocks("bash")).splitlines() if "calibrate" in one
    ]
    pairs = "\n".join(
        f"may dog {at} come,may a dog {at} come,{at % 9 > 0}" for at in range(40)
    )
    Path("pairs.csv").write_text(f"new_question,stored_question,same_answer\n{pairs}\n")
    texts = "\n".join(
        f'{{"text": "open at {at}?", "label": {at % 2}}}' for at in range(40)
    )
    Path("texts.jsonl").write_text(texts)

    for command in (commands[0], commands[2]):
        typed = shlex.split(command.replace("my_app:embeddings", EMBEDDINGS))[1:]
        typed = [f"{__name__}:judge" if one == "my_app:judge" else one for one in typed]
        assert main(typed) == 0
    names: dict[str, Any] = {"embeddings": LexicalEmbeddings(), "judge": judge}
    exec(snippet, names)  # noqa: S102 - our own README

    assert isinstance(names["cache"], SemanticJudgeCache)
    assert isinstance(names["guard"], Runnable)


def judge(request: Any) -> bool:
    return True


_APART = ("track() as", "from_calibration")
"""In the snippets that have tests of their own."""


@pytest.mark.parametrize(
    "number",
    [
        at
        for at, text in enumerate(_blocks("python"))
        if not any(one in text for one in _APART)
    ],
)
def test_every_other_snippet_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = examples.names()
    # Needs a server, which those of `tests/integration_tests` have.
    monkeypatch.setitem(vars(stores), "PostgresStore", given["PostgresStore"])

    examples.run(_blocks("python")[number], given)


def test_the_commands_are_targets_of_the_makefile() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")

    for command in re.findall(r"^make (\S+)", "\n".join(_blocks("bash")), re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_the_benchmarks_named_exist() -> None:
    named = set(re.findall(r"benchmarks/\w+\.py", README.read_text(encoding="utf-8")))

    assert named
    assert all((README.parent / path).is_file() for path in named)
