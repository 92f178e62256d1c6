"""`RefineChain` with what people put around it and into it, over real HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_prodpatterns import Budget, StructuredRetryParser, track
from langchain_prodpatterns.refine import Criteria, RefineChain, RefineResult
from langchain_prodpatterns.structured import SchemaParser
from langchain_prodpatterns.testing import Fault, ScriptedProvider, ScriptedRequest
from tests.unit_tests.refine.scripts import kind, nonce, sections

PROMPT = ChatPromptTemplate([("human", "Describe {topic}")])


class Page(BaseModel):
    """A page in a shop."""

    title: str
    price: float


def respond(request: ScriptedRequest) -> Any:
    """Draft, judge and revise: with `v2` in it, it is fine."""
    asked = kind(request)
    if asked == "judge":
        good = "v2" in sections(request)["draft"]
        marks = {"marks": [5 if good else 2], "evidence": ["lamp"], "feedback": "v2"}
        return json.dumps({"nonce": nonce(request), **marks})
    if asked == "compare":
        better = "first" if "v2" in sections(request)["first"] else "second"
        return json.dumps({"nonce": nonce(request), "better": better})
    if asked == "revise":
        draft = sections(request)["draft"]
        if "fields" in sections(request):
            return json.dumps({"/title": json.loads(draft)["title"] + " v2"})
        return json.dumps({"revision": f"{draft} v2"})
    if "type Page" in request.prompt_text:
        return '{"title": "lamp", "price": "49"}'
    return "a lamp"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(respond=respond) as server:
        yield server


@pytest.fixture
def llm(provider: ScriptedProvider) -> ChatOpenAI:
    return provider.chat_model()


CRITICS = [Criteria("is at version two")]


def test_behind_a_prompt(llm: ChatOpenAI) -> None:
    chain = PROMPT | RefineChain(llm, critics=CRITICS) | StrOutputParser()
    assert chain.invoke({"topic": "a lamp"}) == "a lamp v2"


async def test_behind_a_model(llm: ChatOpenAI) -> None:
    chain = PROMPT | llm | RefineChain(reviser=llm, critics=CRITICS)
    answer = await chain.ainvoke({"topic": "a lamp"})
    assert answer.text == "a lamp v2"
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_whole_chain_is_the_generator(llm: ChatOpenAI) -> None:
    drafting = PROMPT | llm | StrOutputParser()
    chain = RefineChain(drafting, reviser=llm, critics=CRITICS)
    assert chain.invoke({"topic": "a lamp"}) == "a lamp v2"


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_parser_with_a_ladder_is_the_generator(
    llm: ChatOpenAI, provider: ScriptedProvider, candidates: int
) -> None:
    def titled(page: Page) -> Any:
        return {} if "v2" in page.title else {"title": "say v2"}

    generator = PROMPT | StructuredRetryParser(Page, ladder=[llm])
    chain = RefineChain(
        generator,
        reviser=llm,
        critics=[titled],
        candidates=candidates,
        include_rounds=True,
    )
    with track() as ledger:
        result = chain.invoke({"topic": "a lamp"})
    assert isinstance(result, RefineResult)
    assert result.best == Page(title="lamp v2", price=49)
    assert result.stop_reason == "all_met"
    assert ledger.summary().calls == len(provider.requests) == result.usage.calls


@pytest.mark.parametrize("judge", [SchemaParser(Page), Page])
def test_a_parser_or_a_type_is_a_verifier(llm: ChatOpenAI, judge: Any) -> None:
    pages = iter(["no page at all", '{"title": "lamp", "price": 4}'])
    chain = RefineChain(
        reviser=lambda _: next(pages), critics=[judge], include_rounds=True
    )
    result = chain.invoke("a lamp?")
    assert result.best == '{"title": "lamp", "price": 4}'
    assert result.rounds[0].score == 0 or judge is Page


def test_a_model_that_is_away_ends_it_with_the_best() -> None:
    def away(request: ScriptedRequest) -> Any:
        return respond(request) if kind(request) == "draft" else Fault.rate_limit()

    with ScriptedProvider(respond=away) as busy:
        llm = busy.chat_model(max_retries=0)
        result = RefineChain(llm, critics=CRITICS, include_rounds=True).invoke("a lamp")
    assert result.best.text == "a lamp"
    assert result.stop_reason == "reviser_failed"
    assert result.score is None


async def test_candidates_share_one_budget(
    llm: ChatOpenAI, provider: ScriptedProvider
) -> None:
    chain = RefineChain(
        llm,
        critics=CRITICS,
        candidates=4,
        budget=Budget(calls=6),
        include_rounds=True,
    )
    result = await chain.ainvoke("a lamp")
    assert len(provider.requests) <= 6
    assert result.best.text.startswith("a lamp")
