"""A model is shown the tools that a question needs, and no others."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.routing import Route, ToolRouter
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.routing.doubles import ROUTES, TableEmbeddings, choosing, near

TABLE = {
    "clear": near(a=0.9, b=0.1),
    "torn": near(a=0.7, b=0.69, c=0.1),
    "about c\n\nc": near(c=1.0),
}


def _run(text: str = "") -> str:
    return text


TOOLS: list[Any] = [
    StructuredTool.from_function(_run, name=name, description=f"about {name}")
    for name in "abc"
]


def _invoke(step: Any, value: Any) -> Any:
    return step.invoke(value)


def _ainvoke(step: Any, value: Any) -> Any:
    return asyncio.run(step.ainvoke(value))


def _stream(step: Any, value: Any) -> Any:
    return sum_of(list(step.stream(value)))


def _astream(step: Any, value: Any) -> Any:
    async def collect() -> list[Any]:
        return [chunk async for chunk in step.astream(value)]

    return sum_of(asyncio.run(collect()))


def sum_of(chunks: list[Any]) -> Any:
    assert len(chunks) > 1
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


all_ways = pytest.mark.parametrize("run", [_invoke, _ainvoke, _stream, _astream])
Run = Callable[[Any, Any], Any]


def _router(tools: Any = TOOLS, fallback: Any = None) -> ToolRouter:
    embeddings = TableEmbeddings(TABLE)
    return ToolRouter(tools, embeddings, threshold=0.5, margin=0.2, fallback=fallback)


def _model() -> ScriptedChatModel:
    return ScriptedChatModel(replies=["a fine answer"], cycle=True)


def _bound(model: ScriptedChatModel) -> list[str]:
    tools = model.requests[-1].params.get("tools", ())
    return [each["function"]["name"] for each in tools]


@all_ways
@pytest.mark.parametrize(
    ("query", "fallback", "bound"),
    [
        ("clear", None, ["a"]),
        ("torn", None, ["a", "b"]),
        ("torn", choosing(2), ["b"]),
        ("torn", choosing("none"), ["a", "b"]),
        ("", None, ["a", "b", "c"]),
        ([HumanMessage("clear")], None, ["a"]),
    ],
)
def test_what_is_bound(run: Run, query: Any, fallback: Any, bound: list[str]) -> None:
    model = _model()
    step = _router(fallback=fallback).bind_tools(model, k=2)
    assert run(step, query).text == "a fine answer"
    assert _bound(model) == bound


@all_ways
@pytest.mark.parametrize("fallback", [choosing("none"), choosing("nonsense")])
def test_all_are_bound_where_the_embeddings_are_down(
    run: Run, fallback: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = _model()
    step = _router(fallback=fallback).bind_tools(model, k=2)
    assert run(step, "private and unknown").text == "a fine answer"
    assert _bound(model) == ["a", "b", "c"]
    assert "(KeyError), all tools are bound" in caplog.text
    assert "private" not in caplog.text


def test_what_else_is_bound_is_handed_on() -> None:
    model = _model()
    _router().bind_tools(model, tool_choice="any", seed=7).invoke("clear")
    assert model.requests[0].params["tool_choice"] == "required"
    assert model.requests[0].params["seed"] == 7


@all_ways
def test_a_route_is_never_bound(run: Run) -> None:
    model = _model()
    router = _router([Route("a", "about a"), *TOOLS[1:]])
    step = router.bind_tools(model, k=2, tool_choice="any")
    run(step, "torn")
    assert _bound(model) == ["b"]
    run(step, "clear")
    assert _bound(model) == []
    assert "tool_choice" not in model.requests[-1].params


def test_the_ledger_sees_the_decision_and_the_call() -> None:
    model = _model()
    with track() as ledger:
        _router().bind_tools(model).batch(["clear", "torn"])
    summary = ledger.summary()
    assert summary.by_pattern["routing"].decisions == 2
    assert summary.calls == len(model.requests) == 2


def test_its_types_are_those_of_a_model() -> None:
    step = _router().bind_tools(_model())
    assert step.get_output_jsonschema()["title"] == "AIMessage"


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="k"):
        _router().bind_tools(_model(), k=0)
    with pytest.raises(ConfigurationError, match="chat model"):
        _router().bind_tools("gpt")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Routes"):
        _router(ROUTES).bind_tools(_model())
