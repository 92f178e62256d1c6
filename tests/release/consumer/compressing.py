"""Retrieved documents, compressed by the question."""

import logging

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.stores import InMemoryByteStore

from langchain_prodpatterns import CompressingRetriever, ContextCompressor
from langchain_prodpatterns.compression import (
    SCORE_KEY,
    SOURCES_KEY,
    SPANS_KEY,
    TOKENS_IN_KEY,
    TOKENS_OUT_KEY,
    BlingfireSentences,
    Candidates,
    Citation,
    CompressInput,
    EvidenceScorer,
    EvidenceSummarizer,
    MarkdownSplitter,
    Passage,
    PickRequest,
    PickVerdict,
    PysbdSentences,
    Reference,
    Scorer,
    Span,
    Splitter,
    Statement,
    Summary,
    SummaryRequest,
    VectorCache,
    find_citations,
    format_citations,
    resolve_citation,
)

logger = logging.getLogger(__name__)


def first(request: PickRequest) -> PickVerdict:
    return PickVerdict(ids=(len(request.passages.texts),))


def summarized(request: SummaryRequest) -> Summary:
    return Summary(statements=(Statement(text=request.question, sources=(1,)),))


def retriever(base: BaseRetriever, embeddings: Embeddings) -> CompressingRetriever:
    splitter: Splitter = MarkdownSplitter(sentences=PysbdSentences("de"))
    scorer: Scorer = EvidenceScorer()
    compressor = ContextCompressor(
        embeddings,
        token_budget=500,
        splitter=splitter,
        scorer=scorer,
        judge=first,
        vectors=VectorCache(store=InMemoryByteStore()),
    )
    return CompressingRetriever(base, compressor, k=20)


def context(base: BaseRetriever, embeddings: Embeddings) -> str:
    documents: list[Document] = retriever(base, embeddings).invoke("Who won?")
    for document in documents:
        keys = (SCORE_KEY, SOURCES_KEY, SPANS_KEY, TOKENS_IN_KEY, TOKENS_OUT_KEY)
        logger.info("%s", {key: document.metadata.get(key) for key in keys})
    return format_citations(documents)


def cited(answer: str, documents: list[Document]) -> list[str]:
    found: list[Reference] = find_citations(answer, documents)
    first_one: Citation = resolve_citation(1, documents)
    return [str(first_one), *map(str, found)]


async def compressed(
    documents: list[Document], llm: BaseChatModel | None
) -> list[Document]:
    both: CompressInput = {"question": "Who won?", "documents": documents}
    summaries = await EvidenceSummarizer(summarized if llm is None else llm).ainvoke(
        both
    )
    return [*await ContextCompressor(ratio=0.25).ainvoke(both), *summaries]


def passages(text: str) -> list[Span]:
    return MarkdownSplitter(sentences=BlingfireSentences()).split(text)


def longest(found: list[Passage]) -> Candidates:
    best = max(found, key=lambda passage: passage.end - passage.start)
    return Candidates(texts=(best.text,), titles=(best.title,))
