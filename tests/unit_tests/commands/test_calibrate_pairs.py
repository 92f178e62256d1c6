"""Labeled pairs, and pairs that traces propose."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.calibration import LabeledPair
from langchain_prodpatterns.commands import calibrate_pairs
from langchain_prodpatterns.commands.calibrate_pairs import (
    Asked,
    propose,
    read_row,
    sorted_rows,
)
from langchain_prodpatterns.commands.calibrate_rows import BadRow, LeftOut
from langchain_prodpatterns.errors import ConfigurationError

PAIR = {"new_question": "a", "stored_question": "b", "same_answer": "yes"}
RUN = {"run_type": "chain", "inputs": {"question": "q"}, "outputs": {"output": "x"}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (PAIR, LabeledPair("a", "b", same_answer=True)),
        (
            {**PAIR, "same_answer": 0, "answer": "c"},
            LabeledPair("a", "b", same_answer=False, stored_answer="c"),
        ),
        ({"question": "q"}, Asked("q")),
        ({"question": "q", "answer": "x"}, Asked("q", "x")),
        (RUN, Asked("q", "x")),
    ],
)
def test_a_row_is_a_pair_a_question_or_a_run(fields: Any, expected: Any) -> None:
    assert read_row(fields) == expected


@pytest.mark.parametrize(
    "fields",
    [{}, {"question": 3}, {**PAIR, "same_answer": None}, {**PAIR, "new_question": ""}],
)
def test_all_else_is_a_bad_row(fields: Any) -> None:
    with pytest.raises(BadRow):
        read_row(fields)
    with pytest.raises(LeftOut):
        read_row({**RUN, "error": "x"})


def test_labels_and_questions_are_not_mixed() -> None:
    pair, asked = read_row(PAIR), Asked("q")
    assert sorted_rows([pair]) == ([pair], [])
    assert sorted_rows([asked]) == ([], [asked])
    with pytest.raises(ConfigurationError, match="1 labeled pairs and 2 questions"):
        sorted_rows([pair, asked, asked])


def test_each_question_is_paired_with_the_nearest_earlier_one() -> None:
    asked = [Asked("a", "A"), Asked("b", "B"), Asked("a2"), Asked("b"), Asked("far")]
    vectors = [[1.0, 0.0, 0], [0.0, 2.0, 0], [0.9, 0.1, 0], [0.0, 2.0, 0], [0, 0, 1.0]]

    found = propose(asked, vectors, 0.7)

    assert found.pairs == (
        LabeledPair("a2", "a", same_answer=False, stored_answer="A"),
    )
    assert (found.questions, found.repeated) == (5, 1)


@given(
    st.lists(
        st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=12
    )
)
def test_blocks_change_nothing(vectors: list[list[float]]) -> None:
    asked = [Asked(str(at)) for at in range(len(vectors))]
    whole = propose(asked, vectors, 0.5)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(calibrate_pairs, "_BLOCK", 2)
        small = propose(asked, vectors, 0.5)

    assert [one.new_question for one in small.pairs] == [
        one.new_question for one in whole.pairs
    ]
    for one in whole.pairs:
        new, stored = int(one.new_question), int(one.stored_question)
        assert stored < new
        both = np.array([vectors[new], vectors[stored]], float)
        cosine = both[0] @ both[1] / np.prod(np.linalg.norm(both, axis=1))
        assert cosine >= 0.5 - 1e-6
