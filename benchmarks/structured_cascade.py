"""How many calls of the strong model a checker saves, on recorded answers.

Mixtral-8x7B (weak) and GPT-4 (strong) answered questions of GSM8K; each answer was
recorded with whether it is right (lm-sys/RouteLLM). They are played back to a
`StructuredRetryParser` with the ladder weak, strong, whose validator is the checker.
Where the strong one's answer is refused, too, it is taken all the same, from the error:
it is what a cascade without a budget for more would do.

- `no checker`: nothing is ever wrong, so the weak one answers all.
- `arithmetic`: sees the text alone. It computes every equation in it again, and wants
  the last line to be `####` and a whole number, which is the form of these answers. Its
  rules were written with these answers in view.
- `drawn 90 / 10`: knows what was recorded, refuses 90% of what is wrong and 10% of what
  is right, by chance: what a good judge may be like.
- `perfect`: knows what was recorded. No checker can do better: it is the bound.

`strong` is the share of questions that climb. `for 99%` is the share that is needed for
99% of the strong model's own accuracy: fewer of those that the checker sends up, or, if
all of them do not suffice, more of the others, drawn by chance. In brackets: 95% of
2,000 bootstrap samples of the questions; `-` is out of reach.
"""

import ast
import gzip
import json
import operator
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from shared_data import SHARED

from langchain_prodpatterns import Budget, StructuredOutputError, StructuredRetryParser
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

RECORDED = Path("data/structured/cascade_gsm8k.jsonl.gz")
GOAL = 0.99
SAMPLES = 2_000
_NUMBER = r"-?\$?\d[\d,]{0,15}(?:\.\d{1,10})?"
_EQUATION = re.compile(
    # A result that goes on is a term of its own: `2 * 3 + 1 = 6 + 1 = 7`.
    rf"([-+*/()\d.,$x ]{{3,80}})=\s{{0,3}}({_NUMBER})(?![\d.,]*\s{{0,3}}[-+*/x(%\d])"
)
_LAST = re.compile(rf"####\s{{0,3}}({_NUMBER})\s*\Z")
_SIGNS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ROUNDED = 0.01
"""How far a result may be off: answers are often rounded to cents."""

Row = dict[str, Any]


class Solution(BaseModel):
    """A worked answer."""

    working: str


Checker = Callable[[Solution], str | None]
"""Says what is wrong with an answer, if it sees anything."""


@dataclass(frozen=True)
class Case:
    """One question: whether it climbed, and who was right."""

    climbed: bool
    """Whether the checker refused the weak answer."""
    weak: bool
    """Whether the weak answer is right."""
    strong: bool
    """Whether the strong answer is right."""


def load() -> list[Row]:
    """Load the recorded answers."""
    path = SHARED / RECORDED
    if not path.is_file():
        sys.exit(
            f"{path} is not there: set PRODPATTERNS_SHARED to the folder with data"
        )
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def adds_up(solution: Solution) -> str | None:
    """Check the arithmetic in a text, and that it ends with a whole number."""
    text = solution.working.replace("\\*", "*").replace("\u00d7", "*")
    for term, result in _EQUATION.findall(text):
        computed = compute(term)
        said = float(_plain(result))
        if computed is not None and abs(computed - said) > _ROUNDED:
            return "an equation does not hold"
    last = _LAST.search(text)
    if last is None or not float(_plain(last[1])).is_integer():
        return "the last line is not '####' and a whole number"
    return None


def compute(term: str) -> float | None:
    """Compute a term of numbers; `None` if it is none."""
    plain = _plain(term).replace("x", "*").strip()
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, TypeError, ValueError, ZeroDivisionError):
        return None


def _plain(text: str) -> str:
    return text.replace(",", "").replace("$", "")


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -_value(part)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(left), _value(right))
    msg = "no term of numbers"
    raise ValueError(msg)


