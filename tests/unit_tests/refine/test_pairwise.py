"""The pairwise judge: asked in both orders, and only where it can matter."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns import Judge
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.refine import Criteria, Marks, RefineChain
from langchain_prodpatterns.testing import Fault
from tests.unit_tests.refine.scripts import (
    Cast,
    always_new,
    chain_of,
    middling,
    number_in,
    refine,
)

FULL = "verifier>pairwise>score"
FUN = Criteria("fun")


def better_marks(draft: str) -> list[int]:
    return [min(5, 2 + number_in(draft))]


def higher(first: str, second: str) -> str:
    return "first" if number_in(first) > number_in(second) else "second"


def test_a_preference_that_survives_the_swap_replaces_the_best() -> None:
    cast = Cast(better=higher, marks=better_marks)
    result = refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert result.best.content == "draft 1"
    assert result.rounds[1].reason == "better by pairwise"
    assert cast.asked.count("compare") == 2


@pytest.mark.parametrize("marks", [middling, lambda draft: [4 - number_in(draft)]])
def test_it_is_asked_all_over_again_where_the_score_does_not_agree(marks: Any) -> None:
    cast = Cast(better=higher, marks=marks)
    result = refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert result.rounds[1].reason == "better by pairwise"
    assert cast.asked.count("compare") == 4


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        (["second", "first", "first"], 3),
        (["second", "first", "second", "second"], 4),
    ],
)
def test_a_preference_that_does_not_last_keeps_the_best(
    answers: list[str], asked: int
) -> None:
    script = iter(answers)
    cast = Cast(better=lambda *_: next(script))
    result = refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert result.rounds[1].reason == "worse by pairwise"
    assert cast.asked.count("compare") == asked


@pytest.mark.parametrize("place", ["first", "second"])
def test_a_judge_that_favors_a_place_keeps_the_best(place: str) -> None:
    cast = Cast(better=lambda *_: place)
    result = refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "worse by pairwise"


def test_the_second_order_is_not_asked_where_the_first_settles_it() -> None:
    cast = Cast(better=lambda *_: "first")
    refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert cast.asked.count("compare") == 1


@pytest.mark.parametrize("raw", ["neither", "no json", Fault.server_error()])
def test_without_a_preference_the_score_decides(raw: Any) -> None:
    def marks(draft: str) -> list[int]:
        return [min(4, 1 + number_in(draft))]

    cast = Cast(better=lambda *_: raw, marks=marks)
    result = refine(chain_of(cast.model(), FUN, accept=FULL, max_rounds=1))
    assert result.best.content == "draft 1"
    assert result.rounds[1].reason == "better by score"


def test_without_a_score_step_no_preference_keeps_the_best() -> None:
    cast = Cast(better=lambda *_: "neither", marks=lambda d: [1 + number_in(d)])
    chain = chain_of(cast.model(), FUN, accept="verifier>pairwise", max_rounds=1)
    result = refine(chain)
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "no test shows it to be better"


def test_verifiers_come_first() -> None:
    cast = Cast(better=higher)

    def only_the_first(text: str) -> bool:
        return text == "draft 0"

    chain = chain_of(cast.model(), FUN, only_the_first, accept=FULL, max_rounds=1)
    result = refine(chain)
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "worse by verifier"
    assert "compare" not in cast.asked


def test_a_revision_that_mends_a_verifier_is_compared_where_only_that_counts() -> None:
    cast = Cast(better=higher)

    def mended(text: str) -> bool:
        return text == "draft 1"

    chain = chain_of(cast.model(), FUN, mended, accept="pairwise", max_rounds=1)
    result = refine(chain)
    assert result.best.content == "draft 1"
    assert cast.asked == ["draft", "revise", "judge", "compare", "compare"]


def test_drafts_that_fail_a_verifier_are_not_compared() -> None:
    cast = Cast(better=higher, revise=always_new())

    def never(_: str) -> bool:
        return False

    result = refine(chain_of(cast.model(), FUN, never, accept=FULL))
    assert result.stop_reason == "no_improvement"
    assert cast.asked == ["draft", "revise", "revise"]


def test_without_criteria_nobody_is_asked() -> None:
    cast = Cast(better=higher)

    def never(_: str) -> bool:
        return False

    refine(chain_of(cast.model(), never, accept=FULL))
    assert "compare" not in cast.asked


def test_the_model_of_the_criteria_compares() -> None:
    drafter, judge = Cast(), Cast(better=higher, marks=better_marks)
    criteria = Criteria("fun", model=judge.model())
    refine(chain_of(drafter.model(), criteria, accept=FULL, max_rounds=1))
    assert judge.asked == ["judge", "judge", "compare", "compare"]
    assert drafter.asked == ["draft", "revise"]


def test_the_model_of_a_judge_compares_too() -> None:
    judge = Cast(better=higher, marks=better_marks)
    criteria = Criteria("fun", judge=Judge(judge.model(), "Judge how well", Marks))
    chain = RefineChain(
        reviser=lambda _: "draft 1", critics=[criteria], accept=FULL, max_rounds=1
    )
    assert chain.invoke("draft 0") == "draft 1"
    assert judge.asked == ["judge", "judge", "compare", "compare"]


def test_with_nobody_to_ask_it_cannot_be_built() -> None:
    criteria = Criteria("fun", judge=lambda _: {"marks": [3]})
    with pytest.raises(ConfigurationError, match="accept='verifier>score'"):
        RefineChain(reviser=lambda request: request.draft, critics=[criteria])


def test_both_drafts_are_data() -> None:
    model = Cast(better=higher, marks=better_marks).model()
    refine(chain_of(model, FUN, accept=FULL, max_rounds=1))
    compared = [r for r in model.requests if "Which of two" in str(r.messages[0])]
    assert len(compared) == 2
    for request in compared:
        assert "draft 0" not in str(request.messages[0]["content"])
    first, second = (str(request.messages[1]["content"]) for request in compared)
    assert first.index("draft 0") < first.index("draft 1")
    assert second.index("draft 1") < second.index("draft 0")


@settings(max_examples=40, deadline=None)
@given(
    verdicts=st.lists(st.sampled_from(["first", "second", "neither"]), min_size=12),
    rounds=st.integers(1, 4),
)
def test_only_two_agreeing_verdicts_replace_the_best(
    verdicts: list[str], rounds: int
) -> None:
    given_out: list[tuple[str, str]] = []
    script = iter(verdicts)

    def better(first: str, second: str) -> str:
        verdict = next(script)
        given_out.append((verdict, second if verdict == "second" else first))
        return verdict

    chain = chain_of(
        Cast(better=better).model(),
        FUN,
        accept="verifier>pairwise",
        max_rounds=rounds,
    )
    result = refine(chain)
    for entry in result.rounds[1:]:
        if entry.accepted:
            votes = [
                winner
                for verdict, winner in given_out
                if winner == entry.draft.content and verdict != "neither"
            ]
            assert len(votes) >= 2


async def test_async_compares_alike() -> None:
    cast = Cast(better=higher, marks=better_marks)
    chain = chain_of(cast.model(), FUN, accept=FULL, max_rounds=1)
    result = await chain.ainvoke("write")
    assert result.best.content == "draft 1"
    assert cast.asked == ["draft", "judge", "revise", "judge", "compare", "compare"]
