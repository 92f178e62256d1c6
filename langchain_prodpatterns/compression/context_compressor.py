"""The pattern: split what was retrieved, score it, pack the best of it, quote it."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor

from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.compression.inputs import (
    CompressInput,
    read_input,
    read_k,
)
from langchain_prodpatterns.compression.packer import Limits
from langchain_prodpatterns.compression.passages import Passage, cut_passages
from langchain_prodpatterns.compression.quotes import Order, Quotes
from langchain_prodpatterns.compression.relevance import (
    RELEVANCE_KEY,
    DocumentScore,
    arelevance_of,
    check_document_score,
    relevance_of,
)
from langchain_prodpatterns.compression.scorer import EvidenceScorer, Scorer
from langchain_prodpatterns.compression.selection import OnEmpty, Selection, select
from langchain_prodpatterns.compression.settings import (
    check_choice,
    check_kind,
    check_limits,
    check_neighbors,
    check_similarity,
)
from langchain_prodpatterns.compression.splitter import MarkdownSplitter, Splitter
from langchain_prodpatterns.compression.vectors import (
    Embedding,
    VectorCache,
    without_surrogates,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable
from langchain_prodpatterns.tokens import TokenCounter, token_counter

logger = logging.getLogger(__name__)

DEFAULT_BUDGET = 500
"""Tokens of a context for which neither a budget nor a ratio is given."""

_FAR = "no passage is as near to the question as min_similarity"

_T = TypeVar("_T")


class ContextCompressor(
    PatternRunnable[CompressInput, list[Document]], BaseDocumentCompressor
):
    """Quotes the sentences that answer a question, word for word, under a token budget.

    ```python
    compressor = ContextCompressor(embeddings, token_budget=500)
    chain = (
        {"question": RunnablePassthrough(), "documents": retriever}
        | compressor
        | format_citations
    )
    ```

    All documents share one budget: a document that says much gets much of it, one that
    says nothing is left out. What is returned are plain documents with the id and the
    metadata of their source; `metadata["prodpatterns.spans"]` holds the offsets of
    every quoted part in the source. The input documents are not changed.

    It is a Runnable and a `BaseDocumentCompressor`, so LangChain's own
    `ContextualCompressionRetriever` takes it as well.

    The result is never over the budget and never longer than the input. When the
    budget is smaller than every sentence, the best one is cut between two words. Only
    where not even its first word fits beside its heading is the result empty, with a
    warning in the log. When the embedder fails, the words alone decide, with a warning
    too.
    """

    pattern: ClassVar[str] = "compression"

    embeddings: Embeddings | None
    """Embeds the question and the passages; without, only words are compared."""
    token_budget: int | None
    """Tokens of the result, as `format_citations` shows it."""
    ratio: float | None
    """The share of the tokens of the input that may stay."""
    splitter: Splitter
    """Cuts documents into passages."""
    scorer: Scorer
    """Scores passages by the question."""
    token_counter: TokenCounter | None
    """Counts tokens."""
    order: Order
    """The order of the documents that are returned."""
    on_empty: OnEmpty
    """What is returned when no passage is worth quoting, or none fits."""
    min_score: float | None
    """The least score of a quoted passage."""
    min_similarity: float | None
    """The least cosine of the nearest passage."""
    neighbors: int
    """Passages beside a quoted one that may fill what is left."""
    vectors: VectorCache
    """Where the vectors of passages are remembered."""
    document_score: DocumentScore
    """What tells how well a document as a whole answers."""

    def __init__(
        self,
        embeddings: Embeddings | None = None,
        *,
        token_budget: int | None = None,
        ratio: float | None = None,
        splitter: Splitter | None = None,
        scorer: Scorer | None = None,
        token_counter: TokenCounter | BaseLanguageModel[Any] | None = None,
        order: Order = "rank",
        on_empty: OnEmpty = "keep_best",
        min_score: float | None = None,
        min_similarity: float | None = None,
        neighbors: int = 0,
        vectors: VectorCache | None = None,
        document_score: DocumentScore = RELEVANCE_KEY,
        name: str | None = None,
    ) -> None:
        """Configure the compression.

        Args:
            embeddings: Embeds the question and the passages. Without, only words are
                compared: fast, and good where question and text share their words.
            token_budget: Tokens that the result may have in all, as `format_citations`
                shows it: headings and joiners included. 500 when neither this nor
                `ratio` is given.
            ratio: The share of the tokens of the input that may stay, such as 0.25.
                Given both, the smaller limit holds.
            splitter: Cuts documents into passages; `MarkdownSplitter()` by default.
            scorer: Scores passages; `EvidenceScorer()` by default.
            token_counter: A function of a text, or a model whose own counter is used.
                By default tiktoken where its encoding is on disk, else an estimate.
            order: `rank` puts the document with the best passage first, `source` keeps
                the order of retrieval, `edges` puts the best first and the next best
                last. Inside a document the text keeps its order.
            on_empty: What is returned when no passage is worth quoting, or none fits.
                `keep_best`: the best passage alone, cut between words where it does not
                fit. `drop`: nothing. `passthrough`: the documents uncompressed, the one
                case in which the budget does not hold.
            min_score: Passages with a lower score are left out even where they would
                fit. The default scorer gives the best passage 1, so this is a share of
                the best; without any shared word or embedding all passages have 0.
            min_similarity: Where not even the nearest passage has this cosine with the
                question, the documents do not answer it, and what `on_empty` says is
                done: with `drop`, nothing is returned. What is low depends on the
                embedder, so there is no default. Nobody abstains when it fails.
            neighbors: Where `min_score` leaves tokens over, this many passages on each
                side of a quoted one fill them.
            vectors: Where the vectors of passages are remembered, to share it between
                compressors; a `VectorCache()` of its own by default.
            document_score: What tells how well a document as a whole answers. A
                metadata key: the score that an upstream reranker left there, used when
                every document has one. A reranker or any other
                `BaseDocumentCompressor`: it is asked, and its score or its order
                counts; what it drops is ranked last. `None`: a document is as good as
                its best passage, which also holds where the other two say nothing.
            name: The name of the run in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        check_kind("embeddings", embeddings, Embeddings)
        check_kind("splitter", splitter, Splitter)
        check_kind("scorer", scorer, Scorer)
        check_kind("vectors", vectors, VectorCache)
        check_choice("order", order, ("rank", "source", "edges"))
        check_choice("on_empty", on_empty, ("keep_best", "drop", "passthrough"))
        check_limits(token_budget, ratio, min_score)
        check_similarity(min_similarity, embeddings)
        check_neighbors(neighbors)
        check_document_score(document_score)
        if token_budget is None and ratio is None:
            token_budget = DEFAULT_BUDGET
        super().__init__(
            embeddings=embeddings,
            token_budget=token_budget,
            ratio=ratio,
            splitter=MarkdownSplitter() if splitter is None else splitter,
            scorer=EvidenceScorer() if scorer is None else scorer,
            token_counter=_counter(token_counter),
            order=order,
            on_empty=on_empty,
            min_score=min_score,
            min_similarity=min_similarity,
            neighbors=neighbors,
            vectors=VectorCache() if vectors is None else vectors,
            document_score=document_score,
            name=name,
        )

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """Compress documents as LangChain's retrievers ask for it.

        Args:
            documents: What was retrieved.
            query: The question.
            callbacks: The callbacks of the retriever's run.

        Returns:
            The quotes.
        """
        return self.invoke(
            {"question": query, "documents": list(documents)}, _config(callbacks)
        )

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """Compress documents as LangChain's retrievers ask for it, natively async.

        Args:
            documents: What was retrieved.
            query: The question.
            callbacks: The callbacks of the retriever's run.

        Returns:
            The quotes.
        """
        return await self.ainvoke(
            {"question": query, "documents": list(documents)}, _config(callbacks)
        )

    def _run(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        question, documents = read_input(value)
        score = self.document_score
        callbacks = run.child("rerank", hidden=True).get("callbacks")
        relevance = relevance_of(documents, question, score, callbacks)
        passages = cut_passages(documents, self.splitter, relevance)
        similarity = self._similarity(question, passages, run)
        selection = self._select(question, documents, passages, similarity, k)
        run.decide(**self._facts(selection, passages, similarity))
        return selection.documents

    async def _arun(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        question, documents = read_input(value)
        score = self.document_score
        callbacks = run.child("rerank", hidden=True).get("callbacks")
        relevance = await arelevance_of(documents, question, score, callbacks)
        cut = partial(cut_passages, documents, self.splitter, relevance)
        passages = await _off_loop(cut)
        similarity = await self._asimilarity(question, passages, run)
        pick = partial(self._select, question, documents, passages, similarity, k)
        selection = await _off_loop(pick)
        await run.adecide(**self._facts(selection, passages, similarity))
        return selection.documents

    def _similarity(
        self, question: str, passages: Sequence[Passage], run: PatternRun
    ) -> Scores | None:
        """Embed what is not remembered; `None` when only words can be compared."""
        if self.embeddings is None or not passages:
            return None
        texts = [passage.titled for passage in passages]
        try:
            query = run.embed_query(self.embeddings, without_surrogates(question))
            wanted = Embedding.of(texts, self.embeddings, self.vectors, len(query))
            new = list(wanted.missing.values())
            fresh = run.embed_documents(self.embeddings, new) if new else []
            return wanted.similarity(query, fresh)
        except Exception as error:  # noqa: BLE001 - embedders fail in many ways; words remain
            self._warn(error)
            return None

    async def _asimilarity(
        self, question: str, passages: Sequence[Passage], run: PatternRun
    ) -> Scores | None:
        if self.embeddings is None or not passages:
            return None
        texts = [passage.titled for passage in passages]
        try:
            query = await run.aembed_query(
                self.embeddings, without_surrogates(question)
            )
            look = partial(
                Embedding.of, texts, self.embeddings, self.vectors, len(query)
            )
            wanted = await _off_loop(look)
            new = list(wanted.missing.values())
            fresh = await run.aembed_documents(self.embeddings, new) if new else []
            return await _off_loop(partial(wanted.similarity, query, fresh))
        except Exception as error:  # noqa: BLE001 - embedders fail in many ways; words remain
            self._warn(error)
            return None

    def _warn(self, error: Exception) -> None:
        # An embedder's message may quote the text that it was given.
        logger.warning(
            "%s failed (%s): passages are compared by their words alone",
            type(self.embeddings).__name__,
            type(error).__name__,
        )

    def _select(
        self,
        question: str,
        documents: Sequence[Document],
        passages: Sequence[Passage],
        similarity: Scores | None,
        k: int | None,
    ) -> Selection:
        """Score, pack and quote."""
        scores = np.asarray(self.scorer.score(question, passages, similarity), float)
        if scores.shape != (len(passages),) or not np.isfinite(scores).all():
            msg = (
                f"{type(self.scorer).__name__} must return {len(passages)} finite "
                f"scores, one a passage, got an array of shape {scores.shape}"
            )
            raise ConfigurationError(msg)
        count = token_counter(self.token_counter)
        quotes = Quotes(documents, passages, scores, count, self.order)
        limits = Limits(
            self._limit(quotes),
            documents=k,
            min_score=self.min_score,
            refusal="" if self._is_answered(similarity) else _FAR,
            neighbors=self.neighbors,
        )
        return select(quotes, limits, self.on_empty)

    def _is_answered(self, similarity: Scores | None) -> bool:
        """Whether a passage is near enough to the question, as far as one can tell."""
        if self.min_similarity is None or similarity is None:
            return True
        return float(similarity.max()) >= self.min_similarity

    def _limit(self, quotes: Quotes) -> int:
        limits = [quotes.tokens_in]
        if self.token_budget is not None:
            limits.append(self.token_budget)
        if self.ratio is not None:
            limits.append(math.floor(self.ratio * quotes.tokens_in))
        return min(limits)

    def _facts(
        self,
        selection: Selection,
        passages: Sequence[Passage],
        similarity: Scores | None,
    ) -> dict[str, Any]:
        failed = self.embeddings is not None and bool(passages) and similarity is None
        reason = selection.reason
        return {
            "decision": selection.decision,
            "reason": f"{reason}; embedder failed, by words" if failed else reason,
            "saved_tokens": max(0, selection.tokens_in - selection.tokens_out),
            "tokens_in": selection.tokens_in,
            "tokens_out": selection.tokens_out,
            "passages": len(passages),
            "repeated": selection.repeated,
            "embedding_failures": int(failed),
        }


async def _off_loop(work: Callable[[], _T]) -> _T:
    """Work in a thread: texts may be long, and scorers and counters others' code."""
    return await run_in_executor(None, work)


def _config(callbacks: Callbacks | None) -> RunnableConfig:
    return {"callbacks": callbacks} if callbacks is not None else {}


def _counter(
    source: TokenCounter | BaseLanguageModel[Any] | None,
) -> TokenCounter | None:
    """Resolve a model once, so that its failure is warned of once; `None` stays."""
    return None if source is None else token_counter(source)
