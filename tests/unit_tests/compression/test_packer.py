from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.compression import MarkdownSplitter
from langchain_prodpatterns.compression.packer import Limits, pack
from langchain_prodpatterns.compression.passages import cut_passages
from langchain_prodpatterns.compression.quotes import Quotes
from langchain_prodpatterns.tokens import estimate_tokens


def count_words(text: str) -> int:
    return len(text.split())


def quotes_of(
    documents: list[Document],
    scores: list[float],
    count: Callable[[str], int] = count_words,
) -> Quotes:
    passages = cut_passages(documents, MarkdownSplitter())
    return Quotes(documents, passages, np.array(scores), count, "rank")


def packed(quotes: Quotes, tokens: int, **limits: Any) -> list[str]:
    packing = pack(quotes, Limits(tokens, **limits))
    found = quotes.quote(quotes.spans(packing.chosen))
    return [document.page_content for document in found]


def test_the_best_that_fit() -> None:
    quotes = quotes_of([Document("Red one two. Blue one. Green one two.")], [1, 3, 2])
    # `[1]` is one word, each sentence two or three.
    assert packed(quotes, 3) == ["Blue one."]
    assert packed(quotes, 6) == ["Blue one. Green one two."]
    assert packed(quotes, 9) == ["Red one two. Blue one. Green one two."]


def test_what_does_not_fit_is_skipped_and_the_rest_tried() -> None:
    text = "This one is best but far too long to fit. Short. Tiny."
    quotes = quotes_of([Document(text)], [3, 1, 2])
    assert packed(quotes, 3) == ["Short. Tiny."]


def test_parts_that_are_no_neighbours_are_on_lines_of_their_own() -> None:
    quotes = quotes_of([Document("Aa. Bb. Cc.\n\nDd.")], [3, 0, 2, 1])
    assert packed(quotes, 3) == ["Aa.\nCc."]
    assert packed(quotes, 4) == ["Aa.\nCc.\n\nDd."]


def test_the_budget_is_shared_and_headings_count() -> None:
    documents = [
        Document("Aa bb.", metadata={"title": "Long title of five words"}),
        Document("Cc dd.", metadata={"title": "T"}),
    ]
    quotes = quotes_of(documents, [1, 1])
    assert packed(quotes, 8) == ["Aa bb."]
    assert packed(quotes, 7) == ["Cc dd."]
    assert packed(quotes, 12) == ["Aa bb.", "Cc dd."]


def test_equal_scores_keep_the_order_of_retrieval() -> None:
    documents = [Document("Aa."), Document("Bb."), Document("Cc.")]
    assert packed(quotes_of(documents, [0, 0, 0]), 4) == ["Aa.", "Bb."]


def test_the_number_of_documents_is_limited_to_the_best() -> None:
    documents = [Document("Aa. Bb."), Document("Cc. Dd."), Document("Ee.")]
    quotes = quotes_of(documents, [0, 1, 4, 0, 3])
    assert packed(quotes, 100, documents=1) == ["Cc. Dd."]
    assert packed(quotes, 100, documents=2) == ["Cc. Dd.", "Ee."]


def test_the_least_score() -> None:
    quotes = quotes_of([Document("Aa. Bb. Cc.")], [0.2, 0.5, 1])
    assert packed(quotes, 100, min_score=0.5) == ["Bb. Cc."]
    packing = pack(quotes, Limits(100, min_score=2))
    assert packing.chosen == packing.ranked == ()
    assert packing.tokens == 0


NUMBERED = [Document("Aa. Bb. Cc. Dd. Ee."), Document("Ff. Gg.")]


@pytest.mark.parametrize(
    ("neighbors", "tokens", "texts"),
    [
        (0, 100, ["Cc."]),
        # The one before it first.
        (1, 3, ["Bb. Cc."]),
        (1, 100, ["Bb. Cc. Dd."]),
        (2, 5, ["Aa. Bb. Cc. Dd."]),
        (9, 100, ["Aa. Bb. Cc. Dd. Ee."]),
    ],
)
def test_neighbors_of_the_same_document_fill_what_is_left(
    neighbors: int, tokens: int, texts: list[str]
) -> None:
    quotes = quotes_of(NUMBERED, [0, 0, 1, 0, 0, 0, 0])
    assert packed(quotes, tokens, min_score=0.5, neighbors=neighbors) == texts


def test_a_neighbor_takes_no_place_of_what_is_worth_quoting() -> None:
    quotes = quotes_of(NUMBERED, [0, 0, 1, 0, 0.6, 0, 0.7])
    assert packed(quotes, 4, min_score=0.5, neighbors=1) == ["Cc.", "Gg."]
    # In the order of what they stand beside.
    assert packed(quotes, 6, min_score=0.5, neighbors=1) == ["Bb. Cc.\nEe.", "Gg."]


def test_a_neighbor_is_not_said_twice() -> None:
    text = f"{LONG} traffic."
    quotes = quotes_of([Document(text), Document(f"{text} Yes.")], [1, 0, 0.9])
    assert packed(quotes, 100, min_score=0.5, neighbors=1) == [text, "Yes."]


def test_only_what_was_chosen_is_packed_in_the_order_of_its_scores() -> None:
    quotes = quotes_of(NUMBERED, [7, 6, 5, 4, 3, 2, 1])
    assert packed(quotes, 4, among=frozenset({2, 4, 6})) == ["Cc.\nEe."]
    assert packed(quotes, 100, among=frozenset({2, 6})) == ["Cc.", "Gg."]
    assert packed(quotes, 100, among=frozenset()) == []
    assert packed(quotes, 100, refusal="far") == []


