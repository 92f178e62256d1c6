"""How the calls in a chain ended."""

import asyncio
import functools
import operator
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_prodpatterns.cache.endings import Endings
from langchain_prodpatterns.structured import SchemaParser, StructuredRetryParser
from langchain_prodpatterns.testing import Fault, Reply, ScriptedChatModel

GOOD = '{"text": "x"}'
CUT = Reply.truncated('{"text": "x')
Hear = Callable[[Runnable[Any, Any]], str | None]


class Answer(BaseModel):
    text: str


def model(*replies: Any) -> ScriptedChatModel:
    return ScriptedChatModel(replies=list(replies))


@pytest.fixture(params=["invoke", "ainvoke", "stream"])
def hear(request: pytest.FixtureRequest) -> Hear:
    def run(chain: Runnable[Any, Any]) -> str | None:
        endings = Endings()
        config: Any = {"callbacks": [endings]}
        if request.param == "invoke":
            output = chain.invoke("Why?", config)
        elif request.param == "ainvoke":
            output = asyncio.run(chain.ainvoke("Why?", config))
        else:
            output = functools.reduce(operator.add, chain.stream("Why?", config))
        return endings.objection(output)

    return run


def broken(_: Any) -> Any:
    raise ConnectionError


@tool
def lookup(value: str) -> str:
    """Fail."""
    raise ConnectionError(value)


class Search(BaseRetriever):
    """A vector store that is down."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        raise ConnectionError(query)


def searched() -> Runnable[Any, Any]:
    return Search()


class FlakySearch(BaseRetriever):
    """A vector store that is down for the first search."""

    calls: int = 0

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError(query)
        return [Document("Found.")]


def unavailable() -> Runnable[Any, Any]:
    down = model(Fault.server_error()) | StrOutputParser()
    return down.with_fallbacks([CANNED])


def asked_again(value: Any) -> Any:
    asked = model(Reply.truncated("The answer is"), "The answer is no.")
    asked.invoke(value)
    return asked.invoke(value)


def two_in_a_row(value: Any) -> str:
    halves = [model(CUT).invoke(value), model(GOOD).invoke(value)]
    return " // ".join(half.text for half in halves)


def two_one_by_one(value: Any) -> str:
    asked = model(Reply.truncated("cut"), "whole")
    answers = asked.batch([value, value], {"max_concurrency": 1})
    return " // ".join(answer.text for answer in answers)


CANNED: Runnable[Any, Any] = RunnableLambda(lambda _: "We are down.")


def flaky() -> Runnable[Any, Any]:
    """Fail once."""
    errors: list[Exception] = [ConnectionError()]

    def work(value: Any) -> Any:
        if errors:
            raise errors.pop()
        return value

    return RunnableLambda(work).with_retry(wait_exponential_jitter=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RunnableLambda(str),
        lambda: model(GOOD) | StrOutputParser(),
        lambda: StructuredRetryParser(Answer, ladder=[model(CUT), model(GOOD)]),
        lambda: RunnableLambda(broken).with_fallbacks([model(GOOD)]),
        lambda: model(CUT) | StrOutputParser() | model(GOOD),
        lambda: FakeListLLM(responses=["a"]),
        lambda: model(Fault.server_error()).with_fallbacks([model(GOOD)]),
        # A step that ends at its limit, and does not show in the answer.
        lambda: (
            model(Reply.truncated("A long")) | str | model(GOOD) | StrOutputParser()
        ),
        # The whole answer begins as the half one did.
        lambda: RunnableLambda(asked_again) | StrOutputParser(),
        # A label that shows in the output.
        lambda: RunnableParallel(
            kind=model(Reply.truncated("yes")).bind(max_tokens=1) | StrOutputParser(),
            answer=model(GOOD) | StrOutputParser(),
        ),
    ],
)
def test_a_chain_that_came_to_a_good_end(hear: Hear, make: Any) -> None:
    assert hear(make()) is None


@pytest.mark.parametrize("by_async", [False, True])
async def test_what_a_retry_makes_good_does_not_count(*, by_async: bool) -> None:
    # LangChain does not retry streams, nor fall back once a partial value was streamed.
    fallback = model(GOOD) | SchemaParser(Answer)
    parsed = model(CUT, GOOD) | SchemaParser(Answer)
    flaky_search = FlakySearch().with_retry(wait_exponential_jitter=False)
    for chain in (
        flaky(),
        flaky_search,
        parsed.with_retry(wait_exponential_jitter=False),
        (model(CUT) | SchemaParser(Answer)).with_fallbacks([fallback]),
    ):
        endings = Endings()
        if by_async:
            output = await chain.ainvoke("Why?", {"callbacks": [endings]})
        else:
            output = chain.invoke("Why?", {"callbacks": [endings]})
        assert endings.objection(output) is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: model(CUT) | StrOutputParser(), "length"),
        (lambda: model(Reply.refused()) | StrOutputParser(), "refused"),
        (lambda: model(GOOD) | StrOutputParser() | model(CUT), "length"),
        (
            lambda: RunnableParallel(a=model(CUT) | StrOutputParser(), b=CANNED),
            "length",
        ),
        (lambda: RunnableLambda(broken).with_fallbacks([CANNED]), "after an error"),
        (lambda: lookup.with_fallbacks([CANNED]), "after an error"),
        (
            lambda: (ScriptedChatModel(respond=broken) | str).with_fallbacks([CANNED]),
            "after an error",
        ),
        # A model that answers is no retriever, and not in place of one.
        (lambda: searched().with_fallbacks([CANNED]) | model(GOOD), "after an error"),
        (lambda: searched().with_fallbacks([model(GOOD)]), "after an error"),
        (
            lambda: (Search() | str | model(GOOD)).with_fallbacks([model(GOOD)]),
            "after an error",
        ),
        (
            lambda: RunnablePassthrough() | unavailable() | model(GOOD),
            "after an error",
        ),
        (
            lambda: RunnableParallel(
                a=unavailable(), b=model(GOOD) | StrOutputParser()
            ),
            "after an error",
        ),
        (lambda: RunnableLambda(two_in_a_row) | StrOutputParser(), "length"),
        (lambda: RunnableLambda(two_one_by_one), "length"),
        (lambda: model(CUT) | StrOutputParser() | len, "length"),
    ],
)
def test_a_chain_that_did_not(hear: Hear, make: Any, reason: str) -> None:
    assert reason in str(hear(make()))


def test_a_half_answer_beside_a_whole_one_counts_in_whatever_order_they_come() -> None:
    done = threading.Event()

    def last(_: Any) -> Any:
        assert done.wait(30)
        return Reply(GOOD)

    def finish(value: Any) -> Any:
        done.set()
        return value

    endings = Endings()
    chain = RunnableParallel(
        a=model(CUT) | RunnableLambda(finish), b=ScriptedChatModel(respond=last)
    )
    output = chain.invoke("Why?", {"callbacks": [endings]})

    assert "length" in str(endings.objection(output))


def test_branches_one_after_the_other_are_still_side_by_side() -> None:
    endings = Endings()
    chain = RunnableParallel(a=model(CUT), b=model(GOOD))
    config: Any = {"callbacks": [endings], "max_concurrency": 1}

    assert "length" in str(endings.objection(chain.invoke("Why?", config)))
