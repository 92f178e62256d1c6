"""Which JSON of a revision belongs to which JSON of the draft."""

from typing import Any

import pytest

from langchain_prodpatterns.refine.matching import contradicted, omits, same_json


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (1, True, False),
        ([0], [False], False),
        (None, None, True),
    ],
)
def test_the_same_json(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same


@pytest.mark.parametrize(
    ("old", "new", "omitted"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, False),
        ({"a": 1}, {}, True),
        ({"a": {"b": 1}}, {"a": {}}, True),
        ({"a": {"b": 1}}, {"a": None}, False),
        ("x", {}, False),
    ],
)
def test_what_an_object_leaves_out(old: Any, new: Any, omitted: bool) -> None:
    assert omits(old, new) is omitted


@pytest.mark.parametrize(
    ("new", "doubt"),
    [
        ([{"n": 1, "t": "x"}, {"n": 2, "t": "y"}], False),
        ([{"n": 8, "t": "x"}, {"n": 9, "t": "y"}], False),
        ([{"n": 2, "t": "x"}, {"n": 1, "t": "y"}], True),
        ([{"n": 1, "t": "b"}, {"n": 2, "t": "y"}], True),
        (["x", "y"], False),
    ],
)
def test_records_that_look_like_another_one(new: list[Any], doubt: bool) -> None:
    old = [{"n": 1, "t": "a", "same": 0}, {"n": 2, "t": "b", "same": 0}]
    assert contradicted(old, [new[0], new[1]]) is doubt


def test_a_single_record_is_its_own() -> None:
    assert not contradicted([{"n": 1}], [{"n": 2}])
