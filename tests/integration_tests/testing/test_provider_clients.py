"""The clients that the provider constructs, wherever the environment's proxies point."""

import asyncio
import gc
from typing import Any

import openai
import pytest

from langchain_prodpatterns.testing import ScriptedProvider

NOBODY = "http://127.0.0.1:9"
SOCKS = "socks5://127.0.0.1:9"


@pytest.fixture(
    params=[
        {"HTTP_PROXY": NOBODY},
        {"http_proxy": NOBODY},
        {"OPENAI_PROXY": NOBODY},
        {"ALL_PROXY": SOCKS},
        {"OPENAI_PROXY": SOCKS, "ALL_PROXY": SOCKS, "HTTP_PROXY": NOBODY},
    ],
    ids="+".join,
)
def _proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_proxies")
async def test_no_proxy_of_the_environment_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ScriptedProvider(default="ok") as provider:
        model = provider.chat_model(max_retries=0)
        embeddings = provider.embeddings(max_retries=0)

        assert model.invoke("x").content == "ok"
        assert (await model.ainvoke("x")).content == "ok"
        assert "".join(chunk.text for chunk in model.stream("x")) == "ok"
        assert len(embeddings.embed_query("x")) == 512
        assert len(await embeddings.aembed_query("x")) == 512
        assert (provider.calls, provider.embedding_calls) == (3, 2)
    # langchain-openai logs what it makes of proxies.
    assert caplog.records == []


def test_a_model_serves_one_event_loop_after_the_other() -> None:
    with ScriptedProvider(default="ok") as provider:
        model = provider.chat_model(max_retries=0)
        embeddings = provider.embeddings(max_retries=0)
        for _ in range(2):
            assert asyncio.run(model.ainvoke("x")).content == "ok"
            assert len(asyncio.run(embeddings.aembed_query("x"))) == 512


def test_no_connection_is_left_open() -> None:
    with ScriptedProvider(default="ok") as provider:
        model, embeddings = provider.chat_model(), provider.embeddings()
        model.invoke("x")
        asyncio.run(model.ainvoke("x"))
        embeddings.embed_query("x")
        asyncio.run(embeddings.aembed_query("x"))
        assert {r.headers["connection"] for r in provider.requests} == {"close"}
    del model, embeddings
    # What is left open is a warning here, and a warning is an error.
    gc.collect()


@pytest.mark.parametrize("make", ["chat_model", "embeddings"])
def test_the_users_own_client_is_used(make: str) -> None:
    with ScriptedProvider() as provider, openai.DefaultHttpxClient() as own:
        made: Any = getattr(provider, make)(http_client=own)
        assert made.http_client is own
        assert made.http_async_client is not None


@pytest.mark.parametrize("make", ["chat_model", "embeddings"])
def test_the_users_own_proxy_is_used(make: str) -> None:
    with ScriptedProvider(default="ok") as provider:
        made: Any = getattr(provider, make)(openai_proxy=NOBODY, max_retries=0)
        ask = made.invoke if make == "chat_model" else made.embed_query
        with pytest.raises(openai.APIConnectionError):
            ask("x")
        made.http_client.close()


def test_the_users_own_socket_options_are_used() -> None:
    with ScriptedProvider(default="ok") as provider:
        options = [(6, 1, 1)]
        model = provider.chat_model(http_socket_options=options)
        assert model.http_client is None
        assert model.invoke("x").content == "ok"


def test_models_of_one_provider_are_the_same_to_a_cache() -> None:
    with ScriptedProvider() as provider:
        one, other = provider.chat_model(), provider.chat_model()
        assert one._get_llm_string() == other._get_llm_string()
