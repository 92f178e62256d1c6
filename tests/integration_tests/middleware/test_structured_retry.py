"""`StructuredRetryMiddleware` with the real `ChatOpenAI` over real HTTP."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from pydantic import BaseModel

from langchain_prodpatterns import Budget, Rung, track
from langchain_prodpatterns.middleware import StructuredRetryMiddleware
from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    Rule,
    ScriptedProvider,
    ToolCall,
)
from tests.unit_tests.middleware.agents import look
from tests.unit_tests.patience import no_pauses

SMALL, LARGE = "scripted-small", "scripted-large"
SCHEMA = {
    "title": "Ticket",
    "description": "A ticket.",
    "type": "object",
    "properties": {"title": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["title", "urgent"],
}


class Ticket(BaseModel):
    """A ticket."""

    title: str
    urgent: bool


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)


def answer(by_tool: bool, **arguments: Any) -> Reply:
    if by_tool:
        return Reply(tool_calls=[ToolCall("Ticket", arguments)])
    return Reply(json.dumps(arguments), verbatim=True)


@pytest.mark.parametrize("schema", [Ticket, SCHEMA])
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
async def test_from_small_to_large_in_a_tool_loop(schema: Any, strategy: Any) -> None:
    by_tool = strategy is ToolStrategy
    wrong = answer(by_tool, title="broken", urgent="perhaps")
    right = answer(by_tool, title="broken", urgent=True)
    rules = [
        Rule(
            model=SMALL,
            cycle=True,
            replies=[
                Reply(tool_calls=[ToolCall("look", {"where": "Bath"})]),
                wrong,
                Fault.rate_limit(),
                wrong,
            ],
        ),
        Rule(model=LARGE, reply=right),
    ]
    with ScriptedProvider(rules) as provider, track() as ledger:
        small = provider.chat_model(SMALL, max_retries=0)
        large = provider.chat_model(LARGE, max_retries=0)
        ladder = [Rung(small, temperatures=(0, 0.7)), large]
        retry = StructuredRetryMiddleware(ladder, budget=Budget(attempts=5))
        agent = create_agent(
            small, [look], response_format=strategy(schema), middleware=[retry]
        )
        states = [
            agent.invoke({"messages": "my door"}),
            await agent.ainvoke({"messages": "my door"}),
        ]

        summary = ledger.summary()
        assert (summary.calls, summary.input_tokens, summary.output_tokens) == (
            provider.calls,
            provider.input_tokens,
            provider.output_tokens,
        )
        assert provider.faults == 2
    for state in states:
        given = state["structured_response"]
        value = given if isinstance(given, dict) else given.model_dump()
        assert value == {"title": "broken", "urgent": True}
        texts = [message.text for message in state["messages"]]
        assert not any("perhaps" in text for text in texts)
