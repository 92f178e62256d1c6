"""Places in an object's JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.refine.fields import (
    known_places,
    pointer,
    steps_of,
    value_at,
    with_value,
)

DATA = {"title": "t", "lines": [{"text": "a", "n/m": 1}, {"text": "b"}], "~": None}

JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("place", "steps"),
    [
        ("/lines/0/n~1m", ("lines", "0", "n/m")),
        ("lines[0].text", ("lines", "0", "text")),
        ("title", ("title",)),
        ("/~0", ("~",)),
    ],
)
def test_places_are_pointers_or_paths(place: str, steps: tuple[str, ...]) -> None:
    assert steps_of(place) == steps


@pytest.mark.parametrize(
    ("places", "known"),
    [
        (["title"], ("/title",)),
        (["/lines/1/text", "/lines/1/text"], ("/lines/1/text",)),
        (["/lines/1/text", "/lines"], ("/lines",)),
        (["/lines/1/price"], ("/lines/1",)),
        (["/lines/7/text"], ("/lines",)),
        (["/lines/-1"], ("/lines",)),
        ([f"/lines/{'9' * 5_000}/text"], ("/lines",)),
        (["/title", "/elsewhere"], None),
        ([""], None),
        ([], ()),
    ],
)
def test_what_is_not_there_leaves_what_it_would_be_in(
    places: list[str], known: tuple[str, ...] | None
) -> None:
    assert known_places(places, DATA) == known


def test_a_value_is_put_in_its_place_and_nothing_else_moves() -> None:
    before = json.dumps(DATA)
    changed = with_value(DATA, "/lines/0/n~1m", 2)
    assert value_at(changed, "/lines/0/n~1m") == 2
    assert changed["lines"][1] is DATA["lines"][1]  # type: ignore[index]
    assert json.dumps(DATA) == before


@pytest.mark.parametrize(
    "place", ["/nothing", "/lines/9", f"/lines/{'9' * 5_000}", "/lines/x", "/title/a"]
)
def test_where_nothing_is_there_is_no_value(place: str) -> None:
    with pytest.raises(LookupError):
        value_at(DATA, place)


def places_in(value: Any, steps: tuple[int | str, ...] = ()) -> list[str]:
    """Every place in a JSON value but the whole."""
    items: Any = []
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    below = [place for key, item in items for place in places_in(item, (*steps, key))]
    return ([pointer(steps)] if steps else []) + below


@given(JSON)
def test_every_place_is_found_and_can_be_written(value: Any) -> None:
    for place in places_in(value):
        assert known_places([place], value) == (place,)
        assert value_at(with_value(value, place, ["new"]), place) == ["new"]
        assert with_value(value, place, value_at(value, place)) == value
