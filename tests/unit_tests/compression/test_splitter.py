import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.compression import MarkdownSplitter, Span, Splitter
from langchain_prodpatterns.compression.splitter import read_spans
from langchain_prodpatterns.errors import ConfigurationError

TABLE = "| Plan | Price |\n|---|---:|\n| Basic | 5 |\n| Plus | 9 |"


def parts(text: str, **kwargs: Any) -> list[str]:
    return [text[s.start : s.end] for s in MarkdownSplitter(**kwargs).split(text)]


def test_prose_is_split_into_sentences_by_paragraph() -> None:
    assert parts("One. Two.\n\nThree\ngoes on. Four") == [
        "One.",
        "Two.",
        "Three\ngoes on.",
        "Four",
    ]


def test_headings_are_spans_and_titles() -> None:
    text = "# Shop\nHello.\n## Returns ##\nIn 14 days.\n### Fees\nNone.\n## Jobs\nNo."
    found = [(text[s.start : s.end], s.title) for s in MarkdownSplitter().split(text)]
    assert found == [
        ("# Shop", ""),
        ("Hello.", "Shop"),
        ("## Returns ##", "Shop"),
        ("In 14 days.", "Shop > Returns"),
        ("### Fees", "Shop > Returns"),
        ("None.", "Shop > Returns > Fees"),
        ("## Jobs", "Shop"),
        ("No.", "Shop > Jobs"),
    ]


def test_a_hash_without_a_blank_is_no_heading() -> None:
    assert [s.title for s in MarkdownSplitter().split("#tag\n\nText.")] == ["", ""]


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_code_is_one_span(fence: str) -> None:
    code = f"{fence}py\nprint('a. B. c')\n\n# no heading\n- no item\n{fence}"
    text = f"Before. This\n{code}\nAfter."
    assert parts(text) == ["Before.", "This", code, "After."]
    assert {span.title for span in MarkdownSplitter().split(text)} == {""}


def test_a_longer_fence_holds_a_shorter_one() -> None:
    code = "````\n```\ninner\n```\n````"
    assert parts(f"{code}\nAfter.") == [code, "After."]


def test_a_fence_that_nothing_closes_is_prose() -> None:
    assert parts("```\nOne. Two.\n\n# Three") == ["```\nOne.", "Two.", "# Three"]


def test_rows_bring_their_header() -> None:
    text = f"Prices:\n{TABLE}\n\nAsk us."
    spans = MarkdownSplitter().split(text)
    rows = [span for span in spans if span.header]
    assert [text[r.start : r.end] for r in rows] == ["| Basic | 5 |", "| Plus | 9 |"]
    assert all(r.header for r in rows)
    header = rows[0].header
    assert header is not None
    assert text[slice(*header)] == "| Plan | Price |\n|---|---:|"
    assert parts(text)[0] == "Prices:"
    assert parts(text)[-1] == "Ask us."


def test_a_table_without_rows_is_its_header() -> None:
    assert parts("| a | b |\n|---|---|") == ["| a | b |\n|---|---|"]


def test_a_bar_in_prose_is_no_table() -> None:
    assert parts("a | b is true. So\nis this.") == ["a | b is true.", "So\nis this."]


def test_list_items_are_spans() -> None:
    text = "Do this:\n- First. Then rest.\n  It goes on.\n* Second\n3) Third\n\nDone."
    assert parts(text) == [
        "Do this:",
        "- First. Then rest.\n  It goes on.",
        "* Second",
        "3) Third",
        "Done.",
    ]


def test_windows_line_ends() -> None:
    assert parts("# A\r\n\r\nOne. Two.\r\n- x\r\n") == ["# A", "One.", "Two.", "- x"]


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\n", "\u3000"])
def test_blanks_are_no_spans(text: str) -> None:
    assert MarkdownSplitter().split(text) == []


