"""When it stops, decided without any call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.refine.results import (
    RefineResult,
    RefineRound,
    Score,
    Scores,
    StopReason,
)
from langchain_prodpatterns.refine.stopping import PATIENCE, given_up, good_enough
from langchain_prodpatterns.usage import NO_USAGE


def round_of(number: int, *, accepted: bool, draft: str | None = "x") -> RefineRound:
    return RefineRound(number, draft, (), (), accepted, "", NO_USAGE, 0.0)


def rounds_of(pattern: str) -> list[RefineRound]:
    """`a` is accepted, `r` rejected, `f` failed; the first draft comes before."""
    first = round_of(0, accepted=True)
    later = [
        round_of(number, accepted=letter == "a", draft=None if letter == "f" else "x")
        for number, letter in enumerate(pattern, 1)
    ]
    return [first, *later]


def criteria(value: float | None) -> Score:
    return Score("c", "criteria", value)


def verifier(value: float | None) -> Score:
    return Score("v", "verifier", value)


@pytest.mark.parametrize(
    ("scores", "target", "expected"),
    [
        ((verifier(1.0), criteria(1.0)), None, "all_met"),
        ((verifier(1.0), criteria(1.0)), 0.5, "all_met"),
        ((verifier(1.0),), None, "all_met"),
        ((verifier(1.0), criteria(0.75)), None, None),
        ((verifier(1.0), criteria(0.75)), 0.75, "target_score"),
        ((verifier(1.0), criteria(0.75)), 0.76, None),
        # A failing verifier has left the criteria unscored.
        ((verifier(0.0), criteria(None)), 0.1, None),
        ((verifier(0.5),), 0.5, "target_score"),
        ((criteria(None),), 0.1, None),
        # What could not be checked is not met.
        ((verifier(None), criteria(1.0)), None, None),
        ((), None, None),
    ],
)
def test_good_enough(
    scores: Scores, target: float | None, expected: StopReason | None
) -> None:
    assert good_enough(scores, target) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", None),
        ("a", None),
        ("r", None),
        ("ar", None),
        ("ra", None),
        ("rr", "no_improvement"),
        ("arr", "no_improvement"),
        ("rf", "no_improvement"),
        ("fr", "no_improvement"),
        ("ff", "reviser_failed"),
        ("rar", None),
        ("aaaa", None),
        ("aaaaa", "max_rounds"),
        ("rarar", "max_rounds"),
        # The more telling reason comes first.
        ("aaarr", "no_improvement"),
    ],
)
def test_given_up(pattern: str, expected: StopReason | None) -> None:
    assert given_up(rounds_of(pattern), max_rounds=5) == expected


@given(st.text("arf", max_size=20), st.integers(1, 10))
def test_it_never_goes_beyond_the_rounds(pattern: str, max_rounds: int) -> None:
    reason = given_up(rounds_of(pattern), max_rounds)
    if len(pattern) >= max_rounds:
        assert reason is not None
    if reason == "no_improvement":
        assert "a" not in pattern[-PATIENCE:]


def test_the_result_has_the_score_of_its_best() -> None:
    rounds = (
        RefineRound(0, "a", (criteria(0.5),), (), True, "", NO_USAGE, 0.0),
        RefineRound(1, "b", (criteria(0.75),), (), True, "", NO_USAGE, 0.0),
        RefineRound(2, "c", (criteria(0.25),), (), False, "", NO_USAGE, 0.0),
    )
    result = RefineResult("b", rounds, "max_rounds", NO_USAGE)
    assert result.score == 0.75
    assert [entry.score for entry in rounds] == [0.5, 0.75, 0.25]
