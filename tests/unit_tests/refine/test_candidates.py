"""Several drafts and revisions at once, the best kept."""

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns import Budget
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.refine import Criteria, RefineChain
from langchain_prodpatterns.testing import Fault, ScriptedChatModel, ScriptedRequest
from tests.unit_tests.patience import PATIENCE
from tests.unit_tests.refine.scripts import (
    Cast,
    chain_of,
    kind,
    number_in,
    refine,
    sections,
)

FUN = Criteria("fun")


def by_number(draft: str) -> list[int]:
    return [1 + number_in(draft) % 5]


def counted() -> Any:
    """Draft or revise to the next number of all."""
    lock, numbers = threading.Lock(), iter(range(100))

    def following(_: Any) -> str:
        with lock:
            return f"draft {next(numbers)}"

    return following


def test_the_best_of_the_first_drafts_is_the_first_draft() -> None:
    drafts = counted()
    cast = Cast(draft=drafts, marks=by_number)
    result = refine(chain_of(cast.model(), FUN, candidates=4, target_score=0.75))
    assert result.best.content == "draft 3"
    assert result.stop_reason == "target_score"
    assert [(r.number, r.candidate) for r in result.rounds] == [
        *((0, 0), (0, 1), (0, 2), (0, 3))
    ]
    # They are written at once: any of the four may have been the last to be numbered.
    (best,) = (r for r in result.rounds if r.accepted)
    assert (best.draft, best.reason) == (result.best, "first draft")
    others = [r.reason for r in result.rounds if r is not best]
    assert others == ["another candidate is better"] * 3


def test_the_best_of_the_revisions_is_weighed_against_the_best() -> None:
    writes = counted()
    cast = Cast(
        draft=writes, revise=lambda _: {"revision": writes(None)}, marks=by_number
    )
    chain = chain_of(cast.model(), FUN, candidates=2, max_rounds=1)
    result = refine(chain)
    assert result.best.content == "draft 3"
    revisions = result.rounds[2:]
    assert [(r.number, r.candidate) for r in revisions] == [(1, 0), (1, 1)]
    assert {r.reason for r in revisions} == {
        "another candidate is better",
        "better by score",
    }
    assert result.usage == sum(
        (entry.usage for entry in result.rounds[1:]), result.rounds[0].usage
    )


def meeting(parties: int) -> Any:
    """A reviser that answers only when all candidates are being written."""
    barrier = threading.Barrier(parties)
    numbers = counted()

    def revise(_: Any) -> str:
        barrier.wait(PATIENCE)
        return str(numbers(None)).replace("draft ", "draft 1")

    return revise


def test_candidates_are_written_at_once() -> None:
    chain = RefineChain(
        reviser=meeting(3),
        critics=[lambda text: len(text) > 100],
        accept="verifier",
        candidates=3,
        max_rounds=1,
        include_rounds=True,
    )
    result = refine(chain, "draft 0")
    assert [entry.number for entry in result.rounds] == [0, 1, 1, 1]


async def test_candidates_are_written_at_once_on_the_event_loop() -> None:
    here: list[int] = []
    all_here = asyncio.Event()

    async def revise(_: Any) -> str:
        here.append(1)
        if len(here) == 3:
            all_here.set()
        await asyncio.wait_for(all_here.wait(), PATIENCE)
        return f"draft {len(here)}{id(asyncio.current_task())}"

    chain = RefineChain(
        reviser=revise,
        critics=[lambda text: len(text) > 100],
        accept="verifier",
        candidates=3,
        max_rounds=1,
        include_rounds=True,
    )
    result = await chain.ainvoke("draft 0")
    assert [entry.number for entry in result.rounds] == [0, 1, 1, 1]


@pytest.mark.parametrize("drafts", [True, False])
async def test_async_callables_also_write_in_sync_calls(*, drafts: bool) -> None:
    async def write(_: Any) -> str:
        await asyncio.sleep(0)
        return "a draft"

    chain = RefineChain(
        write if drafts else None,
        reviser=write,
        critics=[lambda text: text == "a draft"],
        accept="verifier",
    )
    # In a running loop, as in a notebook.
    assert chain.invoke("draft 0") == await chain.ainvoke("draft 0") == "a draft"


def test_the_config_bounds_how_many_are_written_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0
    numbers = counted()

    def revise(_: Any) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return str(numbers(None)).replace("draft ", "draft 1")
        finally:
            with lock:
                running -= 1

    chain = RefineChain(
        reviser=revise, critics=[lambda _: False], accept="verifier", candidates=8
    )
    chain.invoke("draft 0", {"max_concurrency": 1})
    assert most == 1


