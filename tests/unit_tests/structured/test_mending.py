"""Mending may drop what it cannot place, and adds nothing."""

import pytest

from langchain_prodpatterns.structured.mending import (
    MAX_MENDED,
    MAX_MENDED_DEPTH,
    UnmendableError,
    mend,
)


@pytest.mark.parametrize(
    ("span", "data"),
    [
        ('["a": 1]', [{"a": 1}]),
        ('{"a": "b", COMMENT "c": "d"}', {"a": "b", "c": "d"}),
        ('{ "a" : "{ b": {} }" }', {"a": "{ b"}),
    ],
)
def test_mends(span: str, data: object) -> None:
    assert mend(span) == data


@pytest.mark.parametrize(
    "span",
    [
        '{"a": }',
        "{'a': 'x {', 'b': 'y'}, z', 'c': 1}",
        "x",
        '["a": "\\ud800"]',
        "['a': '" + "x" * MAX_MENDED + "']",
        "[" * (MAX_MENDED_DEPTH + 1) + "]" * (MAX_MENDED_DEPTH + 1),
    ],
)
def test_refuses_to_invent_and_to_take_long(span: str) -> None:
    with pytest.raises(UnmendableError):
        mend(span)
