"""Verdicts that are not lost."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cache.questions import SameAnswerRequest, bind_judge
from langchain_prodpatterns.commands.calibrate_verdicts import Verdicts
from langchain_prodpatterns.errors import ConfigurationError

JUDGE = "my_app:judge"
NAMES = ["one", "two", "three", "four"]


def request(name: str) -> SameAnswerRequest:
    return SameAnswerRequest(
        new_question=f"secret {name}", stored_question="b", stored_answer=""
    )


REQUESTS = [request(name) for name in NAMES]


class Judge:
    """Says yes to every other, and can fail or be interrupted at one."""

    def __init__(self, fails: str = "", interrupted: str = "") -> None:
        self.asked: list[str] = []
        self.fails, self.interrupted = fails, interrupted

    def __call__(self, asked: SameAnswerRequest) -> bool:
        name = asked.new_question.removeprefix("secret ")
        if name == self.interrupted:
            raise KeyboardInterrupt
        self.asked.append(name)
        if name == self.fails:
            raise LookupError
        return name in {"one", "three"}


def ask(verdicts: Verdicts, judge: Judge) -> list[Any]:
    found = verdicts.ask(bind_judge(judge, None), REQUESTS, 1)
    return [None if one.failure else one.yes for one in found]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl.verdicts"


def test_verdicts_come_in_the_order_of_the_pairs_and_are_kept(path: Path) -> None:
    found = ask(Verdicts.open(path, JUDGE, resume=False), Judge())

    head, *lines = map(json.loads, path.read_text("ascii").splitlines())
    assert found == [True, False, True, False]
    assert head == {"format": "prodpatterns-verdicts", "version": 1, "judge": JUDGE}
    assert [one["yes"] for one in lines] == found
    assert "secret" not in path.read_text("ascii")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_interrupt_keeps_what_there_is_and_says_how_to_go_on(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Judge(interrupted="three")
    with pytest.raises(KeyboardInterrupt):
        ask(Verdicts.open(path, JUDGE, resume=False), first)
    told = f"not finished: {len(first.asked)} verdicts are in {path}; --resume"
    assert told in capsys.readouterr().err
    assert {"one", "two"} <= set(first.asked)

    judge = Judge()
    found = ask(Verdicts.open(path, JUDGE, resume=True), judge)

    assert found == [True, False, True, False]
    assert judge.asked == [name for name in NAMES if name not in first.asked]


def test_who_failed_is_asked_again(path: Path) -> None:
    verdicts = Verdicts.open(path, JUDGE, resume=False)
    assert ask(verdicts, Judge(fails="two")) == [True, None, True, False]

    judge = Judge()
    assert ask(Verdicts.open(path, JUDGE, resume=True), judge) == [True, False, True, False]  # fmt: skip
    assert judge.asked == ["two"]


def test_a_half_line_is_cut_off(path: Path) -> None:
    ask(Verdicts.open(path, JUDGE, resume=False), Judge())
    path.write_bytes(path.read_bytes()[:-5])

    judge = Judge()
    ask(Verdicts.open(path, JUDGE, resume=True), judge)

    assert judge.asked == ["four"]
    assert len(path.read_text("ascii").splitlines()) == 5


def test_what_is_there_is_not_lost_by_accident(path: Path) -> None:
    ask(Verdicts.open(path, JUDGE, resume=False), Judge())

    with pytest.raises(ConfigurationError, match="go on with --resume, or remove"):
        Verdicts.open(path, JUDGE, resume=False)
    with pytest.raises(ConfigurationError, match="verdicts of 'my_app:judge', not of"):
        Verdicts.open(path, "other:judge", resume=True)


@pytest.mark.parametrize("text", ["no json\n", "[]\n", '{"format": "x"}\n'])
def test_another_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(
        ConfigurationError, match="something else than verdicts: move it"
    ):
        Verdicts.open(path, JUDGE, resume=True)
    assert path.read_text() == text
    with pytest.raises(ConfigurationError, match="go on with --resume, or remove"):
        Verdicts.open(path, JUDGE, resume=False)


@pytest.mark.parametrize("resume", [True, False])
def test_a_file_in_which_no_verdict_came_is_begun_anew(
    path: Path, *, resume: bool
) -> None:
    path.touch()
    Verdicts.open(path, "other:judge", resume=resume)
    verdicts = Verdicts.open(path, JUDGE, resume=resume)

    assert ask(verdicts, Judge()) == [True, False, True, False]
    assert json.loads(path.read_text("ascii").splitlines()[0])["judge"] == JUDGE


def test_a_line_that_is_none_is_passed_by(path: Path) -> None:
    ask(Verdicts.open(path, JUDGE, resume=False), Judge())
    with path.open("a") as page:
        page.write('garbage\n{"pair": "x", "yes": "y"}\n')

    assert len(Verdicts.open(path, JUDGE, resume=True).known) == 4
