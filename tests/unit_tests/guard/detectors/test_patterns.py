import re
import time
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    BoundedDetector,
    PatternDetector,
)
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.detectors.patterns import (
    LOOKBACK,
    MAX_WAYS,
    MAX_WIDTH,
    prove,
)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a*", "empty"),
        ("a?", "empty"),
        ("a+", "no bound"),
        ("ab*", "no bound"),
        ("a{3,}", "no bound"),
        (f"a{{1,{MAX_WIDTH + 1}}}", "no bound"),
        ("(a+)+b", "no bound"),
        ("(?:a{1,50}){1,50}b", "ways"),
        ("a{1,50}a{1,50}a{1,50}b", "ways"),
        ("(?>(?:a{1,50}){1,50}b)", "ways"),
        ("(?:a|aa){1,40}b", "ways"),
        (r"(a)\1", "backreferences"),
        ("(a)?(?(1)b|c)", "backreferences"),
        ("^abc", "anchors"),
        ("abc$", "anchors"),
        (r"\Aabc", "anchors"),
        (r"abc\Z", "anchors"),
        ("a(?=bc)", "lookahead"),
        ("a(?!bc)", "lookahead"),
        (f"(?<=x{{{LOOKBACK + 1}}})a", "lookbehind"),
        ("(?i:a)b", "inline flags"),
    ],
)
def test_what_is_not_provably_bounded_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        prove(re.compile(pattern))


@pytest.mark.parametrize(
    ("pattern", "width"),
    [
        ("abc", 3),
        (r"\bEMP-[0-9]{6}\b", 10),
        ("a{1,64}@b{2,10}", 75),
        ("(?:a{1,50}+){1,50}b", 2501),
        ("(?<!x)a(?!y)", 1),
        ("(?P<name>ab|c)", 2),
        ("a{1,9}?b", 10),
        ("(?>a{1,9})b", 10),
    ],
)
def test_what_is_bounded_is_proven(pattern: str, width: int) -> None:
    assert prove(re.compile(pattern)).width == width


def test_the_bound_of_ways_is_exact() -> None:
    prove(re.compile(f"a{{1,{MAX_WAYS}}}b"))
    with pytest.raises(ConfigurationError, match="ways"):
        prove(re.compile(f"a{{1,{MAX_WAYS + 1}}}b"))


def test_the_worst_that_is_allowed_is_quick() -> None:
    # 100 * 100 ways for each of 2,000 starts: bounded, where (a+)+ would take for ever.
    pattern = re.compile("a{1,100}a{1,100}b")
    prove(pattern)
    started = time.process_time()
    assert pattern.search("a" * 2_000) is None
    assert time.process_time() - started < 30


def test_the_literals_that_a_match_needs() -> None:
    shape = prove(re.compile(r"(?<![a-z])key-[0-9]{4}-x"))
    assert shape.prefix == "key-"
    assert shape.required == ("key-", "-x")


def test_ignoring_case_no_literal_is_taken_for_sure() -> None:
    shape = prove(re.compile("key-[0-9]{4}", re.IGNORECASE))
    assert shape.prefix == ""
    assert shape.required == ()
    assert shape.holds("K")
    assert shape.holds("\u212a")  # the Kelvin sign matches k


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("[a-c]x", "abcx", "d X"),
        ("[^a]b", "b xé\n", "a"),
        (r"\d-", "0٣-", "a "),
        (r"\w\S", "aé_-", " "),
        ("[^\\d]{2}", "a ", "1"),
        (".", "a\n", ""),
        ("[\\]^-]", "]^-", "a"),
        ("x|[ ]y", "x y", "z"),
    ],
)
def test_the_alphabet_of_the_matches(pattern: str, inside: str, outside: str) -> None:
    shape = prove(re.compile(pattern))
    assert all(shape.holds(char) for char in inside)
    assert not any(shape.holds(char) for char in outside)


ON_DEMAND = ("any_url", "long_birth_date")
SHAPED = [
    (detector, shape)
    for detector in resolve_detectors([*DEFAULT_DETECTORS, *ON_DEMAND])
    for shape in getattr(detector, "shapes", ())
]


