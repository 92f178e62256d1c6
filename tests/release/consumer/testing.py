"""Tests of a chain without a key, and of a store of one's own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores import CacheStore, LocalStore
from langchain_prodpatterns.testing import (
    Fault,
    LexicalEmbeddings,
    Reply,
    RequestRecord,
    Rule,
    ScriptedChatModel,
    ScriptedProvider,
    ScriptedRequest,
    ScriptError,
    ToolCall,
    count_tokens,
    echo,
)
from langchain_prodpatterns.testing.store_conformance import StoreConformance


def shout(request: ScriptedRequest) -> Reply:
    return Reply(request.user_text.upper())


def scripted() -> list[str]:
    model = ScriptedChatModel(
        model="small",
        replies=[Reply("Hi"), Fault.rate_limit(), {"name": "Lyon"}, "plain"],
    )
    model.invoke("Hello")
    requests: tuple[RequestRecord, ...] = model.requests
    loud = ScriptedChatModel(respond=shout, temperature=0.5)
    calls = Reply(tool_calls=[ToolCall("search", {"query": "x"})])
    return [str(requests), loud.invoke("Hello").text, str(calls), str(echo)]


def provided() -> int:
    rules = [Rule("refund", "Within 14 days."), Rule(reply=Fault.timeout())]
    with ScriptedProvider(rules, default="I do not know.") as provider:
        try:
            text = str(provider.chat_model(temperature=0).invoke("A refund?").text)
        except ScriptError:
            text = ""
        provider.embeddings().embed_query(text)
        return provider.calls + count_tokens(text)


def embedded() -> list[float]:
    return LexicalEmbeddings(dimensions=256).embed_query("Hello")


class TestMyStore(StoreConformance):
    """The suite over a store."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[..., CacheStore]:
        return partial(LocalStore, tmp_path / "store.db")
