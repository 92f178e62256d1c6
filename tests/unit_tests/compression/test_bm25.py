import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.compression.bm25 import bm25, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CATS' goal, scored!", ["the", "cat", "goal", "scored"]),
        ("glass gas is", ["glass", "gas", "is"]),
        ("snake_case 3.5", ["snake", "case", "3", "5"]),
        ("東京都 is big", ["東京", "京都", "is", "big"]),
        ("猫", ["猫"]),
        ("Straße", ["strasse"]),
        ("Tokyo東京", ["tokyo", "東京"]),
        ("𠮷野家", ["𠮷野", "野家"]),
        ("カード。はい", ["カー", "ード", "はい"]),
        ("...", []),
        ("\ud800 x", ["x"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(st.characters(codec="ascii")))
def test_plain_text_is_read_like_any_other(text: str) -> None:
    assert words(f"{text} é") == [*words(text), "é"]


def test_it_is_the_published_formula() -> None:
    passages = [["a", "b"], ["a", "a", "c", "d"], ["e", "f", "g"]]
    scores = bm25(["a"], passages)
    rarity = np.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    for at, (count, length) in enumerate([(1, 2), (2, 4), (0, 3)]):
        damping = 1.5 * (1 - 0.75 + 0.75 * length / 3)
        assert scores[at] == pytest.approx(rarity * count * 2.5 / (count + damping))


def test_memory_grows_with_matches_and_not_with_the_question() -> None:
    query = [f"q{number}" for number in range(20_000)]
    passages = [[f"p{number}", "q7"] for number in range(2_000)]
    tracemalloc.start()
    try:
        scores = bm25(query, passages)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (scores > 0).all()
    # A matrix of both would take 320 MB.
    assert peak < 20_000_000


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    passages = [["rare", "x"], ["common", "x"], ["common", "y"]]
    scores = bm25(["rare", "common"], passages)
    assert scores[0] > scores[1] == scores[2] > 0


def test_a_word_asked_for_twice_counts_once() -> None:
    passages = [["a", "b"], ["b", "c"]]
    assert bm25(["a", "a"], passages).tolist() == bm25(["a"], passages).tolist()


def test_nothing_shared_or_nothing_there() -> None:
    assert bm25(["x"], [["a"], []]).tolist() == [0, 0]
    assert bm25([], [["a"]]).tolist() == [0]
    assert bm25(["a"], []).tolist() == []
    assert bm25(["a"], [[], []]).tolist() == [0, 0]
