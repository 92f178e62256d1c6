"""Thresholds at a share of false positives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.bounds import clopper_pearson
from langchain_prodpatterns.commands.calibrate_thresholds import (
    Scored,
    harmless_needed,
    standings,
    threshold_at,
)
from langchain_prodpatterns.guard.classifier import Thresholds

scores = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), min_size=1)


@given(scores, st.sampled_from([0.05, 0.2, 0.5, 0.9, 1.0]))
def test_the_threshold_keeps_the_share_and_no_lower_one_does(
    harmless: list[float], rate: float
) -> None:
    threshold = threshold_at(harmless, rate)

    if threshold is None:
        assert clopper_pearson(0, len(harmless)) > rate
        return
    above = sum(score >= threshold for score in harmless)
    # At a score of 1 no threshold lets through: there it is not exceeded.
    assert clopper_pearson(above, len(harmless)) <= rate or threshold == 1.0
    lower = [score for score in harmless if score < threshold]
    if lower:
        more = sum(score >= max(lower) for score in harmless)
        assert clopper_pearson(more, len(harmless)) > rate


def test_so_many_harmless_texts_are_needed() -> None:
    assert harmless_needed(0.01) == 299
    assert threshold_at([0.5] * 298, 0.01) is None
    assert threshold_at([0.5] * 299, 0.01) is not None


def test_sources_are_counted_apart_and_all_at_the_end() -> None:
    texts = [
        Scored(0.9, attack=True, source="b"),
        Scored(0.5, attack=True, source="b"),
        Scored(0.1, attack=True, source="b"),
        Scored(0.9, attack=False, source="a"),
        Scored(0.5, attack=False, source="a"),
        Scored(0.1, attack=False),
    ]

    found = standings(texts, Thresholds(0.4, 0.8))

    assert [one.source for one in found] == ["a", "b", "all"]
    harmless, attacks, everything = found
    assert (harmless.harmless, harmless.false_positives, harmless.in_doubt) == (2, 1, 1)
    assert (attacks.attacks, attacks.found, attacks.found_or_in_doubt) == (3, 1, 2)
    assert (everything.harmless, everything.attacks) == (3, 3)
    assert everything.false_positives_at_most == clopper_pearson(1, 3)
    assert everything.found_at_least == pytest.approx(1 - clopper_pearson(2, 3))
    assert harmless.cells() == ("a", "2", "1", "97.5%", "1", "0", "0", "-", "0")
    assert everything.record()["found_at_least"] == everything.found_at_least
