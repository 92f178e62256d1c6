import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.compression import (
    SCORE_KEY,
    SPANS_KEY,
    TOKENS_IN_KEY,
    MarkdownSplitter,
    format_citations,
)
from langchain_prodpatterns.compression.passages import cut_passages
from langchain_prodpatterns.compression.quotes import Order, Quotes


def quotes_of(documents: list[Document], order: Order = "rank") -> Quotes:
    passages = cut_passages(documents, MarkdownSplitter())
    scores = np.linspace(0, 1, len(passages))
    return Quotes(documents, passages, scores, len, order)


def test_neighbours_become_one_span_and_others_stay_apart() -> None:
    quotes = quotes_of([Document("Aa. Bb.\n\nCc.     Dd. Ee.")])
    assert quotes.spans([0, 1]) == {0: [(0, 7)]}
    assert quotes.spans([1, 2]) == {0: [(4, 12)]}
    assert quotes.spans([4, 0]) == {0: [(0, 3), (21, 24)]}
    # More than a few blanks are not carried along.
    assert quotes.spans([2, 3]) == {0: [(9, 12), (17, 20)]}


def test_tokens_are_those_of_the_formatted_quotes() -> None:
    documents = [Document("Aa. Bb.", metadata={"title": "T"}), Document("Cc.")]
    quotes = quotes_of(documents)
    assert quotes.tokens_in == len(format_citations(documents))
    spans = quotes.spans([0, 2])
    assert quotes.tokens(spans) == len(format_citations(quotes.quote(spans)))


def test_the_order_of_the_documents() -> None:
    documents = [Document("Aa."), Document("Bb."), Document("Cc.")]
    for order, expected in (("rank", [2, 1, 0]), ("source", [0, 1, 2])):
        quotes = quotes_of(documents, order)  # type: ignore[arg-type]  # of a tuple
        found = quotes.quote(quotes.spans([0, 1, 2]))
        assert found == [
            Document(document.page_content, metadata=found[at].metadata)
            for at, document in enumerate(documents[number] for number in expected)
        ]


def scores_of(quotes: Quotes, chosen: list[int]) -> list[float]:
    found = quotes.quote(quotes.spans(chosen))
    return [quote.metadata[SCORE_KEY] for quote in found]


def test_a_quote_has_the_score_of_the_best_passage_in_it() -> None:
    quotes = quotes_of([Document("Aa. Bb. Cc."), Document("Dd. Ee.")])
    assert scores_of(quotes, [0, 3]) == [0.75, 0]
    assert scores_of(quotes, [0, 2, 3, 4]) == [1, 0.5]
    assert scores_of(quotes, [0, 1]) == [0.25]


def test_what_is_not_quoted_lifts_no_document() -> None:
    documents = [Document("Aa. Bb. Cc."), Document("Dd. Ee.")]
    passages = cut_passages(documents, MarkdownSplitter())
    scores = np.array([0.1, 0.2, 1, 0.5, 0.3])
    quotes = Quotes(documents, passages, scores, len, "rank")
    found = quotes.quote(quotes.spans([0, 3]))
    assert [quote.page_content for quote in found] == ["Dd.", "Aa."]


def test_a_cut_passage_has_its_score() -> None:
    quotes = quotes_of([Document("Aa. Bb."), Document("One two three.")])
    [found] = quotes.quote(quotes.cut_to_fit(2, 4 + 7))
    assert (found.page_content, found.metadata[SCORE_KEY]) == ("One two", 1)


def test_a_quote_of_a_quote_points_into_the_source() -> None:
    source = Document("Aa. Bb. Cc. Dd. Ee.", id="s")
    whole = quotes_of([source])
    once = whole.quote(whole.spans([0, 2, 4]))
    assert once[0].page_content == "Aa.\nCc.\nEe."
    again = quotes_of(once)
    # Of the quote's lines the last two; they are neighbors there, not in the source.
    [twice] = again.quote({0: [(4, 11)]})
    assert twice.page_content == "Cc.\nEe."
    assert twice.metadata[SPANS_KEY] == [[8, 11], [16, 19]]
    assert twice.metadata[TOKENS_IN_KEY] == len(source.page_content)
    [passed] = again.quote(again.whole())
    assert passed.metadata[SPANS_KEY] == once[0].metadata[SPANS_KEY]


@pytest.mark.parametrize(
    "spans",
    [[[0, 4]], [[5, 8], [0, 3]], [[0, "7"]], [[0, 7, 9]], "text", [], None, [[8, 1]]],
)
def test_spans_that_a_document_does_not_hold_are_ignored(spans: object) -> None:
    changed = Document("Aa. Bb.", metadata={SPANS_KEY: spans})
    quotes = quotes_of([changed])
    [found] = quotes.quote(quotes.spans([1]))
    assert found.metadata[SPANS_KEY] == [[4, 7]]


def test_what_a_quote_says_of_itself_is_its_own() -> None:
    source = Document("Aa.", metadata={"tags": ["a"], "nested": {"pages": [1]}})
    quotes = quotes_of([source])
    [found] = quotes.quote(quotes.whole())
    found.metadata["tags"].append("b")
    found.metadata["nested"]["pages"].append(2)
    assert source.metadata == {"tags": ["a"], "nested": {"pages": [1]}}


def test_whole_documents() -> None:
    quotes = quotes_of([Document(" Aa. "), Document("")], "source")
    found = quotes.quote(quotes.whole())
    assert [each.page_content for each in found] == [" Aa. ", ""]
    assert [each.metadata[SPANS_KEY] for each in found] == [[[0, 5]], [[0, 0]]]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One two three.", 4 + 14, "One two three."),
        ("One two three.", 4 + 13, "One two"),
        ("One two three.", 4 + 8, "One two"),
        ("One two three.", 4 + 7, "One two"),
        ("One two three.", 4 + 5, "One"),
        ("Onetwothree", 4 + 4, "Onet"),
        ("e\u0301e\u0301e\u0301", 4 + 3, "e\u0301"),
        ("One", 4, ""),
        # A flag, a hand with its color, a family: each is read as one character.
        ("\U0001f1e9\U0001f1ea" * 4, 4 + 5, "\U0001f1e9\U0001f1ea" * 2),
        ("x\U0001f44d\U0001f3fd" * 4, 4 + 5, "x\U0001f44d\U0001f3fdx"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f466", 4 + 4, ""),
        ("\u1112\u1161\u11ab" * 3, 4 + 5, "\u1112\u1161\u11ab"),
        ("\ud83d\ude00" * 3, 4 + 3, "\ud83d\ude00"),
    ],
)
def test_cut_to_fit(text: str, limit: int, expected: str) -> None:
    # `[1]` and a line break are 4 characters, and a character is a token here.
    quotes = quotes_of([Document(text)])
    spans = quotes.cut_to_fit(0, limit)
    found = "".join(each.page_content for each in quotes.quote(spans))
    assert found == expected
