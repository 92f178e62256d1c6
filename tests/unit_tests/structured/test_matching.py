"""Words, numbers, yes and no are found in a text where they mean one thing."""

import pytest

from langchain_prodpatterns.structured.matching import (
    EXACT,
    FOUND,
    RECASED,
    as_boolean,
    as_number,
    as_whole,
    boolean_in,
    match_word,
    number_in,
)
from tests.unit_tests.effort import effort_of

SIZES = {
    "LOW": ["LOW", "petit caf\u00e9"],
    "HIGH": ["HIGH"],
    "VERY_HIGH": ["VERY_HIGH"],
}


@pytest.mark.parametrize(
    ("text", "word", "rule"),
    [
        ("LOW", "LOW", EXACT),
        (" `HIGH`. ", "HIGH", EXACT),
        ("very high", "VERY_HIGH", RECASED),
        ("PETIT CAFE", "LOW", RECASED),
        ("It is LOW, I think", "LOW", FOUND),
        ("low or low, perhaps high", "LOW", FOUND),
        ("so: VERY_HIGH", "VERY_HIGH", FOUND),
        ("a very high one", "VERY_HIGH", FOUND),
    ],
)
def test_finds_the_word(text: str, word: str, rule: str) -> None:
    assert match_word(text, SIZES) == (word, rule)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "LOW or HIGH",
        "slow",
        "highest",
        "it is not LOW",
        "isn't high",
        "anything but HIGH",
        "far from high",
        "x" * 30_000,
    ],
)
def test_finds_no_word_where_none_or_two_are_meant(text: str) -> None:
    assert match_word(text, SIZES) is None


def test_a_word_may_begin_a_sentence() -> None:
    labels = {"yes": ["yes"], "no": ["no"]}

    assert match_word("No, yes would be wrong.", labels) is None
    found = match_word("No. A yes is wrong, so no.", labels)
    assert (found.value if found else None) == "no"
    other = match_word("Red, I say.", {"red": ["red"], "Red": ["Red"]})
    assert (other.value if other else None) == "Red"


@pytest.mark.parametrize("word", ["a", "it", "in"])
def test_a_word_of_every_day_that_begins_a_sentence_is_no_answer(word: str) -> None:
    labels = {word: [word], "b": ["b"]}

    found = match_word(f"{word.capitalize()} closer look says b.", labels)

    assert (found.value if found else None) == "b"


def test_a_word_that_is_another_one_in_another_case_is_none() -> None:
    labels = {"Yes": ["Yes"], "YES": ["YES"]}

    assert match_word("yes", labels) is None
    assert match_word("YES", labels) == ("YES", EXACT)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2", "2"),
        ("2.", "2"),
        ("about 2, I think", "2"),
        ("it is -3", "-3"),
        ("-2", None),
        ("\u22122", None),
        ("2 000", None),
        ("it is 1 200", None),
        ("it is 1'002 000", None),
        ("it is -2", None),
        ("3", None),
        ("2.5", None),
        ("from 1/2", None),
        ("2-3", None),
        ("2%", None),
    ],
)
def test_of_a_number_no_sign_is_a_mark(text: str, word: str | None) -> None:
    found = match_word(text, {"2": ["2"], "-3": ["-3"], "200": ["200"]})

    assert (found.value if found else None) == word


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("-4.5", -4.5),
        ("\u22124.5", -4.5),
        ("12,111", 12111),
        ("$1,200.50", 1200.5),
        ("-$5", -5),
        ("1.234.567,89", 1234567.89),
        ("1.234,5", 1234.5),
        ("12,5", 12.5),
        ("1 234", 1234),
        ("1/4", 0.25),
        ("EUR 7", 7),
        ("5 kg", 5),
        ("1e3", 1000.0),
    ],
)
def test_reads_a_number(text: str, number: float) -> None:
    assert as_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "five",
        "$1.5 million",
        "2 K",
        "3 Bn",
        "5 percent",
        "5 per cent",
        "5 crore",
        "1-2",
        "5 or 6",
        "50%",
        "1/0",
        "1.2.3",
        "v2",
        "2024-01-02",
        "1" * 500,
        "1e999",
        "1e999/2",
        "7" * 350 + "/2",
        "1/" + "9" * 150,
    ],
)
def test_reads_no_number_where_it_is_not_sure(text: str) -> None:
    assert as_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is about 42.", 42),
        ("1 cup", 1),
        ("7, yes: 7", 7),
        ("3 or 4", None),
        ("about 3 million of them", None),
        ("none", None),
        ("1/" + "9" * 5_000, None),
        ("It is 1e999.", None),
        ("about 5 k of them", None),
        ("It is minus 5 degrees", None),
        ("Negative $5", None),
        ("10 minus 3", None),
        ("The answer:\n- 5", None),
        ("The answer:\n-5", -5),
        ("- 5", -5),
        ("- one\n- two: 5", 5),
    ],
)
def test_finds_the_one_number_in_a_sentence(text: str, number: int | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("text", "truth"),
    [("yes", True), ("No.", False), ("TRUE", True), ("0", False), ("maybe", None)],
)
def test_reads_yes_and_no(text: str, truth: bool | None) -> None:
    assert as_boolean(text) is truth


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("Answer: **True**", True),
        ("No, it does not.", False),
        ("False. It does not hold true.", None),
        ("I have no idea", None),
        ("not true", None),
    ],
)
def test_finds_yes_and_no_in_a_sentence(text: str, truth: bool | None) -> None:
    assert boolean_in(text) is truth


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        (3, 3),
        (3.0, 3),
        (3.5, None),
        (10**400, 10**400),
        (2.0**53, 2**53),
        (1e23, None),
    ],
)
def test_a_whole_number_is_exact(number: float, whole: int | None) -> None:
    assert as_whole(number) == whole


def test_of_many_words_only_those_that_can_be_there_are_looked_for() -> None:
    labels = {f"WORD_{number}": [f"WORD_{number}"] for number in range(1_000)}
    text = "it may be WORD_7, I think"

    found = match_word(text, labels)
    assert found is not None
    assert found.value == "WORD_7"
    # To make each pattern would take a million calls.
    assert effort_of(lambda: match_word(text, labels)) < 50 * len(labels)
