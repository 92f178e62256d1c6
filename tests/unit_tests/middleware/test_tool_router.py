"""One decision a turn; what is not on offer does not run."""

from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.middleware import ToolRouterMiddleware
from langchain_prodpatterns.routing import Route, ToolRouter
from langchain_prodpatterns.testing import Fault
from tests.unit_tests.middleware.agents import (
    WAYS,
    Turn,
    agent_of,
    calling,
    named_tool,
    said,
)
from tests.unit_tests.routing.doubles import ROUTES, TableEmbeddings, choosing, near

TABLE = {
    "clear": near(a=0.9, b=0.1),
    "other": near(b=0.9, a=0.1),
    "torn": near(a=0.7, b=0.69, c=0.1),
}
TOOLS = [named_tool(name) for name in "abc"]

both_ways = pytest.mark.parametrize("run", WAYS)


def _router(fallback: Any = None, routes: Any = ROUTES) -> ToolRouter:
    return ToolRouter(
        routes, TableEmbeddings(TABLE), threshold=0.5, margin=0.2, fallback=fallback
    )


def _offered(model: Any) -> list[list[str]]:
    return [
        [each["function"]["name"] for each in request.params.get("tools", ())]
        for request in model.requests
    ]


@both_ways
def test_a_tool_that_is_decided_is_bound_alone(run: Turn) -> None:
    agent, model = agent_of(["fine"], TOOLS, ToolRouterMiddleware(_router()))
    run(agent, said("clear"))
    assert _offered(model) == [["a"]]


@both_ways
def test_a_tool_loop_asks_the_router_once(run: Turn) -> None:
    fallback = choosing(1)
    router = _router(fallback)
    replies = [*[calling("a")] * 5, "done"]
    agent, model = agent_of(replies, TOOLS, ToolRouterMiddleware(router))
    with track() as ledger:
        result = run(agent, said("torn"))
    assert _offered(model) == [["a"]] * 6
    assert len(fallback.requests) == 1
    assert ledger.summary().by_pattern["routing"].decisions == 1
    assert "tool_choices" not in result


@both_ways
@pytest.mark.parametrize(
    ("fallback", "offered"),
    [
        (None, ["a", "b"]),
        (choosing("none"), ["a", "b"]),
        (choosing("b"), ["b"]),
        (choosing({"no": "verdict"}), ["a", "b"]),
        (choosing(99), ["a", "b"]),
        (choosing(Fault.server_error()), ["a", "b"]),
    ],
)
def test_what_is_not_decided_gets_the_nearest_never_the_runner_up_alone(
    run: Turn, fallback: Any, offered: list[str]
) -> None:
    middleware = ToolRouterMiddleware(_router(fallback), k=2)
    agent, model = agent_of(["fine"], TOOLS, middleware)
    run(agent, said("torn"))
    assert _offered(model) == [offered]


@both_ways
def test_a_tool_that_is_not_on_offer_does_not_run(run: Turn) -> None:
    ran: list[str] = []
    tools = [named_tool(name, ran) for name in "abcd"]
    replies = [calling("b", "a", "d"), "sorry"]
    middleware = ToolRouterMiddleware(_router(), always_include=["c"])
    agent, model = agent_of(replies, tools, middleware)
    result = run(agent, said("clear"))
    assert sorted(ran) == ["a", "d"]
    refused = [m for m in result["messages"] if getattr(m, "status", "") == "error"]
    assert [(m.name, m.tool_call_id) for m in refused] == [("b", "b-0")]
    assert "On offer: a, c, d." in refused[0].text
    assert "On offer: a, c, d." in str(model.requests[1].messages)


