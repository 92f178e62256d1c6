"""What all targets do: names, paths, safe texts, copies."""

import copy
import pickle
from datetime import date
from typing import Any, Literal

import pytest

from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
)
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Node,
    Strict,
    Ticket,
    errors_of,
)


@pytest.mark.parametrize("model", [Ticket, TICKET_SCHEMA])
@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "text", '{"a": 1}}'])
def test_what_is_no_json_is_no_json(model: Any, text: str) -> None:
    with pytest.raises(NotJsonError):
        make_target(model).validate_json(text)


def test_paths_lead_through_lists_and_objects() -> None:
    (error,) = errors_of(
        make_target(Node),
        '{"name": "a", "children": [{"name": "b"}, {"name": 7}]}',
    )

    assert error.path == "children[1].name"
    assert error.value == "7"
    assert error.safe == "children[1].name: Input should be a valid string"


def test_safe_texts_hold_no_key_of_the_model() -> None:
    errors = errors_of(make_target(Strict), '{"scores": {"my-secret": "x"}, "leak": 1}')

    assert {error.path for error in errors} == {"scores.my-secret", "leak"}
    assert {error.safe.split(":")[0] for error in errors} == {"scores.*", "*"}


def test_long_values_are_cut() -> None:
    (error,) = errors_of(make_target(int), f'"{"x" * 5000}"')

    assert len(error.value) <= 200


def test_many_errors_are_cut() -> None:
    text = "[" + ",".join(['"x"'] * 500) + "]"

    assert len(errors_of(make_target(list[int]), text)) == 20
    assert len(errors_of(make_target({"items": {"type": "integer"}}), text)) == 20


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Ticket, "Ticket"),
        (Color, "Color"),
        (list[int], "Answer"),
        (TICKET_SCHEMA, "SupportTicket"),
        ({}, "Answer"),
        ({"title": "3d model"}, "Answer"),
    ],
)
def test_the_name(model: Any, name: str) -> None:
    assert make_target(model).name == name


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (str, True),
        (Color, True),
        (Ticket | str, True),
        (Literal["a"], True),
        (Literal[1], False),
        (Ticket, False),
        (int, False),
        ({}, False),
    ],
)
def test_whether_a_bare_word_can_be_a_value(model: Any, text: bool) -> None:
    assert make_target(model).takes_text is text


@pytest.mark.parametrize(
    ("model", "wants"),
    [
        (Ticket, "{"),
        (list[int], "["),
        (Ticket | list[int], "{["),
        ({}, "{["),
        (Node, "{"),
    ],
)
def test_the_bracket_that_is_wanted(model: Any, wants: str) -> None:
    assert make_target(model).wants == wants


@pytest.mark.parametrize(
    ("model", "value", "text"),
    [
        (Ticket, TICKET, '{"title":"broken","priority":"high","count":2}'),
        (Ticket, {"title": "a", "priority": "low"}, '{"title":"a","priority":"low"}'),
        (Color, Color.RED, '"red"'),
        (date, date(2024, 2, 29), '"2024-02-29"'),
        (
            TICKET_SCHEMA,
            {"title": "a", "priority": "low"},
            '{"title":"a","priority":"low"}',
        ),
    ],
)
def test_values_are_rendered(model: Any, value: Any, text: str) -> None:
    assert make_target(model).render(value) == text


def test_what_does_not_fit_is_not_rendered() -> None:
    with pytest.raises(MisfitError):
        make_target(Ticket).render({"title": "a"})


@pytest.mark.parametrize("model", [Ticket, TICKET_SCHEMA])
def test_targets_copy_and_pickle(model: Any) -> None:
    target = make_target(model)
    target.validate_json(VALID)

    for clone in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):  # noqa: S301 - our own bytes
        assert clone.validate_json(VALID) == target.validate_json(VALID)


def test_an_error_of_the_whole_names_it_once() -> None:
    target = make_target(int)
    assert (
        target.error((), "the answer holds no JSON").safe == "the answer holds no JSON"
    )
    assert target.error((), "must be less").safe == "the answer: must be less"
    assert target.error((), "must be 7", safe="refused").safe == "the answer: refused"
