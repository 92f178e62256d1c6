import asyncio
import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import ValidationError

from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    Rule,
    ScriptedChatModel,
    ScriptedRequest,
    ScriptError,
    ToolCall,
    echo,
)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def negate(a: int) -> int:
    """Negate a number."""
    return -a


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def until_asked(model: ScriptedChatModel) -> None:
    while not model.requests:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


# Answers


def test_replies_come_in_order_and_then_run_out() -> None:
    model = ScriptedChatModel(replies=["first", "second"])
    assert [model.invoke("a").content, model.invoke("b").content] == ["first", "second"]
    with pytest.raises(ScriptError, match="2 scripted replies"):
        model.invoke("c")
    assert model.calls == 2
    assert model.requests[-1].outcome == "rejected"
    assert "have run out" in (model.requests[-1].error or "")


def test_replies_can_cycle() -> None:
    model = ScriptedChatModel(replies=["a", "b"], cycle=True)
    assert [model.invoke("x").content for _ in range(5)] == list("ababa")


def test_rules_and_functions_answer() -> None:
    model = ScriptedChatModel(
        rules=[Rule("refund", "14 days")],
        respond=lambda request: request.user_text.upper(),
    )
    assert model.invoke("refund?").content == "14 days"
    assert model.invoke("other").content == "OTHER"
    assert [record.rule for record in model.requests] == [
        "user text has 'refund'",
        "respond",
    ]


def test_without_rules_the_error_says_so() -> None:
    with pytest.raises(ScriptError, match="Rules: none"):
        ScriptedChatModel().invoke("hi")


@pytest.mark.parametrize("name", ["reply", "temprature", "max_token"])
def test_a_misspelt_argument_is_refused(name: str) -> None:
    misspelt: dict[str, Any] = {name: 1}

    with pytest.raises(ValueError, match=name):
        ScriptedChatModel(default="x", **misspelt)


def test_arguments_about_a_network_are_taken() -> None:
    network: dict[str, Any] = {"api_key": "k", "timeout": 1, "max_retries": 2}

    assert ScriptedChatModel(default="x", **network).invoke("hi").content == "x"


def test_contradicting_arguments_are_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="leaves nothing"):
        ScriptedChatModel(replies=["a"], respond=echo)


@pytest.mark.parametrize("error", [KeyError("own"), KeyboardInterrupt()])
def test_what_a_function_raises_passes_through(error: BaseException) -> None:
    def fail(_: ScriptedRequest) -> str:
        raise error

    model = ScriptedChatModel(respond=fail)
    with pytest.raises(type(error)):
        model.invoke("x")
    outcome = "rejected" if isinstance(error, Exception) else "abandoned"
    assert model.requests[0].outcome == outcome


def test_a_message_carries_usage_model_and_finish_reason() -> None:
    model = ScriptedChatModel(replies=["Fine, thanks."], model="small")
    message = model.invoke("How are you?")
    assert message.usage_metadata == {
        "input_tokens": 4,
        "output_tokens": 4,
        "total_tokens": 8,
    }
    assert message.response_metadata["model_name"] == "small"
    assert message.response_metadata["finish_reason"] == "stop"


def test_usage_reaches_langchains_own_handler() -> None:
    handler = UsageMetadataCallbackHandler()
    model = ScriptedChatModel(default="one two", model="small")
    model.batch(["a", "b c"], config={"callbacks": [handler]})
    usage = handler.usage_metadata["small"]
    assert usage["input_tokens"] == model.input_tokens == 3
    assert usage["output_tokens"] == model.output_tokens == 4


async def test_n_generations_are_one_call() -> None:
    model = ScriptedChatModel(default=Reply("a", variants=["b b"]), n=2)
    for result in (
        model.generate([[HumanMessage("hi")]]),
        await model.agenerate([[HumanMessage("hi")]]),
    ):
        assert [g.text for g in result.generations[0]] == ["a", "b b"]
        assert result.llm_output is not None
        assert result.llm_output["token_usage"]["completion_tokens"] == 3
    assert (model.calls, model.input_tokens, model.output_tokens) == (2, 2, 6)


def test_llm_outputs_of_several_prompts_are_added() -> None:
    model = ScriptedChatModel(default="one")
    result = model.generate([[HumanMessage("a")], [HumanMessage("b c")]])
    assert result.llm_output == {
        "token_usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "model_name": "scripted",
    }


def test_stop_and_limit_end_the_answer() -> None:
    model = ScriptedChatModel(default="one two three four", stop=["four"], max_tokens=2)
    assert model.invoke("x").content == "one two"
    assert model.invoke("x").response_metadata["finish_reason"] == "length"
    assert model.invoke("x", stop=["two"]).content == "one "


