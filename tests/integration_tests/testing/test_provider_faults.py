"""The real `ChatOpenAI` against the provider, where something goes wrong."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelConnectionError,
    ModelRateLimitError,
)
from openai import APIConnectionError, APITimeoutError
from pydantic import BaseModel

from langchain_prodpatterns.testing import Fault, Reply, Rule, ScriptedProvider


class Answer(BaseModel):
    """An answer."""

    count: int
    note: str


def test_first_calls_fail_then_succeed() -> None:
    faults = [Fault.rate_limit(retry_after=0.01), Fault.rate_limit(retry_after=0.01)]
    with ScriptedProvider([Rule("q", replies=[*faults, Reply("ok")])]) as provider:
        assert provider.chat_model(max_retries=2).invoke("q").content == "ok"
        assert (provider.calls, provider.faults) == (1, 2)
        assert [record.status for record in provider.requests] == [429, 429, 200]
        assert [record.fault for record in provider.requests] == ["429", "429", None]
        assert provider.input_tokens == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.rate_limit(), openai.RateLimitError),
        (Fault.rate_limit(), ModelRateLimitError),
        (Fault.server_error(), openai.InternalServerError),
        (Fault.server_error(503), openai.InternalServerError),
        (Fault.http(403), openai.PermissionDeniedError),
        (Fault.http(404), openai.NotFoundError),
        (Fault.context_overflow(), ContextOverflowError),
        (Fault.malformed_body(), json.JSONDecodeError),
        (Fault.disconnect(), APIConnectionError),
        (Fault.disconnect(), ModelConnectionError),
    ],
)
async def test_a_fault_is_the_clients_error(
    fault: Fault, error: type[Exception]
) -> None:
    with ScriptedProvider(default=fault) as provider:
        model = provider.chat_model(max_retries=0)
        with pytest.raises(error):
            model.invoke("x")
        with pytest.raises(error):
            await model.ainvoke("x")
        assert (provider.calls, provider.faults, provider.input_tokens) == (0, 2, 0)
        assert provider.wait_idle()


def test_an_error_carries_message_code_and_retry_after() -> None:
    with ScriptedProvider(default=Fault.rate_limit(retry_after=7)) as provider:
        with pytest.raises(
            openai.RateLimitError, match="scripted rate limit"
        ) as caught:
            provider.chat_model(max_retries=0).invoke("x")
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.type == "rate_limit_error"
        assert caught.value.response.headers["retry-after"] == "7"


async def test_a_timeout_lasts_until_the_client_gives_up() -> None:
    with ScriptedProvider(default=Fault.timeout()) as provider:
        model = provider.chat_model(max_retries=0, timeout=0.2)
        with pytest.raises(APITimeoutError):
            model.invoke("x")
        with pytest.raises(APITimeoutError):
            await model.ainvoke("x")
        assert (provider.calls, provider.faults) == (0, 2)
        assert {record.status for record in provider.requests} == {None}


@pytest.fixture
def cut() -> Iterator[ScriptedProvider]:
    fault = Fault.disconnect("one two three", after=2)
    with ScriptedProvider(default=fault) as provider:
        yield provider
        assert (provider.calls, provider.faults, provider.output_tokens) == (0, 1, 0)
        assert provider.requests[0].fault == "disconnect"


CUT = re.compile("peer closed|connection", re.IGNORECASE)


def test_a_disconnect_in_mid_stream(cut: ScriptedProvider) -> None:
    stream = cut.chat_model(max_retries=0).stream("x")
    assert [next(stream).content for _ in range(3)] == ["", "one", " two"]
    with pytest.raises(Exception, match=CUT):
        next(stream)


async def test_a_disconnect_in_mid_stream_async(cut: ScriptedProvider) -> None:
    stream = cut.chat_model(max_retries=0).astream("x")
    assert [(await anext(stream)).content for _ in range(3)] == ["", "one", " two"]
    with pytest.raises(Exception, match=CUT):
        await anext(stream)


def test_a_disconnect_leaves_no_trace_in_the_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ScriptedProvider(default=Fault.disconnect()) as provider:
        with pytest.raises(APIConnectionError):
            provider.chat_model(max_retries=0).invoke("x")
        assert provider.wait_idle()
    assert [r for r in caplog.records if r.name.startswith("uvicorn")] == []


def json_of(message: Any) -> str:
    invalid = message.invalid_tool_calls
    return str(invalid[0]["args"] if invalid else message.content)


@pytest.mark.parametrize("method", ["function_calling", "json_mode"])
def test_content_faults_are_answers(method: Any) -> None:
    right = {"count": 1, "note": "n"}
    replies = [Reply.malformed_json(right), Reply.wrong_types(right)]
    with ScriptedProvider(replies=replies) as provider:
        model = provider.chat_model()
        structured = model.with_structured_output(
            Answer, method=method, include_raw=True
        )
        found: Any = structured.invoke("give JSON")
        assert found["parsed"] is None
        assert json_of(found["raw"]).startswith("{:")
        found = structured.invoke("give JSON")
        assert found["parsed"] is None
        assert isinstance(found["parsing_error"], ValueError)
        assert (provider.calls, provider.faults) == (2, 0)
        assert provider.output_tokens > 0


def test_a_truncated_answer_has_its_finish_reason() -> None:
    with ScriptedProvider(default=Reply.truncated("half an ans")) as provider:
        message = provider.chat_model().invoke("x")
        assert message.content == "half an ans"
        assert message.response_metadata["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_gate_holds_the_answer(stream: bool) -> None:
    gate = threading.Event()
    answers: list[str] = []
    with ScriptedProvider(default=Reply("ok", wait_for=gate)) as provider:
        model = provider.chat_model()

        def ask() -> None:
            found = list(model.stream("x")) if stream else [model.invoke("x")]
            answers.append("".join(str(message.content) for message in found))

        asker = threading.Thread(target=ask)
        asker.start()
        while not provider.requests:
            pass
        assert (provider.pending, provider.calls, answers) == (1, 0, [])
        gate.set()
        asker.join(20)
        assert answers == ["ok"]


async def test_a_gate_holds_a_stream_in_the_middle() -> None:
    gate = threading.Event()
    reply = Reply("one two three", wait_for=gate, hold_after=2)
    with ScriptedProvider(default=reply) as provider:
        seen = []
        async for chunk in provider.chat_model().astream("x"):
            if chunk.content:
                seen.append(chunk.content)
            if len(seen) == 2:
                assert provider.pending == (0 if gate.is_set() else 1)
                gate.set()
        assert seen == ["one", " two", " three"]
        assert provider.calls == 1


async def test_a_client_that_leaves_is_recorded() -> None:
    held = Reply("never", wait_for=threading.Event())
    with ScriptedProvider(default=held) as provider:
        asking = asyncio.ensure_future(provider.chat_model().ainvoke("x"))
        while not provider.requests:  # noqa: ASYNC110 - the state of another thread
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(provider.wait_idle)
        assert (provider.calls, provider.abandoned, provider.faults) == (0, 1, 0)
        assert provider.requests[0].status is None


def test_embedding_requests_can_fail_in_turn() -> None:
    faults = [Fault.server_error(), None, Fault.disconnect()]
    with ScriptedProvider(embedding_faults=faults) as provider:
        embeddings = provider.embeddings(max_retries=0)
        with pytest.raises(openai.InternalServerError):
            embeddings.embed_query("a")
        embeddings.embed_query("a")
        with pytest.raises(APIConnectionError):
            embeddings.embed_query("a")
        embeddings.embed_query("a b")
        assert (provider.embedding_calls, provider.embedding_tokens) == (2, 3)
        assert (provider.faults, provider.calls) == (2, 0)
