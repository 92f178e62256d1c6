"""The bytes on the wire, and what happens around them."""

import http.client
import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from langchain_prodpatterns.testing import Fault, Reply, ScriptedProvider, ToolCall
from langchain_prodpatterns.testing.replies import Answer
from langchain_prodpatterns.testing.server import BackgroundServer

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def post(provider: ScriptedProvider, **change: Any) -> http.client.HTTPResponse:
    host = provider.base_url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=20)
    body = json.dumps(CHAT | change)
    connection.request("POST", "/v1/chat/completions", body)
    # `Connection: close` makes the response own the socket.
    return connection.getresponse()


def test_a_stream_is_server_sent_events_that_end_with_done() -> None:
    with (
        ScriptedProvider(default="one two") as provider,
        post(provider, stream=True) as response,
    ):
        assert response.status == 200
        kind = response.headers["content-type"]
        assert kind == "text/event-stream; charset=utf-8"
        assert response.headers["connection"] == "close"
        events = response.read().decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        bodies = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert {body["object"] for body in bodies} == {"chat.completion.chunk"}
        assert {body["id"] for body in bodies} == {"chatcmpl-scripted-1"}
        texts = [body["choices"][0]["delta"].get("content") for body in bodies]
        assert texts == ["", "one", " two", None]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_chunks_have_the_size_that_is_asked_for(size: int) -> None:
    reply = Reply("one two", chunk_size=size)
    with (
        ScriptedProvider(default=reply) as provider,
        post(provider, stream=True) as response,
    ):
        events = response.read().decode().split("\n\n")[1:-3]
        bodies = [json.loads(event.removeprefix("data: ")) for event in events]
        texts = [body["choices"][0]["delta"]["content"] for body in bodies]
        assert texts == ["one two"[at : at + size] for at in range(0, 7, size)]


def test_a_stream_of_several_choices_with_tools_and_usage() -> None:
    reply = Reply(tool_calls=[ToolCall("a", {"x": 1}), ToolCall("b")])
    with (
        ScriptedProvider(default=reply) as provider,
        post(
            provider, stream=True, n=2, stream_options={"include_usage": True}
        ) as response,
    ):
        events = response.read().decode().split("\n\n")[:-2]
        bodies = [json.loads(event.removeprefix("data: ")) for event in events]
        reasons = [
            (choice["index"], choice["finish_reason"])
            for body in bodies
            for choice in body["choices"]
            if choice["finish_reason"]
        ]
        assert reasons == [(0, "tool_calls"), (1, "tool_calls")]
        assert bodies[-1]["choices"] == []
        usage = bodies[-1]["usage"]
        assert usage["completion_tokens"] == provider.output_tokens
        assert usage["prompt_tokens"] == provider.input_tokens == 1


def test_a_disconnect_without_streaming_cuts_the_body() -> None:
    with (
        ScriptedProvider(default=Fault.disconnect()) as provider,
        post(provider) as response,
    ):
        assert response.status == 200
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_a_disconnect_in_a_stream_sends_no_end() -> None:
    fault = Fault.disconnect("one two", after=99)
    with (
        ScriptedProvider(default=fault) as provider,
        post(provider, stream=True) as response,
    ):
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
        assert b"one" in caught.value.partial
        assert b"[DONE]" not in caught.value.partial
        assert b'"stop"' not in caught.value.partial


@pytest.mark.parametrize("body", ["", "<html>", '{"half": '])
def test_a_malformed_body_is_sent_as_it_is(body: str) -> None:
    with (
        ScriptedProvider(default=Fault.malformed_body(body)) as provider,
        post(provider) as response,
    ):
        assert (response.status, response.read().decode()) == (200, body)
        assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "answer", [Reply("ok", latency=0.05), Fault("status", latency=0.05)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_latency_comes_before_the_answer(answer: Answer, stream: bool) -> None:
    with ScriptedProvider(default=answer) as provider:
        seen: list[str] = []

        def ask() -> None:
            with post(provider, stream=stream) as response:
                response.read()
            seen.append("answered")

        asker = threading.Thread(target=ask)
        asker.start()
        assert provider.wait_idle(20)
        asker.join(20)
        assert seen == ["answered"]
        assert provider.pending == 0


@pytest.mark.parametrize("name", ["chat_model", "embeddings"])
def test_without_the_openai_extra_the_error_names_it(name: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['langchain_openai'] = None\n"
        "from langchain_prodpatterns.errors import MissingExtraError\n"
        "from langchain_prodpatterns.testing import ScriptedProvider\n"
        "with ScriptedProvider() as provider:\n"
        f"    try:\n        provider.{name}()\n"
        "    except MissingExtraError as error:\n        print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert f"ScriptedProvider.{name} needs the extra 'openai'" in done.stdout
    assert 'pip install "langchain-prodpatterns[openai]"' in done.stdout


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    server = BackgroundServer(lambda: None, threading.Event())
    monkeypatch.setattr(server._thread, "_target", lambda **_: None)
    with pytest.raises(RuntimeError, match="did not start"):
        server.start()