def test_a_call_can_override_the_model() -> None:
    model = ScriptedChatModel(rules=[Rule(reply="L", model="large")], default="S")
    assert model.invoke("x").content == "S"
    message = model.bind(model="large", temperature=0.7).invoke("x")
    assert message.content == "L"
    assert message.response_metadata["model_name"] == "large"
    assert [record.model for record in model.requests] == ["scripted", "large"]
    assert model.requests[1].params == {"temperature": 0.7}


def test_messages_are_recorded_in_openai_format() -> None:
    model = ScriptedChatModel(default="ok")
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}
    model.invoke(
        [
            SystemMessage("be kind"),
            HumanMessage("hi"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("3", tool_call_id="1"),
        ]
    )
    roles = [message["role"] for message in model.requests[0].messages]
    assert roles == ["system", "user", "assistant", "tool"]


# Streams


@given(st.text(min_size=1, max_size=60), st.none() | st.integers(1, 5))
def test_a_stream_joins_to_the_answer(text: str, size: int | None) -> None:
    model = ScriptedChatModel(default=Reply(text, chunk_size=size))
    chunks = list(model.stream("a question"))
    assert "".join(str(chunk.content) for chunk in chunks) == text
    assert all(chunk.usage_metadata is None for chunk in chunks[:-1])
    assert chunks[-1].chunk_position == "last"
    invoked = model.invoke("a question")
    whole = joined(chunks)
    assert whole.usage_metadata == invoked.usage_metadata
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.response_metadata["model_name"] == "scripted"


async def test_an_async_stream_gives_the_same() -> None:
    model = ScriptedChatModel(default="one two three")
    chunks = [chunk async for chunk in model.astream("hi")]
    assert [chunk.content for chunk in chunks] == ["one", " two", " three", ""]
    assert [chunk.content for chunk in model.stream("hi")] == [
        c.content for c in chunks
    ]
    assert model.calls == 2
    assert all(record.streamed for record in model.requests)


def test_a_stream_that_is_closed_early_is_abandoned() -> None:
    model = ScriptedChatModel(default="one two three")
    stream = model.stream("hi")
    assert next(stream).content == "one"
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]  # a generator behind the interface
    assert (model.calls, model.output_tokens) == (0, 0)
    assert model.requests[0].outcome == "abandoned"


async def test_an_async_stream_that_is_closed_early_is_abandoned() -> None:
    model = ScriptedChatModel(default="one two three")
    stream = model._astream([HumanMessage("hi")])
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # a generator behind the interface
    assert model.requests[0].outcome == "abandoned"


def test_invoke_streams_when_told_to() -> None:
    model = ScriptedChatModel(default="one two", streaming=True)
    message = model.invoke("hi")
    assert message.content == "one two"
    assert message.usage_metadata is not None
    assert model.requests[0].streamed


def test_a_stream_has_one_choice() -> None:
    model = ScriptedChatModel(default="one", n=3)
    assert len([c for c in model.stream("hi") if c.content]) == 1
    assert "n" not in model.requests[0].params
    assert model.output_tokens == 1


async def test_events_are_seen_by_astream_events() -> None:
    chain = ChatPromptTemplate.from_template("{q}") | ScriptedChatModel(default="a b")
    events = [e async for e in chain.astream_events({"q": "x"}, version="v2")]
    texts = [
        event["data"]["chunk"].content
        for event in events
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(texts) == "a b"


# Tools


def test_tools_are_bound_in_openai_format() -> None:
    model = ScriptedChatModel(default="ok")
    model.bind_tools([add], parallel_tool_calls=False).invoke("x")
    params = model.requests[0].params
    assert params["tools"][0]["function"]["name"] == "add"
    assert params["parallel_tool_calls"] is False
    assert "tool_choice" not in params


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        ({"type": "x"}, {"type": "x"}),
    ],
)
def test_a_choice_of_tools_is_put_in_openai_format(choice: Any, sent: Any) -> None:
    model = ScriptedChatModel(default="ok")
    model.bind_tools([add], tool_choice=choice, strict=True).invoke("x")
    assert model.requests[0].params["tool_choice"] == sent
    assert model.requests[0].params["tools"][0]["function"]["strict"] is True


PARALLEL = Reply(
    tool_calls=[ToolCall("add", {"a": 1, "b": 2}), ToolCall("negate", {"a": 3})]
)


