import logging
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field

from langchain_prodpatterns.compression import ContextCompressor, EvidenceScorer
from langchain_prodpatterns.compression.passages import cut_passages
from langchain_prodpatterns.compression.relevance import (
    arelevance_of,
    read_relevance,
    relevance_of,
)
from langchain_prodpatterns.compression.splitter import MarkdownSplitter
from langchain_prodpatterns.errors import ConfigurationError
from tests.unit_tests.compression.doubles import QUESTION, asked, world_cup


class Reranker(BaseDocumentCompressor):
    """Keeps the documents whose numbers are listed, in that order."""

    order: list[int]
    scores: list[float] | None = None
    shortens: bool = False
    error: Any = None
    asked: list[str] = Field(default_factory=list)
    awaited: list[str] = Field(default_factory=list)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[Document]:
        self.asked.append(query)
        return self._ranked(documents)

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[Document]:
        self.awaited.append(query)
        return self._ranked(documents)

    def _ranked(self, documents: Sequence[Document]) -> list[Document]:
        if self.error is not None:
            raise self.error
        found = []
        for rank, number in enumerate(self.order):
            text, metadata = documents[number].page_content, documents[number].metadata
            score = {"relevance_score": self.scores[rank]} if self.scores else {}
            text = text[:9] if self.shortens else text
            found.append(Document(text, metadata={**metadata, **score}))
        return found


class Forgetful(BaseDocumentCompressor):
    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> Sequence[Document]:
        return [Document("rewritten")]


def scored(*scores: object) -> list[Document]:
    return [Document("Text.", metadata={"relevance_score": each}) for each in scores]


def test_an_upstream_score_is_read() -> None:
    assert read_relevance(scored(0.5, 2), "relevance_score") == [0.5, 2]
    assert relevance_of(scored(0.5, 2), QUESTION, "relevance_score") == [0.5, 2]
    assert relevance_of(scored(0.5, 2), QUESTION, "other") is None
    assert relevance_of(scored(0.5, 2), QUESTION, None) is None


@pytest.mark.parametrize("wrong", ["0.5", None, float("nan"), True, [1]])
def test_where_one_document_has_no_score_none_counts(wrong: object) -> None:
    assert read_relevance(scored(0.5, wrong), "relevance_score") is None
    assert read_relevance([], "relevance_score") is None


def test_a_compressor_counts_by_rank_and_what_it_drops_is_last() -> None:
    reranker = Reranker(order=[2, 0])
    assert relevance_of(world_cup(), QUESTION, reranker) == pytest.approx([1 / 3, 0, 1])


def test_a_compressor_counts_by_the_score_it_leaves() -> None:
    reranker = Reranker(order=[2, 0, 1], scores=[9.0, 8.0, -1.0])
    assert relevance_of(world_cup(), QUESTION, reranker) == pytest.approx(
        [(1 + 2 * 0.9) / 3, 1 / 3, 1]
    )


def test_a_compressor_may_shorten_repeat_and_drop_all() -> None:
    shortened = Reranker(order=[1], shortens=True)
    assert relevance_of(world_cup(), QUESTION, shortened) == [0, 1, 0]
    repeated = Reranker(order=[1, 0, 1])
    assert relevance_of(world_cup(), QUESTION, repeated) == pytest.approx([2 / 3, 1, 0])
    nothing = Reranker(order=[])
    assert relevance_of(world_cup(), QUESTION, nothing) == [0, 0, 0]


def test_the_documents_that_came_in_are_not_changed() -> None:
    documents = world_cup()
    relevance_of(documents, QUESTION, Reranker(order=[0]))
    assert documents == world_cup()


@pytest.mark.parametrize(
    "source", [Reranker(order=[], error=RuntimeError("secret")), Forgetful()]
)
async def test_what_fails_is_warned_of_and_left_out(
    source: BaseDocumentCompressor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert relevance_of(world_cup(), QUESTION, source) is None
        assert await arelevance_of(world_cup(), QUESTION, source) is None
    assert caplog.text.count("a document is as good as its best passage") == 2
    assert "secret" not in caplog.text


async def test_it_is_asked_once_the_way_the_compressor_is() -> None:
    reranker = Reranker(order=[0, 1, 2])
    compressor = ContextCompressor(document_score=reranker)
    compressor.invoke(asked())
    assert (reranker.asked, reranker.awaited) == ([QUESTION], [])
    await compressor.ainvoke(asked())
    assert (reranker.asked, reranker.awaited) == ([QUESTION], [QUESTION])
    compressor.invoke(asked([]))
    assert reranker.asked == [QUESTION]


@pytest.mark.parametrize("asks", [True, False])
async def test_the_reranked_document_comes_first(*, asks: bool) -> None:
    texts = ["A goal is a hoop.", "A goal is a net.", "A goal is an aim."]
    documents = [Document(text) for text in texts]
    compressor = ContextCompressor(token_budget=14)
    if asks:
        compressor = ContextCompressor(
            token_budget=14, document_score=Reranker(order=[2, 1])
        )
    else:
        for document, score in zip(documents, [-5.0, 0.1, 7.5], strict=True):
            document.metadata["relevance_score"] = score
    value = asked(documents, "What is a goal?")
    assert [d.page_content for d in compressor.invoke(value)] == texts[:0:-1]
    assert await compressor.ainvoke(value) == compressor.invoke(value)
    unread = ContextCompressor(token_budget=14, document_score=None)
    assert [d.page_content for d in unread.invoke(value)] == texts[:2]


def test_passages_carry_it_and_the_scorer_weighs_it() -> None:
    documents = [Document("A goal."), Document("A goal."), Document("A goal.")]
    passages = cut_passages(documents, MarkdownSplitter(), [2.0, 4.0, 3.0])
    assert [passage.relevance for passage in passages] == [2, 4, 3]
    scorer = EvidenceScorer(document=1, bridge=0)
    assert scorer.score("goal", passages, None).tolist() == [0.5, 1, 0.75]


@pytest.mark.parametrize("wrong", ["", 3, [Reranker(order=[])]])
def test_another_source_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="document_score must be the metadata"):
        ContextCompressor(document_score=wrong)