def replay(rows: Sequence[Row], checker: Checker) -> list[Case]:
    """Play the answers back to a ladder."""
    parser = StructuredRetryParser(
        Solution,
        [recorded(rows, "weak"), recorded(rows, "strong")],
        budget=Budget(attempts=2),
        validators=[checker],
        include_attempts=True,
    )
    cases = []
    for row in rows:
        try:
            climbed = parser.invoke(row["prompt"]).rung == 1
        except StructuredOutputError:
            climbed = True
        cases.append(Case(climbed, row["weak_correct"], row["strong_correct"]))
    return cases


def recorded(rows: Sequence[Row], name: str) -> ScriptedChatModel:
    """Make a model that answers a question as it was recorded."""
    answers = {row["prompt"]: {"working": row[f"{name}_response"]} for row in rows}

    def respond(request: ScriptedRequest) -> dict[str, str]:
        asked = (one["content"] for one in request.messages if one["role"] == "user")
        return answers[next(asked)]

    return ScriptedChatModel(model=name, respond=respond)


def knowing(rows: Sequence[Row], rng: random.Random, errs: float) -> Checker:
    """Make a checker that knows what was recorded, and errs by chance."""
    passes = {
        row[f"{name}_response"]: row[f"{name}_correct"] != (rng.random() < errs)
        for row in rows
        for name in ("weak", "strong")
    }
    return lambda solution: None if passes[solution.working] else "it is wrong"


def share_climbed(cases: Sequence[Case]) -> float:
    """The share of questions that climbed."""
    return sum(case.climbed for case in cases) / len(cases)


def accuracy(cases: Sequence[Case]) -> float:
    """The share of right answers of the cascade."""
    right = sum(case.strong if case.climbed else case.weak for case in cases)
    return right / len(cases)


def share_needed(cases: Sequence[Case], goal: float = GOAL) -> float | None:
    """The share of strong calls for a share of the strong model's accuracy.

    Between the points weak alone, cascade and strong alone, the accuracy of sending
    some of the questions up by chance is a straight line.

    Returns:
        The share, or `None` where no point reaches it.
    """
    count = len(cases)
    weak = sum(case.weak for case in cases) / count
    strong = sum(case.strong for case in cases) / count
    points = [(0.0, weak), (share_climbed(cases), accuracy(cases)), (1.0, strong)]
    wanted = goal * strong
    if weak >= wanted:
        return 0.0
    for (before, low), (after, high) in pairwise(points):
        if high >= wanted:
            return before + (after - before) * (wanted - low) / (high - low)
    return None


def interval(cases: Sequence[Case], seed: int) -> tuple[float, float]:
    """Where 95% of the bootstrap samples have the share that is needed."""
    rng = random.Random(seed)
    found = []
    for _ in range(SAMPLES):
        needed = share_needed(rng.choices(cases, k=len(cases)))
        found.append(1.0 if needed is None else needed)
    found.sort()
    return found[int(0.025 * SAMPLES)], found[int(0.975 * SAMPLES)]


def report_cascade(seed: int) -> None:
    """Print a line a checker."""
    rows = load()
    rng = random.Random(seed)
    checkers: dict[str, Checker] = {
        "no checker": lambda _: None,
        "arithmetic": adds_up,
        "drawn 90 / 10": knowing(rows, rng, 0.1),
        "perfect": knowing(rows, rng, 0.0),
    }
    weak, strong = (
        sum(row[f"{name}_correct"] for row in rows) / len(rows)
        for name in ("weak", "strong")
    )
    print(
        f"\ncascade of {len(rows)} recorded answers: weak {weak:.1%} right, strong "
        f"{strong:.1%}\n\n{'checker':<14}{'strong':>8}{'right':>8}{'for 99%':>9}"
    )
    for name, checker in checkers.items():
        cases = replay(rows, checker)
        needed = share_needed(cases)
        low, high = interval(cases, seed)
        shown = "-" if needed is None else f"{needed:.0%}"
        print(
            f"{name:<14}{share_climbed(cases):>8.0%}{accuracy(cases):>8.1%}{shown:>9}"
            f"  ({low:.0%} to {high:.0%})"
        )
