"""What a wrapped chain is."""

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSerializable,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, SecretStr, create_model

from langchain_prodpatterns.cache.chains import (
    remembers,
    runnable_fingerprint,
    streams_steps,
)
from langchain_prodpatterns.structured import SchemaParser, StructuredRetryParser
from langchain_prodpatterns.testing import ScriptedChatModel


class Holder:
    """No part of LangChain."""


class Custom(Runnable[Any, Any]):
    """A Runnable that shows nothing of itself."""

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return input


def test_a_chain_is_told_by_its_prompt_and_parameters() -> None:
    class Settings(BaseModel):
        pass

    model = ScriptedChatModel(replies=["a"])
    prints = {
        runnable_fingerprint(chain)
        for chain in (
            model,
            ScriptedChatModel(replies=["a"], temperature=0.3),
            model.bind(stop=["x"]),
            RunnableLambda(len),
            RunnableLambda(str),
        )
    }

    assert len(prints) == 5
    assert runnable_fingerprint(model) == runnable_fingerprint(
        ScriptedChatModel(replies=["a"])
    )


class Service(RunnableSerializable[str, str]):
    """What answers by where it asks."""

    endpoint: str

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        return ["app"]

    def invoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> str:
        return self.endpoint


def test_transport_parameters_are_those_of_models() -> None:
    prices, weather = (
        Service(endpoint=url) | {"a": Service(endpoint="b")} for url in ("p", "w")
    )
    here, there = (
        RunnableLambda(str) | ChatOpenAI(base_url=url, api_key=SecretStr("k"))
        for url in ("http://a", "http://b")
    )

    assert runnable_fingerprint(prices) != runnable_fingerprint(weather)
    assert runnable_fingerprint(here) == runnable_fingerprint(there)


PARSERS = [
    SchemaParser,
    StructuredRetryParser,
    lambda answer: PydanticOutputParser(pydantic_object=answer),
    lambda answer: SchemaParser(list.__class_getitem__(answer)),
    lambda answer: ScriptedChatModel(replies=["a"]).bind(response_format=answer),
    lambda answer: RunnableLambda(len) | {"a": SchemaParser(answer)},
]


@pytest.mark.parametrize("parser", PARSERS)
def test_a_changed_field_of_a_parser_s_class_tells_two_chains_apart(
    parser: Any,
) -> None:
    before, after, same = (
        parser(create_model("Answer", text=(kind, ...), __module__="prodpatterns_gone"))
        for kind in (str, int, str)
    )

    assert runnable_fingerprint(before) != runnable_fingerprint(after)
    assert runnable_fingerprint(before) == runnable_fingerprint(same)


def test_other_kinds_of_classes_count_too() -> None:
    def color(*names: str) -> Any:
        return Enum("Color", list(names), module="prodpatterns_gone")

    def point(kind: Any) -> Any:
        fields = {"__annotations__": {"x": kind}, "__module__": "prodpatterns_gone"}
        return dataclass(type("Point", (), fields))

    kinds = [color("RED"), color("RED", "BLUE"), point(int), point(str), int, str]
    assert len({runnable_fingerprint(SchemaParser(kind)) for kind in kinds}) == 6


PRINT = """
import sys
from langchain_core.runnables import RunnableLambda
from langchain_prodpatterns.cache.chains import runnable_fingerprint
from langchain_prodpatterns.testing import ScriptedChatModel
model = ScriptedChatModel(replies=["a"])
given = {"int": int}.get(sys.argv[1], sys.argv[1])
print(runnable_fingerprint(model.bind(shape=given)))
"""


@pytest.mark.parametrize(
    ("shape", "shared"),
    [
        ("int", True),
        ("plain", True),
        ("<class 'prodpatterns_missing.Answer'>", False),
    ],
)
def test_what_another_process_would_know_is_shared(
    shape: str, *, shared: bool, tmp_path: Path
) -> None:
    prints = {
        subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", PRINT, shape],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    }

    assert len(prints) == (1 if shared else 2)


def test_what_shows_nothing_of_itself_is_like_no_other() -> None:
    one, other = Custom(), Custom()

    assert runnable_fingerprint(one) == runnable_fingerprint(one)
    assert runnable_fingerprint(one | len) != runnable_fingerprint(other | len)
    assert runnable_fingerprint(one, told_apart=True) == runnable_fingerprint(
        other, told_apart=True
    )


def test_agents_with_other_prompts_are_told_apart() -> None:
    formal, casual = (
        create_agent(ScriptedChatModel(replies=["a"]), system_prompt=style)
        for style in ("formal", "casual")
    )

    assert runnable_fingerprint(formal) != runnable_fingerprint(casual)


def _agent(checkpointer: Any) -> Runnable[Any, Any]:
    model = ScriptedChatModel(replies=["a"])
    return create_agent(model, checkpointer=checkpointer)


WITH_MEMORY = _agent(InMemorySaver())


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (WITH_MEMORY, True),
        (_agent(checkpointer=True), True),
        (RunnableLambda(len) | WITH_MEMORY | RunnableLambda(len), True),
        (RunnableParallel(a=WITH_MEMORY.with_retry()), True),
        (RunnableLambda(len).with_fallbacks([WITH_MEMORY]), True),
        (RunnableLambda(lambda value: WITH_MEMORY.invoke({"a": value})), True),
        (_agent(None), False),
        (_agent(checkpointer=False), False),
        (RunnableLambda(len) | RunnableLambda(str), False),
        (ScriptedChatModel(replies=["a"]), False),
    ],
)
def test_a_chain_that_remembers_is_known(
    chain: Runnable[Any, Any], *, expected: bool
) -> None:
    assert remembers(chain) is expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_chain_with_a_history_remembers() -> None:
    history = InMemoryChatMessageHistory()
    model = ScriptedChatModel(replies=["a"])
    chain = RunnableWithMessageHistory(model, lambda: history)

    assert remembers(RunnableLambda(str) | chain)


def test_an_agent_that_remembers_is_found_in_a_graph() -> None:
    from langgraph.graph import END, START, MessagesState, StateGraph

    graph = StateGraph(MessagesState)
    graph.add_node("agent", WITH_MEMORY)
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)

    assert remembers(graph.compile())


def test_what_a_chain_holds_besides_is_not_looked_into() -> None:
    holder = Holder()
    vars(holder)["self"] = holder

    assert not remembers(ScriptedChatModel(replies=["a"]).bind(x=[holder, (holder,)]))


def test_a_graph_streams_steps_wherever_it_is() -> None:
    agent: Runnable[Any, Any] = create_agent(ScriptedChatModel(), tools=[])

    def ask(question: str) -> Any:
        return agent.invoke({"messages": [question]})

    chains: list[Runnable[Any, Any]] = [
        agent,
        RunnableLambda(str) | agent,
        RunnableLambda(ask),
        agent.with_config(tags=["x"]),
        RunnableParallel(a=agent),
    ]
    assert all(streams_steps(chain) for chain in chains)


def test_a_chain_of_models_and_parsers_streams_its_output() -> None:
    assert not streams_steps(ScriptedChatModel() | SchemaParser(int))


def test_what_is_not_imported_is_in_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "langgraph.pregel.protocol")

    assert not streams_steps(RunnableLambda(str))


def test_an_agent_that_a_function_was_given_is_found() -> None:
    asked: Any = partial(lambda agent, value: agent.invoke(value), WITH_MEMORY)

    assert remembers(RunnableLambda(asked))
    assert streams_steps(RunnableLambda(asked))
