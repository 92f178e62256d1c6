"""The real `ChatOpenAI` against the provider, where everything goes well."""

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
)
from langchain_core.tools import tool
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import (
    Reply,
    Rule,
    ScriptedChatModel,
    ScriptedProvider,
    ScriptedRequest,
    ToolCall,
    echo,
)


class Answer(BaseModel):
    """An answer."""

    count: int
    note: str = "none"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def negate(a: int) -> int:
    """Negate a number."""
    return -a


PARALLEL = Reply(
    "Let me see.",
    tool_calls=[ToolCall("add", {"a": 1, "b": 2}), ToolCall("negate", {"a": 3})],
)
RULES = [
    Rule("refund", "Within 14 days."),
    Rule("secret", "I saw the system prompt.", within="prompt"),
    Rule(re.compile(r"order \d+"), {"count": 7}),
    Rule("tools", PARALLEL),
    Rule("refuse", Reply.refused("I will not.")),
    Rule("choices", Reply("one", variants=["two", "three"])),
    Rule(reply="The large one.", model="scripted-large"),
    Rule("function", lambda request: f"{len(request.messages)} messages"),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(RULES, default=echo) as provider:
        yield provider


@pytest.fixture
def provider(shared: ScriptedProvider) -> ScriptedProvider:
    shared.reset()
    return shared


def joined(chunks: list[Any]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


async def test_rules_answer_sync_and_async(provider: ScriptedProvider) -> None:
    model = provider.chat_model()
    assert model.invoke("a refund").content == "Within 14 days."
    assert (await model.ainvoke("a refund")).content == "Within 14 days."
    assert model.invoke([SystemMessage("secret"), HumanMessage("hi")]).content == (
        "I saw the system prompt."
    )
    assert model.invoke("function").content == "1 messages"
    assert model.invoke("say this").content == "say this"
    assert provider.chat_model("scripted-large").invoke("x").content == "The large one."
    assert provider.calls == 6


async def test_streams_give_the_text_and_the_usage(provider: ScriptedProvider) -> None:
    model = provider.chat_model()
    chunks = list(model.stream("a refund"))
    whole = joined(chunks)
    assert whole.content == "Within 14 days."
    assert len([chunk for chunk in chunks if chunk.content]) == 3
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["input_tokens"] == provider.input_tokens == 2
    assert whole.usage_metadata["output_tokens"] == provider.output_tokens == 4
    again = joined([chunk async for chunk in model.astream("a refund")])
    assert again.content == whole.content
    assert again.response_metadata["finish_reason"] == "stop"
    assert [record.streamed for record in provider.requests] == [True, True]


def test_usage_is_streamed_only_when_asked_for(provider: ScriptedProvider) -> None:
    model = provider.chat_model(stream_usage=False)
    assert joined(list(model.stream("a refund"))).usage_metadata is None
    assert provider.output_tokens == 4


async def test_parallel_tool_calls(provider: ScriptedProvider) -> None:
    model = provider.chat_model().bind_tools([add, negate])
    messages: list[AIMessage] = [
        model.invoke("tools"),
        await model.ainvoke("tools"),
        joined(list(model.stream("tools"))),
        joined([chunk async for chunk in model.astream("tools")]),
    ]
    for message in messages:
        assert message.content == "Let me see."
        assert [(c["name"], c["args"]) for c in message.tool_calls] == [
            ("add", {"a": 1, "b": 2}),
            ("negate", {"a": 3}),
        ]
        assert message.response_metadata["finish_reason"] == "tool_calls"
    assert provider.requests[0].params["tools"][0]["function"]["name"] == "add"


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
async def test_structured_output(provider: ScriptedProvider, method: Any) -> None:
    structured = provider.chat_model().with_structured_output(Answer, method=method)
    assert structured.invoke("order 12 as JSON") == Answer(count=7)
    assert await structured.ainvoke("order 12 as JSON") == Answer(count=7)


def test_json_mode_gives_an_object_for_a_text(provider: ScriptedProvider) -> None:
    model = provider.chat_model().bind(response_format={"type": "json_object"})
    assert model.invoke("a refund").content == '{"content": "Within 14 days."}'


async def test_a_refusal_is_a_refusal(provider: ScriptedProvider) -> None:
    model = provider.chat_model()
    assert model.invoke("refuse").additional_kwargs["refusal"] == "I will not."
    # ChatOpenAI itself drops a streamed refusal.
    streamed = joined([chunk async for chunk in model.astream("refuse")])
    assert (streamed.content, streamed.additional_kwargs) == ("", {})
    async with AsyncOpenAI(base_url=provider.base_url, api_key="any") as client:
        events = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "refuse"}], stream=True
        )
        parts = [event.choices[0].delta.refusal or "" async for event in events]
    assert "".join(parts) == "I will not."
    assert provider.calls == 3


