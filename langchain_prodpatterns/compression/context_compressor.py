"""The pattern: split what was retrieved, score it, pack the best of it, quote it."""

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseLanguageModel

from langchain_prodpatterns.arguments import check_count, check_seconds
from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.compression.document_step import DocumentStep
from langchain_prodpatterns.compression.inputs import (
    CompressInput,
    read_input,
    read_k,
)
from langchain_prodpatterns.compression.packer import Limits
from langchain_prodpatterns.compression.passages import Passage, cut_passages
from langchain_prodpatterns.compression.picking import (
    PassageJudge,
    Pick,
    aask,
    ask,
    bind_judge,
    chosen_by,
    offer,
)
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
    check_similarity,
)
from langchain_prodpatterns.compression.similarity import (
    asimilarity_of,
    similarity_of,
)
from langchain_prodpatterns.compression.splitter import MarkdownSplitter, Splitter
from langchain_prodpatterns.compression.threads import off_loop
from langchain_prodpatterns.compression.vectors import VectorCache
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import JudgeLike
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.tokens import TokenCounter, token_counter

DEFAULT_BUDGET = 500
"""Tokens of a context for which neither a budget nor a ratio is given."""

_FAR = "no passage is as near to the question as min_similarity"


class ContextCompressor(DocumentStep):
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
    judge: JudgeLike | None
    """Says which of the best passages answer."""
    judge_timeout: float | None
    """Seconds for the judge's answer."""
    budget: Budget | None
    """What one run may spend on the judge."""
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
        judge: JudgeLike | None = None,
        judge_timeout: float | None = 10.0,
        budget: Budget | None = None,
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
            neighbors: Where `min_score` or the judge leaves tokens over, this many
                passages on each side of a quoted one fill them.
            judge: A chat model, or a Runnable or callable from `PickRequest` to
                `PickVerdict`. It is shown the best passages, four times what may be
                returned, in one call, and answers with numbers: only what it chose is
                quoted, and it writes no text. Where it fails, is late or costs too
                much, the scores decide.
            judge_timeout: Seconds for its answer, a repair of it included.
            budget: What one run may spend on it: `Budget(calls=1)` forgoes the repair,
                `seconds` count from the beginning of the run, and more `tokens` than it
                has are not sent.
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
        check_count("neighbors", neighbors, optional=False, least=0)
        check_seconds("judge_timeout", judge_timeout)
        check_kind("budget", budget, Budget)
        if judge is not None:
            bind_judge(judge, judge_timeout)
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
            judge=judge,
            judge_timeout=judge_timeout,
            budget=budget,
            vectors=VectorCache() if vectors is None else vectors,
            document_score=document_score,
            name=name,
        )
        _ = self._judge  # two threads must not bind it twice

    @cached_property
    def _judge(self) -> PassageJudge | None:
        """The judge, bound once: it knows how many of its calls have not come back."""
        return (
            None if self.judge is None else bind_judge(self.judge, self.judge_timeout)
        )

    def _run(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        question, documents = read_input(value)
        meter = (self.budget or Budget()).start()
        callbacks = run.child("rerank", hidden=True).get("callbacks")
        relevance = relevance_of(documents, question, self.document_score, callbacks)
        passages = cut_passages(documents, self.splitter, relevance)
        similarity = similarity_of(
            question, passages, self.embeddings, self.vectors, run
        )
        quotes = self._score(question, documents, passages, similarity)
        limits = self._limits(quotes, similarity, k)
        pick = Pick()
        if self._judge is not None and passages and not limits.refusal:
            offered = offer(question, quotes, limits)
            pick = ask(self._judge, offered, run, meter)
        selection = select(quotes, chosen_by(pick, limits), self.on_empty)
        run.decide(**self._facts(selection, quotes, similarity, pick))
        return selection.documents

    async def _arun(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        question, documents = read_input(value)
        meter = (self.budget or Budget()).start()
        callbacks = run.child("rerank", hidden=True).get("callbacks")
        relevance = await arelevance_of(
            documents, question, self.document_score, callbacks
        )
        cut = partial(cut_passages, documents, self.splitter, relevance)
        passages = await off_loop(cut)
        similarity = await asimilarity_of(
            question, passages, self.embeddings, self.vectors, run
        )
        score = partial(self._score, question, documents, passages, similarity)
        quotes = await off_loop(score)
        limits = await off_loop(partial(self._limits, quotes, similarity, k))
        pick = Pick()
        if self._judge is not None and passages and not limits.refusal:
            offered = await off_loop(partial(offer, question, quotes, limits))
            pick = await aask(self._judge, offered, run, meter)
        choose = partial(select, quotes, chosen_by(pick, limits), self.on_empty)
        selection = await off_loop(choose)
        await run.adecide(**self._facts(selection, quotes, similarity, pick))
        return selection.documents

    def _score(
        self,
        question: str,
        documents: Sequence[Document],
        passages: Sequence[Passage],
        similarity: Scores | None,
    ) -> Quotes:
        """Score the passages, for choosing among them and quoting them."""
        scores = np.asarray(self.scorer.score(question, passages, similarity), float)
        if scores.shape != (len(passages),) or not np.isfinite(scores).all():
            msg = (
                f"{type(self.scorer).__name__} must return {len(passages)} finite "
                f"scores, one a passage, got an array of shape {scores.shape}"
            )
            raise ConfigurationError(msg)
        count = token_counter(self.token_counter)
        return Quotes(documents, passages, scores, count, self.order)

    def _limits(
        self, quotes: Quotes, similarity: Scores | None, k: int | None
    ) -> Limits:
        return Limits(
            self._limit(quotes),
            documents=k,
            min_score=self.min_score,
            refusal="" if self._is_answered(similarity) else _FAR,
            neighbors=self.neighbors,
        )

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
        quotes: Quotes,
        similarity: Scores | None,
        pick: Pick,
    ) -> dict[str, Any]:
        passages = quotes.passages
        unembedded = self.embeddings is not None and similarity is None
        failed = unembedded and bool(passages)
        notes = [
            selection.reason,
            "embedder failed, by words" if failed else "",
            f"judge failed ({pick.failure}), by score" if pick.failure else "",
        ]
        return {
            "decision": selection.decision,
            "reason": "; ".join(filter(None, notes)),
            "saved_tokens": max(0, selection.tokens_in - selection.tokens_out),
            "tokens_in": selection.tokens_in,
            "tokens_out": selection.tokens_out,
            "passages": len(passages),
            "repeated": selection.repeated,
            "embedding_failures": int(failed),
            "judge_failures": int(bool(pick.failure)),
            "unknown_ids": pick.unknown,
        }


def _counter(
    source: TokenCounter | BaseLanguageModel[Any] | None,
) -> TokenCounter | None:
    """Resolve a model once, so that its failure is warned of once; `None` stays."""
    return None if source is None else token_counter(source)
