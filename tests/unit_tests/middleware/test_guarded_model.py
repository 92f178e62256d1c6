"""A model of which nothing comes out unguarded, and which else is as it was."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.middleware.guarded_model import GuardedChatModel
from langchain_prodpatterns.testing import ScriptedChatModel

MAIL = "ada.lovelace@example.org"
GUARD = GuardRunnable(direction="output")


@tool
def search(text: str) -> str:
    """Search."""
    return text


class Spelling(BaseChatModel):
    """Does not stream, and says how likely each word was."""

    bound: Any = None

    @property
    def _llm_type(self) -> str:
        return "spelling"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        info = {"logprobs": [MAIL], "finish_reason": "stop"}
        generation = ChatGeneration(message=AIMessage(MAIL), generation_info=info)
        return ChatResult(generations=[generation])

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bound or RunnableLambda(lambda _: AIMessage(MAIL))


def _guarded(model: Any) -> GuardedChatModel:
    return GuardedChatModel.of(model, GUARD, {})


def test_what_spells_a_value_out_is_left_out() -> None:
    message = _guarded(Spelling()).invoke("hello")
    assert message.text == "[EMAIL]"
    assert message.response_metadata["finish_reason"] == "stop"
    assert "logprobs" not in message.response_metadata
    assert MAIL not in str(asyncio.run(_guarded(Spelling()).ainvoke("hello")))


def test_a_model_that_does_not_stream_comes_in_one_piece() -> None:
    chunks = list(_guarded(Spelling()).stream("hello"))
    assert [chunk.text for chunk in chunks if chunk.text] == ["[EMAIL]"]


def test_traces_hold_no_value() -> None:
    collector = RunCollectorCallbackHandler()
    model = ScriptedChatModel(replies=[f"Ask {MAIL}", "x"])
    _guarded(model).invoke("hello", {"callbacks": [collector]})
    assert len(collector.traced_runs) == 1
    assert MAIL not in str(collector.traced_runs[0].outputs)
    assert len(model.requests) == 1


@pytest.fixture
def _cached() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.usefixtures("_cached")
def test_a_cache_with_what_is_not_guarded_is_left_out() -> None:
    guarded = _guarded(ScriptedChatModel(replies=["one", "two"]))
    assert [guarded.invoke("hello").text for _ in range(2)] == ["one", "two"]


def test_it_calls_tools_as_the_model_does() -> None:
    call = {"name": "search", "args": {"text": MAIL}, "id": "1"}
    model = ScriptedChatModel(replies=[AIMessage("", tool_calls=[call])])
    message = _guarded(model).bind_tools([search], tool_choice="any").invoke("hello")
    assert message.tool_calls[0]["args"] == {"text": "[EMAIL]"}
    assert model.requests[0].params["tool_choice"] == "required"


def test_it_has_the_name_of_the_model() -> None:
    guarded = _guarded(ScriptedChatModel(replies=["x"], model="small", tags=["mine"]))
    assert guarded.model_name == "small"
    assert guarded.tags == ["mine"]
    assert _guarded(Spelling()).model_name == ""


def test_what_cannot_be_guarded_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="chat model"):
        _guarded("gpt")
    with pytest.raises(ConfigurationError, match="RunnableLambda"):
        _guarded(Spelling()).bind_tools([search])
