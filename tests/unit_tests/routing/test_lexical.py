"""BM25 over routes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.routing.lexical import Lexicon, words

TEXTS = st.text(alphabet="abc ", max_size=12)


def test_words_have_no_case_and_no_punctuation() -> None:
    assert words("Where's ORDER-12, Straße?") == [
        "where",
        "s",
        "order",
        "12",
        "strasse",
    ]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    lexicon = Lexicon([["the parcel"], ["the refund"], ["the weather"]])

    parcel, refund, weather = lexicon.scores("the parcel")

    assert parcel > 2 * refund
    assert refund == weather > 0


def test_words_that_nobody_knows_lower_the_share() -> None:
    lexicon = Lexicon([["parcel"], ["refund"]])

    assert lexicon.scores("parcel")[0] > lexicon.scores("parcel zebra giraffe")[0]
    assert lexicon.scores("zebra").tolist() == [0, 0]


def test_a_word_said_twice_counts_once() -> None:
    lexicon = Lexicon([["parcel"], ["refund"]])

    assert lexicon.scores("parcel parcel").tolist() == lexicon.scores("parcel").tolist()


def test_no_words_are_no_error() -> None:
    assert Lexicon([["?!"], ["..."]]).scores("!").tolist() == [0, 0]


@given(texts=st.lists(st.lists(TEXTS, max_size=3), min_size=1, max_size=4), query=TEXTS)
def test_shares_are_between_0_and_1(texts: list[list[str]], query: str) -> None:
    scores = Lexicon(texts).scores(query)

    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    assert scores.max() <= 1.001
