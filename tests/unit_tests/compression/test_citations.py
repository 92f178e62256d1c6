import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.compression import (
    SPANS_KEY,
    format_citations,
    resolve_citation,
)


def test_titles_and_numbers() -> None:
    documents = [
        Document("One.", metadata={"title": "A  title\nof two lines", "source": "x"}),
        Document("Two.\nThree.", metadata={"source": "docs/returns.md"}),
        Document("Four.", metadata={"title": 5, "source": None}),
    ]
    assert format_citations(documents) == (
        "[1] A title of two lines\nOne.\n\n[2] docs/returns.md\nTwo.\nThree.\n\n[3]\nFour."
    )
    assert format_citations([]) == ""


def test_a_long_title_is_cut() -> None:
    found = format_citations([Document("x", metadata={"title": "word " * 200_000})])
    assert len(found) <= len("[1] \nx") + 120


def test_a_citation_leads_back_to_the_source() -> None:
    whole = Document("Not compressed.")
    quote = Document("One.\nThree.", metadata={SPANS_KEY: [[0, 4], [10, 16]]}, id="d")
    citation = resolve_citation(2, [whole, quote])
    assert citation.document.id == "d"
    assert citation.spans == [(0, 4), (10, 16)]
    assert resolve_citation(1, [whole, quote]).spans == [(0, 15)]


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_citation_of_nothing(number: int) -> None:
    with pytest.raises(
        IndexError, match=rf"no citation \[{number}\] among 2 documents"
    ):
        resolve_citation(number, [Document("a"), Document("b")])
