"""The pure decision, and the guards that inform it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.acceptance import UNSEEN
from langchain_prodpatterns.cache.decision import (
    Band,
    CacheDecision,
    Candidate,
    Outcome,
    Stakes,
    band_of,
    decide,
)
from langchain_prodpatterns.cache.evidence import EDGES, Evidence
from langchain_prodpatterns.cache.promise import Learned
from langchain_prodpatterns.errors import ConfigurationError

BAND = Band(0.8, 0.95)
JUDGED = Stakes(judged=True)
ALONE = Stakes(judged=False)


def learned(
    hi: float = math.inf, *, delta: float = 0.02, judge_error: float = 0.0
) -> Learned:
    """What is learned where every pair from `hi` on was right."""
    right = np.zeros((len(EDGES), 2))
    wrong = np.zeros((len(EDGES), 2))
    right[[edge >= hi for edge in EDGES], 0] = 500
    wrong[[0.9 <= edge < hi for edge in EDGES], 0] = 500 if hi < math.inf else 0
    evidence = Evidence(right, wrong)
    return Learned(delta, UNSEEN, evidence, judge_error)


NOTHING = learned()


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

    assert decide(candidate, BAND, NOTHING, JUDGED).action == with_judge
    assert decide(candidate, BAND, NOTHING, ALONE).action == alone


@pytest.mark.parametrize("stakes", [JUDGED, ALONE])
@pytest.mark.parametrize("band", [BAND, None])
def test_no_candidate_is_a_miss(band: Band | None, stakes: Stakes) -> None:
    assert decide(None, band, NOTHING, stakes).action == "miss"


@given(st.floats(-1, 1), st.booleans(), st.floats(0, 1), st.floats(0, 2))
def test_without_evidence_nothing_is_served_unjudged(
    similarity: float, judged: bool, draw: float, needed: float
) -> None:
    stakes = Stakes(judged, needed, draw)

    assert decide(Candidate(similarity), None, NOTHING, stakes).action != "serve"


def test_from_what_is_learned_on_clean_pairs_are_served() -> None:
    known = learned(0.95)

    assert known.hi == pytest.approx(0.95)
    assert decide(Candidate(0.96), None, known, JUDGED).action == "serve"
    assert decide(Candidate(0.96), None, known, ALONE).action == "serve"
    assert decide(Candidate(0.96, ("order",)), None, known, JUDGED).action == "judge"
    assert decide(Candidate(0.96, ("order",)), None, known, ALONE).action == "miss"
    assert decide(Candidate(0.94), None, known, JUDGED).action == "judge"


@pytest.mark.parametrize("band", [None, BAND])
def test_one_in_twenty_unjudged_hits_is_audited(band: Band | None) -> None:
    known = learned(0.95)
    drawn = [Stakes(judged=True, draw=draw / 1000) for draw in range(1000)]
    decisions = [decide(Candidate(0.97), band, known, stakes) for stakes in drawn]

    audited = [decision for decision in decisions if decision.action == "judge"]
    # Whoever gives a band has decided that himself.
    assert len(audited) == (50 if band is None else 0)
    assert all(decision.audit for decision in audited)
    alone = Stakes(judged=False, draw=0.0)
    assert decide(Candidate(0.97), band, known, alone).action == "serve"


def test_a_verdict_has_to_be_worth_its_price() -> None:
    chance = UNSEEN.chance(0.85, guarded=False)
    near = Candidate(0.85)

    cheap = Stakes(judged=True, needed=chance - 0.01)
    dear = Stakes(judged=True, needed=chance + 0.01)
    assert decide(near, None, NOTHING, cheap).action == "judge"
    missed = decide(near, None, NOTHING, dear)
    assert (missed.action, "not worth" in missed.reason) == ("miss", True)
    # A difference makes a yes less likely.
    guarded = Candidate(0.85, ("number",))
    assert decide(guarded, None, NOTHING, cheap).action == "miss"
    # Costs that are known count with a band, too.
    assert decide(near, BAND, NOTHING, dear).action == "miss"


def test_one_in_fifty_that_is_hardly_worth_it_is_judged() -> None:
    near = Candidate(0.75)
    needed = UNSEEN.chance(0.75, guarded=False) * 2
    drawn = [Stakes(judged=True, needed=needed, draw=n / 1000) for n in range(1000)]

    assert [decide(near, None, NOTHING, s).action for s in drawn].count("judge") == 20
    never = Stakes(judged=True, needed=needed, draw=0.0)
    assert decide(Candidate(0.3), None, NOTHING, never).action == "miss"


def test_a_judge_that_errs_is_watched_until_the_evidence_is_enough() -> None:
    errs = learned(judge_error=0.05)
    drawn = [Stakes(judged=True, draw=n / 1000) for n in range(1000)]
    actions = [decide(Candidate(0.85), None, errs, stakes).action for stakes in drawn]

    assert actions.count("watch") == 250
    assert actions.count("miss") == 750
    reason = decide(Candidate(0.85), None, errs, drawn[-1]).reason
    assert "errs in 5.0%" in reason
    enough = learned(0.84, judge_error=0.05)
    assert decide(Candidate(0.85), None, enough, JUDGED).action in {"judge", "serve"}
    # A band is the user's own decision.
    assert decide(Candidate(0.85), BAND, errs, JUDGED).action == "judge"


@given(
    st.floats(-1, 1),
    st.lists(st.sampled_from(["number", "order"]), unique=True),
    st.booleans(),
)
def test_guards_never_reject_and_never_let_pass(
    similarity: float, guards: list[str], judged: bool
) -> None:
    stakes = Stakes(judged)

    clean = decide(Candidate(similarity), BAND, NOTHING, stakes).action
    guarded = decide(Candidate(similarity, tuple(guards)), BAND, NOTHING, stakes).action

    if guards:
        assert guarded != "serve"
    if judged:
        assert (guarded == "miss") == (clean == "miss")


def test_the_reason_names_the_guards() -> None:
    near = Candidate(0.99, ("number", "order"))

    assert "number, order" in decide(near, BAND, NOTHING, JUDGED).reason


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
        band_of(band, judged=True)  # type: ignore[arg-type]  # what is refused


def test_without_a_judge_a_band_is_needed() -> None:
    with pytest.raises(ValueError, match="needs band"):
        band_of(None, judged=False)


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