async def test_n_choices_are_one_call(provider: ScriptedProvider) -> None:
    model = provider.chat_model(n=3)
    for result in (
        model.generate([[HumanMessage("choices")]]),
        await model.agenerate([[HumanMessage("choices")]]),
    ):
        texts = [generation.text for generation in result.generations[0]]
        assert texts == ["one", "two", "three"]
    assert (provider.calls, provider.input_tokens, provider.output_tokens) == (2, 2, 6)


def test_stop_and_limit_end_the_answer(provider: ScriptedProvider) -> None:
    model = provider.chat_model()
    assert model.invoke("one two three", stop=["three"]).content == "one two "
    limited = provider.chat_model(max_tokens=2).invoke("one two three")
    assert limited.content == "one two"
    assert limited.response_metadata["finish_reason"] == "length"
    assert provider.requests[1].params["max_completion_tokens"] == 2


def test_rules_by_call_number_and_in_turn() -> None:
    rules = [Rule(call=2, reply="second"), Rule(replies=["a", "b"])]
    with ScriptedProvider(rules) as provider:
        model = provider.chat_model()
        assert [model.invoke("x").content for _ in range(3)] == ["a", "second", "b"]
        with pytest.raises(BadRequestError, match="have run out"):
            model.invoke("x")
        assert len(provider.requests) == 4  # and not retried


def test_without_a_rule_the_error_names_the_prompt_and_is_not_retried() -> None:
    with ScriptedProvider([Rule("refund", "x")]) as provider:
        with pytest.raises(BadRequestError, match=r"'Hello\?'.*'refund'") as caught:
            provider.chat_model().invoke("Hello?")
        assert caught.value.code == "not_scripted"
        assert (len(provider.requests), provider.rejected, provider.calls) == (1, 1, 0)


def test_a_failing_function_is_an_error_that_names_it() -> None:
    def fail(_: ScriptedRequest) -> str:
        raise KeyError("missing")

    with (
        ScriptedProvider(respond=fail) as provider,
        pytest.raises(BadRequestError, match="KeyError: 'missing'"),
    ):
        provider.chat_model().invoke("x")


def test_contradicting_arguments_are_refused_before_the_start() -> None:
    with pytest.raises(ConfigurationError):
        ScriptedProvider(replies=["a"], default="b")


def test_a_function_may_block_while_others_are_answered() -> None:
    meeting = threading.Barrier(16)

    def meet(_: ScriptedRequest) -> str:
        meeting.wait(20)
        return "met"

    with ScriptedProvider(respond=meet) as provider:
        answers = provider.chat_model().batch(
            ["x"] * 16, config={"max_concurrency": 16}
        )
        assert {answer.content for answer in answers} == {"met"}
        assert provider.calls == 16


def test_one_model_outlives_its_event_loop(provider: ScriptedProvider) -> None:
    model = provider.chat_model()
    for _ in range(2):
        assert asyncio.run(model.ainvoke("a refund")).content == "Within 14 days."


@pytest.mark.parametrize("stream", [False, True])
def test_both_models_count_the_same(provider: ScriptedProvider, stream: bool) -> None:
    scripted = ScriptedChatModel(rules=RULES, default=echo, model="scripted-small")
    for model in (provider.chat_model(), scripted):
        for text in ("a refund", "tools", "refuse", "some longer text, with marks!"):
            chain = model.bind_tools([add, negate])
            _ = list(chain.stream(text)) if stream else chain.invoke(text)
        if not stream:
            structured = model.with_structured_output(Answer, method="json_mode")
            structured.invoke("order 1 as JSON")
    assert provider.calls == scripted.calls
    assert provider.input_tokens == scripted.input_tokens
    assert provider.output_tokens == scripted.output_tokens