def test_every_built_in_detector_is_proven() -> None:
    names = {detector.name for detector, _ in SHAPED}
    assert names == {*DEFAULT_DETECTORS, *ON_DEMAND}
    assert all(isinstance(detector, BoundedDetector) for detector, _ in SHAPED)
    assert all(shape.width <= MAX_WIDTH for _, shape in SHAPED)


@given(st.text(alphabet="ab-1 ", max_size=30))
def test_every_match_is_made_of_the_alphabet(text: str) -> None:
    pattern = re.compile("(?:a|b1){1,4}-?[^a ]{1,3}")
    shape = prove(pattern)
    for match in pattern.finditer(text):
        assert all(shape.holds(char) for char in match[0])
        assert len(match[0]) <= shape.width


@pytest.mark.parametrize(
    "pattern",
    [r"a(?=b\b)", "a(?=b(?=c))", "a(?!(?:b(?!c)|d))", f"(?<=(?<=x)y{{{LOOKBACK}}})a"],
)
def test_looks_inside_looks_add_up(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=r"look(ahead|behind) of more than"):
        prove(re.compile(pattern))


@pytest.mark.parametrize("pattern", [r"a(?=\b)", r"(?<=\bid )a", "a(?![b-d])"])
def test_looks_that_stay_near_are_proven(pattern: str) -> None:
    assert prove(re.compile(pattern)).width == 1


@pytest.mark.parametrize(
    ("name", "pattern", "match"),
    [(3, "x", "name is lower case"), ("b", 3, "must be text"), ("b", b"x", "text")],
)
def test_a_pattern_detector_names_what_is_wrong(
    name: Any, pattern: Any, match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        PatternDetector(name, pattern)


def test_a_match_counts_only_near_a_word() -> None:
    badge = PatternDetector("badge", "[0-9]{6}", near=["badge", "staff no."])
    text = "Badge: 123456, staff no. 234567"
    assert [text[a:b] for a, b in badge.find(text)] == ["123456", "234567"]
    assert list(badge.find("badges 123456")) == []
    assert list(badge.find("badge" + " " * LOOKBACK + "123456")) == []
    assert list(badge.find("123456 badge")) == []


def test_the_word_and_the_validator_both_decide() -> None:
    even = PatternDetector(
        "even", "[0-9]{4}", validate=lambda v: v[-1] in "02468", near=["no"]
    )
    assert list(even.find("no 1234, 1235")) == [(3, 7)]
    assert list(even.find("yes 1234")) == []


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"near": "badge"}, "near must be a list"),
        ({"near": [""]}, "near must be a list"),
        ({"near": [3]}, "near must be a list"),
        ({"near": ["Badge"]}, "lower case"),
        ({"near": ["x" * LOOKBACK]}, "within 64"),
        ({"validate": "luhn"}, "validate must be a callable"),
    ],
)
def test_wrong_words_and_validators_are_refused(
    wrong: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        PatternDetector("badge", "[0-9]{6}", **wrong)


@pytest.mark.parametrize(
    ("pattern", "flags", "least"),
    [
        ("[a-z]{4}", 0, 4),
        ("[a-z]{4}7", 0, inf),
        ("a@?b", 0, 2),
        ("[0-9a]{3,9}+", 0, 3),
        ("(?:7|ab|abc)d", 0, 3),
        ("(?>a|7)(?:bc){2}", 0, 5),
        (r"\bkey (?=1)x", 0, 5),
        (r"\bkey [^a-zA-Z\s]", 0, inf),
        (r"k\d", 0, inf),
        (r"k\D\n", 0, 3),
        ("\u017f{3}", re.IGNORECASE, 3),
        ("(?:-x){0,2}y", 0, 1),
    ],
)
def test_the_shortest_match_of_calm_characters(
    pattern: str, flags: int, least: float
) -> None:
    assert prove(re.compile(pattern, flags)).calm == least
