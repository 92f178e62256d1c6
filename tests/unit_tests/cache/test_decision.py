"""The pure decision, and the guards that inform it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.decision import (
    DEFAULT_FLOOR,
    CacheDecision,
    Candidate,
    Outcome,
    Policy,
    decide,
    policy_of,
)
from langchain_prodpatterns.errors import ConfigurationError

JUDGED = Policy(0.8, 0.95, judged=True)
ALONE = Policy(0.8, 0.95, judged=False)


@pytest.mark.parametrize(
    ("similarity", "guards", "with_judge", "alone"),
    [
        (0.95, (), "serve", "serve"),
        (1.0, (), "serve", "serve"),
        (0.9499, (), "judge", "miss"),
        (0.8, (), "judge", "miss"),
        (0.7999, (), "miss", "miss"),
        (0.99, ("number",), "judge", "miss"),
        (0.5, ("number",), "miss", "miss"),
        (-1.0, (), "miss", "miss"),
    ],
)
def test_the_band(
    similarity: float, guards: tuple[str, ...], with_judge: str, alone: str
) -> None:
    candidate = Candidate(similarity, guards)

    assert decide(candidate, JUDGED).action == with_judge
    assert decide(candidate, ALONE).action == alone


@pytest.mark.parametrize("policy", [JUDGED, ALONE])
def test_no_candidate_is_a_miss(policy: Policy) -> None:
    assert decide(None, policy).action == "miss"


def test_without_a_band_nothing_is_served_unjudged() -> None:
    policy = policy_of(None, judged=True)

    assert decide(Candidate(1.0), policy).action == "judge"
    assert decide(Candidate(DEFAULT_FLOOR), policy).action == "judge"
    assert decide(Candidate(DEFAULT_FLOOR - 0.001), policy).action == "miss"


@given(
    st.floats(-1, 1),
    st.lists(st.sampled_from(["number", "order"]), unique=True),
    st.booleans(),
)
def test_guards_never_reject_and_never_let_pass(
    similarity: float, guards: list[str], judged: bool
) -> None:
    policy = Policy(0.8, 0.95, judged=judged)

    clean = decide(Candidate(similarity), policy).action
    guarded = decide(Candidate(similarity, tuple(guards)), policy).action

    if guards:
        assert guarded != "serve"
    if judged:
        assert (guarded == "miss") == (clean == "miss")


def test_the_reason_names_the_guards() -> None:
    assert (
        "number, order" in decide(Candidate(0.99, ("number", "order")), JUDGED).reason
    )


@pytest.mark.parametrize(
    "band",
    [
        (0.9, 0.8),
        (-0.1, 0.5),
        (0.5, 1.1),
        (math.nan, 0.9),
        (0.5,),
        "ab",
        0.9,
        (1, 2, 3),
    ],
)
def test_a_band_that_is_none_is_refused(band: object) -> None:
    with pytest.raises(ConfigurationError, match="band must be"):
        policy_of(band, judged=True)  # type: ignore[arg-type]  # what is refused


def test_without_a_judge_a_band_is_needed() -> None:
    with pytest.raises(ValueError, match="needs band"):
        policy_of(None, judged=False)


@pytest.mark.parametrize(
    ("outcome", "hit"),
    [
        ("exact", True),
        ("alias", True),
        ("served", True),
        ("judged hit", True),
        ("miss", False),
        ("judged miss", False),
    ],
)
def test_which_outcomes_are_hits(outcome: Outcome, hit: bool) -> None:
    assert CacheDecision(outcome, "", "p").hit is hit
