"""High in one and low in the others; never a runner-up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from langchain_prodpatterns.routing.decision import (
    Policy,
    Promise,
    Ranked,
    RouteDecision,
    Standing,
    conclude,
    decide,
)

POLICY = Policy(threshold=0.6, margin=0.2)


def _standing(*similarities: float) -> Standing:
    ranked = sorted(similarities, reverse=True)
    return Standing(tuple(map(Ranked, "abcdefgh", ranked)))


def test_near_and_alone_is_decided() -> None:
    decision = decide(_standing(0.9, 0.3, 0.1), POLICY)

    assert decision == RouteDecision(
        tool="a",
        decided_by="distance",
        confidence=0.9,
        runner_up="b",
        margin=0.6,
        reason="'a' at 0.900 leads 'b' at 0.300",
    )


def test_alone_but_not_near_is_left_open() -> None:
    decision = decide(_standing(0.59, 0.0), POLICY)

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert decision.reason == "'a' at 0.590 is below the threshold of 0.6"
    assert (decision.confidence, decision.runner_up) == (0.59, "b")


def test_near_but_not_alone_is_left_open() -> None:
    decision = decide(_standing(0.95, 0.8), POLICY)

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert decision.reason == "'a' at 0.950 leads 'b' at 0.800 by less than 0.2"
    assert decision.margin == 0.15


@pytest.mark.parametrize("similarities", [(0.6, 0.4), (0.6, 0.3999999)])
def test_the_bars_themselves_are_enough(similarities: tuple[float, float]) -> None:
    assert decide(_standing(*similarities), POLICY).decided_by == "distance"


def test_the_last_bits_of_a_difference_decide_nothing() -> None:
    assert 0.7 - 0.5 < 0.2
    assert decide(_standing(0.7, 0.5), POLICY).decided_by == "distance"


def test_bars_of_zero_are_bars() -> None:
    zero = Policy(threshold=0.0, margin=0.0)

    assert decide(_standing(-0.1, -0.2), zero).tool is None
    assert decide(_standing(0.0, 0.0), zero).tool == "a"


def test_one_route_has_no_margin() -> None:
    decision = decide(_standing(0.7), POLICY)

    assert (decision.tool, decision.runner_up, decision.margin) == ("a", None, None)
    assert decide(_standing(0.5), POLICY).tool is None


def test_nothing_compared_is_nothing_decided() -> None:
    decision = decide(Standing((), "the query is empty"), Policy(-1.0, 0.0))

    assert decision == RouteDecision(
        tool=None, decided_by="none", reason="the query is empty"
    )


def test_a_choice_of_a_lower_rank_has_a_negative_margin() -> None:
    decision = conclude(_standing(0.9, 0.7, 0.1), "b", "llm", "")

    assert (decision.confidence, decision.runner_up) == (0.7, "a")
    assert decision.margin == -0.2


def test_a_choice_that_was_not_ranked_has_no_figures() -> None:
    decision = conclude(Standing(()), "b", "llm", "")

    assert decision.tool == "b"
    assert (decision.confidence, decision.runner_up, decision.margin) == (None,) * 3


def test_a_decision_is_frozen() -> None:
    decision = decide(_standing(0.9, 0.3), POLICY)

    with pytest.raises(ValidationError, match="frozen"):
        decision.tool = "b"  # type: ignore[misc]  # that is the test


cosines = st.floats(-1, 1).map(lambda value: round(value, 6))
standings = st.lists(cosines, min_size=1, max_size=8).map(lambda s: _standing(*s))
policies = st.builds(Policy, threshold=st.floats(-1, 1), margin=st.floats(0, 2))


@given(standings, policies)
def test_the_nearest_or_none(standing: Standing, policy: Policy) -> None:
    decision = decide(standing, policy)

    assert decision.tool in {standing.nearest[0].name, None}
    assert (decision.tool is None) == (decision.decided_by == "none")
    assert decision.confidence == standing.nearest[0].similarity
    assert decision.margin is None or decision.margin >= 0


@given(standings, policies, st.floats(0, 1), st.floats(0, 1))
def test_higher_bars_never_decide_more(
    standing: Standing, policy: Policy, up: float, wider: float
) -> None:
    stricter = Policy(policy.threshold + up, policy.margin + wider)

    if decide(standing, policy).tool is None:
        assert decide(standing, stricter).tool is None


@given(standings, policies, cosines)
def test_one_more_route_never_changes_the_winner_to_another_but_itself(
    standing: Standing, policy: Policy, similarity: float
) -> None:
    before = decide(standing, policy).tool
    more = sorted(
        [*standing.nearest, Ranked("new", similarity)],
        key=lambda each: -each.similarity,
    )

    assert decide(Standing(tuple(more)), policy).tool in {before, None, "new"}


# After a fit.

SURE = Standing((Ranked("a", 0.4), Ranked("b", 0.5)), confidence=0.97)


def test_a_promise_decides_by_confidence_whatever_threshold_and_margin_say() -> None:
    decision = decide(SURE, POLICY, Promise(0.95, 0.9))

    assert decision == RouteDecision(
        tool="a",
        decided_by="distance",
        confidence=0.97,
        runner_up="b",
        margin=-0.1,
        reason="'a' with a confidence of 0.9700 reaches the bar of 0.9000 for a "
        "precision of 0.95",
    )


def test_below_the_bar_nothing_is_decided() -> None:
    near = Standing((Ranked("a", 0.99), Ranked("b", 0.1)), confidence=0.89)

    decision = decide(near, POLICY, Promise(0.95, 0.9))

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert decision.confidence == 0.89
    assert "below the bar of 0.9000" in decision.reason


def test_without_a_bar_nothing_is_decided_and_the_reason_is_told() -> None:
    decision = decide(SURE, POLICY, Promise(0.95, None, "30 more labels are needed"))

    assert (decision.tool, decision.reason) == (None, "30 more labels are needed")


def test_the_confidence_is_about_the_likeliest_tool_alone() -> None:
    assert conclude(SURE, "a", "llm", "").confidence == 0.97
    assert conclude(SURE, None, "none", "").confidence == 0.97
    assert conclude(SURE, "b", "llm", "").confidence is None


def test_a_confidence_that_is_no_number_reaches_no_bar() -> None:
    standing = Standing((Ranked("a", 0.9), Ranked("b", 0.1)), confidence=float("nan"))
    decision = decide(standing, Policy(0.5, 0.1), Promise(0.95, 0.4))
    assert (decision.tool, decision.decided_by) == (None, "none")
