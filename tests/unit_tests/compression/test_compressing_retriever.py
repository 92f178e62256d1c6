import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    ConfigurableField,
    RunnableConfig,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_core.tracers.base import BaseTracer
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns import track
from langchain_prodpatterns.compression import (
    CompressingRetriever,
    ContextCompressor,
    format_citations,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.tokens import estimate_tokens
from tests.unit_tests.compression.doubles import QUESTION, world_cup

GOAL = "Lucien Laurent scored the first goal of the World Cup."


class Shelf(BaseRetriever):
    """Returns the documents, natively sync and async."""

    calls: list[str] = []  # noqa: RUF012 - pydantic copies it

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.calls.append("sync")
        return world_cup()

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.calls.append("async")
        return world_cup()


def small() -> ContextCompressor:
    return ContextCompressor(token_budget=25, token_counter=estimate_tokens)


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


async def test_retrieves_and_compresses() -> None:
    shelf = Shelf()
    retriever = CompressingRetriever(shelf, small())
    assert [each.page_content for each in retriever.invoke(QUESTION)] == [GOAL]
    assert await retriever.ainvoke(QUESTION) == retriever.invoke(QUESTION)
    assert shelf.calls == ["sync", "async", "sync"]


def test_the_default_compressor() -> None:
    retriever = CompressingRetriever(Shelf())
    assert isinstance(retriever.compressor, ContextCompressor)
    assert retriever.compressor.token_budget == 500
    assert retriever.compressor.embeddings is None
    assert len(retriever.invoke(QUESTION)) == 3


def test_its_settings() -> None:
    embeddings = LexicalEmbeddings()
    retriever = CompressingRetriever(Shelf(), token_budget=25, embeddings=embeddings)
    assert isinstance(retriever.compressor, ContextCompressor)
    assert retriever.compressor.embeddings is embeddings
    assert estimate_tokens(format_citations(retriever.invoke(QUESTION))) <= 25


def test_a_ratio_for_the_default_compressor() -> None:
    retriever = CompressingRetriever(Shelf(), ratio=0.3)
    assert isinstance(retriever.compressor, ContextCompressor)
    assert retriever.compressor.token_budget is None
    assert ids(retriever.invoke(QUESTION)) == ["cup"]


def last_message(messages: list[BaseMessage]) -> str:
    return messages[-1].text


async def alast_message(messages: list[BaseMessage]) -> str:
    return messages[-1].text


CHAT = [HumanMessage("Hi!"), AIMessage("Hello!"), HumanMessage(QUESTION)]


@pytest.mark.parametrize(
    "question", [last_message, RunnableLambda(last_message, alast_message)]
)
async def test_a_question_is_made_of_a_chat(question: Any) -> None:
    searched: list[str] = []

    def search(query: str) -> list[Document]:
        searched.append(query)
        return world_cup()

    retriever = CompressingRetriever(RunnableLambda(search), small(), question=question)
    expected = [GOAL]
    assert [each.page_content for each in retriever.invoke(CHAT)] == expected
    assert [each.page_content for each in await retriever.ainvoke(CHAT)] == expected
    chats: list[Any] = [CHAT, CHAT]
    assert retriever.batch(chats, k=1) == [retriever.invoke(CHAT)] * 2
    assert set(searched) == {QUESTION}
    assert retriever.InputType is not str


async def test_a_question_can_be_made_by_a_coroutine_function() -> None:
    retriever = CompressingRetriever(Shelf(), small(), question=alast_message)
    assert ids(await retriever.ainvoke(CHAT)) == ["cup"]
    assert ids(retriever.invoke(CHAT)) == ["cup"]


async def test_making_the_question_is_a_child_run() -> None:
    for asynchronous in (False, True):
        runs = Runs()
        retriever = CompressingRetriever(Shelf(), small(), question=last_message)
        if asynchronous:
            await retriever.ainvoke(CHAT, {"callbacks": [runs]})
        else:
            retriever.invoke(CHAT, {"callbacks": [runs]})
        [root] = runs.roots
        names = [child.name for child in root.child_runs]
        assert names == ["last_message", "Shelf", "ContextCompressor"]
        assert root.child_runs[0].outputs == {"output": QUESTION}


async def test_a_question_that_was_made_must_be_text() -> None:
    retriever = CompressingRetriever(Shelf(), question=lambda messages: messages)
    with pytest.raises(
        TypeError, match=r"must give a text, got list: .*StrOutputParser"
    ):
        retriever.invoke(CHAT)
    with pytest.raises(
        TypeError, match=r"must give a text, got list: .*StrOutputParser"
    ):
        await retriever.ainvoke(CHAT)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"compressor": small(), "token_budget": 9},
            "configure the default compressor",
        ),
        (
            {"compressor": small(), "embeddings": LexicalEmbeddings()},
            "configure the default",
        ),
        ({"compressor": small(), "ratio": 0.5}, "configure the default"),
        ({"ratio": 4}, "for four times less pass 0.25"),
        ({"question": "text"}, "question must be a function or a Runnable.*got str"),
        ({"compressor": "llm"}, "compressor must be a ContextCompressor.*got str"),
        (
            {"token_budget": 0},
            "token_budget must be a whole number, at least 1, or None",
        ),
        ({"compressor": ScriptedChatModel()}, r"is no compressor: .*judge=llm"),
        ({"question": lambda text, history: text + history}, "question is called with"),
        ({"k": 0}, "k must be a whole number, at least 1, or None, got 0"),
        ({"k": "3"}, "k must be a whole number, at least 1, or None, got '3'"),
        ({"k": True}, "k must be a whole number, at least 1, or None, got True"),
        ({"retriever": "store"}, "retriever must be a Runnable, got str.*as_retriever"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CompressingRetriever(**{"retriever": Shelf(), **settings})


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="top_k"):
        CompressingRetriever(Shelf(), top_k=3)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError, match="top_k"):
        CompressingRetriever(Shelf()).invoke(QUESTION, top_k=3)


