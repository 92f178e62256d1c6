"""Upper bounds on a probability: exact ones, and those one may look at all the time."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.bounds import (
    anytime_bound,
    clopper_pearson,
    enough,
    evidence_below,
)

RATES = st.floats(0.001, 0.999)


@pytest.mark.parametrize(
    ("count", "total", "confidence", "bound"),
    [
        # Quantiles of the beta distribution, as `scipy.stats.beta.ppf` gives them.
        (0, 1, 0.95, 0.95),
        (0, 100, 0.95, 0.029513049607039925),
        (1, 2, 0.95, 0.9746794344808963),
        (3, 50, 0.95, 0.14783717636418123),
        (10, 100, 0.95, 0.16371762327581477),
        (99, 100, 0.95, 0.9994871985837377),
        (7, 40, 0.99, 0.35646243612638706),
        (7, 40, 0.5, 0.19013542277554465),
        (5000, 10000, 0.95, 0.5082734955962607),
        (1000, 10**9, 0.95, 1.0536030938950858e-06),
        (0, 0, 0.95, 1.0),
        (5, 5, 0.95, 1.0),
    ],
)
def test_clopper_pearson_is_as_in_the_tables(
    count: int, total: int, confidence: float, bound: float
) -> None:
    found = clopper_pearson(count, total, confidence)

    assert found == pytest.approx(bound, rel=1e-6)


@given(st.integers(1, 60), RATES)
def test_clopper_pearson_covers_with_the_confidence_it_claims(
    total: int, rate: float
) -> None:
    missed = sum(
        math.comb(total, count) * rate**count * (1 - rate) ** (total - count)
        for count in range(total + 1)
        if clopper_pearson(count, total) < rate
    )

    assert missed <= 0.05 + 1e-9


@given(st.integers(0, 500), st.integers(1, 500))
def test_more_of_it_raises_the_bounds_and_more_draws_lower_them(
    count: int, more: int
) -> None:
    total = count + more
    for bound in (clopper_pearson, anytime_bound):
        assert count / total <= bound(count, total) <= 1
        assert bound(count, total + 1) <= bound(count, total)
        assert bound(count + 1, total + 1) >= bound(count, total) - 1e-12


@given(RATES, st.floats(0, 1), st.integers(0, 200), st.integers(0, 200))
def test_no_draw_is_expected_to_add_evidence_against_the_truth(
    rate: float, excess: float, wrong: int, right: int
) -> None:
    true = rate + excess * (1 - rate)
    total = wrong + right
    now = evidence_below(wrong, total, rate)
    after_right = evidence_below(wrong, total + 1, rate) - now
    after_wrong = evidence_below(wrong + 1, total + 1, rate) - now

    expected = (1 - true) * math.exp(after_right) + true * math.exp(after_wrong)
    assert expected <= 1 + 1e-9


@given(RATES, st.floats(0, 1), st.integers(0, 50), st.integers(0, 50))
def test_estimated_errors_count_as_little_evidence_as_counted_ones(
    rate: float, part: float, wrong: int, right: int
) -> None:
    """A draw that is wrong with a known chance is worth no more than its expectation."""
    total = wrong + right
    drawn = math.log(
        (1 - part) * math.exp(evidence_below(wrong, total + 1, rate))
        + part * math.exp(evidence_below(wrong + 1, total + 1, rate))
    )

    assert evidence_below(wrong + part, total + 1, rate) <= drawn + 1e-9


@given(st.integers(0, 300), st.integers(1, 300), RATES, RATES)
def test_a_higher_rate_is_easier_to_rule_out(
    wrong: int, right: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))

    weaker = evidence_below(wrong, wrong + right, low)
    assert weaker <= evidence_below(wrong, wrong + right, high) + 1e-9


@given(st.floats(0, 1e7), st.floats(0, 1e7), RATES)
def test_the_evidence_is_always_a_number(
    wrong: float, right: float, rate: float
) -> None:
    assert not math.isnan(evidence_below(wrong, wrong + right, rate))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 0.8])
def test_the_anytime_bound_holds_however_often_one_looks(rate: float) -> None:
    """Exactly: the chance that the bound was below the true rate at any of 400 looks."""
    alive, fell = {0: 1.0}, 0.0
    for total in range(1, 401):
        drawn: dict[int, float] = {}
        for wrong, chance in alive.items():
            drawn[wrong] = drawn.get(wrong, 0.0) + chance * (1 - rate)
            drawn[wrong + 1] = drawn.get(wrong + 1, 0.0) + chance * rate
        alive = {}
        for wrong, chance in drawn.items():
            # As the bound is the least rate that the evidence rules out.
            if evidence_below(wrong, total, rate) >= enough():
                fell += chance
            else:
                alive[wrong] = chance

    assert 0 < fell <= 0.05


def test_looking_all_the_time_costs_a_fixed_bound_its_confidence() -> None:
    """Why verdicts are weighed as they are: peeking at Clopper-Pearson is wrong."""
    rng, rate = random.Random(7), 0.1

    def ever_below(bound: object) -> int:
        assert callable(bound)
        fell = 0
        for _ in range(100):
            wrong = 0
            for total in range(1, 301):
                wrong += rng.random() < rate
                if total % 10 == 0 and bound(wrong, total) < rate:
                    fell += 1
                    break
        return fell

    assert ever_below(clopper_pearson) > 10
    assert ever_below(anytime_bound) <= 5


@given(st.integers(0, 200), st.integers(1, 2000))
def test_the_anytime_bound_is_where_the_evidence_begins_to_be_enough(
    wrong: int, right: int
) -> None:
    total = wrong + right
    bound = anytime_bound(wrong, total)

    assert bound >= clopper_pearson(wrong, total)
    if bound < 0.999:
        assert evidence_below(wrong, total, bound + 1e-9) >= enough() - 1e-6
        assert evidence_below(wrong, total, bound - 1e-6) < enough()


@pytest.mark.parametrize(
    ("wrong", "total"), [(0, 0), (3, 3), (10**6 - 1, 10**6), (0, 10**12), (2.5, 2.0)]
)
def test_the_bounds_of_extreme_counts_are_chances(wrong: float, total: int) -> None:
    assert 0 < anytime_bound(wrong, total) <= 1


def test_a_bound_on_many_draws_looks_only_where_there_is_something_to_sum() -> None:
    # A sum over all of them would take minutes.
    assert clopper_pearson(5 * 10**8, 10**9) == pytest.approx(0.5, abs=1e-4)
