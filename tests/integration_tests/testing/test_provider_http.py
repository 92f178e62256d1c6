"""The provider over plain HTTP: embeddings, models, errors, records, life and death."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import openai
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_prodpatterns import testing
from langchain_prodpatterns.testing import (
    Fault,
    LexicalEmbeddings,
    Reply,
    Rule,
    ScriptedProvider,
)
from langchain_prodpatterns.testing.scripting import Scripted
from tests.strictness import STRICT

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi you"}]}


def send(
    provider: ScriptedProvider,
    path: str,
    body: object = None,
    *,
    method: str | None = None,
    key: str | None = None,
) -> tuple[int, Any]:
    data = None
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(provider.base_url + path, data=data, method=method)  # noqa: S310 - loopback
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


# Embeddings and models


async def test_embeddings_are_those_of_the_embedder() -> None:
    own = LexicalEmbeddings()
    with ScriptedProvider() as provider:
        embeddings = provider.embeddings()
        texts = ["one", "two words", ""]
        expected = np.array(own.embed_documents(texts))
        assert np.allclose(embeddings.embed_documents(texts), expected, atol=1e-6)
        assert np.allclose(
            await embeddings.aembed_documents(texts), expected, atol=1e-6
        )
        assert np.allclose(embeddings.embed_query("one"), expected[0], atol=1e-6)
        assert provider.embedding_calls == 3
        assert provider.embedding_tokens == 3 + 3 + 1
        assert (provider.calls, provider.input_tokens) == (0, 0)


def test_any_embeddings_can_be_served_at_fewer_dimensions() -> None:
    fake = DeterministicFakeEmbedding(size=32)
    with ScriptedProvider(embeddings=fake) as provider:
        vector = np.array(provider.embeddings(dimensions=8).embed_query("x"))
        full = np.array(fake.embed_query("x"))[:8]
        assert np.allclose(vector, full / np.linalg.norm(full), atol=1e-6)
        with pytest.raises(openai.BadRequestError, match="at most 32"):
            provider.embeddings(dimensions=64).embed_query("x")
        assert provider.rejected == 1


def test_floats_and_base64() -> None:
    with ScriptedProvider() as provider:
        client = openai.OpenAI(base_url=provider.base_url, api_key=provider.api_key)
        with client:
            vectors = [
                client.embeddings.create(model="m", input="a", encoding_format=encoding)
                .data[0]
                .embedding
                for encoding in ("float", "base64")
            ]
            models = [model.id for model in client.models.list()]
        assert isinstance(vectors[1], str)
        assert vectors[0] == pytest.approx(LexicalEmbeddings().embed_query("a"))
        assert models == ["scripted-small", "scripted-large"]


def test_the_models_can_be_named() -> None:
    with ScriptedProvider(models=["one"]) as provider:
        status, body = send(provider, "/models")
        assert (status, [model["id"] for model in body["data"]]) == (200, ["one"])


# Errors


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "code"),
    [
        ("/nothing", None, "GET", 404, "unknown_url"),
        ("/chat/completions", None, "GET", 405, "unknown_url"),
        ("/models", {}, "POST", 405, "unknown_url"),
        ("/chat/completions", b"{", "POST", 400, None),
        ("/chat/completions", [], "POST", 400, None),
        ("/chat/completions", {"model": "m"}, "POST", 400, None),
        ("/chat/completions", CHAT | {"n": 0}, "POST", 400, None),
        ("/embeddings", {"model": "m"}, "POST", 400, None),
        ("/embeddings", {"input": "a"}, "POST", 400, None),
        ("/chat/completions", CHAT, "POST", 400, "not_scripted"),
    ],
)
def test_errors_have_the_shape_of_the_api(
    path: str, body: Any, method: str, status: int, code: str | None
) -> None:
    with ScriptedProvider() as provider:
        found, answer = send(provider, path, body, method=method)
        assert found == status
        assert set(answer["error"]) == {"message", "type", "param", "code"}
        assert answer["error"]["type"] == "invalid_request_error"
        assert answer["error"]["code"] == code
        assert (provider.rejected, len(provider.requests)) == (1, 1)
        record = provider.requests[0]
        assert record.path == f"/v1{path}"
        assert (record.status, record.error) == (status, answer["error"]["message"])


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings", "/models"])
@pytest.mark.parametrize("key", [None, "wrong", "ké"])
def test_a_required_key_is_checked(path: str, key: str | None) -> None:
    with ScriptedProvider(default="ok", api_key="sk-right") as provider:
        assert provider.api_key == "sk-right"
        body = None if path == "/models" else CHAT | {"input": "a"}
        status, answer = send(provider, path, body, key=key)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
        assert answer["error"]["type"] == "authentication_error"
        assert send(provider, path, body, key="sk-right")[0] == 200
        assert provider.rejected == 1


def test_a_wrong_key_is_the_clients_authentication_error() -> None:
    with ScriptedProvider(default="ok", api_key="sk-right") as provider:
        assert provider.chat_model().invoke("x").content == "ok"
        with pytest.raises(openai.AuthenticationError):
            provider.chat_model(api_key="sk-wrong").invoke("x")


async def _late(request: Any) -> str:
    return "late"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: {"when": date(2026, 1, 2)}, "date is not JSON serializable"),
        (_late, "'_late' is async"),
    ],
)
def test_an_answer_that_cannot_be_given_is_told_and_not_tried_again(
    answer: Any, said: str
) -> None:
    with ScriptedProvider(replies=[answer, "the next"]) as provider:
        with pytest.raises(openai.BadRequestError, match=said) as caught:
            provider.chat_model().invoke("x")
        assert caught.value.code == "script_failed"
        assert (provider.rejected, len(provider.requests)) == (1, 1)


class Failing(Embeddings):
    def __init__(self, vectors: Any) -> None:
        self.vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.vectors is None:
            raise ValueError("no vectors today")
        return self.vectors  # type: ignore[no-any-return]  # that is the test

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (None, "the embeddings failed: ValueError: no vectors today"),
        ([["a"]], "the embeddings failed: ValueError"),
        ([None], "the embeddings failed: TypeError"),
    ],
)
def test_embeddings_that_fail_are_told(vectors: Any, said: str) -> None:
    with ScriptedProvider(embeddings=Failing(vectors)) as provider:
        with pytest.raises(openai.BadRequestError, match=said) as caught:
            provider.embeddings().embed_query("x")
        assert caught.value.code == "script_failed"
        assert (provider.rejected, len(provider.requests)) == (1, 1)


def test_floats_that_json_has_no_word_for_are_told() -> None:
    with ScriptedProvider(embeddings=Failing([[float("nan")]])) as provider:
        body = {"model": "m", "input": "a"}
        status, answer = send(provider, "/embeddings", body)
        assert (status, answer["error"]["code"]) == (400, "script_failed")


# Records


def test_a_record_holds_the_request_without_its_key() -> None:
    with ScriptedProvider(
        [Rule("hi", "hello", name="greeting")], api_key="sk-1"
    ) as provider:
        send(provider, "/chat/completions", CHAT | {"temperature": 0.5}, key="sk-1")
        (record,) = provider.requests
        assert (record.path, record.model, record.number) == (
            "/v1/chat/completions",
            "m",
            1,
        )
        assert record.messages == ({"role": "user", "content": "hi you"},)
        assert record.params == {"temperature": 0.5}
        assert (record.rule, record.outcome, record.finished) == (
            "greeting",
            "answered",
            True,
        )
        assert (record.input_tokens, record.output_tokens, record.status) == (2, 1, 200)
        assert record.headers["content-type"]
        assert "sk-1" not in repr(record)
        assert "sk-1" not in repr(provider)


def test_every_request_comes_to_one_end() -> None:
    replies: list[Scripted] = [
        "a",
        Fault.server_error(),
        "b",
        Fault.disconnect(),
        Fault.malformed_body(),
    ]
    with ScriptedProvider(replies=replies) as provider:
        for _ in range(7):
            with contextlib.suppress(Exception):
                send(provider, "/chat/completions", CHAT)
        send(provider, "/embeddings", {"model": "m", "input": "a"})
        send(provider, "/models")
        send(provider, "/nowhere")
        assert provider.wait_idle()
        assert (provider.calls, provider.embedding_calls) == (2, 1)
        assert (provider.faults, provider.rejected, provider.abandoned) == (3, 3, 0)
        answered = sum(record.finished for record in provider.requests)
        total = answered + provider.faults + provider.rejected + provider.abandoned
        assert (answered, total) == (4, len(provider.requests))


def test_threads_lose_nothing() -> None:
    with ScriptedProvider(default="three tokens here") as provider:
        model = provider.chat_model()
        answers = model.batch(["two tokens"] * 64, config={"max_concurrency": 32})
        assert {answer.content for answer in answers} == {"three tokens here"}
        usage = [answer.usage_metadata for answer in answers if answer.usage_metadata]
        assert provider.calls == len(usage) == 64
        assert provider.input_tokens == sum(u["input_tokens"] for u in usage) == 128
        assert provider.output_tokens == sum(u["output_tokens"] for u in usage) == 192
        numbers = sorted(record.number for record in provider.requests)
        assert numbers == list(range(1, 65))


def test_reset_begins_anew() -> None:
    with ScriptedProvider(replies=["a"]) as provider:
        model = provider.chat_model()
        assert model.invoke("x").content == "a"
        provider.reset()
        assert (provider.calls, provider.requests) == (0, ())
        assert model.invoke("x").content == "a"


# Life and death


def test_providers_live_side_by_side() -> None:
    with ScriptedProvider(default="one") as one, ScriptedProvider(default="two") as two:
        assert one.base_url != two.base_url
        assert one.chat_model().invoke("x").content == "one"
        assert two.chat_model().invoke("x").content == "two"
        assert (one.calls, two.calls) == (1, 1)


def test_a_provider_can_be_started_again_but_not_twice() -> None:
    provider = ScriptedProvider(default="ok")
    for _ in range(2):
        with provider:
            assert provider.chat_model().invoke("x").content == "ok"
            with pytest.raises(RuntimeError, match="already running"), provider:
                pass
            assert provider.chat_model().invoke("x").content == "ok"
    assert provider.calls == 4


def test_a_provider_that_does_not_run_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="start the ScriptedProvider first"):
        _ = ScriptedProvider().base_url


def test_nothing_is_left_behind() -> None:
    before = {thread.name for thread in threading.enumerate()}
    with ScriptedProvider(default="ok") as provider:
        port = int(provider.base_url.split(":")[2].split("/")[0])
        provider.chat_model().invoke("x")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    left = {t.name for t in threading.enumerate()} - before
    assert not any(name.startswith("scripted-provider") for name in left)


@pytest.mark.parametrize(
    "answer",
    [
        Fault.timeout(),
        Reply("x", latency=3600),
        Reply("x", wait_for=threading.Event()),
        Reply("one two", wait_for=threading.Event(), hold_after=1),
    ],
)
def test_leaving_cuts_open_streams_at_once(
    answer: Fault | Reply, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def ask(model: Any) -> None:
        with contextlib.suppress(Exception):
            list(model.stream("x"))
        failed.set()

    with ScriptedProvider(default=answer) as provider:
        asker = threading.Thread(
            target=ask, args=(provider.chat_model(max_retries=0, timeout=600),)
        )
        asker.start()
        while not provider.requests:
            time.sleep(0.001)
    # uvicorn reports what it has to cut after its grace.
    assert caplog.records == []
    assert failed.wait(20)
    asker.join()
    assert provider.calls == 0


def test_leaving_does_not_wait_for_a_function_that_blocks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    running, release, failed = (threading.Event() for _ in range(3))

    def respond(request: Any) -> str:
        running.set()
        release.wait(60)
        return "late"

    def ask(model: Any) -> None:
        with contextlib.suppress(openai.OpenAIError):
            model.invoke("x")
        failed.set()

    with ScriptedProvider(respond=respond) as provider:
        asker = threading.Thread(
            target=ask, args=(provider.chat_model(max_retries=0, timeout=600),)
        )
        asker.start()
        assert running.wait(20)
    # uvicorn reports what it has to cut after its grace.
    assert caplog.records == []
    assert failed.wait(20)
    release.set()
    asker.join()
    assert provider.abandoned == 1


def test_the_documented_example_prints_what_it_says() -> None:
    code = (testing.__doc__ or "").split("```python\n")[1].split("```")[0]
    expected = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    done = subprocess.run(  # noqa: S603 - our own documentation
        [sys.executable, *STRICT, "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == expected
    assert done.stderr == ""
