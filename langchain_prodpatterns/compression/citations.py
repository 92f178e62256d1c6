"""Quotes for a prompt, and from a citation in an answer back to the source."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from langchain_core.documents import Document

from langchain_prodpatterns.compression.passages import plain_title

SPANS_KEY = "prodpatterns.spans"
"""Metadata of a quote: `[start, end]` of each part, in characters of the source."""
SCORE_KEY = "prodpatterns.score"
"""Metadata of a quote: the score of its best passage."""
TOKENS_IN_KEY = "prodpatterns.tokens_in"
"""Metadata of a quote: tokens of the source."""
TOKENS_OUT_KEY = "prodpatterns.tokens_out"
"""Metadata of a quote: tokens of the quote."""


class Citation(NamedTuple):
    """What a number in an answer refers to."""

    document: Document
    """The quote with the metadata and the id of its source."""
    spans: list[tuple[int, int]]
    """The parts of the source it quotes, in characters of the source."""


def format_citations(documents: Iterable[Document]) -> str:
    """Render documents for a prompt, numbered so that an answer can cite them.

    The `token_budget` of a `ContextCompressor` holds for exactly this text.

    Args:
        documents: The documents, as a compressor returned them.

    Returns:
        `[1] title` and under it the text, then a blank line and `[2]`. The title is the
        metadata `title`, else `source`, else nothing.
    """
    return render((headline(document), document.page_content) for document in documents)


def resolve_citation(number: int, documents: Sequence[Document]) -> Citation:
    """Find what a citation refers to.

    Args:
        number: The number in the answer, from 1.
        documents: The documents that were formatted, in the same order.

    Returns:
        The document and the parts of its source. A document that was not compressed is
        quoted whole.

    Raises:
        IndexError: When nothing has that number: the answer cites what is not there.
    """
    if not 1 <= number <= len(documents):
        msg = f"there is no citation [{number}] among {len(documents)} documents"
        raise IndexError(msg)
    document = documents[number - 1]
    whole = [[0, len(document.page_content)]]
    spans = document.metadata.get(SPANS_KEY, whole)
    return Citation(document, [(start, end) for start, end in spans])


def headline(document: Document) -> str:
    """Return what a document is called in a prompt."""
    metadata = document.metadata
    return plain_title(metadata.get("title")) or plain_title(metadata.get("source"))


def render(entries: Iterable[tuple[str, str]]) -> str:
    """Render titles and texts."""
    return "\n\n".join(
        f"{heading(number, title)}\n{text}"
        for number, (title, text) in enumerate(entries, 1)
    )


def heading(number: int, title: str) -> str:
    """Render the line above a text."""
    return f"[{number}] {title}".rstrip()
