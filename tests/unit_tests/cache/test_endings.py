"""How the calls in a chain ended."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_prodpatterns.cache.endings import Endings
from langchain_prodpatterns.structured import SchemaParser, StructuredRetryParser
from langchain_prodpatterns.testing import Reply, ScriptedChatModel

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
            chain.invoke("Why?", config)
        elif request.param == "ainvoke":
            asyncio.run(chain.ainvoke("Why?", config))
        else:
            list(chain.stream("Why?", config))
        return endings.objection

    return run


def broken(_: Any) -> Any:
    raise ConnectionError


@tool
def lookup(value: str) -> str:
    """Fail."""
    raise ConnectionError(value)


CANNED: Runnable[Any, str] = RunnableLambda(lambda _: "We are down.")


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
        lambda: (model(CUT) | SchemaParser(Answer)).with_fallbacks(
            [model(GOOD) | SchemaParser(Answer)]
        ),
        lambda: RunnableLambda(broken).with_fallbacks([model(GOOD)]),
        lambda: model(CUT) | StrOutputParser() | model(GOOD),
        lambda: FakeListLLM(responses=["a"]),
    ],
)
def test_a_chain_that_came_to_a_good_end(hear: Hear, make: Any) -> None:
    assert hear(make()) is None


@pytest.mark.parametrize("by_async", [False, True])
async def test_what_a_retry_makes_good_does_not_count(*, by_async: bool) -> None:
    # LangChain does not retry streams.
    parsed = model(CUT, GOOD) | SchemaParser(Answer)
    for chain in (flaky(), parsed.with_retry(wait_exponential_jitter=False)):
        endings = Endings()
        if by_async:
            await chain.ainvoke("Why?", {"callbacks": [endings]})
        else:
            chain.invoke("Why?", {"callbacks": [endings]})
        assert endings.objection is None


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
    chain.invoke("Why?", {"callbacks": [endings]})

    assert "length" in str(endings.objection)


def test_branches_one_after_the_other_are_still_side_by_side() -> None:
    endings = Endings()
    chain = RunnableParallel(a=model(CUT), b=model(GOOD))
    chain.invoke("Why?", {"callbacks": [endings], "max_concurrency": 1})

    assert "length" in str(endings.objection)
