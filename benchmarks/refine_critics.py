"""Critics that are noisy, flattering, broken, never happy or hostile, from a seed.

A draft passes some of eight tests and has some style; a revision may gain or lose of
both, with no drift, so that half of them are no better. The verifier counts the tests;
style is what the critics talk about, once all tests pass. Every run with a verifier
draws a budget, too.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refine_script import as_asked, is_comparison, is_critique, section, verdict

from langchain_prodpatterns import Budget
from langchain_prodpatterns.refine import Criteria, RefineChain, RefineResult
from langchain_prodpatterns.testing import Fault, ScriptedChatModel, ScriptedRequest

TESTS = 8
ROUNDS = 3
PRICES = {"scripted": (1.0, 4.0)}
"""Made-up usd per million tokens, in and out."""
ACCURACY = 0.75
"""Of the pairwise judge, a call."""

_PIECE = re.compile(r"draft \d+ passes (\d) tests, style (\d\.\d{3})")


@dataclass(frozen=True)
class Piece:
    """What a draft is worth in truth."""

    tests: int
    """Tests that it passes."""
    style: float
    """From 0 to 1; the higher the better."""

    def text(self, number: int) -> str:
        """Write it down."""
        return f"draft {number} passes {self.tests} tests, style {self.style:.3f}"


def read_piece(text: str) -> Piece:
    """Find a draft in a text."""
    found = _PIECE.search(text)
    assert found is not None  # noqa: S101 - the text is our own
    return Piece(int(found.group(1)), float(found.group(2)))


def mark(style: float) -> int:
    """Return the mark, from 1 to 5, that a style deserves."""
    return 1 + min(4, max(0, int(style * 5)))


class Critic:
    """A model that drafts and revises by chance, and judges as its kind does."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        self._kind = kind
        self._rng = rng
        self._written = 0
        self._favors: dict[frozenset[str], bool] = {}
        self.model = ScriptedChatModel(respond=self._respond)

    def _respond(self, request: ScriptedRequest) -> Any:
        prompt = request.prompt_text
        if self._kind == "broken" and (answer := self._fail(prompt)) is not None:
            return answer
        if is_critique(prompt):
            style = read_piece(section(prompt, "draft")).style
            return verdict(prompt, marks=[self._mark(style)], feedback="more style")
        if is_comparison(prompt):
            pair = [section(prompt, name) for name in ("first", "second")]
            return verdict(prompt, better=("first", "second")[self._prefer(pair)])
        found = read_piece(prompt) if self._written else None
        self._written += 1
        return as_asked(prompt, self._write(found).text(self._written))

    def check(self, text: str) -> float:
        """Count the tests that a draft passes; a broken one fails to, now and then."""
        if self._kind == "broken" and self._rng.random() < 0.2:
            msg = "the test runner is down"
            raise RuntimeError(msg)
        return read_piece(text).tests / TESTS

    def _write(self, last: Piece | None) -> Piece:
        if last is None:
            passed = TESTS if self._rng.random() < 0.5 else self._rng.randint(0, TESTS)
            return Piece(passed, self._rng.random() * 0.99)
        tests = last.tests + self._rng.choice((-2, -1, 0, 0, 0, 1, 2))
        style = last.style + self._rng.gauss(0, 0.2)
        return Piece(min(TESTS, max(0, tests)), min(0.999, max(0.0, style)))

    def _fail(self, prompt: str) -> Any:
        judges = is_critique(prompt) or is_comparison(prompt)
        if not self._written or self._rng.random() < 0.5:
            return None
        garbled = ["I would say 9/10!", '{"marks": [7]}', "", Fault.http(500)]
        return self._rng.choice(garbled if judges else garbled[2:])

    def _mark(self, style: float) -> int:
        if self._kind == "flattering":
            return 5
        if self._kind == "adversarial":
            return mark(1 - style)
        if self._kind in {"noisy", "broken"}:
            return mark(style + self._rng.gauss(0, 0.3))
        return 1  # never happy, and the judges whose preferences alone should count

    def _prefer(self, texts: list[str]) -> int:
        """Return the place of the draft that it prefers, 0 or 1."""
        styles = [read_piece(text).style for text in texts]
        better = int(styles[1] > styles[0])
        if self._kind == "flattering":  # whatever is newer
            numbers = [int(text.split()[1]) for text in texts]
            return int(numbers[1] > numbers[0])
        if self._kind == "adversarial":
            return 1 - better
        if self._kind == "errs by position":
            # Right by itself in the half of the cases where the first is better.
            return 0 if self._rng.random() < 2 * (1 - ACCURACY) else better
        right = self._rng.random() < ACCURACY
        if self._kind == "errs on certain pairs":
            right = self._favors.setdefault(frozenset(texts), right)
        return better if right else 1 - better


