"""The main job, run as a user runs it: in a process of its own, without a key."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_prodpatterns.demo.offline import Script, Understudy, start_provider
from langchain_prodpatterns.demo.options import DATA
from langchain_prodpatterns.testing import Fault, Rule, ScriptedProvider

_NO_MODEL = Fault.http(404, "no such model", code="model_not_found")
COMMAND = [sys.executable, "-m", "langchain_prodpatterns.demo"]


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    # Without the real embedding model, so that every machine runs the same.
    hidden = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "PRODPATTERNS_SHARED"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    empty = {
        "PRODPATTERNS_SHARED": str(tmp_path),
        "FASTEMBED_CACHE_PATH": str(tmp_path),
    }
    return {**kept, **empty, "COLUMNS": "200", **more}


def _run(
    tmp_path: Path, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own module
        [*COMMAND, *arguments],
        env=_environment(tmp_path, **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def whole_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> subprocess.CompletedProcess[str]:
    return _run(tmp_path_factory.mktemp("demo"))


def test_the_whole_demo_ends_well(
    whole_run: subprocess.CompletedProcess[str],
) -> None:
    assert whole_run.returncode == 0, whole_run.stderr
    assert whole_run.stderr == ""
    assert whole_run.stdout.startswith("No OPENAI_API_KEY: offline provider.")


def test_the_ledger_equals_the_provider(
    whole_run: subprocess.CompletedProcess[str],
) -> None:
    rows = re.findall(
        r"^(calls|tokens in|tokens out) +(\d+) +(\d+) +(\w+)$",
        whole_run.stdout,
        re.MULTILINE,
    )

    assert [row[0] for row in rows] == ["calls", "tokens in", "tokens out"]
    for _, provider, ledger, verdict in rows:
        assert provider == ledger
        assert int(provider) > 0
        assert verdict == "equal"


def test_every_pattern_decides_something(
    whole_run: subprocess.CompletedProcess[str],
) -> None:
    for decision in (
        "guard: redacted",
        "guard: blocked",
        "routing: distance",
        "cache: judged hit",
        "cache: judged miss",
        "compression: compressed",
        "structured: valid after retry",
        "refine: all_met",
    ):
        assert decision in whole_run.stdout
    assert "dropped 1 of 34 documents" in whole_run.stdout


def test_near_misses_do_not_share_an_answer_and_paraphrases_do(
    whole_run: subprocess.CompletedProcess[str],
) -> None:
    answers = dict(
        block.strip().split("\n", 2)[:2]
        for block in whole_run.stdout.split("\n\n")
        if block.count("\n") >= 2 and "?" in block.split("\n", 1)[0]
    )

    bike = answers["How many days do I have to return a bike?"]
    assert answers["How many days have I got to return a bike?"] == bike
    accessory = answers["How many days do I have to return an accessory?"]
    assert "30 days" in bike
    assert "60 days" in accessory
    assert "397.80" in answers["What is 17% of 2,340?"]


def test_no_private_value_is_printed(
    whole_run: subprocess.CompletedProcess[str],
) -> None:
    assert "4111" not in whole_run.stdout
    assert "robin.ash" not in whole_run.stdout


def test_own_documents_and_one_question(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    page = "# Opening hours\n\nThe museum opens at ten o'clock in the morning.\n"
    (docs / "hours.md").write_text(page, encoding="utf-8")

    run = _run(
        tmp_path, "--docs", str(docs), "--question", "When does the museum open?"
    )

    assert run.returncode == 0, run.stderr
    assert "ten o'clock" in run.stdout
    assert "[hours.md]" in run.stdout


def test_with_own_documents_the_headline_says_what_an_answer_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "expenses.txt").write_text(
        "Expenses\n\nTaxis are paid after ten at night.\n", encoding="utf-8"
    )

    run = _run(tmp_path, "--docs", str(tmp_path), "--question", "When are taxis paid?")

    assert "an answer is the first extract found" in run.stdout.splitlines()[0]
    assert "Taxis are paid after ten at night. [expenses.txt]" in run.stdout


@pytest.mark.parametrize("kind", ["missing", "empty", "unreadable"])
def test_a_wrong_folder_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    docs = tmp_path / "docs"
    if kind != "missing":
        docs.mkdir()
    if kind == "unreadable":
        (docs / "page.md").write_bytes(b"\xff\xfe\x00\xff")

    run = _run(tmp_path, "--docs", str(docs), "--question", "Why?")

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("error: --docs")
    assert "Traceback" not in run.stdout


def test_a_refused_key_is_one_clear_line(tmp_path: Path) -> None:
    with ScriptedProvider(default="x", api_key="the-right-key") as provider:
        run = _run(
            tmp_path,
            "--question",
            "Why?",
            OPENAI_API_KEY="a-wrong-key",
            OPENAI_BASE_URL=provider.base_url,
        )

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "refused the key in OPENAI_API_KEY" in run.stderr
    assert "a-wrong-key" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("rules", "embedding_faults", "variable"),
    [
        ([Rule(model="gpt-4o-mini", reply=_NO_MODEL)], (), "OPENAI_MODEL"),
        ([Rule(model="gpt-4o", reply=_NO_MODEL)], (), "OPENAI_STRONG_MODEL"),
        ([], (_NO_MODEL,), "OPENAI_EMBEDDING_MODEL"),
    ],
)
def test_a_model_that_is_not_there_is_one_clear_line(
    tmp_path: Path,
    rules: list[Rule],
    embedding_faults: tuple[Fault, ...],
    variable: str,
) -> None:
    with ScriptedProvider(
        rules, default="x", embedding_faults=embedding_faults
    ) as provider:
        run = _run(
            tmp_path,
            "--question",
            "Why?",
            OPENAI_API_KEY="key",
            OPENAI_BASE_URL=provider.base_url,
        )

    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert f"{variable} names another" in run.stderr


def test_a_key_that_cannot_be_sent_is_one_clear_line(tmp_path: Path) -> None:
    run = _run(tmp_path, "--question", "Why?", OPENAI_API_KEY="schlüssel")

    assert run.returncode == 2
    assert run.stderr == "error: cannot use the OpenAI API: UnicodeEncodeError\n"


def test_the_offline_demo_passes_every_proxy_by(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        "--question",
        "How long is a gift card valid?",
        HTTP_PROXY="http://127.0.0.1:9",
        OPENAI_PROXY="http://127.0.0.1:9",
        ALL_PROXY="socks5://127.0.0.1:9",
    )

    assert run.returncode == 0, run.stderr
    assert "4 years" in run.stdout
    assert run.stderr == ""


def test_a_broken_embedding_model_on_disk_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "models" / "all-MiniLM-L6-v2").mkdir(parents=True)

    run = _run(tmp_path, "--question", "How long is a gift card valid?")

    assert run.returncode == 0, run.stderr
    assert "Embeddings: spelling only." in run.stdout


def test_lines_are_not_wrapped(tmp_path: Path) -> None:
    missing = tmp_path / ("long" * 30)

    run = _run(tmp_path, "--docs", str(missing), "--question", "Why?", COLUMNS="80")

    assert run.stderr == f"error: --docs {missing}: does not exist\n"


def test_with_a_key_it_talks_to_the_users_provider(tmp_path: Path) -> None:
    with start_provider(DATA) as provider:
        run = _run(
            tmp_path,
            "--question",
            "How long is a gift card valid?",
            OPENAI_API_KEY=provider.api_key,
            OPENAI_BASE_URL=provider.base_url,
        )

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Answers by gpt-4o-mini and gpt-4o at http://")
    assert "4 years" in run.stdout
    total = next(line for line in run.stdout.splitlines() if " total " in line)
    assert int(total.split()[2]) == provider.calls


def test_embeddings_that_fail_in_the_middle_are_one_clear_line(
    tmp_path: Path,
) -> None:
    respond = Understudy(Script.read(DATA)).respond
    faults = (None, None, None, *[_NO_MODEL] * 20)
    with ScriptedProvider(respond=respond, embedding_faults=faults) as provider:
        run = _run(
            tmp_path,
            "--question",
            "How long is a gift card valid?",
            OPENAI_API_KEY=provider.api_key,
            OPENAI_BASE_URL=provider.base_url,
        )

    assert run.returncode == 2
    assert run.stderr == (
        "error: 1 of 1 questions got no answer: HTTP 404 (NotFoundError)\n"
    )
    assert "No answer: HTTP 404 (NotFoundError)." in run.stdout


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own module
        COMMAND,
        env=_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("guard: "):
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Interrupted." in output
    assert "total" in output
    assert "Traceback" not in output + errors
