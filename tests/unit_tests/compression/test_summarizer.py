"""Summaries: an explicit step, each statement with the documents it names."""

import copy
import pickle
import re
import threading
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from langchain_prodpatterns import track
from langchain_prodpatterns.compression import (
    SOURCES_KEY,
    ContextCompressor,
    EvidenceSummarizer,
    Statement,
    Summary,
    SummaryRequest,
    format_citations,
)
from langchain_prodpatterns.deadlines import LATE_AT_MOST
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest
from langchain_prodpatterns.tokens import estimate_tokens
from tests.unit_tests.compression.doubles import QUESTION, asked, world_cup

SHORT = "Laurent, a French worker, scored it in Uruguay."


def saying(*statements: tuple[str, tuple[int, ...]]) -> Any:
    def write(_: SummaryRequest) -> Summary:
        return Summary(
            statements=tuple(Statement(text=t, sources=s) for t, s in statements)
        )

    return write


def summarizer(model: Any, **kwargs: Any) -> EvidenceSummarizer:
    return EvidenceSummarizer(model, token_counter=estimate_tokens, **kwargs)


def answering(statements: list[dict[str, Any]]) -> ScriptedChatModel:
    def respond(request: ScriptedRequest) -> dict[str, Any]:
        form = re.search(r'"nonce" set to "(\w+)"', request.prompt_text)
        return {"statements": statements, "nonce": form[1] if form else ""}

    return ScriptedChatModel(respond=respond)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_summary_names_its_sources(*, asynchronous: bool) -> None:
    model = answering([{"text": SHORT, "sources": [2, 3]}])
    ours = summarizer(model)
    quotes = ContextCompressor(token_budget=1_000, order="source").invoke(asked())
    before = copy.deepcopy(quotes)
    with track() as ledger:
        value = asked(quotes)
        found = await ours.ainvoke(value) if asynchronous else ours.invoke(value)
    assert quotes == before
    [summary] = found
    assert summary.page_content == SHORT
    assert summary.metadata["title"] == "Summary of 1930 tournament; Lucien Laurent"
    assert summary.metadata[SOURCES_KEY] == [
        {"id": "cup", "title": "1930 tournament", "spans": [[0, 133]]},
        {"id": "laurent", "title": "Lucien Laurent", "spans": [[0, 74]]},
    ]
    assert model.calls == 1
    [record] = ledger.to_records()
    assert (record.decision, record.calls) == ("summarized", 1)
    assert record.saved_tokens == estimate_tokens(
        format_citations(quotes)
    ) - estimate_tokens(format_citations(found))


def test_statements_of_the_same_sources_are_one_document() -> None:
    model = saying(("One.", (2,)), ("Two.", (3, 2)), ("Three.", (2, 2)))
    found = summarizer(model).invoke(asked())
    assert [each.page_content for each in found] == ["One. Three.", "Two."]


@pytest.mark.parametrize("sources", [(), (0,), (4, -1, 99)])
def test_what_names_no_source_is_left_out_and_counted(sources: tuple[int, ...]) -> None:
    found = summarizer(saying(("Made up.", sources), (SHORT, (2,)))).invoke(asked())
    assert [each.page_content for each in found] == [SHORT]
    with track() as ledger:
        passed = summarizer(saying(("Made up.", sources))).invoke(asked())
    assert passed == world_cup()
    [record] = ledger.to_records()
    assert record.decision == "passed through"
    assert record.reason == "the summary says nothing that has a source"
    assert record.saved_tokens == 0


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            ScriptedChatModel(respond=lambda _: "Laurent did."),
            "no summary: unparseable",
        ),
        (RunnableLambda(lambda _: 1 / 0), "no summary: provider"),
        (saying(("word " * 900, (1,))), "the summary is no shorter"),
        (saying((" ", (1,))), "the summary says nothing that has a source"),
    ],
)
async def test_where_there_is_no_summary_the_documents_pass(
    model: Any, reason: str, *, asynchronous: bool
) -> None:
    ours = summarizer(model)
    with track() as ledger:
        found = await ours.ainvoke(asked()) if asynchronous else ours.invoke(asked())
    assert found == world_cup()
    assert ledger.to_records()[0].reason == reason


def test_a_model_that_hangs_is_not_asked_until_it_comes_back() -> None:
    gate, calls = threading.Event(), []

    def hanging(request: SummaryRequest) -> Summary:
        calls.append(request)
        gate.wait(60)
        return Summary(statements=())

    ours = summarizer(hanging, timeout=0.01)
    try:
        for _ in range(LATE_AT_MOST + 2):
            assert len(ours.invoke(asked())) == len(world_cup())
        assert len(calls) <= LATE_AT_MOST
    finally:
        gate.set()


def test_no_documents_no_call() -> None:
    model = answering([])
    assert summarizer(model).invoke(asked([])) == []
    assert model.calls == 0


def test_in_a_pipe_behind_a_compressor() -> None:
    quotes = {
        "question": RunnablePassthrough(),
        "documents": RunnableLambda(lambda _: world_cup()),
    } | ContextCompressor(token_budget=40)
    chain = (
        {"question": RunnablePassthrough(), "documents": quotes}
        | summarizer(saying(("Laurent.", (1,))))
        | format_citations
    )
    assert chain.invoke(QUESTION) == "[1] Summary of 1930 tournament\nLaurent."


async def test_it_is_a_compressor_and_takes_k() -> None:
    ours = summarizer(saying((SHORT, (1,))))
    assert isinstance(ours, BaseDocumentCompressor)
    found = ours.compress_documents(world_cup(), QUESTION)
    assert found == await ours.acompress_documents(world_cup(), QUESTION)
    two = summarizer(saying(("It.", (2,)), ("He.", (3,))))
    assert [each.page_content for each in two.invoke(asked(), k=1)] == ["It."]
    none = summarizer(saying(("It.", ())))
    assert none.invoke(asked(), k=1) == world_cup()[:1]


def test_strange_documents() -> None:
    documents = [Document("Goal \ud800 " * 20), Document("Cup.", metadata={"title": 3})]
    [found] = summarizer(answering([{"text": "It.", "sources": [1]}])).invoke(
        asked(documents)
    )
    assert found.metadata["title"] == "Summary"


def test_wrong_settings() -> None:
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
        EvidenceSummarizer(len, timeout=0)
    with pytest.raises(ConfigurationError, match=r"^model must be a chat model"):
        EvidenceSummarizer("gpt")  # type: ignore[arg-type]  # what is refused


def test_copies() -> None:
    ours = summarizer(answering([]).bind())
    assert copy.deepcopy(ours).timeout == 30
    assert pickle.loads(pickle.dumps(summarizer(len))).timeout == 30  # noqa: S301 - our own bytes
