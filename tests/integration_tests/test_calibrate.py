"""`prodpatterns calibrate` as a process that Ctrl-C ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import os, pathlib, signal, threading

from langchain_prodpatterns.testing import LexicalEmbeddings

signal.signal(signal.SIGINT, signal.default_int_handler)
embeddings = LexicalEmbeddings(dimensions=32)
asked = []

def judge(request):
    asked.append(request)
    if len(asked) == 3 and not pathlib.Path("calm").exists():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    with open("asked", "a") as page:
        page.write(request.new_question + chr(10))
    return True
"""
COMMAND = "import sys; from langchain_prodpatterns.cli import main; sys.exit(main())"
ROWS = 200
PATIENCE = 120
"""Seconds after which a process that hangs has failed."""


def calibrate(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["calibrate", "cache", "pairs.jsonl", "--embeddings", "app:embeddings"]
    arguments += ["--judge", "app:judge", "--concurrency", "1", *more]
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_loses_no_verdict_and_resume_asks_for_the_rest(tmp_path: Path) -> None:
    rows = [
        {"new_question": f"q {at}", "stored_question": f"s {at}", "same_answer": True}
        for at in range(ROWS)
    ]
    data = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "pairs.jsonl").write_text(data)
    (tmp_path / "app.py").write_text(APP)

    ended = calibrate(tmp_path, "--out", "cache.json")

    asked = (tmp_path / "asked").read_text().splitlines()
    kept = (tmp_path / "pairs.jsonl.verdicts").read_text().splitlines()
    assert (ended.returncode, ended.stdout) == (130, "")
    assert f"not finished: {len(asked)} verdicts are in pairs.jsonl" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert 3 <= len(asked) == len(kept) - 1 <= ROWS
    assert not (tmp_path / "cache.json").exists()

    (tmp_path / "calm").touch()
    resumed = calibrate(tmp_path, "--out", "cache.json", "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert sorted((tmp_path / "asked").read_text().splitlines()) == sorted(
        f"q {at}" for at in range(ROWS)
    )
    assert (tmp_path / "cache.json").exists()
