"""The digest of failed ideas, and prompts that do not grow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.refine import Criteria, RefineRound, RevisionRequest
from langchain_prodpatterns.refine.ideas import LONGEST, failed_ideas
from langchain_prodpatterns.testing import ScriptedRequest
from langchain_prodpatterns.usage import NO_USAGE
from tests.unit_tests.refine.scripts import (
    Cast,
    always_new,
    chain_of,
    kind,
    refine,
    sections,
)


def entry(number: int, draft: Any, *, accepted: bool = False) -> RefineRound:
    return RefineRound(
        number=number,
        draft=draft,
        scores=(),
        feedback=("too long", "dull"),
        accepted=accepted,
        reason="worse by score",
        usage=NO_USAGE,
        seconds=0.0,
    )


ROUNDS = [
    entry(0, "one\ntwo", accepted=True),
    entry(1, "one\nthree"),
    entry(2, None),
    entry(3, "two"),
    entry(4, "one\nfour\nfive"),
]


def test_what_is_new_in_a_failed_revision_is_told() -> None:
    assert failed_ideas(ROUNDS, "one\ntwo", 5) == (
        "three (worse by score: too long; dull)",
        "the same with something left out (worse by score: too long; dull)",
        "four / five (worse by score: too long; dull)",
    )


@pytest.mark.parametrize("most", [0, 1, 2])
def test_only_the_latest_are_told(most: int) -> None:
    told = failed_ideas(ROUNDS, "one\ntwo", most)
    assert told == failed_ideas(ROUNDS, "one\ntwo", 9)[3 - most :]


@given(st.lists(st.text(max_size=2_000), max_size=6), st.integers(0, 4))
def test_the_digest_is_bounded(drafts: list[str], most: int) -> None:
    rounds = [entry(number, draft) for number, draft in enumerate(drafts)]
    told = failed_ideas(rounds, "best", most)
    assert len(told) == min(most, len(drafts))
    assert all(len(line) <= 2 * LONGEST + 50 for line in told)


def prompts_of(**kwargs: Any) -> list[ScriptedRequest]:
    """The requests for revisions, none of which is ever better."""
    model = Cast(marks=lambda _: [2], revise=always_new()).model()
    chain = chain_of(model, Criteria("fun"), max_rounds=12, patience=13, **kwargs)
    assert refine(chain).stop_reason == "max_rounds"
    asked = [ScriptedRequest("", r.messages, r.params) for r in model.requests]
    return [request for request in asked if kind(request) == "revise"]


def test_prompts_do_not_grow_with_the_rounds() -> None:
    assert len({len(request.prompt_text) for request in prompts_of()}) == 1


def test_failed_ideas_are_told_as_data_and_do_not_grow_for_ever() -> None:
    requests = prompts_of(failed_ideas=2)
    assert "failed_ideas" not in sections(requests[0])
    assert sections(requests[5])["failed_ideas"].splitlines() == [
        "- draft 4 (no test shows it to be better: fun: 2 of 5. go on)",
        "- draft 5 (no test shows it to be better: fun: 2 of 5. go on)",
    ]
    sizes = [len(request.prompt_text) for request in requests[2:]]
    assert max(sizes) - min(sizes) <= 4  # numbers of two digits


def test_a_reviser_of_the_users_own_is_told_too() -> None:
    told: list[tuple[str, ...]] = []
    numbers = iter(range(9))

    def revise(request: RevisionRequest) -> str:
        told.append(request.failed_ideas)
        return f"idea {next(numbers)}"

    chain = chain_of(
        Cast().model(), lambda _: False, reviser=revise, failed_ideas=1, max_rounds=2
    )
    refine(chain)
    assert told == [
        (),
        ("idea 0 (no test shows it to be better: <lambda>: not passed)",),
    ]