def test_too_long_is_cut_at_a_line_else_a_blank_else_anywhere() -> None:
    assert parts("```\n" + "x = 1\n" * 4 + "```", max_chars=16) == [
        "```\nx = 1\nx = 1",
        "x = 1\nx = 1\n```",
    ]
    assert parts("word " * 6, max_chars=12) == ["word word"] * 3
    assert parts("x" * 25, max_chars=10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_cut_tears_no_character_apart() -> None:
    text = "e\u0301" * 30
    for part in parts(text, max_chars=7):
        assert part.startswith("e")
        assert part.endswith("\u0301")
    pairs = "\ud83d\ude00" * 20
    assert all(part.startswith("\ud83d") for part in parts(pairs, max_chars=5))


@pytest.mark.parametrize(
    "character",
    [
        "\U0001f1e9\U0001f1ea",
        "\U0001f44d\U0001f3fd",
        "\U0001f468\u200d\U0001f469\u200d\U0001f466",
        "\u1112\u1161\u11ab",
    ],
)
def test_a_cut_tears_no_flag_no_hand_and_no_family_apart(character: str) -> None:
    for lead in ("", "x"):
        cut = parts(lead + character * 20, max_chars=12)
        assert all(part.removeprefix(lead).startswith(character) for part in cut)


def test_what_is_one_character_without_end_is_cut_all_the_same() -> None:
    assert parts("\u0301" * 25, max_chars=10) == [
        "\u0301" * size for size in (10, 10, 5)
    ]


def test_max_chars_is_checked() -> None:
    with pytest.raises(
        ConfigurationError, match="max_chars must be a whole number, at least 1, got 0"
    ):
        MarkdownSplitter(max_chars=0)


MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# ",
            "## H\n",
            "```",
            "~~~\n",
            "\n",
            "\n\n",
            "| a | b |\n",
            "|---|---|\n",
            "- ",
            "1. ",
            ". ",
            "Dr. ",
            "word ",
            "W",
            "。",
            "\u0301",
            "\ud800",
            "\r\n",
            "\t",
        ]
    ),
    max_size=60,
).map("".join)


@given(MARKDOWN | st.text(), st.integers(1, 40))
def test_spans_hold_everything_once(text: str, max_chars: int) -> None:
    spans = MarkdownSplitter(max_chars=max_chars).split(text)
    last = 0
    covered = set[int]()
    for span in spans:
        assert last <= span.start < span.end <= len(text)
        part = text[span.start : span.end]
        assert part == part.strip()
        last = span.end
        covered |= set(range(span.start, span.end))
        if span.header:
            assert span.header[1] <= span.start
            covered |= set(range(*span.header))
    left_out = "".join(text[at] for at in range(len(text)) if at not in covered)
    assert not left_out.strip()


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "word ",
        "|",
        "`",
        "```\n",
        "````x\n",
        "- ",
        "#",
        "# a\n",
        " ",
        "a|\n|-|\n",
        "\n",
        "```\n\n",
        "~",
        "1. a\n",
        "\u0301",
        "x\n",
    ],
)
def test_time_is_linear(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        MarkdownSplitter().split(text)
        return time.process_time() - started

    assert seconds(400_000) < 50 * max(seconds(50_000), 0.05)


def test_fences_that_close_late_or_never_stay_linear() -> None:
    started = time.process_time()
    MarkdownSplitter().split("````x\n" * 30_000 + "```\n" * 30_000)
    assert time.process_time() - started < 30


class Halves:
    def split(self, text: str) -> Iterable[Span | tuple[int, int]]:
        middle = len(text) // 2
        return [(0, middle), (middle, len(text))]


def test_a_splitter_of_ones_own_may_return_pairs() -> None:
    assert isinstance(Halves(), Splitter)
    assert read_spans(Halves(), "abcd") == [Span(0, 2), Span(2, 4)]
    assert read_spans(Halves(), "ab  ") == [Span(0, 2)]


@pytest.mark.parametrize(
    "spans", [[(0, 9)], [(2, 2)], [(2, 4), (0, 2)], [(0, 3), (2, 4)], [(-1, 2)]]
)
def test_wrong_spans_are_refused(spans: list[tuple[int, int]]) -> None:
    class Wrong:
        def split(self, text: str) -> list[tuple[int, int]]:
            return spans

    with pytest.raises(ConfigurationError, match="Wrong returned the span"):
        read_spans(Wrong(), "abcd")
