"""Scripted critics and revisers that misbehave, and what must hold against them all.

Every draft carries its true quality, which only verifiers know. These show the policy
at work on scripts; they say nothing about the answers of real models.
"""

import random
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns import Budget
from langchain_prodpatterns.refine import (
    Criteria,
    CriteriaRequest,
    RefineChain,
    RefineResult,
    RevisionRequest,
    StopReason,
)
from tests.unit_tests.refine.scripts import number_in

Judged = Callable[[CriteriaRequest], Any]
BEST = 10


def noisy(seed: int) -> Judged:
    draw = random.Random(seed)
    return lambda _: {"marks": [draw.randint(1, 5)]}


def flattering(_: int) -> Judged:
    """Praises every revision more than the one before, whatever it is worth."""
    praise = iter([2, 3, 4, *[4] * 99])
    return lambda _: {"marks": [next(praise)]}


def never_happy(_: int) -> Judged:
    return lambda _: {"marks": [1], "feedback": "not good enough"}


def broken(seed: int) -> Judged:
    draw = random.Random(seed)
    ways: list[Any] = [{"marks": [9]}, "great", None, {"marks": []}, {"marks": [3]}]

    def judge(_: CriteriaRequest) -> Any:
        if draw.random() < 0.5:
            raise RuntimeError
        return draw.choice(ways)

    return judge


def adversarial(_: int) -> Judged:
    """Likes most what is worst."""
    return lambda request: {"marks": [5 - min(4, number_in(request.draft) // 3)]}


CRITICS = [noisy, flattering, never_happy, broken, adversarial]


def reviser(seed: int) -> Callable[[RevisionRequest], Any]:
    """Revises to any quality, repeats itself, gives nothing usable, or raises."""
    draw = random.Random(seed)

    def revise(request: RevisionRequest) -> Any:
        way = draw.random()
        if way < 0.1:
            raise RuntimeError
        if way < 0.2:
            return 7
        if way < 0.3:
            return request.draft
        return f"{draw.randint(0, BEST)} by {draw.random()}"

    return revise


def full_marks(text: str) -> bool:
    return number_in(text) == BEST


def share(text: str) -> float:
    return number_in(text) / BEST


def complaint(text: str) -> str | None:
    return None if number_in(text) == BEST else f"only {number_in(text)}"


def chain_of(
    critic: Callable[[int], Judged], verifier: Any, seed: int, **kwargs: Any
) -> RefineChain:
    judge = Criteria("good", judge=critic(seed))
    return RefineChain(
        reviser=reviser(seed),
        critics=[judge, verifier] if verifier else [judge],
        include_rounds=True,
        **kwargs,
    )


def holds(result: RefineResult) -> None:
    """What is true of every result."""
    assert result.stop_reason in get_args(StopReason)
    accepted = [entry for entry in result.rounds if entry.accepted]
    assert result.best == accepted[-1].draft
    assert [entry.number for entry in result.rounds] == list(range(len(result.rounds)))
    assert result.rounds[0].accepted
    for entry in result.rounds:
        for score in entry.scores:
            assert score.value is None or 0.0 <= score.value <= 1.0


@settings(max_examples=150, deadline=None)
@given(
    critic=st.sampled_from(CRITICS),
    verifier=st.sampled_from([full_marks, share]),
    first=st.integers(0, BEST),
    seed=st.integers(0, 10_000),
    rounds=st.integers(1, 6),
    accept=st.sampled_from(["verifier>score", "verifier"]),
)
def test_never_below_the_first_draft_where_a_verifier_exists(
    critic: Any, verifier: Any, first: int, seed: int, rounds: int, accept: str
) -> None:
    chain = chain_of(critic, verifier, seed, max_rounds=rounds, accept=accept)
    result = chain.invoke(f"{first} first")
    holds(result)
    assert verifier(result.best) >= verifier(f"{first} first")
    assert len(result.rounds) <= rounds + 1


class Outage:
    """A verifier or judge that is down for its first calls."""

    def __init__(self, check: Callable[[Any], Any], calls: int) -> None:
        self.check = check
        self.calls = calls

    def __call__(self, given: Any) -> Any:
        self.calls -= 1
        if self.calls >= 0:
            raise ConnectionError
        return self.check(given)


def honest(request: CriteriaRequest) -> Any:
    """Marks a text for what it is worth: 1 of 5 for 0, up to 5 for the best."""
    return {"marks": [1 + number_in(request.draft) * 4 // BEST]}


@settings(max_examples=150, deadline=None)
@given(
    first=st.integers(0, BEST),
    seed=st.integers(0, 10_000),
    judge_down=st.integers(0, 3),
    verifier_down=st.integers(0, 3),
    accept=st.sampled_from(["verifier>score", "verifier", "score"]),
    verifier=st.sampled_from([share, lambda _: True]),
)
def test_never_below_the_first_draft_where_critics_were_down_on_it(
    first: int,
    seed: int,
    judge_down: int,
    verifier_down: int,
    accept: str,
    verifier: Any,
) -> None:
    def critic(_: int) -> Judged:
        return Outage(honest, judge_down)

    chain = chain_of(critic, Outage(verifier, verifier_down), seed, accept=accept)
    result = chain.invoke(f"{first} first")
    holds(result)
    worth = honest(CriteriaRequest(task="", draft=f"{first} first"))["marks"]
    assert honest(CriteriaRequest(task="", draft=result.best))["marks"] >= worth


@settings(max_examples=60, deadline=None)
@given(
    critic=st.sampled_from(CRITICS),
    verifier=st.sampled_from([None, complaint]),
    seed=st.integers(0, 10_000),
    calls=st.integers(1, 8),
    accept=st.sampled_from(["verifier>score", "score"]),
)
async def test_a_result_always_comes_back(
    critic: Any, verifier: Any, seed: int, calls: int, accept: str
) -> None:
    kwargs: dict[str, Any] = {"accept": accept, "budget": Budget(calls=calls)}
    one = chain_of(critic, verifier, seed, **kwargs).invoke("3 first")
    other = await chain_of(critic, verifier, seed, **kwargs).ainvoke("3 first")
    holds(one)
    assert (one.best, one.stop_reason) == (other.best, other.stop_reason)
    assert [entry.reason for entry in one.rounds] == [
        entry.reason for entry in other.rounds
    ]


@pytest.mark.parametrize("critic", CRITICS)
def test_right_is_never_made_wrong(critic: Any) -> None:
    """A right first answer, a reviser that always breaks it, and a critic in favor."""
    for seed in range(50):
        criteria = Criteria("good", judge=critic(seed))
        chain = RefineChain(
            reviser=lambda request: f"wrong {len(request.feedback)}",
            critics=[criteria, lambda text: text == "right"],
            accept="verifier>score",
        )
        assert chain.invoke("right") == "right"


def test_the_score_of_the_best_never_falls() -> None:
    for seed in range(100):
        chain = chain_of(noisy, None, seed, accept="score", max_rounds=8)
        result = chain.invoke("5 first")
        scores = [entry.score for entry in result.rounds if entry.accepted]
        assert all(score is not None for score in scores)
        assert scores == sorted(scores, key=lambda score: score or 0.0)


def test_a_critic_that_is_never_happy_costs_two_rounds() -> None:
    numbers = iter(range(1, 100))
    chain = RefineChain(
        reviser=lambda _: f"{next(numbers)}",
        critics=[Criteria("good", judge=never_happy(0))],
        accept="score",
        max_rounds=100,
        include_rounds=True,
    )
    result = chain.invoke("0")
    assert result.stop_reason == "no_improvement"
    assert len(result.rounds) == 3