async def test_parallel_tool_calls_invoked_and_streamed() -> None:
    model = ScriptedChatModel(default=PARALLEL).bind_tools([add, negate])
    messages: list[AIMessage] = [
        model.invoke("x"),
        await model.ainvoke("x"),
        joined([c for c in model.stream("x") if isinstance(c, AIMessageChunk)]),
        joined([c async for c in model.astream("x") if isinstance(c, AIMessageChunk)]),
    ]
    for message in messages:
        assert [(c["name"], c["args"]) for c in message.tool_calls] == [
            ("add", {"a": 1, "b": 2}),
            ("negate", {"a": 3}),
        ]
        assert message.response_metadata["finish_reason"] == "tool_calls"
    ids = [call["id"] for message in messages for call in message.tool_calls]
    assert len(set(ids)) == 8


@pytest.mark.parametrize("arguments", ["{bad", "[1]", '"text"'])
def test_malformed_arguments_are_an_invalid_tool_call(arguments: str) -> None:
    model = ScriptedChatModel(default=Reply(tool_calls=[ToolCall("add", arguments)]))
    message = model.invoke("x")
    assert message.tool_calls == []
    (invalid,) = message.invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("add", arguments)
    assert invalid["error"]


# Faults

FAULTS: list[tuple[Fault, type[ModelError]]] = [
    (Fault.rate_limit(), ModelRateLimitError),
    (Fault.server_error(), ModelAPIError),
    (Fault.server_error(503), ModelAPIError),
    (Fault.http(400), ModelInvalidRequestError),
    (Fault.http(401), ModelAuthenticationError),
    (Fault.http(403), ModelPermissionDeniedError),
    (Fault.http(404), ModelNotFoundError),
    (Fault.http(422), ModelInvalidRequestError),
    (Fault.context_overflow(), ContextOverflowError),
    (Fault.timeout(), ModelTimeoutError),
    (Fault.disconnect(), ModelConnectionError),
    (Fault.malformed_body(), ModelAPIError),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
async def test_a_fault_raises_langchains_own_error(
    fault: Fault, error: type[ModelError]
) -> None:
    model = ScriptedChatModel(default=fault)
    with pytest.raises(error) as caught:
        model.invoke("x")
    assert type(caught.value) is error
    with pytest.raises(error):
        await model.ainvoke("x")
    with pytest.raises(error):
        list(model.stream("x"))
    with pytest.raises(error):
        [chunk async for chunk in model.astream("x")]
    assert (model.calls, model.faults, model.input_tokens) == (0, 4, 0)
    assert {record.fault for record in model.requests} == {fault.label}


def test_retries_see_which_faults_are_worth_it() -> None:
    model = ScriptedChatModel(
        rules=[Rule(replies=[Fault.rate_limit(), Fault.server_error(), "ok"])]
    )
    retrying = model.with_retry(
        retry_if_exception_type=(ModelError,),
        wait_exponential_jitter=False,
        stop_after_attempt=3,
    )
    assert retrying.invoke("x").content == "ok"
    assert (model.calls, model.faults) == (1, 2)


def test_a_disconnect_comes_in_mid_stream() -> None:
    model = ScriptedChatModel(default=Fault.disconnect("one two three", after=2))
    stream = model.stream("x")
    assert [next(stream).content for _ in range(2)] == ["one", " two"]
    with pytest.raises(ModelConnectionError):
        next(stream)


async def test_a_disconnect_comes_in_mid_stream_async() -> None:
    model = ScriptedChatModel(default=Fault.disconnect("one two three", after=2))
    stream = model.astream("x")
    assert [(await anext(stream)).content for _ in range(2)] == ["one", " two"]
    with pytest.raises(ModelConnectionError):
        await anext(stream)


async def test_content_faults_are_paid_answers() -> None:
    model = ScriptedChatModel(
        replies=[Reply.refused("no"), Reply.truncated("half"), Reply.refused("no")]
    )
    refused = model.invoke("x")
    assert (refused.content, refused.additional_kwargs["refusal"]) == ("", "no")
    truncated = await model.ainvoke("x")
    assert truncated.response_metadata["finish_reason"] == "length"
    streamed = joined(list(model.stream("x")))
    assert streamed.additional_kwargs["refusal"] == "no"
    assert (model.calls, model.faults, model.output_tokens) == (3, 0, 3)


# Waiting


def test_a_gate_holds_the_answer_in_a_thread() -> None:
    gate = threading.Event()
    model = ScriptedChatModel(default=Reply("ok", wait_for=gate))
    answers: list[Any] = []
    asker = threading.Thread(target=lambda: answers.append(model.invoke("x").content))
    asker.start()
    while not model.requests:
        pass
    assert (answers, model.requests[0].outcome) == ([], "pending")
    gate.set()
    asker.join(10)
    assert answers == ["ok"]


@pytest.mark.parametrize("kind", [threading.Event, asyncio.Event])
async def test_a_gate_holds_the_answer_and_frees_the_loop(kind: Any) -> None:
    gate = kind()
    model = ScriptedChatModel(default=Reply("ok", wait_for=gate))
    asking = asyncio.ensure_future(model.ainvoke("x"))
    await until_asked(model)
    assert not asking.done()
    gate.set()
    assert (await asking).content == "ok"


async def test_a_gate_can_hold_a_stream_in_the_middle() -> None:
    gate = asyncio.Event()
    reply = Reply("one two three", wait_for=gate, hold_after=2)
    stream = ScriptedChatModel(default=reply).astream("x")
    assert [(await anext(stream)).content for _ in range(2)] == ["one", " two"]
    third = asyncio.ensure_future(anext(stream))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not third.done()
    gate.set()
    assert (await third).content == " three"


def test_a_gate_beyond_the_end_holds_the_last_chunk() -> None:
    gate = threading.Event()
    gate.set()
    reply = Reply("one", wait_for=gate, hold_after=99)
    assert joined(list(ScriptedChatModel(default=reply).stream("x"))).content == "one"


async def test_waiting_can_be_cancelled() -> None:
    model = ScriptedChatModel(default=Reply("ok", wait_for=asyncio.Event()))
    asking = asyncio.ensure_future(model.ainvoke("x"))
    await until_asked(model)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert model.requests[0].outcome == "abandoned"


async def test_latency_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("langchain_prodpatterns.testing.turns.time.sleep", slept.append)
    monkeypatch.setattr("langchain_prodpatterns.testing.turns.asyncio.sleep", sleep)
    model = ScriptedChatModel(default=Reply("ok", latency=0.25))
    model.invoke("x")
    list(model.stream("x"))
    await model.ainvoke("x")
    assert slept == [0.25] * 3


# Threads, copies, identity


def test_threads_lose_nothing() -> None:
    model = ScriptedChatModel(replies=[str(i) for i in range(200)])
    answers = model.batch(["one two"] * 200, config={"max_concurrency": 32})
    assert sorted(int(str(a.content)) for a in answers) == list(range(200))
    assert (model.calls, model.input_tokens) == (200, 400)


async def test_tasks_lose_nothing() -> None:
    model = ScriptedChatModel(replies=[str(i) for i in range(100)])
    answers = await model.abatch(["one"] * 100)
    assert len({a.content for a in answers}) == 100
    assert model.calls == 100


def test_wrappers_go_on_in_the_same_script() -> None:
    model = ScriptedChatModel(replies=list("abcd"))
    configurable = model.configurable_fields(temperature=ConfigurableField("t"))
    answers = [
        model.invoke("x").content,
        model.bind(temperature=1).invoke("x").content,
        configurable.invoke("x", {"configurable": {"t": 0.5}}).content,
        model.model_copy(update={"temperature": 0.9}).invoke("x").content,
    ]
    assert answers == list("abcd")
    temperatures = [record.params.get("temperature") for record in model.requests]
    assert temperatures == [None, 1, 0.5, 0.9]


@pytest.mark.parametrize(
    "clone",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],  # noqa: S301 - own bytes
)
def test_a_pickled_or_deep_copy_has_its_own_script(clone: Any) -> None:
    model = ScriptedChatModel(replies=["a", "b"])
    model.invoke("x")
    copied = clone(model)
    assert (copied.calls, copied.invoke("x").content) == (1, "b")
    assert model.calls == 1
    assert model.invoke("x").content == "b"


