"""Mending neither drops nor adds."""

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
        ('{ "a" : "{ b": {} }" }', {"a": "{ b"}),
        ('["a": 1.50, "b": null]', [{"a": 1.5, "b": None}]),
        (f'["a": {"7" * 350}]', [{"a": int("7" * 350)}]),
    ],
)
def test_mends(span: str, data: object) -> None:
    assert mend(span) == data


@pytest.mark.parametrize(
    "span",
    [
        '{"a": }',
        '{"a": "b", COMMENT "c": "d"}',
        "[{5}s ",
        '["a": 12:30]',
        "{'a': 'x {', 'b': 'y'}, z', 'c': 1}",
        "x",
        '["a": "\\ud800"]',
        "['a': '" + "x" * MAX_MENDED + "']",
        "[" * (MAX_MENDED_DEPTH + 1) + "]" * (MAX_MENDED_DEPTH + 1),
    ],
)
def test_refuses_to_invent_to_lose_and_to_take_long(span: str) -> None:
    with pytest.raises(UnmendableError):
        mend(span)
