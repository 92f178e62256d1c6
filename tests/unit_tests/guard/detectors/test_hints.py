"""Searching beside hints finds what searching everywhere finds."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.guard.detectors import hints
from langchain_prodpatterns.guard.detectors.hints import (
    Announcements,
    beginnings,
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
    text = ("." * 5 + "key").ljust(105, ".") + "key..."
    few = Announcements(text + "." * 10_000, ["pass", "key"])
    many = Announcements(text, ["pass", "key"])
    assert few.near(start) is many.near(start) is behind


@given(st.text("keypas\u0130. ", max_size=300), st.lists(st.integers(0, 300)))
def test_many_looks_see_what_few_do(text: str, starts: list[int]) -> None:
    words = ["key", "pass"]
    looks = Announcements(text, words)
    for start in starts:
        assert looks.near(start) is Announcements(text + "." * 40_000, words).near(
            start
        )


def test_the_whole_text_is_searched_once_many_looks_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[str] = []

    def search(text: str, words: Any) -> list[int]:
        searched.append(text)
        return words_in(text, words)

    monkeypatch.setattr(hints, "words_in", search)
    text = "key " * 1_000
    looks = Announcements(text, ["key"])
    assert all(looks.near(start) for start in range(4, 34))
    assert searched == []
    assert all(looks.near(start) for start in range(4, 500))
    assert searched == [text]
