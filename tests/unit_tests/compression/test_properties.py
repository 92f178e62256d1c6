"""What holds for every input. 10,000 inputs: `--hypothesis-profile=many`."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_prodpatterns.compression import (
    SPANS_KEY,
    ContextCompressor,
    EvidenceScorer,
    MarkdownSplitter,
    PickRequest,
    format_citations,
)
from langchain_prodpatterns.compression.selection import select
from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.tokens import estimate_tokens

PIECES = st.sampled_from(
    [
        "The goal. ",
        "Dr. Who scored 3.5 goals! ",
        "cup ",
        "\n\n",
        "# Heading\n",
        "- item\n",
        "| a | b |\n|---|---|\n| goal | 2 |\n",
        "```\ncode\n```\n",
        "进球了。",
        "\u0301",
        "\ud83d",
        "   ",
        "World Cup",
        "?",
        "\t",
        "\r\n",
        "x" * 90,
        "\x00",
        "\u2028",
        "goal, " * 20,
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=60)
DOCUMENTS = st.lists(
    st.builds(
        lambda text, title, number: Document(
            text, metadata={} if title is None else {"title": title}, id=str(number)
        ),
        TEXTS,
        st.none() | st.sampled_from(["World Cup", "T", "a\nb", ""]) | st.integers(),
        st.integers(0, 99),
    ),
    max_size=5,
)
COUNTERS: list[Callable[[str], int]] = [
    estimate_tokens,
    len,
    lambda text: len(text.split()),
    lambda text: len(text) // 3,
]
JUDGES: list[Callable[[PickRequest], object] | None] = [
    None,
    lambda _: [],
    lambda _: [2, 1, 99],
    lambda request: list(range(len(request.passages.texts) + 1)),
    lambda _: "prose",
]
COMPRESSORS = st.builds(
    ContextCompressor,
    st.sampled_from([None, LexicalEmbeddings(dimensions=32)]),
    token_budget=st.integers(1, 200),
    ratio=st.none() | st.floats(0.05, 1),
    splitter=st.builds(MarkdownSplitter, max_chars=st.sampled_from([5, 60, 1_200])),
    scorer=st.builds(EvidenceScorer, bridge=st.sampled_from([0.0, 0.4])),
    token_counter=st.sampled_from(COUNTERS),
    order=st.sampled_from(["rank", "source", "edges"]),
    on_empty=st.sampled_from(["keep_best", "drop"]),
    min_score=st.none() | st.floats(0, 1.5),
    neighbors=st.integers(0, 2),
    judge=st.sampled_from(JUDGES),
    # Asked at once, in no thread of its own.
    judge_timeout=st.none(),
)
QUESTIONS = st.sampled_from(["Who scored the goal?", "", "进球", "\ud800"]) | st.text(
    max_size=9
)


def limit_of(compressor: ContextCompressor, documents: list[Document]) -> int:
    assert compressor.token_counter is not None
    assert compressor.token_budget is not None
    whole = compressor.token_counter(format_citations(documents))
    share = whole if compressor.ratio is None else int(compressor.ratio * whole)
    return min(whole, share, compressor.token_budget)


@contextmanager
def warnings_of(name: str) -> Iterator[list[str]]:
    """Collect what a module warns of, where a fixture would serve all examples."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, handler = logging.getLogger(name), Keep()
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


@settings(max_examples=max(400, settings().max_examples), deadline=None)
@given(COMPRESSORS, QUESTIONS, DOCUMENTS, st.none() | st.integers(1, 4))
def test_every_result_keeps_its_promises(
    compressor: ContextCompressor,
    question: str,
    documents: list[Document],
    k: int | None,
) -> None:
    before = [document.model_copy(deep=True) for document in documents]
    with warnings_of(select.__module__) as told:
        found = compressor.invoke({"question": question, "documents": documents}, k=k)

    assert documents == before
    has_text = any(document.page_content.strip() for document in documents)
    if compressor.on_empty == "keep_best" and has_text and not found:
        assert "the context is empty" in told[0]
    assert len(found) <= (len(documents) if k is None else k)
    if found:
        assert compressor.token_counter is not None
        used = compressor.token_counter(format_citations(found))
        assert used <= limit_of(compressor, documents)
    sources = list(documents)
    for quote in found:
        check_quote(quote, sources)
    if compressor.order == "source":
        assert is_subsequence([quote.id for quote in found], [d.id for d in documents])


def check_quote(quote: Document, sources: list[Document]) -> None:
    spans = quote.metadata[SPANS_KEY]
    assert spans
    fitting = [
        source
        for source in sources
        if source.id == quote.id
        and {**quote.metadata, **source.metadata} == quote.metadata
        and "\n".join(source.page_content[start:end] for start, end in spans)
        == quote.page_content
    ]
    assert fitting, "the quote is not what its spans say"
    sources.remove(fitting[0])
    assert quote.page_content.strip()
    assert len(quote.page_content) <= len(fitting[0].page_content)
    assert all(0 <= start < end for start, end in spans)
    assert all(one[1] <= next_one[0] for one, next_one in pairwise(spans))


def is_subsequence(part: list[str | None], whole: list[str | None]) -> bool:
    rest = iter(whole)
    return all(each in rest for each in part)


@settings(max_examples=200, deadline=None)
@given(QUESTIONS, DOCUMENTS, st.integers(40, 200))
def test_keep_best_is_never_empty_where_a_heading_and_a_word_fit(
    question: str, documents: list[Document], budget: int
) -> None:
    compressor = ContextCompressor(token_budget=budget, token_counter=estimate_tokens)
    found = compressor.invoke({"question": question, "documents": documents})
    has_text = any(document.page_content.strip() for document in documents)
    assert bool(found) == has_text


@settings(max_examples=100, deadline=None)
@given(QUESTIONS, DOCUMENTS)
def test_passthrough_is_empty_only_for_no_documents(
    question: str, documents: list[Document]
) -> None:
    compressor = ContextCompressor(on_empty="passthrough", token_budget=1)
    found = compressor.invoke({"question": question, "documents": documents})
    assert len(found) == len(documents)


@pytest.mark.parametrize("order", ["rank", "source"])
@settings(max_examples=100, deadline=None)
@given(question=QUESTIONS, documents=DOCUMENTS)
async def test_async_is_sync(
    question: str, documents: list[Document], order: str
) -> None:
    compressor = ContextCompressor(LexicalEmbeddings(), token_budget=40, order=order)  # type: ignore[arg-type]  # parametrized
    value = {"question": question, "documents": documents}
    assert await compressor.ainvoke(value) == compressor.invoke(value)  # type: ignore[arg-type]  # a plain dict
