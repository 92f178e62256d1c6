"""Inside LangChain's own retrievers and pipelines, and over its stores.

They come with the extra `community`; where it is not installed, these are skipped. The
unit tests show the same without it.
"""

import warnings
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns import track
from langchain_prodpatterns.compression import (
    SPANS_KEY,
    CompressingRetriever,
    ContextCompressor,
    format_citations,
    resolve_citation,
)
from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.tokens import estimate_tokens
from tests.unit_tests.compression.doubles import QUESTION, world_cup

with warnings.catch_warnings():
    # It says at import that it is being sunset, which nobody who runs this can change.
    warnings.simplefilter("ignore", DeprecationWarning)
    community = pytest.importorskip("langchain_community.retrievers")
    stores = pytest.importorskip("langchain_community.vectorstores")
retrievers = pytest.importorskip("langchain_classic.retrievers")
compressors = pytest.importorskip("langchain_classic.retrievers.document_compressors")

GOAL = "Lucien Laurent scored the first goal of the World Cup."
SOURCES = {document.id: document.page_content for document in world_cup()}


def compressor(**kwargs: Any) -> ContextCompressor:
    settings = {"token_budget": 25, "token_counter": estimate_tokens, **kwargs}
    return ContextCompressor(LexicalEmbeddings(), **settings)


def in_memory() -> BaseRetriever:
    store = InMemoryVectorStore(LexicalEmbeddings())
    store.add_documents(world_cup())
    return store.as_retriever(search_kwargs={"k": 3})


def faiss() -> Any:
    store = stores.FAISS.from_documents(world_cup(), LexicalEmbeddings())
    return store.as_retriever(search_kwargs={"k": 3})


def by_words() -> Any:
    pytest.importorskip("rank_bm25")
    return community.BM25Retriever.from_documents(world_cup(), k=3)


def ensemble() -> Any:
    both = [in_memory(), by_words()]
    return retrievers.EnsembleRetriever(retrievers=both, weights=[0.5, 0.5])


RETRIEVERS = [in_memory, faiss, by_words, ensemble]


def check(found: list[Document]) -> None:
    """Check that what was found are quotes with offsets into their sources."""
    assert GOAL in [each.page_content for each in found]
    assert estimate_tokens(format_citations(found)) <= 25
    for number, quote in enumerate(found, 1):
        document, spans = resolve_citation(number, found)
        parts = [SOURCES[document.id][start:end] for start, end in spans]
        assert "\n".join(parts) == quote.page_content
        assert quote.metadata[SPANS_KEY]


@pytest.mark.parametrize("make", RETRIEVERS)
async def test_over_langchains_retrievers(make: Any) -> None:
    ours = CompressingRetriever(make(), compressor())
    check(ours.invoke(QUESTION))
    check(await ours.ainvoke(QUESTION))


@pytest.mark.parametrize("make", RETRIEVERS)
async def test_inside_the_contextual_compression_retriever(make: Any) -> None:
    theirs = retrievers.ContextualCompressionRetriever(
        base_compressor=compressor(), base_retriever=make()
    )
    with track() as ledger:
        check(theirs.invoke(QUESTION))
        check(await theirs.ainvoke(QUESTION))
    records = ledger.to_records()
    assert [record.decision for record in records] == ["compressed", "compressed"]
    assert all(record.saved_tokens > 0 for record in records)


@pytest.mark.parametrize("make", RETRIEVERS)
async def test_in_a_pipe(make: Any) -> None:
    chain = {
        "question": RunnablePassthrough[str](),
        "documents": make(),
    } | compressor()
    check(chain.invoke(QUESTION))
    check(await chain.ainvoke(QUESTION))


async def test_twice_in_a_pipeline_the_spans_still_lead_to_the_source() -> None:
    pipeline = compressors.DocumentCompressorPipeline(
        transformers=[compressor(token_budget=60), compressor()]
    )
    check(list(pipeline.compress_documents(world_cup(), QUESTION)))
    check(list(await pipeline.acompress_documents(world_cup(), QUESTION)))


async def test_in_a_pipeline_inside_a_retriever_of_ours() -> None:
    pipeline = compressors.DocumentCompressorPipeline(transformers=[compressor()])
    ours = CompressingRetriever(in_memory(), pipeline, k=1)
    check(ours.invoke(QUESTION))
    check(await ours.ainvoke(QUESTION))
