"""Mending keeps everything that the text says, or gives up."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.structured.mending import (
    UnmendableError,
    mend,
    without_sound_texts,
)
from langchain_prodpatterns.structured.relaxed import ElidedError


@pytest.mark.parametrize(
    ("span", "data"),
    [
        ("{'a': 'b', 'c': [1, 2.50, -3e2,]}", {"a": "b", "c": [1, 2.5, -300.0]}),
        (
            "{a: hello world, b: true, c: None,}",
            {"a": "hello world", "b": True, "c": None},
        ),
        ("{'a': '', 'b': \"\",}", {"a": "", "b": ""}),
        ("{'a': 'x\\ny \\u00e9', 'b': False}", {"a": "x\ny é", "b": False}),
        ('{"a": "C:\\\\new", \'b\': 1}', {"a": "C:\\new", "b": 1}),
        ("{'color': '#fff', 'path': '//srv/x',}", {"color": "#fff", "path": "//srv/x"}),
        ("{'a': '[x], {y}', 'b': ':)',}", {"a": "[x], {y}", "b": ":)"}),
        ("{'a': 1_000,}", {"a": 1000}),
        ("{'a': 1, // one\n # two\n 'b': /* three */ 2}", {"a": 1, "b": 2}),
        ("[/* a */, 1, /* b */ 2,]", [1, 2]),
        ("{'a': '...', 'b': 'and so on...',}", {"a": "...", "b": "and so on..."}),
        ("{'a': ['x', '...'],}", {"a": ["x", "..."]}),
        ("{\u201ca\u201d: \u201cb\u201d}", {"a": "b"}),
        ("{'a':\ufeff'b'}", {"a": "b"}),
        ("{'a': {}, 'b': [],}", {"a": {}, "b": []}),
    ],
)
def test_mends(span: str, data: Any) -> None:
    assert mend(span) == data


@pytest.mark.parametrize(
    "span",
    [
        '{"items": [""Dune" by Herbert", "b"], x: y}',
        '{"items": ["12" pipe", "b"], x: y}',
        '{"items": ["pipe 12"", "b"], x: y}',
        '{"items": ["a", "b" "c"], x: y}',
        '{"items": ["a" "b"]}',
        '{"items": ["1", "" , ""\n], x: y}',
        '{"items": [ [] [] ], x: y}',
        '{"a": `one\ntwo`, x: y}',
        '{"a": "one" + "two"}',
        '{"a": "one\n", x: y}',
        '{"a": "\\"key: value, other: 3", "b": "x", x: y}',
        '{"price": 3 million}',
        '{"price": 1 234.5}',
        '{"price": 12 - 3}',
        '{"price": 10 * 1.2}',
        '{"price": 12 to 15}',
        '{"count": 3 + 4}',
        '{"count": 5 or 6}',
        '{"count": 1\'234}',
        '{"title": """Long text here""", "count": 2}',
        '{"title": r"abc", "count": 2,}',
        '{"title": x, y, "priority": "low"}',
        "{title: x, y, count: 2}",
        '{greeting: hello world\nnext: "line"}',
        '{"title":,"priority":"low""count":2}',
        "{'a': 1, 'a': 2}",
        "{'a', 'b'}",
        "{'a': \"\\ud800\"}",
        '{"a" true}',
        "{'a': 1 /* 'b': 2}",
    ],
)
def test_gives_up_rather_than_lose_or_add(span: str) -> None:
    with pytest.raises(UnmendableError):
        mend(span)


@pytest.mark.parametrize(
    "span",
    [
        '{"items": [1, 2, ...], "total": 5}',
        '{"items": [1, 2, \u2026], "total": 5}',
        '{"items": [1, 2, /* 50 more */], "total": 5}',
        '{"items": [1, 2, // and so on\n], "total": 5}',
        '{"items": [1, /* 48 more */ 50], "total": 5}',
        '{"items": [1, // ...\n 50], "total": 5}',
        '{"items": [{"a": 1}, // und so weiter\n], "total": 5}',
        '["a","b", ...]',
        '{"title": "x", ..., "priority":"low"}',
    ],
)
def test_an_elision_is_told_from_an_error(span: str) -> None:
    with pytest.raises(ElidedError):
        mend(span)


def test_a_comment_in_an_object_elides_nothing() -> None:
    assert mend('{"items": [1, 2], // 50 more\n "total": 5}')["items"] == [1, 2]


WORDS = st.text(alphabet="ab9 .-/#\n\u00e9\u2026", max_size=6)
TEXTS = st.just("") | WORDS.map(lambda text: f"x{text}y")
VALUES = st.none() | st.booleans() | st.integers() | TEXTS
DATA = st.dictionaries(TEXTS, VALUES | st.lists(VALUES, max_size=3), max_size=4)


@settings(deadline=None)
@given(DATA)
def test_what_is_mended_from_a_python_literal_is_the_literal(data: Any) -> None:
    try:
        mended = mend(repr(data))
    except (UnmendableError, ElidedError):
        return
    assert mended == data


def test_quotes_in_a_text_are_kept() -> None:
    assert mend('{"a": ["he said "no" to it", "b"]}') == {
        "a": ['he said "no" to it', "b"]
    }


def test_texts_that_are_written_soundly_are_emptied() -> None:
    span = '{"a": "one {two", \'b\': \'[\', "c": "d "{" e" f}'

    assert without_sound_texts(span) == '{"": "", "": "", "": "d "{" e" f}'
