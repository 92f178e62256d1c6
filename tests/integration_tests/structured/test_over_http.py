"""The real `ChatOpenAI` over real HTTP, with faults."""

import json
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_prodpatterns import (
    Budget,
    Rung,
    SchemaParser,
    StructuredRetryParser,
    track,
)
from langchain_prodpatterns.errors import ModelRefused, StructuredOutputError
from langchain_prodpatterns.structured import walk
from langchain_prodpatterns.testing import Fault, Reply, Rule, ScriptedProvider
from tests.unit_tests.patience import no_pauses

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
    no_pauses(monkeypatch)


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


@pytest.mark.parametrize("mode", ["native", "tool"])
def test_a_form_that_the_model_rejects_is_dropped(mode: Any) -> None:
    def respond(request: Any) -> Any:
        for name in ("response_format", "tools"):
            if name in request.params:
                return Fault.http(400, f"Invalid parameter: '{name}' of this model")
        return VALID

    with ScriptedProvider(respond=respond) as provider:
        parser = StructuredRetryParser(
            Ticket,
            [provider.chat_model(max_retries=0)],
            budget=Budget(attempts=1),
            mode=mode,
        )

        assert [parser.invoke("my door") for _ in range(2)] == [TICKET] * 2
        assert (provider.calls, provider.faults) == (2, 1)


@pytest.mark.parametrize(
    "fault", [Fault.rate_limit(), Fault.server_error(503), Fault.disconnect()]
)
async def test_errors_that_may_pass_are_retried(fault: Fault) -> None:
    replies: list[Any] = [fault, Reply(VALID)]
    with ScriptedProvider(replies=replies, cycle=True) as provider:
        model = provider.chat_model(max_retries=0)
        parser = StructuredRetryParser(Ticket, [model], include_attempts=True)

        for result in (parser.invoke("my door"), await parser.ainvoke("my door")):
            kinds = [attempt.kind for attempt in result.attempts]
            assert kinds == ["provider", "ok"]


async def test_a_provider_that_says_when_to_come_back_is_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(walk, "sleep", waits.append)
    monkeypatch.setattr(walk, "asleep", asleep)
    rule = Rule(replies=[Fault.rate_limit(retry_after=7), VALID], cycle=True)
    with ScriptedProvider([rule]) as provider:
        parser = StructuredRetryParser(Ticket, [provider.chat_model(max_retries=0)])

        assert parser.invoke("my door") == TICKET
        assert await parser.ainvoke("my door") == TICKET

    assert waits == [7, 7]


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


@pytest.mark.parametrize("mode", ["native", "tool"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_cut_off_answer_in_the_provider_s_own_form(
    mode: Any, streaming: bool
) -> None:
    long = '{"title": "' + "broken door " * 10 + '", "urgent": true}'

    def respond(request: Any) -> Any:
        has_room = request.params["max_completion_tokens"] > 25
        return VALID if has_room else Reply.truncated(long[:40])

    with ScriptedProvider(respond=respond) as provider, track() as ledger:
        model = provider.chat_model(max_tokens=25, streaming=streaming)
        parser = StructuredRetryParser(
            Ticket, [model], mode=mode, include_attempts=True
        )

        for result in (parser.invoke("my door"), await parser.ainvoke("my door")):
            kinds = [attempt.kind for attempt in result.attempts]
            assert kinds == ["truncated", "ok"]
        # In a stream, the client raises before it reads the usage.
        if mode == "tool" or not streaming:
            assert ledger.summary().output_tokens == provider.output_tokens


@pytest.mark.parametrize(
    ("profile", "sent"),
    [
        ({"structured_output": True}, "response_format"),
        ({"tool_calling": True}, "tools"),
        (None, None),
    ],
)
async def test_the_form_goes_over_the_wire_and_failures_are_asked_again(
    profile: Any, sent: str | None
) -> None:
    replies = [Reply('{"title": "broken"}'), Reply("no JSON"), Reply(VALID)]
    with ScriptedProvider(replies=replies, cycle=True) as provider:
        model = provider.chat_model(profile=profile)
        chain = PROMPT | StructuredRetryParser(Ticket, [model], repair="regenerate")

        assert chain.invoke({"text": "my door"}) == TICKET
        assert await chain.ainvoke({"text": "my door"}) == TICKET
        for request in provider.requests:
            names = {"response_format", "tools"} & set(request.params)
            assert names == ({sent} if sent else set())


@pytest.mark.parametrize("mode", ["native", "tool"])
def test_refusals_in_every_mode(mode: Any) -> None:
    with ScriptedProvider(default=Reply.refused()) as provider:
        parser = StructuredRetryParser(Ticket, [provider.chat_model()], mode=mode)

        with pytest.raises(ModelRefused):
            parser.invoke("my door")


async def test_partial_values_come_while_the_model_writes() -> None:
    for bound in (False, True):
        with ScriptedProvider(default=Reply(VALID, chunk_size=4)) as provider:
            model: Any = provider.chat_model()
            if bound:
                model = model.bind_tools([Ticket], tool_choice="Ticket")
            chain = PROMPT | model | SchemaParser(Ticket)
            values = list(chain.stream({"text": "my door"}))

            assert {value.title for value in values[:3]} == {None, "b", "broke"}
            assert values[-1] == TICKET
            streamed = [value async for value in chain.astream({"text": "my door"})]
            assert streamed == values


@pytest.mark.parametrize("profile", [{"structured_output": True}, None])
async def test_only_the_field_that_failed_is_asked_for(profile: Any) -> None:
    title = "The door of the second cabin does not close in a swell. " * 4
    broken = json.dumps({"title": title, "urgent": "perhaps"})
    patch = '[{"op": "replace", "path": "/urgent", "value": true}]'
    replies = [Reply(broken, verbatim=True), Reply(patch, verbatim=True)]
    with ScriptedProvider(replies=replies, cycle=True) as provider, track() as ledger:
        model = provider.chat_model(profile=profile)
        chain = PROMPT | StructuredRetryParser(Ticket, [model])

        mended = Ticket(title=title, urgent=True)
        assert chain.invoke({"text": "my door"}) == mended
        assert await chain.ainvoke({"text": "my door"}) == mended

        assert ledger.summary().output_tokens == provider.output_tokens
        first, second = provider.requests[:2]
        assert "urgent: boolean" in str(first.messages)
        assert "urgent: boolean" not in str(second.messages)
        assert "response_format" not in second.params
        assert ("response_format" in first.params) == (profile is not None)


async def test_a_ladder_learns_to_skip_a_model_that_never_answers() -> None:
    rules = [
        Rule(model=CHEAP, reply="I think it is a ticket."),
        Rule(model=STRONG, reply=VALID),
    ]
    with ScriptedProvider(rules) as provider:
        ladder = [Rung(provider.chat_model(CHEAP), attempts=1)]
        parser = StructuredRetryParser(
            Ticket, [*ladder, provider.chat_model(STRONG)], start="learned"
        )
        for _ in range(4):
            assert parser.invoke("my door") == TICKET
            assert await parser.ainvoke("my door") == TICKET

        cheap, strong = parser.learned
        assert (cheap.asked, cheap.answered) == (5, 0)
        assert (strong.asked, strong.answered) == (8, 8)
        assert provider.calls == 13