def test_a_deep_copy_shares_gates() -> None:
    model = ScriptedChatModel(default=Reply("ok", wait_for=threading.Event()))
    copied = copy.deepcopy(model)
    assert isinstance(model.default, Reply)
    assert isinstance(copied.default, Reply)
    assert copied.default.wait_for is model.default.wait_for


def test_the_llm_string_says_what_is_asked_not_what_is_answered() -> None:
    def string(**fields: Any) -> str:
        return ScriptedChatModel(**fields)._get_llm_string(stop=None)

    assert string(default="a") == string(default="b")
    assert string(model="a") != string(model="b")
    assert string(temperature=0) != string(temperature=1)
    assert string(max_tokens=1) != string(max_tokens=2)


def test_reset_begins_anew() -> None:
    model = ScriptedChatModel(replies=["a"])
    model.invoke("x")
    model.reset()
    assert (model.calls, model.requests) == (0, ())
    assert model.invoke("x").content == "a"


def test_a_profile_can_be_set() -> None:
    model = ScriptedChatModel(default="x", profile={"max_input_tokens": 100})
    assert model.profile == {"max_input_tokens": 100}


def test_the_repr_shows_no_script() -> None:
    model = ScriptedChatModel(replies=["private answer"], model="small")
    assert "private" not in repr(model)
    assert "small" in repr(model)
