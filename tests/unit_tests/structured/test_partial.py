"""What is there so far is told, and nothing else."""

from typing import Any

import pytest

from langchain_prodpatterns.structured.candidates import MAX_RELAXED
from langchain_prodpatterns.structured.partial import read_partial
from langchain_prodpatterns.structured.reading import CUT
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import Ticket


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": [1, {"b": "c', {"a": [1, {"b": "c"}]}),
        ('So: ```json\n["x", "y', ["x", "y"]),
        ('{"a": "b, c}', {"a": "b, c}"}),
        ("fal", False),
        ("12.", 12.0),
        ('"tex', "tex"),
        ('{"a": 1} then {"b": 2', {"b": 2}),
    ],
)
def test_as_far_as_it_goes(text: str, value: Any) -> None:
    assert read_partial(text, make_target({})).value == value


def test_the_form_is_that_of_the_target() -> None:
    reading = read_partial(
        '{"Title": "x", "priority": "HIGH", "cou', make_target(Ticket)
    )

    assert reading.value == {"title": "x", "priority": "high"}
    assert CUT in reading.repairs


def test_the_first_value_if_that_is_preferred() -> None:
    text = '{"a": 1} then {"b": 2'

    assert read_partial(text, make_target({}), "first").value == {"a": 1}


@pytest.mark.parametrize("text", ["", "\n", "x" * (MAX_RELAXED + 1)])
def test_nothing_is_told_where_nothing_is(text: str) -> None:
    assert read_partial(text, make_target({})).kind == "syntax"
