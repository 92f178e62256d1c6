"""A tool whose arguments are trivial runs without a model."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.routing import Route, RoutedCall, ToolRouter
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.routing.doubles import TableEmbeddings, near

TABLE = {"clear": near(a=0.9, b=0.1), "torn": near(a=0.7, b=0.69, c=0.1)}


def _call(router: ToolRouter, query: Any, **kwargs: Any) -> RoutedCall:
    return router.call(query, **kwargs)


def _acall(router: ToolRouter, query: Any, **kwargs: Any) -> RoutedCall:
    return asyncio.run(router.acall(query, **kwargs))


both_ways = pytest.mark.parametrize("run", [_call, _acall])
Run = Callable[..., RoutedCall]


def _router(function: Any, fallback: Any = None) -> ToolRouter:
    tool = function
    if not isinstance(function, Route):
        tool = StructuredTool.from_function(function, name="a", description="about a")
    others = [Route("b", "about b"), Route("c", "about c")]
    return ToolRouter(
        [tool, *others],
        TableEmbeddings(TABLE),
        threshold=0.5,
        margin=0.2,
        fallback=fallback,
    )


def one_text(text: str) -> str:
    return f"got {text}"


def nothing() -> str:
    return "got nothing"


def two(first: str, second: int) -> str:
    return f"got {first} and {second}"


def one_of(kind: Literal["x", "y"]) -> str:
    return f"got {kind}"


def _filling(**args: Any) -> ScriptedChatModel:
    call = {"name": "a", "args": args, "id": "1"}
    other = {"name": "zz", "args": {}, "id": "2"}
    return ScriptedChatModel(replies=[AIMessage("", tool_calls=[call, other])])


@both_ways
@pytest.mark.parametrize(
    ("function", "args", "given"),
    [(one_text, {"text": "clear"}, "got clear"), (nothing, {}, "got nothing")],
)
def test_trivial_arguments_need_no_model(
    run: Run, function: Any, args: dict[str, Any], given: str
) -> None:
    with track() as ledger:
        result = run(_router(function), [HumanMessage("clear")])
    asked, answer = result.messages
    assert isinstance(asked, AIMessage)
    assert isinstance(answer, ToolMessage)
    assert asked.tool_calls[0]["args"] == args
    assert answer.tool_call_id == asked.tool_calls[0]["id"]
    assert answer.text == given
    assert result.ran
    assert result.decision.tool == "a"
    assert ledger.summary().calls == 0


@both_ways
@pytest.mark.parametrize(
    ("function", "args", "given"),
    [
        (two, {"first": "x", "second": 2}, "got x and 2"),
        (one_of, {"kind": "y"}, "got y"),
    ],
)
def test_a_model_fills_in_other_arguments(
    run: Run, function: Any, args: dict[str, Any], given: str
) -> None:
    model = _filling(**args)
    result = run(_router(function), "clear", model=model)
    assert [message.text for message in result.messages] == ["", given]
    assert isinstance(result.messages[0], AIMessage)
    assert [call["name"] for call in result.messages[0].tool_calls] == ["a"]
    [request] = model.requests
    assert [each["function"]["name"] for each in request.params["tools"]] == ["a"]
    assert request.params["tool_choice"]["function"]["name"] == "a"


@both_ways
def test_the_fallback_fills_in_arguments_where_it_is_a_chat_model(run: Run) -> None:
    fallback = _filling(first="x", second=2)
    result = run(_router(two, fallback), "clear")
    assert result.messages[1].text == "got x and 2"


@both_ways
def test_a_model_that_gives_no_arguments(run: Run) -> None:
    model = ScriptedChatModel(replies=["Which one?"])
    result = run(_router(two), "clear", model=model)
    assert not result.ran
    assert [message.text for message in result.messages] == ["Which one?"]
    assert "no arguments" in result.reason


@both_ways
@pytest.mark.parametrize(
    ("function", "query", "reason"),
    [
        (one_text, "torn", "no tool was decided"),
        (one_text, "", "no tool was decided"),
        (Route("a", "about a"), "clear", "Route"),
        (two, "clear", "no model"),
    ],
)
def test_where_nothing_can_run_nothing_does(
    run: Run, function: Any, query: str, reason: str
) -> None:
    result = run(_router(function), query)
    assert not result.ran
    assert result.messages == ()
    assert reason in result.reason


@both_ways
def test_a_function_is_a_tool_too(run: Run) -> None:
    def a(text: str) -> str:
        """about a"""
        return f"got {text}"

    router = ToolRouter(
        [a, Route("b", "about b")], TableEmbeddings(TABLE), threshold=0.5, margin=0.2
    )
    assert run(router, "clear").messages[1].text == "got clear"


@both_ways
def test_what_the_tool_raises_passes_through(run: Run) -> None:
    def broken() -> str:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(_router(broken), "clear")


@both_ways
def test_a_model_that_is_none_is_refused(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="chat model"):
        run(_router(two), "clear", model="gpt")