KINDS = ("noisy", "flattering", "broken", "never happy", "adversarial")
"""Critics beside a verifier. All compare drafts in their own way; where it is not
theirs to be partial, rightly in 75% of the calls."""
PAIRWISE_KINDS = ("errs by position", "errs by chance", "errs on certain pairs")
"""Ways in which a pairwise judge, alone, can be right in 75% of its calls."""


@dataclass
class Outcomes:
    """What came of many runs."""

    runs: int = 0
    """How many there were."""
    below: int = 0
    """Results that are worth less than the first draft."""
    last_below: int = 0
    """The same, had the last draft been returned."""
    overshot: int = 0
    """Runs that spent more than the budget and the call in flight."""
    failed: int = 0
    """Runs that raised."""

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            self.runs + other.runs,
            self.below + other.below,
            self.last_below + other.last_below,
            self.overshot + other.overshot,
            self.failed + other.failed,
        )


def simulate(kind: str, runs: int, *, verified: bool) -> Outcomes:
    """Run one kind of critic.

    Args:
        kind: The kind.
        runs: How many runs, each with its own seed.
        verified: Whether there is a verifier, whose count of tests is then the worth
            of a draft; otherwise its style is.

    Returns:
        What came of them.
    """
    outcomes = Outcomes()
    for number in range(runs):
        outcomes += _simulate(
            kind, random.Random(f"{kind} {number}"), verified=verified
        )
    return outcomes


def _simulate(kind: str, rng: random.Random, *, verified: bool) -> Outcomes:
    critic = Critic(kind, rng)
    budget = draw_budget(rng) if verified else None
    chain = RefineChain(
        critic.model,
        critics=[*([critic.check] if verified else []), Criteria("style")],
        max_rounds=ROUNDS,
        budget=budget,
        include_rounds=True,
    )
    try:
        result: RefineResult = chain.invoke("write it")
    except Exception:  # noqa: BLE001 - it must not raise, whatever the critics do
        return Outcomes(runs=1, failed=1)
    drafts = [entry.draft.text for entry in result.rounds if entry.draft is not None]
    worth: Callable[[str], float] = (
        (lambda text: read_piece(text).tests)
        if verified
        else (lambda text: read_piece(text).style)
    )
    first = worth(drafts[0])
    return Outcomes(
        runs=1,
        below=worth(result.best.text) < first,
        last_below=worth(drafts[-1]) < first,
        overshot=budget is not None and overshot(budget, critic.model),
    )


def draw_budget(rng: random.Random) -> Budget | None:
    """Draw a limit of one sort, from too tight for one round to ample; or none."""
    sort = rng.choice(("calls", "tokens", "usd", "attempts", "none"))
    if sort == "calls":
        return Budget(calls=rng.randint(1, 12))
    if sort == "tokens":
        return Budget(tokens=rng.randint(1, 3_000))
    if sort == "usd":
        return Budget(usd=rng.uniform(0.0001, 0.004), prices=PRICES)
    return Budget(attempts=rng.randint(1, 4)) if sort == "attempts" else None


def overshot(budget: Budget, model: ScriptedChatModel) -> bool:
    """Say by the model's own records whether more was spent than there was.

    The last call may cross a limit of tokens or usd, as nobody knows what it will cost.
    """
    paid = [record for record in model.requests if record.finished]
    before = paid[:-1]
    tokens_in = sum(record.input_tokens for record in before)
    tokens_out = sum(record.output_tokens for record in before)
    price_in, price_out = PRICES["scripted"]
    usd = (tokens_in * price_in + tokens_out * price_out) / 1e6
    prompts = [str(record.messages) for record in model.requests]
    written = [p for p in prompts if not (is_critique(p) or is_comparison(p))]
    return (
        (budget.calls is not None and len(model.requests) > budget.calls)
        or (budget.tokens is not None and tokens_in + tokens_out >= budget.tokens)
        or (budget.usd is not None and bool(before) and usd >= budget.usd)
        or (budget.attempts is not None and len(written) > budget.attempts)
    )
