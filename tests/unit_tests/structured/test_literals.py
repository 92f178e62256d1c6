"""Words and numbers of other languages than JSON."""

from typing import Any

import pytest

from langchain_prodpatterns.structured.literals import (
    NO_LITERAL,
    as_literal,
    as_number,
    completed,
)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("TRUE", True),
        ("None", None),
        ("undefined", None),
        ("Nan", NO_LITERAL),
        ("x", NO_LITERAL),
    ],
)
def test_literals(word: str, value: Any) -> None:
    assert as_literal(word) is value


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("+1", 1),
        ("1_0", 10),
        (".5", 0.5),
        ("2e-", 2),
        ("0.5", 0.5),
        ("-07", "-07"),
        ("1e999", "1e999"),
    ],
)
def test_numbers(literal: str, value: Any) -> None:
    assert as_number(literal) == value


def test_a_number_too_long_to_read_is_a_text() -> None:
    assert as_number("9" * 5_000) == "9" * 5_000


@pytest.mark.parametrize(
    ("word", "whole"), [("t", "true"), ("nul", "null"), ("x", "x"), ("", "")]
)
def test_the_literal_that_a_word_begins(word: str, whole: str) -> None:
    assert completed(word) == whole