@both_ways
def test_tools_that_the_router_does_not_know_are_left_alone(run: Turn) -> None:
    class Bringing(AgentMiddleware[Any, Any, Any]):
        tools = (named_tool("brought"),)

    search = {"type": "web_search"}
    tools = [*TOOLS, named_tool("unknown"), search]
    middleware = (ToolRouterMiddleware(_router()), Bringing())
    seen: list[Any] = []

    class Watching(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            seen.extend(request.tools)
            return AIMessage("fine")

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return self.wrap_model_call(request, handler)

    agent, _ = agent_of(["fine"], tools, *middleware, Watching())
    run(agent, said("clear"))
    names = {
        each if isinstance(each, str) else getattr(each, "name", "") for each in seen
    }
    assert names - {""} == {"a", "unknown", "brought"}
    assert search in seen


@both_ways
def test_a_new_message_of_the_user_is_decided_anew(run: Turn) -> None:
    agent, model = agent_of(
        ["one", "two"],
        TOOLS,
        ToolRouterMiddleware(_router()),
        checkpointer=InMemorySaver(),
    )
    thread = {"configurable": {"thread_id": "7"}}
    run(agent, said("clear"), thread)
    run(agent, said("other"), thread)
    assert _offered(model) == [["a"], ["b"]]


@both_ways
def test_an_edited_message_is_decided_anew(run: Turn) -> None:
    agent, model = agent_of(
        ["one", "two"],
        TOOLS,
        ToolRouterMiddleware(_router()),
        checkpointer=InMemorySaver(),
    )
    thread = {"configurable": {"thread_id": "7"}}
    run(agent, {"messages": [HumanMessage("clear", id="m")]}, thread)
    run(agent, {"messages": [HumanMessage("other", id="m")]}, thread)
    assert _offered(model) == [["a"], ["b"]]


class Rewriting(AgentMiddleware[Any, Any, Any]):
    """Changes what the user said, after the router has looked at it."""

    def before_agent(self, state: Any, runtime: Any) -> dict[str, Any]:
        last = state["messages"][-1]
        return {"messages": [HumanMessage("other", id=last.id)]}

    async def abefore_agent(self, state: Any, runtime: Any) -> dict[str, Any]:
        return self.before_agent(state, runtime)


@both_ways
def test_what_others_make_of_the_message_is_decided_once_and_kept(run: Turn) -> None:
    router = _router()
    agent, model = agent_of(
        [calling("b"), "fine"], TOOLS, ToolRouterMiddleware(router), Rewriting()
    )
    run(agent, said("clear"))
    assert _offered(model) == [["b"], ["b"]]
    assert isinstance(router.embeddings, TableEmbeddings)
    assert router.embeddings.queries == 2


@both_ways
def test_a_message_without_text_gets_all_tools(run: Turn) -> None:
    picture: list[str | dict[str, Any]] = [
        {"type": "image", "url": "https://a.example/1.png"}
    ]
    agent, model = agent_of(["fine"], TOOLS, ToolRouterMiddleware(_router()))
    run(agent, {"messages": [HumanMessage(picture)]})
    assert _offered(model) == [["a", "b", "c"]]


@both_ways
def test_a_router_that_fails_leaves_all_tools(
    run: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    router = _router()
    assert isinstance(router.embeddings, TableEmbeddings)
    router.embeddings.error = RuntimeError("down, while it read 'clear'")
    agent, model = agent_of([calling("c"), "fine"], TOOLS, ToolRouterMiddleware(router))
    result = run(agent, said("clear"))
    assert _offered(model) == [["a", "b", "c"]] * 2
    assert isinstance(result["messages"][2], ToolMessage)
    assert result["messages"][2].status == "success"
    assert "RuntimeError" in caplog.text
    assert "clear" not in caplog.text


@both_ways
def test_a_route_without_a_tool_leaves_all_tools(run: Turn) -> None:
    middleware = ToolRouterMiddleware(_router())
    agent, model = agent_of([calling("c"), "fine"], TOOLS[1:], middleware)
    result = run(agent, said("clear"))
    assert _offered(model) == [["b", "c"]] * 2
    assert result["messages"][2].status == "success"


class _Without(AgentMiddleware[Any, Any, Any]):
    """Leaves out a tool, as for a user who may not call it."""

    def __init__(self, name: str) -> None:
        self.hidden = name

    def _narrowed(self, request: Any) -> Any:
        tools = [each for each in request.tools if each.name != self.hidden]
        return request.override(tools=tools)

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(self._narrowed(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(self._narrowed(request))


@both_ways
def test_what_a_model_was_shown_runs_where_others_leave_out_the_chosen(
    run: Turn,
) -> None:
    routing = ToolRouterMiddleware(_router())
    agent, model = agent_of([calling("b"), "fine"], TOOLS, _Without("a"), routing)
    result = run(agent, said("clear"))
    assert _offered(model) == [["b", "c"]] * 2
    assert result["messages"][2].status == "success"


class _Forcing(AgentMiddleware[Any, Any, Any]):
    """Has the model call a certain tool first."""

    def __init__(self, tool_choice: Any) -> None:
        self.tool_choice = tool_choice

    def _forced(self, request: Any) -> Any:
        first = len(request.messages) == 1
        return request.override(tool_choice=self.tool_choice if first else None)

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(self._forced(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(self._forced(request))


@both_ways
@pytest.mark.parametrize(
    "tool_choice",
    [
        "c",
        {"type": "function", "function": {"name": "c"}},
        {"type": "tool", "name": "c"},
    ],
)
def test_a_tool_that_a_model_must_call_is_on_offer(run: Turn, tool_choice: Any) -> None:
    routing = ToolRouterMiddleware(_router())
    agent, model = agent_of(
        [calling("c"), "fine"], TOOLS, _Forcing(tool_choice), routing
    )
    result = run(agent, said("clear"))
    assert _offered(model) == [["a", "c"]] * 2
    assert result["messages"][2].status == "success"


@both_ways
def test_two_routers_keep_their_choices_apart(run: Turn) -> None:
    more = [Route("d", "about a"), Route("e", "about b")]
    first = ToolRouterMiddleware(_router())
    second = ToolRouterMiddleware(_router(routes=more), name="second")
    tools = [*TOOLS, named_tool("d"), named_tool("e")]
    agent, model = agent_of(["fine"], tools, first, second)
    with track() as ledger:
        run(agent, said("clear"))
    assert _offered(model) == [["a", "d"]]
    assert ledger.summary().by_pattern["routing"].decisions == 2


def test_tools_and_embeddings_make_a_router() -> None:
    middleware = ToolRouterMiddleware(
        TOOLS, TableEmbeddings({}), threshold=0.4, name="mine"
    )
    assert middleware.router.threshold == 0.4
    assert middleware.name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"router": TOOLS}, "no embeddings"),
        ({"router": _router(), "embeddings": TableEmbeddings({})}, "give embeddings"),
        ({"router": _router(), "margin": 0.1}, "give margin to it"),
        ({"router": _router(), "k": 0}, "k"),
        ({"router": _router(), "always_include": "a"}, "always_include"),
        ({"router": _router(), "name": ""}, "name"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ToolRouterMiddleware(**arguments)


@both_ways
def test_a_name_in_always_include_that_nobody_has_is_an_error(run: Turn) -> None:
    middleware = ToolRouterMiddleware(_router(), always_include=["zz"])
    agent, _ = agent_of(["fine"], TOOLS, middleware)
    with pytest.raises(ConfigurationError, match="zz"):
        run(agent, said("clear"))


@both_ways
def test_embeddings_that_never_work_are_an_error(run: Turn) -> None:
    router = ToolRouter(ROUTES, TableEmbeddings({"about a": [0.0] * 4, **TABLE}))
    agent, _ = agent_of(["fine"], TOOLS, ToolRouterMiddleware(router))
    with pytest.raises(ConfigurationError, match="zero"):
        run(agent, said("clear"))