def test_temperatures_differ_by_candidate() -> None:
    numbers = counted()
    cast = Cast(
        draft=numbers, revise=lambda _: {"revision": numbers(None)}, marks=by_number
    )
    model = cast.model()
    chain = chain_of(
        model, FUN, candidates=3, temperatures=(None, 0.5, 1.0), max_rounds=1
    )
    refine(chain)
    sent: dict[str, list[Any]] = {"draft": [], "revise": [], "judge": []}
    for record in model.requests:
        request = ScriptedRequest("", record.messages, record.params)
        sent[kind(request)].append(record.params.get("temperature"))
    assert sorted(sent["draft"], key=str) == [0.5, 1.0, None]
    assert sorted(sent["revise"], key=str) == [0.5, 1.0, None]
    assert set(sent["judge"]) == {None}


def test_a_candidate_that_is_there_already_is_not_judged() -> None:
    cast = Cast(marks=by_number)
    result = refine(chain_of(cast.model(), FUN, candidates=3, max_rounds=1))
    assert cast.asked.count("judge") == 2
    assert [entry.reason for entry in result.rounds] == [
        "first draft",
        *["unchanged from an earlier draft"] * 2,
        "better by score",
        *["unchanged from an earlier draft"] * 2,
    ]


def test_candidates_that_fail_leave_the_others() -> None:
    drafts = counted()

    def now_and_then(request: Any) -> Any:
        text = drafts(request)
        return Fault.server_error() if text in {"draft 0", "draft 2"} else text

    cast = Cast(draft=now_and_then, marks=by_number)
    result = refine(chain_of(cast.model(), FUN, candidates=3, target_score=0.25))
    assert result.best.content == "draft 1"
    failed = [entry for entry in result.rounds if entry.draft is None]
    assert len(failed) == 2
    assert all("the generator raised" in entry.reason for entry in failed)


def test_no_first_draft_at_all_raises() -> None:
    def fail(_: Any) -> str:
        msg = "no draft today"
        raise RuntimeError(msg)

    chain = RefineChain(
        RunnableLambda(fail),
        critics=[lambda _: False],
        reviser=lambda request: request.draft,
        accept="verifier",
        candidates=3,
    )
    with pytest.raises(RuntimeError, match="no draft today"):
        chain.invoke("write")


def test_revisers_that_all_fail_end_it_with_the_best() -> None:
    cast = Cast(revise=lambda _: Fault.server_error())
    result = refine(chain_of(cast.model(), FUN, candidates=2))
    assert result.stop_reason == "reviser_failed"
    assert result.best.content == "draft 0"


def test_candidates_count_as_attempts() -> None:
    drafts = counted()
    cast = Cast(draft=drafts, marks=by_number)
    chain = chain_of(cast.model(), FUN, candidates=3, budget=Budget(attempts=2))
    result = refine(chain)
    assert [entry.number for entry in result.rounds] == [0, 0]
    assert result.stop_reason == "budget"


def test_a_budget_without_a_call_raises_what_is_spent() -> None:
    chain = chain_of(Cast().model(), FUN, candidates=2, budget=Budget(seconds=1e-9))
    with pytest.raises(BudgetSpent):
        chain.invoke("write")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    candidates=st.integers(1, 4),
    calls=st.integers(1, 20),
    attempts=st.integers(1, 12),
)
def test_no_budget_is_overshot_and_nothing_is_worse_than_the_first(
    seed: int, candidates: int, calls: int, attempts: int
) -> None:
    lock, numbers = threading.Lock(), iter(range(seed, seed + 10_000, 7))

    def fresh() -> str:
        with lock:
            return f"draft {next(numbers) % 1_000}"

    def respond(request: ScriptedRequest) -> Any:
        asked = kind(request)
        if asked == "draft":
            return fresh()
        return {"revision": fresh()} if "draft" in sections(request) else ""

    def even(text: str) -> float:
        return number_in(text) % 5 / 5

    model = ScriptedChatModel(respond=respond)
    chain = chain_of(
        model,
        even,
        candidates=candidates,
        budget=Budget(calls=calls, attempts=attempts),
        max_rounds=5,
    )
    result = refine(chain)
    assert len(model.requests) <= min(calls, attempts)
    best = even(result.best.content)
    scores = [entry.score for entry in result.rounds if entry.score is not None]
    assert best == max(scores)
