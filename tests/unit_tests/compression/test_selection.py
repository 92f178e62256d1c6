import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.compression import MarkdownSplitter, format_citations
from langchain_prodpatterns.compression.packer import Limits
from langchain_prodpatterns.compression.passages import cut_passages
from langchain_prodpatterns.compression.quotes import Quotes
from langchain_prodpatterns.compression.selection import OnEmpty, Selection, select

DOCUMENTS = [Document("Alpha beta gamma. Delta."), Document("Epsilon zeta.")]
BLANK = [Document("  ")]


def count_words(text: str) -> int:
    return len(text.split())


def selected(
    documents: list[Document],
    tokens: int,
    on_empty: OnEmpty = "keep_best",
    min_score: float | None = None,
) -> Selection:
    passages = cut_passages(documents, MarkdownSplitter())
    scores = np.array([1.0, 0.2, 0.5][: len(passages)])
    quotes = Quotes(documents, passages, scores, count_words, "rank")
    return select(quotes, Limits(tokens, min_score=min_score), on_empty)


@pytest.mark.parametrize(
    ("documents", "tokens", "on_empty", "decision", "texts"),
    [
        (
            DOCUMENTS,
            99,
            "drop",
            "unchanged",
            ["Alpha beta gamma. Delta.", "Epsilon zeta."],
        ),
        (DOCUMENTS, 4, "drop", "compressed", ["Alpha beta gamma."]),
        (DOCUMENTS, 1, "drop", "dropped", []),
        (DOCUMENTS, 1, "keep_best", "empty", []),
        (
            DOCUMENTS,
            1,
            "passthrough",
            "passed through",
            [d.page_content for d in DOCUMENTS],
        ),
        (DOCUMENTS[1:], 2, "keep_best", "kept best", ["Epsilon"]),
        (BLANK, 9, "keep_best", "empty", []),
        (BLANK, 9, "drop", "empty", []),
        (BLANK, 9, "passthrough", "passed through", ["  "]),
        ([], 9, "passthrough", "empty", []),
    ],
)
def test_every_case(
    documents: list[Document],
    tokens: int,
    on_empty: OnEmpty,
    decision: str,
    texts: list[str],
) -> None:
    found = selected(documents, tokens, on_empty)
    assert found.decision == decision
    assert [each.page_content for each in found.documents] == texts
    assert found.reason
    assert found.tokens_in == count_words(format_citations(documents))
    assert found.tokens_out == count_words(format_citations(found.documents))


def test_the_best_is_kept_whole_where_only_its_score_was_too_low() -> None:
    found = selected(DOCUMENTS, 99, min_score=2)
    assert found.decision == "kept best"
    assert found.reason.startswith("no passage reaches min_score")
    assert [each.page_content for each in found.documents] == ["Alpha beta gamma."]


def test_the_reason_counts() -> None:
    assert selected(DOCUMENTS, 4).reason == "1 of 3 passages from 1 of 2 documents"
