import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.compression import MarkdownSplitter
from langchain_prodpatterns.compression.passages import cut_passages, plain_title
from tests.unit_tests.compression.doubles import passage


def test_passages_of_all_documents_in_order() -> None:
    documents = [
        Document("# Fees\nNone. Really.", metadata={"title": "Shop"}),
        Document(" "),
        Document("Last."),
    ]
    found = cut_passages(documents, MarkdownSplitter())
    assert [(p.document, p.text, p.title, p.section) for p in found] == [
        (0, "# Fees", "Shop", ""),
        (0, "None.", "Shop", "Fees"),
        (0, "Really.", "Shop", "Fees"),
        (2, "Last.", "", ""),
    ]
    for each in found:
        source = documents[each.document].page_content
        assert source[each.start : each.end] == each.text


def test_what_is_embedded_says_what_it_is_about() -> None:
    assert passage("None.", title="Shop", section="Fees").titled == "Shop: Fees: None."
    assert passage("None.", section="Fees").titled == "Fees: None."
    assert passage("None.").titled == "None."


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Plain", "Plain"),
        ("  two\n lines\t", "two lines"),
        (None, ""),
        (7, ""),
        (["Title"], ""),
        ("", ""),
        ("word " * 1_000_000, ("word " * 24).rstrip()),
    ],
)
def test_titles(value: object, expected: str) -> None:
    assert plain_title(value) == expected
