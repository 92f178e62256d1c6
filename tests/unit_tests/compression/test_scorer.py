from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.compression import EvidenceScorer, Scorer
from langchain_prodpatterns.errors import ConfigurationError
from tests.unit_tests.compression.doubles import passage

SHARED = [
    passage("The goal was scored early."),
    passage("Nothing to see here.", 1),
    passage("A goal is a hoop.", 1),
]


def test_it_is_a_scorer_and_the_best_passage_has_one() -> None:
    scorer = EvidenceScorer()
    assert isinstance(scorer, Scorer)
    scores = scorer.score("Who scored the goal?", SHARED, None)
    assert scores.argmax() == 0
    assert scores.max() == 1
    assert scores.min() >= 0


def test_without_a_shared_word_all_have_zero() -> None:
    assert EvidenceScorer().score("xyzzy", SHARED, None).tolist() == [0, 0, 0]
    assert EvidenceScorer().score("", SHARED, None).tolist() == [0, 0, 0]


def test_no_passages() -> None:
    assert EvidenceScorer().score("goal", [], None).tolist() == []


def test_meaning_counts_where_it_is_known() -> None:
    similarity = np.array([0.1, 0.9, 0.1])
    scorer = EvidenceScorer(sparse=0, dense=1, document=0, bridge=0)
    assert scorer.score("goal", SHARED, similarity).tolist() == [0, 1, 0]
    both = EvidenceScorer(dense=1, document=0, bridge=0)
    assert both.score("hoop", SHARED, similarity).tolist() == [0, 1, 0.5]


def test_equal_similarities_leave_it_to_the_words() -> None:
    scores = EvidenceScorer().score("scored early", SHARED, np.full(3, 0.5))
    assert scores.argmax() == 0


def test_the_title_counts_for_every_passage() -> None:
    passages = [passage("It fell by a tenth.", 0, "Revenue"), passage("It rose.", 1)]
    assert EvidenceScorer().score("revenue", passages, None).tolist() == [1, 0]
    sections = [passage("It fell.", section="Shop > Revenue"), passage("It rose.", 1)]
    assert EvidenceScorer().score("revenue", sections, None).tolist() == [1, 0]


def test_a_passage_gains_by_the_best_one_of_its_document() -> None:
    passages = [
        passage("It rained."),
        passage("It was sunny.", 1),
        passage("A goal.", 1),
    ]
    without = EvidenceScorer(document=0).score("goal", passages, None)
    gained = EvidenceScorer(document=0.3).score("goal", passages, None)
    assert without.tolist() == [0, 0, 1]
    assert gained.tolist() == pytest.approx([0, 0.3 / 1.3, 1])


BRIDGE = [
    passage("Anna Bell starred in The Long Road.", 0, "Anna Bell"),
    passage("It was directed by Carl Dorn.", 1, "The Long Road (2001 film)"),
    passage("It was painted by Eve Finch.", 2, "The Short Street"),
]
BRIDGE_QUESTION = "Which film starred Anna Bell, and who made it?"


def test_the_bridge_reaches_the_document_that_is_named() -> None:
    plain = EvidenceScorer(bridge=0).score(BRIDGE_QUESTION, BRIDGE, None)
    bridged = EvidenceScorer().score(BRIDGE_QUESTION, BRIDGE, None)
    assert plain.argmax() == bridged.argmax() == 0
    assert bridged[1] - bridged[2] > plain[1] - plain[2]
    assert bridged[1] > bridged[2]


def test_only_the_best_passages_build_a_bridge() -> None:
    passages = [
        passage("Quick brown fox question words.", 0),
        passage("Weak word mentions Distant Place.", 1),
        passage("Nothing shared at all.", 2, "Distant Place"),
    ]
    question = "quick brown fox question words"
    scorer = EvidenceScorer(bridge_from=1)
    assert scorer.score(question, passages, None)[2] == 0
    assert EvidenceScorer(bridge_from=2).score(question, passages, None)[2] > 0


def test_a_title_too_short_to_be_a_name_builds_no_bridge() -> None:
    passages = [passage("A goal is it.", 0), passage("Clown.", 1, "It (film)")]
    assert EvidenceScorer().score("goal", passages, None)[1] == 0


def test_a_name_inside_a_longer_word_is_not_named() -> None:
    passages = [passage("A goal in Romeo.", 0), passage("Capital.", 1, "Rome")]
    assert EvidenceScorer().score("goal", passages, None)[1] == 0


@pytest.mark.parametrize(
    "weight", ["sparse", "dense", "document", "bridge", "bridge_from"]
)
def test_weights_are_checked(weight: str) -> None:
    wrong: list[Any] = [-1, float("nan"), float("inf")]
    for value in wrong:
        with pytest.raises(ConfigurationError, match=f"{weight} must be 0 or more"):
            EvidenceScorer(**{weight: value})