async def test_k() -> None:
    retriever = CompressingRetriever(Shelf(), k=2)
    assert ids(retriever.invoke(QUESTION)) == ["cup", "laurent"]
    assert ids(retriever.invoke(QUESTION, k=1)) == ["cup"]
    assert ids(await retriever.ainvoke(QUESTION, k=1)) == ["cup"]
    with pytest.raises(
        ConfigurationError, match="k must be a whole number, at least 1, or None, got 0"
    ):
        retriever.invoke(QUESTION, k=0)


class Reverse(BaseDocumentCompressor):
    """Somebody else's compressor."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        return tuple(reversed(documents))


@pytest.mark.parametrize(
    "compressor", [Reverse(), RunnableLambda(lambda value: value["documents"][::-1])]
)
async def test_another_compressor(compressor: Any) -> None:
    retriever = CompressingRetriever(Shelf(), compressor, k=2)
    assert ids(retriever.invoke(QUESTION)) == ["laurent", "cup"]
    assert ids(await retriever.ainvoke(QUESTION)) == ["laurent", "cup"]


class Runs(BaseTracer):
    """Keeps finished root runs."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.roots.append(run)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_run_tree_and_one_decision(*, asynchronous: bool) -> None:
    runs = Runs()
    retriever = CompressingRetriever(Shelf(), token_budget=25)
    config: RunnableConfig = {
        "callbacks": [runs],
        "tags": ["mine"],
        "metadata": {"user": 7},
        "run_name": "find",
    }
    with track() as ledger:
        if asynchronous:
            await retriever.ainvoke(QUESTION, config)
        else:
            retriever.invoke(QUESTION, config)
    [root] = runs.roots
    assert (root.name, root.run_type) == ("find", "retriever")
    assert [child.name for child in root.child_runs] == ["Shelf", "ContextCompressor"]
    for child in root.child_runs:
        assert "mine" in child.tags
        assert child.metadata["user"] == 7
    [record] = ledger.to_records()
    assert (record.pattern, record.decision) == ("compression", "compressed")
    assert record.saved_tokens > 0


def test_configurable_settings_reach_the_parts() -> None:
    compressor = small().configurable_fields(token_budget=ConfigurableField("budget"))
    retriever = CompressingRetriever(Shelf(), compressor)
    assert len(retriever.invoke(QUESTION)) == 1
    assert len(retriever.invoke(QUESTION, {"configurable": {"budget": 900}})) == 3
    itself = CompressingRetriever(Shelf()).configurable_fields(k=ConfigurableField("k"))
    assert len(itself.invoke(QUESTION, {"configurable": {"k": 1}})) == 1


def test_errors_of_the_retriever_pass() -> None:
    def fail(_question: str) -> list[Document]:
        raise LookupError("no index")

    runs = Runs()
    retriever = CompressingRetriever(RunnableLambda(fail))
    with pytest.raises(LookupError, match="no index"):
        retriever.invoke(QUESTION, {"callbacks": [runs]})
    assert "no index" in runs.roots[0].error


def test_behind_a_vector_store_and_in_a_pipe() -> None:
    store = InMemoryVectorStore(LexicalEmbeddings())
    store.add_documents(world_cup())
    retriever = CompressingRetriever(store.as_retriever(), small())
    chain = RunnablePassthrough[str]() | retriever | format_citations
    assert chain.invoke(QUESTION) == f"[1] 1930 tournament\n{GOAL}"


def test_copies() -> None:
    retriever = CompressingRetriever(Shelf(), k=1, tags=["t"], metadata={"m": 1})
    for other in (copy.deepcopy(retriever), pickle.loads(pickle.dumps(retriever))):  # noqa: S301 - our own bytes
        assert ids(other.invoke(QUESTION)) == ["cup"]
        assert (other.tags, other.metadata) == (["t"], {"m": 1})


async def test_a_question_that_is_no_text_is_an_error_that_says_what_to_do() -> None:
    retriever = CompressingRetriever(Shelf())
    wrong: Any = {"question": QUESTION}
    with pytest.raises(TypeError, match="got dict; make one of it"):
        retriever.invoke(wrong)
    with pytest.raises(TypeError, match="got dict; make one of it"):
        await retriever.ainvoke(wrong)
