"""What LangSmith is sent: model names, usage and costs, on the tree of runs."""

from typing import Any, ClassVar
from unittest.mock import create_autospec

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers import LangChainTracer
from langchain_core.tracers.schemas import Run
from langsmith import Client
from pydantic import BaseModel

from langchain_prodpatterns import (
    SemanticJudgeCache,
    StructuredRetryParser,
    track,
)
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

PRICES = {"small": (1.0, 2.0), "large": (10.0, 20.0)}


class City(BaseModel):
    """A typed answer."""

    people: int


class Tracer(LangChainTracer):
    """LangSmith's own tracer; keeps every run that has ended.

    LangChain copies it for runs with metadata of their own: copies share the list.
    """

    ended: ClassVar[list[Run]] = []

    def _end_trace(self, run: Run) -> None:
        self.ended.append(run)
        super()._end_trace(run)

    def of(self, run_type: str) -> list[Run]:
        return [run for run in self.ended if run.run_type == run_type]


def metadata_of(run: Run) -> dict[str, Any]:
    return dict((run.extra or {}).get("metadata") or {})


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    monkeypatch.setattr(Tracer, "ended", [])
    # A client that sends nothing.
    return Tracer(client=create_autospec(Client, instance=True))


def cached_model() -> ScriptedChatModel:
    cache = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)
    return ScriptedChatModel(model="small", default="an answer", cache=cache)


def test_every_model_run_names_its_model_and_what_it_used(tracer: Tracer) -> None:
    small = ScriptedChatModel(model="small", default={"people": "half a million"})
    large = ScriptedChatModel(model="large", default={"people": 522_000})
    prompt = ChatPromptTemplate.from_template("How many live in {city}?")
    chain = prompt | StructuredRetryParser(City, ladder=[small, large])

    with track(prices=PRICES) as ledger:
        chain.invoke({"city": "Lyon"}, {"callbacks": [tracer]})

    runs = [metadata_of(run) for run in tracer.of("llm")]
    assert [run["ls_model_name"] for run in runs] == ["small", "large"]
    assert {run["ls_model_type"] for run in runs} == {"chat"}
    assert all(run["ls_provider"] for run in runs)
    assert {run["prodpatterns.pattern"] for run in runs} == {"structured"}
    used = [run["usage_metadata"] for run in runs]
    summary = ledger.summary()
    assert sum(one["input_tokens"] for one in used) == summary.input_tokens
    assert sum(one["output_tokens"] for one in used) == summary.output_tokens


def test_the_run_of_a_pattern_says_what_it_cost_and_counted(tracer: Tracer) -> None:
    small = ScriptedChatModel(model="small", default={"people": "half a million"})
    large = ScriptedChatModel(model="large", default={"people": 522_000})

    with track(prices=PRICES) as ledger:
        StructuredRetryParser(City, ladder=[small, large]).invoke(
            "How many?", {"callbacks": [tracer]}
        )

    (found,) = (
        metadata_of(run)
        for run in tracer.of("chain")
        if "prodpatterns.decision" in metadata_of(run)
    )
    (record,) = ledger.to_records()
    assert found["prodpatterns.usd"] == record.usd
    assert record.usd is not None
    assert record.usd > 0
    assert found["prodpatterns.calls"] == 2
    assert found["prodpatterns.counts"] == {"rung 0": 1, "rung 1": 1}


def test_a_hit_behind_a_model_costs_nothing_there_too(tracer: Tracer) -> None:
    model = cached_model()

    for _ in range(2):
        model.invoke("How many live in Lyon?", {"callbacks": [tracer]})

    paid, served = (metadata_of(run)["usage_metadata"] for run in tracer.of("llm"))
    assert paid["total_tokens"] > 0
    assert "total_cost" not in paid
    # LangSmith takes a cost that is given for the cost: it does not price the tokens.
    assert served["total_cost"] == 0
    assert served["total_tokens"] == 0


def test_a_hit_of_a_chain_has_no_model_run(tracer: Tracer) -> None:
    cache = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)
    chain = cache.wrap(ScriptedChatModel(model="small", default="an answer"))

    with track(prices=PRICES):
        for _ in range(2):
            chain.invoke("How many live in Lyon?", {"callbacks": [tracer]})

    assert len(tracer.of("llm")) == 1
    hit = metadata_of(tracer.ended[-1])
    assert hit["prodpatterns.decision"] == "exact"
    assert hit["prodpatterns.saved_calls"] == 1
    assert hit["prodpatterns.saved_usd"] > 0
