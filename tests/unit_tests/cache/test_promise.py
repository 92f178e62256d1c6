"""What evidence allows, and what is said of it."""

import dataclasses
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.bounds import anytime_bound, enough, evidence_below
from langchain_prodpatterns.cache.acceptance import UNSEEN
from langchain_prodpatterns.cache.decision import AUDITED
from langchain_prodpatterns.cache.evidence import EDGES, Cell, Evidence
from langchain_prodpatterns.cache.promise import (
    Learned,
    learn,
    needed_for,
    promise_of,
)

STEPS = len(EDGES)
NONE = Evidence.none()
CELLS = st.dictionaries(
    st.tuples(st.integers(STEPS - 12, STEPS - 1), st.integers(0, 1)),
    st.tuples(st.integers(0, 800), st.sampled_from([0, 0, 0, 1, 2, 30])),
    max_size=12,
)
Cells = dict[tuple[int, int], tuple[int, int]]


def evidence_of(cells: Cells, unseen: dict[int, int] | None = None) -> Evidence:
    right, wrong, missed = np.zeros((3, STEPS, 2))
    for place, (rights, wrongs) in cells.items():
        right[place], wrong[place] = rights, wrongs
    for step, count in (unseen or {}).items():
        missed[step, 0] = count
    return Evidence(right, wrong, missed)


def learned(
    cells: Cells,
    delta: float = 0.02,
    judge_error: float = 0.0,
    unseen: dict[int, int] | None = None,
) -> Learned:
    return Learned(delta, UNSEEN, evidence_of(cells, unseen), judge_error)


TOP, NEXT = STEPS - 1, STEPS - 2


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.02, 0.05, 0.5])
@pytest.mark.parametrize("judge_error", [0.0, 0.05, 0.99])
def test_without_evidence_nothing_is_unjudged(delta: float, judge_error: float) -> None:
    known = Learned(delta, UNSEEN, NONE, judge_error)

    assert known.hi == math.inf
    assert (known.bound(math.inf), known.bound_unaudited(0.9)) == (1, 1)
    assert known.trusted_from == (math.inf if judge_error else 0)


def test_delta_0_serves_nothing_unjudged_whatever_was_seen() -> None:
    known = learned({(TOP, 0): (10**6, 0)}, delta=0.0)

    assert known.hi == math.inf
    assert "delta is 0" in promise_of(known, 0.3, None).reason


@given(CELLS, st.sampled_from([0.01, 0.02, 0.05, 0.2]), st.sampled_from([0.0, 0.05]))
def test_what_is_served_unjudged_has_passed_both_tests(
    cells: Cells, delta: float, judge_error: float
) -> None:
    known = learned(cells, delta, judge_error)
    if known.hi == math.inf:
        return
    evidence, false_yes = known.evidence, judge_error / (1 - judge_error)
    clean = [edge >= known.hi for edge in EDGES]
    right, wrong = evidence.right[clean, 0].sum(), evidence.wrong[clean, 0].sum()
    refused = evidence.wrong.sum()
    served = right + wrong + evidence.right.sum() - right

    in_all = evidence_below(wrong + false_yes * refused, served, delta / 2)
    unjudged = evidence_below(
        wrong * (1 + false_yes), right + wrong, min(0.3, 2.5 * delta)
    )
    assert min(in_all, unjudged) >= enough()
    # So the bound that is told keeps the promise as well.
    assert known.bound(known.hi) <= delta


@given(CELLS, st.integers(1, 10**5))
def test_guarded_pairs_never_count_as_clean(cells: Cells, more: int) -> None:
    guarded = {(step, 1): counts for (step, _), counts in cells.items()}
    assert learned(guarded).hi == math.inf

    # What no guard let pass says nothing of how often the clean ones are wrong.
    top = {(TOP, 0): (60, 9), (TOP, 1): (more, 0)}
    assert learned(top).hi == math.inf


@given(CELLS, st.integers(STEPS - 12, STEPS - 1), st.integers(1, 500))
def test_more_right_judged_answers_never_make_it_stricter(
    cells: Cells, step: int, more: int
) -> None:
    right, wrong = cells.get((step, 1), (0, 0))
    better = {**cells, (step, 1): (right + more, wrong)}

    assert learned(better).hi <= learned(cells).hi


@given(CELLS, st.integers(STEPS - 12, STEPS - 1), st.integers(0, 1))
def test_more_wrong_answers_never_make_it_laxer_where_they_were(
    cells: Cells, step: int, guarded: int
) -> None:
    right, wrong = cells.get((step, guarded), (0, 0))
    worse = {**cells, (step, guarded): (right, wrong + 1_000)}

    # In a guarded cell the judge refuses them: nothing is served wrongly there.
    if guarded:
        assert learned(worse).hi == learned(cells).hi
    else:
        assert learned(worse).hi > EDGES[step]


