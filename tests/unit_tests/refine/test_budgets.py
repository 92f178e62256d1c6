"""A budget ends a refinement, and nothing is overshot but the call in flight."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns import Budget
from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.refine import Criteria, RefineChain, RefineResult
from tests.unit_tests.refine.scripts import (
    Cast,
    always_new,
    chain_of,
    number_in,
    refine,
)

FUN = Criteria("fun")
FULL = "verifier>pairwise>score"


def slowly_better(draft: str) -> list[int]:
    return [min(4, 1 + number_in(draft))]


@settings(max_examples=40, deadline=None)
@given(calls=st.integers(1, 20), accept=st.sampled_from([FULL, "verifier>score"]))
def test_calls_are_never_overshot(calls: int, accept: str) -> None:
    model = Cast(marks=slowly_better, revise=always_new()).model()
    budget = Budget(calls=calls)
    result = refine(chain_of(model, FUN, accept=accept, budget=budget, max_rounds=9))
    assert model.calls <= calls
    assert result.usage.calls == model.calls
    if result.stop_reason == "budget":
        assert model.calls == calls


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 4_000))
async def test_tokens_are_overshot_by_one_call_at_most(tokens: int) -> None:
    model = Cast(marks=slowly_better, revise=always_new()).model()
    chain = chain_of(model, FUN, budget=Budget(tokens=tokens), max_rounds=9)
    result = await chain.ainvoke("write")
    last = model.requests[-1]
    before = result.usage.total_tokens - last.input_tokens - last.output_tokens
    assert before < tokens


def test_money_runs_out() -> None:
    model = Cast(marks=slowly_better, revise=always_new()).model()
    prices = {"scripted": (1_000_000.0, 0.0)}
    budget = Budget(usd=1.0, prices=prices)
    result = refine(chain_of(model, FUN, budget=budget))
    assert result.stop_reason == "budget"
    assert model.calls == 1
    assert result.usage.usd is not None
    assert result.usage.usd >= 1.0


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def start(budget: Budget) -> BudgetMeter:
        return BudgetMeter(budget, lambda: now[0])

    def marks(_: str) -> list[int]:
        now[0] += 10.0
        return [1]

    monkeypatch.setattr(Budget, "start", start)
    model = Cast(marks=marks, revise=always_new()).model()
    result = refine(chain_of(model, FUN, budget=Budget(seconds=15), max_rounds=9))
    assert result.stop_reason == "budget"
    assert [entry.seconds for entry in result.rounds] == [10.0, 10.0]


@pytest.mark.parametrize("limit", range(2, 30))
def test_time_may_run_out_between_any_two_steps(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The clock goes on a second each time that somebody looks at it."""
    ticks = itertools.count()

    def start(budget: Budget) -> BudgetMeter:
        return BudgetMeter(budget, lambda: float(next(ticks)))

    monkeypatch.setattr(Budget, "start", start)
    model = Cast(marks=slowly_better, revise=always_new()).model()
    chain = chain_of(model, FUN, budget=Budget(seconds=limit), accept=FULL)
    try:
        result = refine(chain)
    except BudgetSpent:
        assert model.calls == 0
    else:
        assert result.stop_reason in ("budget", "no_improvement")
        accepted = [entry.draft for entry in result.rounds if entry.accepted]
        assert result.best == accepted[-1]


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_drafts_and_revisions_are_attempts(attempts: int) -> None:
    cast = Cast(marks=slowly_better)
    budget = Budget(attempts=attempts)
    result = refine(chain_of(cast.model(), FUN, budget=budget, max_rounds=9))
    assert result.stop_reason == "budget"
    assert cast.asked.count("draft") == 1
    assert cast.asked.count("revise") == attempts - 1


def test_a_draft_that_was_given_is_no_attempt() -> None:
    cast = Cast(marks=slowly_better)
    chain = RefineChain(
        reviser=cast.model(),
        critics=[FUN],
        budget=Budget(attempts=1),
        include_rounds=True,
    )
    assert len(refine(chain, "draft 0").rounds) == 2


def test_a_critique_cut_short_leaves_the_rest_unscored() -> None:
    cast = Cast(marks=slowly_better)
    chain = chain_of(cast.model(), FUN, Criteria("brief"), budget=Budget(calls=2))
    result = refine(chain)
    assert result.stop_reason == "budget"
    assert [score.note for score in result.rounds[0].scores] == ["", "budget spent"]
    assert result.best.content == "draft 0"


def test_a_revision_whose_critique_is_cut_short_is_not_accepted() -> None:
    cast = Cast(marks=slowly_better)
    chain = chain_of(cast.model(), FUN, budget=Budget(calls=3), max_rounds=1)
    result = refine(chain)
    assert result.stop_reason == "budget"
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "worse by score"


def test_code_costs_no_call_and_a_runnable_does() -> None:
    def free(_: str) -> bool:
        return False

    def result_with(verifier: object) -> RefineResult:
        model = Cast(revise=always_new()).model()
        return refine(chain_of(model, verifier, budget=Budget(calls=3), max_rounds=1))

    assert result_with(free).stop_reason == "max_rounds"
    assert result_with(RunnableLambda(free)).stop_reason == "budget"


async def test_code_is_asked_only_within_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def start(budget: Budget) -> BudgetMeter:
        return BudgetMeter(budget, lambda: now[0])

    def slow(_: str) -> str:
        now[0] += 10.0
        return "no"

    monkeypatch.setattr(Budget, "start", start)
    chain = chain_of(Cast().model(), *[slow] * 5, budget=Budget(seconds=15))
    for result in (refine(chain), await chain.ainvoke("write")):
        notes = [score.note for score in result.rounds[0].scores]
        assert notes == ["", ""] + ["budget spent"] * 3
        assert result.stop_reason == "budget"
        now[0] = 0.0


def test_runs_do_not_share_a_budget() -> None:
    model = Cast(marks=slowly_better).model()
    chain = chain_of(model, FUN, budget=Budget(calls=2))
    results = chain.batch(["a", "b", "c"])
    assert {result.stop_reason for result in results} == {"budget"}
    assert model.calls == 6
