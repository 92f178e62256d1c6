"""What is known of a document as a whole: a reranker's score, read or asked for."""

import logging
from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.errors import ConfigurationError

logger = logging.getLogger(__name__)

RELEVANCE_KEY = "relevance_score"
"""The metadata key under which LangChain's rerankers leave their score."""

_NUMBER_KEY = "prodpatterns.document"

Relevance = Sequence[float] | None
"""One number a document, higher is better; `None` when it is not known."""

DocumentScore = str | BaseDocumentCompressor | None
"""A metadata key, or a compressor to ask."""


def check_document_score(value: object) -> None:
    """Refuse what is neither a metadata key nor a compressor.

    Raises:
        ConfigurationError: When it can be no source of a document's score.
    """
    if value is None or isinstance(value, BaseDocumentCompressor):
        return
    if isinstance(value, str) and value:
        return
    msg = (
        "document_score must be the metadata key of an upstream reranker's score, a "
        f"BaseDocumentCompressor to ask for it, or None, got {value!r}"
    )
    raise ConfigurationError(msg)


def relevance_of(
    documents: Sequence[Document],
    question: str,
    source: DocumentScore,
    callbacks: Callbacks | None = None,
) -> Relevance:
    """Find out what is known of whole documents.

    Args:
        documents: What was retrieved.
        question: The question.
        source: Where to look, or whom to ask.
        callbacks: For a compressor that is asked.

    Returns:
        A number a document; `None` when nothing is known, also where the compressor
        failed: a warning says so.
    """
    if not isinstance(source, BaseDocumentCompressor) or not documents:
        return None if source is None else read_relevance(documents, str(source))
    try:
        found = source.compress_documents(numbered(documents), question, callbacks)
        return relevance_from(found, len(documents))
    except Exception as error:  # noqa: BLE001 - others' code and services
        _warn(source, error)
        return None


async def arelevance_of(
    documents: Sequence[Document],
    question: str,
    source: DocumentScore,
    callbacks: Callbacks | None = None,
) -> Relevance:
    """Find out what is known of whole documents, natively async."""
    if not isinstance(source, BaseDocumentCompressor) or not documents:
        return None if source is None else read_relevance(documents, str(source))
    try:
        found = await source.acompress_documents(
            numbered(documents), question, callbacks
        )
        return relevance_from(found, len(documents))
    except Exception as error:  # noqa: BLE001 - others' code and services
        _warn(source, error)
        return None


def _warn(source: BaseDocumentCompressor, error: Exception) -> None:
    # The message of the error may quote the documents.
    logger.warning(
        "%s failed (%s): a document is as good as its best passage",
        type(source).__name__,
        type(error).__name__,
    )


def read_relevance(documents: Sequence[Document], key: str) -> Relevance:
    """Read the scores that an upstream reranker left.

    Args:
        documents: What was retrieved.
        key: The metadata key.

    Returns:
        The scores; `None` when a document has none, since it cannot be compared then.
    """
    values = [document.metadata.get(key) for document in documents]
    if not values or not all(map(is_number, values)):
        return None
    return [float(value) for value in values if value is not None]


def numbered(documents: Sequence[Document]) -> list[Document]:
    """Copy documents for a compressor, each with its number in the metadata.

    A compressor may drop, reorder, shorten and copy documents, and few keep the id;
    the metadata stays.

    Args:
        documents: What was retrieved.

    Returns:
        The copies.
    """
    return [
        Document(
            page_content=document.page_content,
            metadata={**document.metadata, _NUMBER_KEY: number},
            id=document.id,
        )
        for number, document in enumerate(documents)
    ]


def relevance_from(returned: Sequence[Document], count: int) -> Relevance:
    """Score documents by what a compressor made of their numbered copies.

    Args:
        returned: What it returned, best first.
        count: How many it was given.

    Returns:
        Numbers of 0 to 1: by the score where the compressor left one, else by rank. A
        document that it dropped has 0.

    Raises:
        ValueError: When it returned documents that are none of those it was given.
    """
    order = [_number(document, count) for document in returned]
    values = read_relevance(returned, RELEVANCE_KEY)
    if values is None:
        values = [float(len(order) - rank) for rank in range(len(order))]
    found = [0.0] * count
    low, high = min(values, default=0.0), max(values, default=0.0)
    for number, value in zip(order, values, strict=True):
        share = (value - low) / (high - low) if high > low else 1.0
        # The worst that was kept is still better than what was dropped.
        found[number] = max(found[number], (1 + (count - 1) * share) / count)
    return found


def _number(document: Document, count: int) -> int:
    number = document.metadata.get(_NUMBER_KEY)
    if isinstance(number, int) and 0 <= number < count:
        return number
    msg = "a compressor returned a document without the metadata it was given"
    raise ValueError(msg)
