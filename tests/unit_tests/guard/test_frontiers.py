"""What is undecided, and which shapes must be asked for it."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.guard import PatternDetector
from langchain_prodpatterns.guard.detectors import (
    DEFAULT_DETECTORS,
    BoundedDetector,
    resolve_detectors,
)
from langchain_prodpatterns.guard.detectors.patterns import Shape, prove
from langchain_prodpatterns.guard.frontiers import (
    Frontier,
    frontier_of,
    frontiers_of,
    shapes_of,
)
from tests.unit_tests.guard.planted import VALUES


@pytest.mark.parametrize(
    ("pattern", "text", "undecided"),
    [
        ("[0-9]{4}", "abc 12", 4),
        ("[0-9]{4}", "abc 12 ", 7),
        ("[0-9]{4}", "1234", 0),
        ("key-[a-z0-9]{9}", "my ke", 3),
        ("key-[a-z0-9]{9}", "my key-abc", 3),
        ("key-[a-z0-9]{9}", "my kex", 6),
        ("key-[a-z0-9]{9}", "key-key-a", 0),
        ("key-[a-z0-9]{9}", "k-e-ke", 4),
    ],
)
def test_where_the_undecided_begins(pattern: str, text: str, undecided: int) -> None:
    shape = prove(re.compile(pattern))
    assert Frontier(shape).feed(text, text, 0) == undecided
    letter_by_letter = Frontier(shape)
    for end in range(1, len(text) + 1):
        last = letter_by_letter.feed(text[end - 1], text[:end], 0)
    assert last == undecided


def shape(pattern: str, flags: int = 0) -> Shape:
    return prove(re.compile(pattern, flags))


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ("[a-z0-9]{3,9}", "[a-f]{9}", True),
        ("[a-z0-9]{3,9}", "ab-?", False),
        ("[a-z0-9]{3,9}", "[a-f]{10}", False),
        (r"[^\s<>]{4,50}", "key-[a-z]{9}", True),
        (r"[^\s<>]{4,50}", "[A-Z ]{9}", False),
        (r"[^\s<>]{4,50}", r"\d{4}", False),
        (r"[^\s<>]{4,50}", "[^x]{4}", False),
        ("[a-z]{9}", "(?:a|b[c-e]){2}", True),
        ("x[a-z]{9}", "x[a-z]{3}", False),
        ("[a-z]{9}", "x[a-z]{3}", True),
    ],
)
def test_a_shape_covers_another(wide: str, narrow: str, covered: bool) -> None:
    assert shape(wide).covers(shape(narrow)) is covered


def test_letters_of_either_case_are_no_list() -> None:
    assert shape("[a-z]{2}").characters == frozenset("abcdefghijklmnopqrstuvwxyz")
    assert shape("[a-z]{2}", re.IGNORECASE).characters is None
    assert not shape("[a-z]{9}").covers(shape("k{2}", re.IGNORECASE))


def test_a_sharp_shape_covers_nothing() -> None:
    sharp = PatternDetector("one", "[a-z]{9}", sharp=True).shapes[0]
    assert not sharp.covers(shape("[a-z]{3}"))
    assert shape("[a-z]{9}").covers(sharp)


@pytest.mark.parametrize(
    ("text", "undecided"),
    [
        ("my sister", 9),
        ("to jane", 3),
        ("to jane b", 9),
        ("jane at", 0),
        ("jane at jane at ho", 8),
        ("jane at home", 0),
        ("jane at home.", 13),
        ("", 0),
    ],
)
def test_a_sharp_frontier_tries_the_pattern(text: str, undecided: int) -> None:
    words = PatternDetector("words", r"\bjane at [a-z]{2,8}+", sharp=True).shapes[0]
    assert frontier_of(words).feed(text, text, 0) == undecided
    by_letter = frontier_of(words)
    decided = [
        by_letter.feed(char, text[: end + 1], 0) for end, char in enumerate(text)
    ]
    assert decided == sorted(decided)
    assert [*decided, 0][len(text) - 1 if text else 0] == undecided


def test_a_sharp_pattern_keeps_its_flags() -> None:
    words = PatternDetector("w", re.compile("an{1,3}a", re.IGNORECASE), sharp=True)
    assert frontier_of(words.shapes[0]).feed("x ANN", "x ANN", 0) == 2


def test_of_two_equal_shapes_one_stays() -> None:
    twins = [PatternDetector(name, "[0-9]{4}") for name in ("one", "two")]
    assert len(shapes_of(twins) or []) == 1


def test_a_detector_without_bounds_has_no_shapes() -> None:
    class Names:
        name = "person"

        def find(self, text: str) -> list[tuple[int, int]]:
            return []

    assert shapes_of([Names(), PatternDetector("one", "[0-9]{4}")]) is None


DETECTORS = resolve_detectors(DEFAULT_DETECTORS)
ALL = [
    shape
    for detector in DETECTORS
    if isinstance(detector, BoundedDetector)
    for shape in detector.shapes
]
KEPT = shapes_of(DETECTORS) or []
TEXTS = st.lists(
    st.sampled_from([value for _, value in VALUES] + [" ", "a" * 300, "\n", "-", "é"])
    | st.text(max_size=9),
    max_size=6,
).map("".join)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(3, 40))
def test_few_frontiers_hold_back_what_all_do(text: str, size: int) -> None:
    some = [frontier_of(each) for each in KEPT]
    every = [frontier_of(each) for each in ALL]
    for start in range(0, len(text), size):
        chunk, window = text[start : start + size], text[: start + size]
        assert min(each.feed(chunk, window, 0) for each in some) == min(
            each.feed(chunk, window, 0) for each in every
        )


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 40))
@example("a" * 700 + " 1 " + "2" * 300, 7)
@example("-----BEGI-----BEGIN E eyeyJ", 2)
def test_runs_tell_what_a_frontier_of_each_shape_tells(text: str, size: int) -> None:
    joined = frontiers_of(KEPT)
    each_alone = [frontier_of(each) for each in KEPT]
    for start in range(0, len(text), size):
        chunk, window = text[start : start + size], text[: start + size]
        assert min(each.feed(chunk, window, 0) for each in joined) == min(
            each.feed(chunk, window, 0) for each in each_alone
        )


def test_shapes_with_a_prefix_alone_need_no_runs() -> None:
    (only,) = frontiers_of([shape("key-[a-z]{9}")])
    assert isinstance(only, Frontier)


def test_the_default_detectors_need_few_frontiers() -> None:
    assert len(KEPT) <= len(ALL) / 4
