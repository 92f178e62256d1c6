"""A look at the parts that a change decides about finds what a look at all finds."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_prodpatterns.guard.detectors import (
    DEFAULT_DETECTORS,
    PatternDetector,
    resolve_detectors,
)
from langchain_prodpatterns.guard.normalizing import view_of
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.seams import Seams
from langchain_prodpatterns.guard.spans import Span, resolve

WORDS = PatternDetector("words", "[a-z ]{1,30}")
NUMBERS = PatternDetector("numbers", "[0-9,]{1,30}")
DETECTORS = resolve_detectors([*DEFAULT_DETECTORS, "any_url"])
EVERYTHING = Scanner(DETECTORS, {each.name: "redact" for each in DETECTORS})

PIECES = st.sampled_from(
    [
        "\u200b", "\u0430", "\uff11", "\u3000", "\U000e0031", "\ufb01", "\u00ad",
        " ", ", ", "; ", "\n", "x", "7", "the applicant said, ", "order no. ", "card ",
        "ann@example.com", "4111 1111 1111 1111", "+44 121 234 7786", "call 5550123456",
        "https://x.example/reset?token=a1b2c3d4e5", "password: q7Wm2Zx9!k", "\u65e5",
        "jane [at] example (dot) com", "78-05-1120", "0", "-----BEGIN PRIVATE KEY-----",
        "YW5uQGV4YW1wbGUuY29t", "DE89 3704 0044 0532 0130 00", "aaaaaaaaaaaaaaaaaa",
    ]
)  # fmt: skip


def seams_of(*detectors: PatternDetector) -> Seams:
    return Seams([shape for each in detectors for shape in each.shapes])


@pytest.mark.parametrize(
    ("text", "changes", "parts"),
    [
        ("ab,12", [], []),
        ("ab,12", [(0, 1)], [(0, 5)]),
        ("ab" + "," * 100 + "cd", [(0, 1)], [(0, 102)]),
        ("ab" + "." * 100 + "cd", [(0, 1)], [(0, 66)]),
        ("x,ab" + "." * 100 + "cd", [(3, 3)], [(2, 68)]),
        ("x" * 99 + "." * 100 + "y", [(150, 151)], [(149, 200)]),
        ("." * 300, [(10, 11), (70, 71), (200, 201)], [(9, 136), (199, 266)]),
        ("a" * 300, [(10, 11), (200, 201)], [(0, 300)]),
        ("x.y" + "z" * 90, [(0, 1), (80, 80)], [(0, 93)]),
    ],
)
def test_a_part_goes_from_seam_to_seam(
    text: str, changes: list[tuple[int, int]], parts: list[tuple[int, int]]
) -> None:
    assert list(seams_of(WORDS, NUMBERS).around(text, changes)) == parts


def test_a_shape_whose_beginning_is_not_there_joins_nothing() -> None:
    begins = PatternDetector("begins", "BEGIN[a-z.]{1,200}")
    text = "." * 300
    assert list(seams_of(begins).around(text, [(0, 1)])) == [(0, 66)]
    assert list(seams_of(begins).around("BEGIN" + text, [(0, 1)])) == [(0, 305)]


@given(st.lists(PIECES, max_size=25))
@example(["\u0430", "; " * 32, "password: q7Wm2Zx9!k"])
@example(["x", "4111 1111 1111 1111", "\u200b", "0"])
def test_parts_give_what_the_whole_gives(pieces: list[str]) -> None:
    # With changes crowded together, the parts would be the whole.
    text = "".join(pieces) + "; " * 128 * len("".join(pieces))
    view = view_of(text)
    spans = EVERYTHING._seen(text, Record(), "")
    if view is not None:
        for span in EVERYTHING._seen(view.text, Record(), ""):
            place = view.place(span.start, span.end)
            spans.append(Span(*place, span.type, span.action))
    assert EVERYTHING.find(text, Record()) == resolve(spans)


def test_a_detector_without_bounds_sees_all_that_is_meant() -> None:
    class Whole:
        name = "whole"

        def find(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))] if text.isascii() else []

    text = "a" + "; " * 200 + "\uff11"
    found = Scanner([Whole()], {"whole": "redact"}).find(text, Record())
    assert found == [Span(0, len(text), "whole", "redact")]