LONG = "The committee decided on Monday to open the new bridge for all"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (f"{LONG} traffic.", f"{LONG} traffic."),
        (f"{LONG} traffic.", f"  {LONG.upper()} traffic!"),
        (f"{LONG} traffic.", LONG.replace("the new", "a new") + " traffic."),
        (f"Yesterday it was said: {LONG.lower()} traffic.", f"{LONG} traffic."),
    ],
)
def test_a_copy_gives_way_to_the_better_one(better: str, worse: str) -> None:
    documents = [Document(worse), Document("Other text."), Document(better)]
    quotes = quotes_of(documents, [1, 2, 3])
    assert packed(quotes, 1_000) == [better, "Other text."]
    assert pack(quotes, Limits(1_000)).repeated == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"{LONG} traffic.", LONG.replace("decided", "did not decide") + " traffic."),
        (f"{LONG} 5 tons.", f"{LONG} 6 tons."),
        (f"{LONG} -5 tons.", f"{LONG} 5 tons."),
        (f"{LONG} 5% load.", f"{LONG} 5$ load."),
        (f"{LONG} traffic.", LONG.replace("Monday", "Friday") + " traffic."),
        ("Dog bites man.", "Man bites dog."),
        (f"{LONG} traffic.", f"{LONG} traffic, except for trucks."),
        ("😀", "😃"),
    ],
)
def test_what_says_something_else_is_kept(first: str, second: str) -> None:
    quotes = quotes_of([Document(first), Document(second)], [2, 1])
    assert packed(quotes, 1_000) == [first, second]


def test_a_short_passage_means_what_its_context_makes_of_it() -> None:
    documents = [
        Document("It costs 5 euros.", metadata={"title": title})
        for title in ("Basic", "Plus", "Plus")
    ]
    assert len(packed(quotes_of(documents, [3, 2, 1]), 100)) == 2
    sections = Document("# Basic\nIt costs 5.\n# Plus\nIt costs 5.")
    assert packed(quotes_of([sections], [1] * 4), 100) == [sections.page_content]


def test_another_documents_evidence_comes_last_but_is_not_lost() -> None:
    text = f"{LONG} traffic."
    documents = [
        Document(text, metadata={"title": "Berlin"}),
        Document(text, metadata={"title": "Paris"}),
        Document("Other text.", metadata={"source": "rome.md"}),
    ]
    quotes = quotes_of(documents, [3, 2, 1])
    assert packed(quotes, 100) == [text, text, "Other text."]
    assert pack(quotes, Limits(100)).repeated == 0
    # It takes its place only behind what says something new.
    words = count_words(text) + 2
    assert packed(quotes, words + 4) == [text, "Other text."]
    assert packed(quotes, 2 * words + 4) == [text, text, "Other text."]


def test_a_source_is_a_context_where_there_is_no_title() -> None:
    text = "Opening hours: 9 to 5."
    documents = [
        Document(text, metadata={"source": source})
        for source in ("berlin.md", "paris.md", "paris.md")
    ]
    assert packed(quotes_of(documents, [3, 2, 1]), 100) == [text, text]


TABLES = (
    "| Basic | b |\n|---|---|\n| price | 5 |\n\n| Plus | b |\n|---|---|\n| price | 5 |"
)


def test_a_row_brings_its_header_and_is_no_copy_of_another_table() -> None:
    quotes = quotes_of([Document(TABLES)], [2, 1])
    assert packed(quotes, 100) == [TABLES]
    assert packed(quotes, 13) == [TABLES.partition("\n\n")[0]]


def test_a_header_is_counted_once() -> None:
    table = "| h | i |\n|---|---|\n" + "\n".join(f"| a{n} | {n} |" for n in range(9))
    quotes = quotes_of([Document(table)], [1] * 9)
    assert packed(quotes, count_words(table) + 1) == [table]


def test_what_careful_adding_leaves_over_is_filled() -> None:
    text = " ".join(f"{chr(97 + n)}b{n}." for n in range(20)).title()
    quotes = quotes_of([Document(text)], [1] * 20, estimate_tokens)
    whole = quotes.tokens_in
    assert sum(accumulate([quotes.cost("Ab1.")] * 20, max)) > whole
    assert packed(quotes, whole) == [text]


@pytest.mark.parametrize(
    "count",
    [
        len,
        lambda text: len(text) // 4,
        lambda text: len(text) ** 2,
        lambda text: int(len(text) > 40) * 1_000,
        lambda text: 7,
        lambda text: 0 if text.startswith("\n") else 50,
    ],
)
def test_whatever_the_counter_the_limit_holds(count: Callable[[str], int]) -> None:
    documents = [Document("One two. Three four. Five six."), Document("Seven. Eight.")]
    for tokens in (1, 7, 20, 60, 400):
        quotes = quotes_of(documents, [1, 2, 3, 2, 1], count)
        packing = pack(quotes, Limits(tokens))
        assert packing.tokens <= tokens
        if packing.chosen:
            assert quotes.tokens(quotes.spans(packing.chosen)) == packing.tokens


def test_what_costs_more_together_than_apart_gives_way_last_first() -> None:
    def squares(text: str) -> int:
        return max(1, text.count(".") ** 2)

    quotes = quotes_of([Document("Aa. Bb. Cc. Dd.")], [4, 3, 2, 1], squares)
    # Apart they are 1 each and 1 for the heading; together they are 16.
    assert packed(quotes, 5) == ["Aa. Bb."]
    assert pack(quotes, Limits(5)).tokens == 4
