"""Searching beside hints finds what searching everywhere finds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.guard.detectors.hints import (
    beginnings,
    is_behind,
    matches_near,
    places_of,
    words_in,
)

PATTERN = re.compile("[a-c](?<![a-c][a-c])[a-c.]{0,5}+x[a-c]{1,70}+(?![a-c])")
LONGEST = 77


def everywhere(text: str) -> list[tuple[int, int]]:
    found, match = [], PATTERN.search(text)
    while match is not None:
        found.append(match.span())
        match = PATTERN.search(text, match.start() + 1)
    return found


@given(st.text(alphabet="abcx. ", max_size=400) | st.text("abx", max_size=400))
def test_no_match_with_a_hint_is_missed_or_cut(text: str) -> None:
    hints = places_of(re.compile("x"), text)
    near = list(matches_near(PATTERN, text, hints, width=LONGEST, before=6))
    assert near == everywhere(text)


@given(st.text(alphabet="abcx. ", max_size=400), st.lists(st.integers(0, 400)))
def test_what_starts_behind_a_hint_is_found(text: str, hints: list[int]) -> None:
    near = set(
        matches_near(PATTERN, text, sorted(hints), width=LONGEST, before=3, behind=9)
    )
    found = everywhere(text)
    assert near <= set(found)
    assert near >= {
        (start, end)
        for start, end in found
        if any(hint - 3 <= start <= hint + 9 for hint in hints)
    }


def test_hints_that_lie_close_are_searched_once() -> None:
    class Counting:
        searched = 0

        def search(self, text: str, start: int, end: int) -> None:
            self.searched += end - start

    counting = Counting()
    list(matches_near(counting, "", range(10_000), width=20, before=20))  # type: ignore[arg-type]
    assert counting.searched <= 3 * 10_000


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Key and PASS, key", [0, 8, 14]),
        ("\u0130\u0130 key \u0130", [3]),
        ("\u0130\u0130 PASS", [3]),
        ("passkeypass", [0, 4, 7]),
        ("", []),
    ],
)
def test_words_are_found_in_any_case(text: str, places: list[int]) -> None:
    assert words_in(text, ["key", "pass"]) == places


def test_a_word_is_looked_for_by_what_all_ways_to_write_it_begin_with() -> None:
    assert beginnings("tel tax_id cpr-nr") == {"tel", "tax", "cpr"}


@pytest.mark.parametrize(
    ("start", "behind"), [(5, False), (6, True), (69, True), (70, False), (106, True)]
)
def test_a_value_is_behind_what_begins_in_the_characters_before_it(
    start: int, *, behind: bool
) -> None:
    assert is_behind(start, [5, 105]) is behind
