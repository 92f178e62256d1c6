"""Ways to compress that run in this environment: ours, its parts, and plain rules."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from compression_data import Case, Kept
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.compression import (
    SPANS_KEY,
    ContextCompressor,
    EvidenceScorer,
    Passage,
    VectorCache,
    format_citations,
)
from langchain_prodpatterns.compression.bm25 import Scores, bm25, words
from langchain_prodpatterns.tokens import estimate_tokens

Method = Callable[[Case, int], Kept]
"""Of a case and a limit of tokens: what is left."""

OURS = "ours"
WORDS = "ours, words"
TRUNCATION = "truncation"
DENSE = "documents by cosine"
RERANKED = "reranked"

_DENSE = EvidenceScorer(sparse=0, dense=1, document=0, named=0, bridge=0)
_SPARSE = EvidenceScorer(document=0, named=0, bridge=0)


def methods(embeddings: Embeddings) -> Iterator[tuple[str, Method]]:
    """Name every method."""
    yield OURS, compressing(embeddings, EvidenceScorer())
    yield WORDS, compressing(None, EvidenceScorer())
    yield "sentence cosine", compressing(embeddings, _DENSE)
    yield "sentence BM25", compressing(None, _SPARSE)
    yield DENSE, whole_documents(embeddings)
    yield TRUNCATION, truncation


def compressing(embeddings: Embeddings | None, scorer: EvidenceScorer) -> Method:
    """Make a method of our compressor."""
    vectors = VectorCache(max_entries=200_000)

    def method(case: Case, limit: int) -> Kept:
        numbered = [
            Document(page_content=d.page_content, metadata=d.metadata, id=str(number))
            for number, d in enumerate(case.documents)
        ]
        compressor = ContextCompressor(
            embeddings,
            token_budget=limit,
            scorer=scorer,
            token_counter=estimate_tokens,
            vectors=vectors,
        )
        found = compressor.invoke({"question": case.question, "documents": numbered})
        if found and estimate_tokens(format_citations(found)) > limit:
            msg = f"{scorer} is over the limit of {limit} tokens"
            raise AssertionError(msg)
        return {
            int(d.id or 0): [(start, end) for start, end in d.metadata[SPANS_KEY]]
            for d in found
        }

    return method


def truncation(case: Case, limit: int) -> Kept:
    """Keep the beginning of the documents in the order of BM25."""
    texts = [f"{d.metadata['title']} {d.page_content}" for d in case.documents]
    scores = bm25(words(case.question), [words(text) for text in texts])
    return _take(case, np.argsort(-scores, kind="stable").tolist(), limit, cut=True)


def whole_documents(embeddings: Embeddings) -> Method:
    """Make a method: the nearest documents, whole, the rule of LangChain's filter."""

    def method(case: Case, limit: int) -> Kept:
        texts = [document.page_content for document in case.documents]
        matrix = np.array(embeddings.embed_documents(texts))
        query = np.array(embeddings.embed_query(case.question))
        cosines = matrix @ query / np.linalg.norm(matrix, axis=1)
        order = np.argsort(-cosines, kind="stable")
        return _take(case, order.tolist(), limit, cut=False)

    return method


def reranked(embeddings: Embeddings) -> Method:
    """Make a method: documents by their best sentence's cosine, then cut off."""
    ranked = compressing(embeddings, _DENSE)
    orders: dict[int, list[int]] = {}

    def method(case: Case, limit: int) -> Kept:
        if id(case) not in orders:
            # With room for all, documents come in the order of their best sentence.
            order = list(ranked(case, 2 * case.tokens))
            missing = [n for n in range(len(case.documents)) if n not in order]
            orders[id(case)] = order + missing
        return _take(case, orders[id(case)], limit, cut=True)

    return method


class _Watching:
    """Notes the highest cosine of each question."""

    def __init__(self) -> None:
        self.highest: list[float] = []

    def score(
        self, question: str, passages: Sequence[Passage], similarity: Scores | None
    ) -> Scores:
        """Score nothing."""
        assert similarity is not None  # noqa: S101 - there is an embedder
        self.highest.append(float(similarity.max()))
        return similarity


def highest_cosine(embeddings: Embeddings, cases: Sequence[Case]) -> Scores:
    """Return the cosine of the nearest passage of each question."""
    watching = _Watching()
    compressor = ContextCompressor(embeddings, scorer=watching)
    for case in cases:
        compressor.compress_documents(case.documents, case.question)
    return np.array(watching.highest)


def _take(case: Case, order: list[int], limit: int, *, cut: bool) -> Kept:
    kept: Kept = {}
    taken: list[Document] = []
    for number in order:
        document = case.documents[number]
        taken.append(document)
        over = estimate_tokens(format_citations(taken)) - limit
        size = len(document.page_content)
        if over <= 0:
            kept[number] = [(0, size)]
            continue
        if cut:
            kept[number] = [(0, max(0, size - 4 * over))]
        break
    return kept
