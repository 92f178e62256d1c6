"""Right answers that turn wrong: problems of GSM8K, with answers drawn from a seed.

The first answer is right in 60% of the problems. A revision of a right answer is wrong
in 20% of the cases, one of a wrong answer right in 40%, and a critic of style is never
happy, so that right answers are revised as well. The plain loop returns the last.
"""

import gzip
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_script import as_asked, is_comparison, is_critique, verdict

from langchain_prodpatterns.refine import Criteria, RefineChain
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

ROUNDS = 3
FIRST_RIGHT, STAYS_RIGHT, BECOMES_RIGHT = 0.6, 0.8, 0.4

_ANSWER = re.compile(r"The answer is (-?[\d.]+)\.")


@dataclass(frozen=True)
class Problem:
    """A problem and its answer."""

    text: str
    """The problem."""
    target: float
    """The right number."""

    def solved_by(self, text: str) -> bool:
        """Whether a text ends in the right number: what the verifier says."""
        found = _ANSWER.findall(text)
        return bool(found) and float(found[-1]) == self.target


class Student:
    """A model that solves a problem, and changes its mind."""

    def __init__(self, problem: Problem, rng: random.Random) -> None:
        self._problem = problem
        self._rng = rng
        self.first = ""
        """Its first answer."""
        self.model = ScriptedChatModel(respond=self._respond)

    def _respond(self, request: ScriptedRequest) -> Any:
        prompt = request.prompt_text
        if is_critique(prompt):
            return verdict(prompt, marks=[2], feedback="explain it better")
        if is_comparison(prompt):
            return verdict(prompt, better="neither")
        chance = FIRST_RIGHT
        if _ANSWER.search(prompt):
            was_right = self._problem.solved_by(prompt)
            chance = STAYS_RIGHT if was_right else BECOMES_RIGHT
        wrong = self._problem.target + self._rng.randint(1, 9)
        number = self._problem.target if self._rng.random() < chance else wrong
        text = f"{'So. ' * self._rng.randint(1, 9)}The answer is {float(number)}."
        self.first = self.first or text
        return as_asked(prompt, text)


def refined(problem: Problem, model: ScriptedChatModel) -> str:
    """Solve it with `RefineChain` and a verifier."""
    chain = RefineChain(
        model,
        critics=[problem.solved_by, Criteria("easy to follow")],
        max_rounds=ROUNDS,
    )
    return str(chain.invoke(problem.text).text)


def improved(problem: Problem, model: ScriptedChatModel) -> str:
    """Solve it, then ask for an improvement a few times, and return the last."""
    draft = str(model.invoke(problem.text).text)
    for _ in range(ROUNDS):
        draft = str(model.invoke(f"{problem.text}\n\nImprove this:\n{draft}").text)
    return draft


SYSTEMS: dict[str, Callable[[Problem, ScriptedChatModel], str]] = {
    "RefineChain": refined,
    "plain loop": improved,
}


@dataclass
class Solved:
    """What came of all problems."""

    problems: int = 0
    """How many there are."""
    first: int = 0
    """Right at first."""
    final: int = 0
    """Right at the end."""
    spoiled: int = 0
    """Right at first and wrong at the end."""


def load_problems(path: Path) -> list[Problem]:
    """Read the problems."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Problem(row["input"], float(row["target"])) for row in rows]


def solve(system: str, problems: Sequence[Problem]) -> Solved:
    """Let a system solve all problems."""
    solved = Solved()
    for problem in problems:
        student = Student(problem, random.Random(problem.text))
        final = problem.solved_by(SYSTEMS[system](problem, student.model))
        first = problem.solved_by(student.first)
        solved.problems += 1
        solved.first += first
        solved.final += final
        solved.spoiled += first and not final
    return solved
