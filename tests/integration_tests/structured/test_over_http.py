"""The real `ChatOpenAI` over real HTTP, with faults."""

import pytest
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_prodpatterns import Budget, Rung, StructuredRetryParser, track
from langchain_prodpatterns.errors import ModelRefused, StructuredOutputError
from langchain_prodpatterns.structured import walk
from langchain_prodpatterns.testing import Fault, Reply, Rule, ScriptedProvider

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Sort tickets."), ("human", "{text}")]
)
VALID = '{"title": "broken", "urgent": true}'
CHEAP, STRONG = "scripted-small", "scripted-large"


class Ticket(BaseModel):
    title: str
    urgent: bool


TICKET = Ticket(title="broken", urgent=True)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asleep(seconds: float) -> None:
        return None

    monkeypatch.setattr(walk, "sleep", lambda seconds: None)
    monkeypatch.setattr(walk, "asleep", asleep)


async def test_from_cheap_to_strong_and_the_ledger_counts_what_the_provider_counts() -> (
    None
):
    rules = [
        Rule(
            model=CHEAP,
            cycle=True,
            replies=[
                Reply("I think it is a ticket."),
                Reply('{"title": "broken"}'),
                Fault.rate_limit(),
            ],
        ),
        Rule(model=STRONG, reply=f"Here you are:\n```json\n{VALID}\n```"),
    ]
    with ScriptedProvider(rules) as provider, track() as ledger:
        cheap = provider.chat_model(CHEAP, max_retries=0)
        strong = provider.chat_model(STRONG, max_retries=0)
        chain = PROMPT | StructuredRetryParser(
            Ticket,
            [Rung(cheap, temperatures=(0, 0.7)), strong],
            budget=Budget(attempts=4),
        )

        assert chain.invoke({"text": "my door"}) == TICKET
        assert provider.calls == 3
        assert [request.params.get("temperature") for request in provider.requests] == [
            0,
            0.7,
            None,
        ]
        assert await chain.ainvoke({"text": "my door"}) == TICKET

        summary = ledger.summary()
        assert (summary.calls, summary.input_tokens, summary.output_tokens) == (
            provider.calls,
            provider.input_tokens,
            provider.output_tokens,
        )


def test_a_temperature_that_the_model_rejects_is_dropped() -> None:
    def respond(request: object) -> object:
        if "temperature" in request.params:  # type: ignore[attr-defined]  # a scripted request
            return Fault.http(400, "Unsupported value: 'temperature' must be 1")
        return VALID

    with ScriptedProvider(respond=respond) as provider:  # type: ignore[arg-type]  # see above
        model = provider.chat_model(max_retries=0)
        parser = StructuredRetryParser(
            Ticket, [Rung(model, temperatures=(0.3,))], budget=Budget(attempts=1)
        )

        assert parser.invoke("my door") == TICKET
        assert (provider.calls, provider.faults) == (1, 1)


def test_a_cut_off_answer_gets_twice_the_tokens() -> None:
    long = '{"title": "' + "broken door " * 10 + '", "urgent": true}'
    with ScriptedProvider(default=long) as provider:
        model = provider.chat_model(max_tokens=25)
        parser = StructuredRetryParser(Ticket, [model], include_attempts=True)

        result = parser.invoke("my door")

        assert [attempt.kind for attempt in result.attempts] == ["truncated", "ok"]
        assert [
            request.params["max_completion_tokens"] for request in provider.requests
        ] == [25, 50]


async def test_refusals() -> None:
    with ScriptedProvider(default=Reply.refused()) as provider:
        parser = StructuredRetryParser(Ticket, [provider.chat_model()])

        with pytest.raises(ModelRefused):
            await parser.ainvoke("my door")

        assert provider.calls == 1


def test_a_refused_key_is_told_and_does_not_leak() -> None:
    with ScriptedProvider(default=VALID, api_key="right") as provider:
        model = provider.chat_model(api_key="sk-wrong-key", max_retries=0)

        with pytest.raises(StructuredOutputError) as caught:
            StructuredRetryParser(Ticket, [model]).invoke("my door")

    assert "AuthenticationError" in str(caught.value)
    assert "sk-wrong-key" not in str(caught.value)
