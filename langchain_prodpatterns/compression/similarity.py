"""How near each passage is to the question: embedded where it is not remembered."""

import logging
from collections.abc import Sequence
from functools import partial

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.compression.passages import Passage
from langchain_prodpatterns.compression.threads import off_loop
from langchain_prodpatterns.compression.vectors import (
    Embedding,
    VectorCache,
    without_surrogates,
)
from langchain_prodpatterns.runnable import PatternRun

logger = logging.getLogger(__name__)


def similarity_of(
    question: str,
    passages: Sequence[Passage],
    embeddings: Embeddings | None,
    vectors: VectorCache,
    run: PatternRun,
) -> Scores | None:
    """Compare passages with a question.

    Args:
        question: The question.
        passages: The passages.
        embeddings: The embedder, if there is one.
        vectors: Where vectors are remembered.
        run: The run in which the embedder is called.

    Returns:
        One cosine a passage; `None` when only words can be compared, also where the
        embedder failed: a warning says so.
    """
    if embeddings is None or not passages:
        return None
    texts = [passage.titled for passage in passages]
    try:
        query = run.embed_query(embeddings, without_surrogates(question))
        wanted = Embedding.of(texts, embeddings, vectors, len(query))
        new = list(wanted.missing.values())
        fresh = run.embed_documents(embeddings, new) if new else []
        return wanted.similarity(query, fresh)
    except Exception as error:  # noqa: BLE001 - embedders fail in many ways; words remain
        _warn(embeddings, error)
        return None


async def asimilarity_of(
    question: str,
    passages: Sequence[Passage],
    embeddings: Embeddings | None,
    vectors: VectorCache,
    run: PatternRun,
) -> Scores | None:
    """Compare passages with a question, natively async."""
    if embeddings is None or not passages:
        return None
    texts = [passage.titled for passage in passages]
    try:
        query = await run.aembed_query(embeddings, without_surrogates(question))
        look = partial(Embedding.of, texts, embeddings, vectors, len(query))
        wanted = await off_loop(look)
        new = list(wanted.missing.values())
        fresh = await run.aembed_documents(embeddings, new) if new else []
        return await off_loop(partial(wanted.similarity, query, fresh))
    except Exception as error:  # noqa: BLE001 - embedders fail in many ways; words remain
        _warn(embeddings, error)
        return None


def _warn(embeddings: Embeddings, error: Exception) -> None:
    # An embedder's message may quote the text that it was given.
    logger.warning(
        "%s failed (%s): passages are compared by their words alone",
        type(embeddings).__name__,
        type(error).__name__,
    )