def test_the_search_ends_at_the_first_cosine_that_fails() -> None:
    cells = {(TOP, 0): (900, 0), (NEXT, 0): (0, 900), (NEXT - 1, 0): (10**6, 0)}

    assert learned(cells).hi == EDGES[TOP]


def test_too_few_at_the_top_do_not_end_it() -> None:
    cells = {(TOP, 0): (3, 0), (NEXT, 0): (900, 0)}

    assert learned(cells).hi == EDGES[NEXT]


def test_it_takes_as_many_right_answers_as_are_named() -> None:
    needed = math.ceil(needed_for(0.01))
    reason = promise_of(learned({}), 0.3, None).reason

    assert f"at least {needed} near hits" in reason
    assert learned({(TOP, 0): (needed, 0)}).hi == EDGES[TOP]
    assert learned({(TOP, 0): (needed // 2, 0)}).hi == math.inf


def test_a_judge_that_errs_makes_it_stricter_and_is_not_trusted_at_once() -> None:
    cells = {(TOP, 0): (600, 0), (20, 0): (300, 300)}
    right, errs = learned(cells), learned(cells, judge_error=0.2)

    assert right.hi == EDGES[TOP]
    assert errs.hi == math.inf
    assert right.trusts(0.5, guarded=True)
    assert not errs.trusts(0.8, guarded=False)
    # Nearly all are right up there: even a judge that lets all pass is.
    assert errs.trusts(0.999, guarded=False)
    assert errs.trusted_from == EDGES[TOP]


def test_audits_stand_for_the_many_that_nobody_judged() -> None:
    """One in twenty unjudged hits is judged: beside all others they would drown."""
    cells = {(TOP, 0): (970, 30), (20, 1): (10_000, 0)}
    judged_all = learned(cells)
    audits = learned(cells, unseen={TOP: 19_000})

    assert judged_all.bound(EDGES[TOP]) < 0.01
    assert judged_all.hi == EDGES[TOP]
    # Of 30,000 served, 20,000 were unjudged, of which 3% are wrong.
    assert audits.bound(EDGES[TOP]) > 0.02
    assert audits.hi == math.inf


def test_what_is_explored_and_watched_stands_for_many_too() -> None:
    """A few wrong ones, of which one in fifty is judged, are not a few."""
    cells = {(TOP, 0): (3_000, 0), (20, 0): (10, 10)}

    assert learned(cells).hi == EDGES[20]
    assert learned(cells, unseen={20: 49 * 20}).hi == EDGES[TOP]
    errs = {(TOP, 0): (3_000, 0), (20, 0): (100, 60)}
    assert learned(errs, judge_error=0.1).trusted_from == EDGES[20]
    watched = learned(errs, judge_error=0.1, unseen={20: 9 * 160})
    assert watched.trusted_from == EDGES[TOP]


def test_what_is_only_explored_is_not_served_unjudged() -> None:
    cells = {(TOP, 0): (3_000, 0), (20, 0): (1, 0)}

    assert learned(cells, unseen={20: 49}).hi == EDGES[TOP]
    assert learned(cells, unseen={20: 19}).hi == EDGES[20]


def test_what_nobody_judged_is_no_evidence_of_its_own() -> None:
    audited = learned({(TOP, 0): (100, 0)}, unseen={TOP: 1_900})

    assert audited.hi == math.inf
    assert audited.bound(EDGES[TOP]) == anytime_bound(0, 100)


@given(CELLS, st.sampled_from([0.0, 0.05]))
def test_nothing_is_served_unjudged_or_trusted_at_cosines_that_nobody_looked_at(
    cells: Cells, judge_error: float
) -> None:
    known = learned(cells, 0.05, judge_error)
    seen = [
        edge
        for edge, n in zip(
            EDGES,
            known.evidence.right.sum(axis=1) + known.evidence.wrong.sum(axis=1),
            strict=True,
        )
        if n
    ]

    assert known.hi in {math.inf, *seen}
    assert known.trusted_from in {0.0, math.inf, *seen}


def test_audits_leave_the_promise_kept_in_the_long_run() -> None:
    """Traffic most of which is wrong a little too often to go unjudged."""
    rng, delta = random.Random(3), 0.05
    cells: Cells = {}
    unseen: dict[int, int] = {}
    known = learned(cells, delta)
    served = wrong = 0
    for round_ in range(60):
        for _ in range(1_000):
            similarity = rng.choice([0.996, 0.991, 0.986, 0.981, 0.976, 0.87])
            bad = rng.random() < (0.075 if similarity > 0.9 else 0.2)
            step = Cell.of(similarity, guarded=False).step
            unjudged = similarity >= known.hi
            audit = unjudged and rng.random() < AUDITED
            if audit or not unjudged:
                right, refused = cells.get((step, 0), (0, 0))
                cells[step, 0] = (right + (not bad), refused + bad)
                unseen[step] = unseen.get(step, 0) + 19 * audit
            # Only the end counts: the first rounds learn.
            if round_ >= 40 and not (bad and (audit or not unjudged)):
                served, wrong = served + 1, wrong + bad
        known = learned(cells, delta, unseen=unseen)

    assert wrong / served <= delta


def test_the_bound_of_a_band_counts_only_what_was_seen_of_it() -> None:
    """Nobody audits a user's band: verdicts below it say nothing of what is above."""
    below = learned({(25, 0): (5_000, 10)})

    assert below.bound_unaudited(0.95) == 1
    assert promise_of(below, 0.0, (0.8, 0.95)).bound == 1
    both = learned({(25, 0): (5_000, 10), (TOP, 0): (90, 10)})
    assert both.bound_unaudited(EDGES[TOP]) == anytime_bound(10, 100, 0.975)
    # A cell that the band divides is served in part.
    assert both.bound_unaudited(1.0) == both.bound_unaudited(EDGES[TOP])
    wrong_judge = learned({(25, 0): (5_000, 1_000), (TOP, 0): (5_000, 0)}, 0.02, 0.5)
    assert wrong_judge.bound_unaudited(EDGES[TOP]) > 0.2
    # What the judge decides below the band is no part of what feedback has shown.
    alone = learned({(TOP, 0): (90, 10)})
    assert alone.bound_unaudited(EDGES[TOP]) == anytime_bound(10, 100, 0.975)


@given(CELLS)
def test_the_bound_is_the_lower_the_less_is_unjudged(cells: Cells) -> None:
    known = learned(cells)
    bounds = [known.bound(hi) for hi in (*EDGES[-12:], math.inf)]

    # By what the judge would refuse there, and counts as served as long as it is not.
    wrong = [known._served_from(hi).clean_wrong for hi in (*EDGES[-12:], math.inf)]
    assert wrong == sorted(wrong, reverse=True)
    assert all(0 < bound <= 1 for bound in bounds)


def test_other_partitions_are_a_start_and_no_more() -> None:
    clean = evidence_of({(TOP, 0): (10**6, 0)})
    start = learn(NONE, clean, NONE, delta=0.02)
    assert start.hi == EDGES[TOP]
    assert start.evidence.total < 1_000

    def with_own(right: int, wrong: int) -> Learned:
        own = evidence_of({(TOP, 0): (right, wrong)})
        return learn(own, clean.plus(own, math.inf), NONE, delta=0.02)

    assert with_own(0, 5).hi == math.inf
    assert with_own(95, 5).hi == math.inf
    assert with_own(1_000, 0).hi == EDGES[TOP]


def test_labeled_pairs_that_are_hints_bend_the_curve_and_are_no_evidence() -> None:
    hints = evidence_of({(TOP, 0): (10**6, 0), (10, 0): (0, 10**6)})
    known = learn(NONE, NONE, hints, delta=0.02)

    assert (known.hi, known.evidence.total) == (math.inf, 0)
    assert known.curve.slope > UNSEEN.slope
    assert known.curve.chance(0.6, guarded=False) < UNSEEN.chance(0.6, guarded=False)
    # As so many pairs of the traffic, and not as a million.
    own = evidence_of({(10, 0): (200, 0)})
    assert learn(own, own, hints, delta=0.02).curve.chance(0.6, guarded=False) > 0.5


def test_it_says_what_is_promised_and_known() -> None:
    nothing = promise_of(learned({}), 0.33, None)
    assert (nothing.hi, nothing.bound, nothing.evidence) == (None, 1, 0)
    assert "nothing was judged yet" in nothing.reason

    much = promise_of(learned({(TOP, 0): (1_000, 0)}), 0.33, None)
    assert much.hi == EDGES[TOP]
    assert much.bound < 0.005
    assert f"unjudged from {EDGES[TOP]:g} on" in much.reason
    assert "1000 verdicts show, with 95% confidence, that at most 0.4%" in much.reason

    band = promise_of(learned({}), 0.33, (0.8, 0.95))
    assert (band.lo, band.hi) == (0.8, 0.95)
    assert "as the band says" in band.reason
    assert all(f.name for f in dataclasses.fields(band))


@pytest.mark.parametrize("rate", [0.005, 0.01, 0.05, 0.3])
def test_enough_right_pairs_show_that_a_rate_is_kept(rate: float) -> None:
    assert evidence_below(0, needed_for(rate), rate) >= enough()
    assert needed_for(0) == math.inf
