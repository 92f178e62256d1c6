"""Reading what is typed, and writing figures."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.commands.values import (
    count,
    duration,
    metadata_filter,
    pair,
    share,
    shown_bytes,
    shown_seconds,
    shown_text,
    shown_usd,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("45s", 45),
        ("1.5m", 90),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
    ],
)
def test_a_duration_has_a_unit_or_is_of_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((duration, text) for text in ("", "7 d", "-1d", "d", "1y", "1e3", "٣d")),
        *((pair, text) for text in ("", "key", "=value")),
        *((count, text) for text in ("", "0", "-1", "1.5", "²")),
        *((share, text) for text in ("", "-0.1", "0.6", "nan", "x")),
    ],
)
def test_what_is_none_is_refused_with_its_value(
    read: Callable[[str], Any], text: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=r"is no"):
        read(text)


def test_what_is_one_is_read() -> None:
    assert pair("key=a=b") == ("key", "a=b")
    assert pair("key=") == ("key", "")
    assert count("12") == 12
    assert share("0.5") == 0.5


@pytest.mark.parametrize(
    ("metadata", "wanted", "fits"),
    [
        ({"page": "dogs"}, [("page", "dogs")], True),
        ({"page": "dogs"}, [("page", "cats")], False),
        ({}, [("page", "None")], False),
        ({"n": 1}, [("n", "1")], True),
        ({"n": True}, [("n", "1")], False),
        ({"n": True}, [("n", "true")], True),
        ({"n": None}, [("n", "null")], True),
        ({"n": {"b": 1, "a": 2}}, [("n", '{"a": 2, "b": 1}')], True),
        ({"pages": ["dogs", "cats"]}, [("pages", "cats")], True),
        ({"pages": [1]}, [("pages", "[1]")], True),
        ({"pages": []}, [("pages", "cats")], False),
        ({"a": "x", "b": "y"}, [("a", "x"), ("b", "y")], True),
        ({"a": "x", "b": "y"}, [("a", "x"), ("b", "z")], False),
    ],
)
def test_metadata_has_a_value_as_text_as_json_or_in_a_list(
    metadata: dict[str, Any], wanted: list[tuple[str, str]], fits: bool
) -> None:
    matches = metadata_filter(wanted)

    assert matches is not None
    assert matches(metadata) is fits


def test_without_metadata_to_look_for_there_is_no_filter() -> None:
    assert metadata_filter([]) is None


def test_figures_are_short() -> None:
    assert [shown_seconds(one) for one in (None, -1, 59, 90, 604_800)] == [
        *("-", "0s", "59s", "1.5m", "1.0w")
    ]
    assert [
        shown_bytes(one)
        for one in (0, 999, 1_000, 2_500_000_000, 3 * 10**12, 4 * 10**15)
    ] == [*("0 B", "999 B", "1.0 kB", "2.5 GB", "3.0 TB", "4000.0 TB")]
    assert [shown_usd(one) for one in (None, 0.0, 1.25)] == [
        *("unknown", "0.0000", "1.2500")
    ]


@given(st.text(max_size=200))
def test_a_stored_text_is_one_line_that_cannot_steer_a_terminal(text: str) -> None:
    assert shown_text(text).isprintable()
    assert shown_text(text, 10).count("…") >= (len(text) > 10)


def test_of_no_text_and_of_a_terminal_sequence() -> None:
    assert shown_text(None) == "-"
    assert shown_text("a\x1b[31m\n\ud800") == "a\\x1b[31m\\n\\ud800"
