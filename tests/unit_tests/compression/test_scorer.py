from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.compression import EvidenceScorer, Passage, Scorer
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
    assert both.score("hoop", SHARED, similarity).tolist() == [0, 1, 0.4]


def test_equal_similarities_leave_it_to_the_words() -> None:
    scores = EvidenceScorer().score("scored early", SHARED, np.full(3, 0.5))
    assert scores.argmax() == 0


def test_the_title_counts_for_every_passage() -> None:
    passages = [passage("It fell by a tenth.", 0, "Revenue"), passage("It rose.", 1)]
    assert EvidenceScorer().score("revenue", passages, None).tolist() == [1, 0]
    sections = [passage("It fell.", section="Shop > Revenue"), passage("It rose.", 1)]
    assert EvidenceScorer().score("revenue", sections, None).tolist() == [1, 0]


def test_a_passage_gains_by_the_best_ones_of_its_document() -> None:
    passages = [
        passage("It rained."),
        passage("It was sunny.", 1),
        passage("A goal.", 1),
        passage("Rain."),
    ]
    without = EvidenceScorer(document=0).score("goal", passages, None)
    gained = EvidenceScorer(document=0.4).score("goal", passages, None)
    assert without.tolist() == [0, 0, 1, 0]
    # Half by its best passage, 1, half by the mean of both, 1 / 2.
    assert gained.tolist() == pytest.approx([0, 0.3 / 1.3, 1, 0])


def test_a_document_about_it_beats_one_lucky_sentence() -> None:
    passages = [
        passage("A goal."),
        *[passage("Other words."), passage("Other words.")],
        *[passage("A goal.", 1) for _ in range(3)],
    ]
    scores = EvidenceScorer(document=1, bridge=0).score("goal", passages, None)
    assert scores[0] < scores[3] == scores[4] == scores[5] == 1
    deeper = [*passages, passage("Nothing.", 1)]
    assert EvidenceScorer(document=1, bridge=0).score("goal", deeper, None)[3] == 1


def test_a_document_that_gave_no_passage_is_no_trouble() -> None:
    passages = [passage("A goal.", 3), passage("Rain.", 1)]
    assert EvidenceScorer().score("goal", passages, None).tolist() == [1, 0]


def shares(passages: list[Passage], question: str = "red fox", **weights: Any) -> Any:
    return EvidenceScorer(**weights).score(question, passages, None)


def test_the_further_a_document_leads_the_more_documents_count() -> None:
    clear = [passage("A red fox."), passage("Rain."), passage("Snow.", 1)]
    close = [passage("A red fox."), passage("A red fox.", 1)]
    assert shares(clear)[1] > shares(clear, document=0.6)[1]
    # Twice the weight where the other document says nothing of it.
    assert shares(clear).tolist() == pytest.approx(shares(clear, document=1.2).tolist())
    assert shares(close).tolist() == shares(close, document=0.6).tolist()


def test_the_lead_does_not_count_where_titles_link_documents() -> None:
    linked = [
        passage("A red fox of High Hill."),
        passage("Rain."),
        passage("Snow.", 1, "High Hill"),
    ]
    for title in ("", "High Hill"):
        linked[2] = passage("Snow.", 1, title)
        same = shares(linked).tolist() == shares(linked, document=0.6).tolist()
        assert same is bool(title)
    asked = "red fox on High Hill"
    named = [passage("A red fox."), passage("Rain."), passage("Snow.", 1, "High Hill")]
    assert shares(named, asked).tolist() == shares(named, asked, document=0.6).tolist()


def test_a_document_that_the_question_names_gains() -> None:
    passages = [
        passage("It is tall.", 0, "The Long Road"),
        passage("It is tall.", 1, "The Longest Road"),
    ]
    question = "How tall is the long road?"
    plain = shares(passages, question, sparse=0, named=0)
    named = shares(passages, question)
    assert named[0] - named[1] > plain[0] - plain[1]


def test_a_title_of_many_documents_is_shared_out() -> None:
    def gain(copies: int) -> float:
        passages = [
            passage("A goal in The Long Road."),
            *[passage("Snow.", 1 + n, "The Long Road") for n in range(copies)],
        ]
        scorer = EvidenceScorer(document=0, named=0, bridge=0.6)
        return float(scorer.score("goal", passages, None)[1])

    assert gain(1) == pytest.approx(0.6)
    assert gain(2) == pytest.approx(0.3)


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


@pytest.mark.parametrize("weight", ["sparse", "dense", "document", "named", "bridge"])
def test_weights_are_checked(weight: str) -> None:
    wrong: list[Any] = [-1, float("nan"), float("inf")]
    for value in wrong:
        with pytest.raises(ConfigurationError, match=f"{weight} must be 0 or more"):
            EvidenceScorer(**{weight: value})


def test_passages_are_counted_in_whole_numbers() -> None:
    half: Any = 2.5
    with pytest.raises(ConfigurationError, match=r"bridge_from must be a whole.*2\.5"):
        EvidenceScorer(bridge_from=half)


def test_only_the_weight_of_the_document_can_be_left_to_the_scores() -> None:
    nothing: Any = None
    assert EvidenceScorer(document=None) == EvidenceScorer()
    with pytest.raises(ConfigurationError, match="bridge must be 0 or more, got None"):
        EvidenceScorer(bridge=nothing)
