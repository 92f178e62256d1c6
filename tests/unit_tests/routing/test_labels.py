"""Labeled queries in the forms that users have."""

from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.labels import Label, Lesson, read_labels

NAMES = ["a", "b"]
EXPECTED = (Label("one", "a"), Label("two", "b"), Label("three", None))


@pytest.mark.parametrize(
    "examples",
    [
        [("one", "a"), ("two", "b"), ("three", None)],
        (["one", "a"], ["two", "b"], ["three", None]),
        {"one": "a", "two": "b", "three": None},
        {"a": ["one"], "b": ["two"], None: ["three"]},
        [(" one ", "a"), ("two", "b"), ("three", None), ("one", "a")],
    ],
)
def test_pairs_and_mappings_are_labels(examples: Any) -> None:
    assert read_labels(examples, NAMES) == EXPECTED


def test_an_iterator_will_do() -> None:
    assert read_labels(iter([("one", "a")]), NAMES) == EXPECTED[:1]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "examples is empty"),
        ("one", "must be pairs .* got str"),
        (3, "must be pairs .* got int"),
        (["one"], "example 0 must be a pair .* got str"),
        ([("one", "a"), ("two",)], "example 1 must be a pair"),
        ([(" ", "a")], "query of example 0 must be a text"),
        ([(3, "a")], "query of example 0 must be a text"),
        ([("one", "c")], r"example 0 is labeled 'c', but the tools are \['a', 'b'\]"),
        ([("one", "a"), ("one", None)], "labeled twice, with 'a' and with None"),
    ],
)
def test_what_is_no_label_is_refused(examples: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_labels(examples, NAMES)


def test_a_refusal_does_not_quote_the_query() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_labels([("my card is 4111", "c")], NAMES)

    assert "4111" not in str(caught.value)


def test_a_label_of_a_tool_that_is_gone_is_none() -> None:
    lesson = Lesson(EXPECTED, np.eye(3, dtype=np.float32))

    assert lesson.numbered(["b"]).owners.tolist() == [-1, 0, -1]
    assert lesson.numbered(NAMES).owners.tolist() == [0, 1, -1]


def test_a_query_in_another_case_or_spacing_is_the_same_query() -> None:
    found = read_labels([("Where  is it", "a"), (" where is IT ", "a")], ["a", "b"])
    assert found == (Label("Where  is it", "a"),)
    with pytest.raises(ConfigurationError, match="labeled twice"):
        read_labels([("Where is it", "a"), ("where is it", "b")], ["a", "b"])


@pytest.mark.parametrize("examples", [[("q", ["a"])], [("q", {})], {"a": 5}])
def test_what_cannot_name_a_tool_is_refused(examples: Any) -> None:
    with pytest.raises(ConfigurationError):
        read_labels(examples, ["a", "b"])
