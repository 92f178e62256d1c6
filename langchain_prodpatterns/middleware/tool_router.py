"""`ToolRouterMiddleware`: the router decides once a turn which tools a model sees."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Annotated, Any, NotRequired, TypedDict

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
    ResponseT,
    ToolCallRequest,
)
from langchain_core.embeddings import Embeddings
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware.naming import NamedMiddleware, read_names
from langchain_prodpatterns.middleware.turns import UserTurn, last_turn
from langchain_prodpatterns.routing import RouteDecision, ToolRouter
from langchain_prodpatterns.routing.routes import Tool

logger = logging.getLogger(__name__)


class ToolChoice(TypedDict):
    """Which of the router's tools a model sees in one turn. Plain data, for states."""

    turn: str
    """The turn of the user that it is for."""
    tools: list[str] | None
    """The names, the best first; `None` for all tools."""
    decided_by: str
    """`distance`, `llm`, `cache` or `none`, as in `RouteDecision`; `failed` where the
    router raised, and `no text` where there was nothing to go by."""


def _merge(
    known: dict[str, ToolChoice] | None, new: dict[str, ToolChoice] | None
) -> dict[str, ToolChoice]:
    """Keep the choices of several routers beside each other."""
    return {**(known or {}), **(new or {})}


class ToolRouterState(AgentState[ResponseT]):
    """The state of an agent with a router: one choice of tools for each."""

    tool_choices: NotRequired[
        Annotated[dict[str, ToolChoice], PrivateStateAttr, _merge]
    ]


class ToolRouterMiddleware(NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]):
    """Binds the tool that a question needs, and asks nobody where that is clear.

    ```python
    router = ToolRouter(tools, embeddings, examples=examples, fallback=small_model)
    agent = create_agent(model, tools, middleware=[ToolRouterMiddleware(router)])
    ```

    **One decision a turn.** The router is asked when the user has spoken, and its
    decision is kept in the agent's state until there is a new human message, however
    often model and tools go around. A tool that is decided is bound alone, with those
    of `always_include`. Where it is not clear, where the fallback fails, and where it
    says that no tool fits, the `k` nearest are bound: never the runner-up alone. Where
    the last human message has no text, or the router itself fails, all tools are.

    **What it leaves alone.** Tools of the agent that the router does not know, those of
    other middleware and those that a provider runs (dicts) are always bound. What a
    router knows and the agent does not have (a `Route` without a tool) is left out;
    where that leaves none of those that were chosen, all tools are bound.

    **A tool that is not on offer does not run.** A model may call it all the same, from
    an earlier turn or of its own invention: it gets a `ToolMessage` with
    `status="error"` that names the tools on offer.

    Put it behind a `GuardMiddleware`, so that it routes by the guarded text.
    """

    # Not in the type of the class: a list of middleware has one type of state.
    state_schema: type[AgentState[ResponseT]] = ToolRouterState

    def __init__(
        self,
        router: ToolRouter | Sequence[Tool],
        embeddings: Embeddings | None = None,
        *,
        k: int = 5,
        always_include: Sequence[str] = (),
        name: str | None = None,
        **options: Any,
    ) -> None:
        """Set up the middleware.

        Args:
            router: A `ToolRouter`, or the tools for one.
            embeddings: What embeds them, where tools were given.
            k: How many tools are bound where none is decided, at least 1.
            always_include: Names of tools that are always bound beside.
            name: Its name in graphs and traces; two in one agent need two
                names. By default that of the class.
            **options: As for `ToolRouter`, where tools were given.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        check_count("k", k, optional=False)
        self.router: ToolRouter = _router(router, embeddings, options)
        self.k = k
        self.always_include: frozenset[str] = read_names(
            "always_include", always_include
        )

    def before_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Decide for this turn, if that was not done yet."""
        turn = last_turn(state["messages"])
        if self._known(state, turn) is not None:
            return None
        return self._update(self._decide(turn))

    async def abefore_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Decide for this turn, natively async."""
        turn = last_turn(state["messages"])
        if self._known(state, turn) is not None:
            return None
        return self._update(await self._adecide(turn))

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT] | ExtendedModelResponse[ResponseT]:
        """Bind the tools that were chosen for this turn."""
        turn = last_turn(request.state["messages"])
        known = self._known(request.state, turn)
        # Without one, somebody else in the agent changed what the user said.
        choice = _available(request, known or self._decide(turn))
        response = handler(self._narrowed(request, choice))
        if choice is known:
            return response
        return ExtendedModelResponse(response, Command(update=self._update(choice)))

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[
            [ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]
        ],
    ) -> ModelResponse[ResponseT] | ExtendedModelResponse[ResponseT]:
        """Bind the tools that were chosen for this turn, natively async."""
        turn = last_turn(request.state["messages"])
        known = self._known(request.state, turn)
        choice = _available(request, known or await self._adecide(turn))
        response = await handler(self._narrowed(request, choice))
        if choice is known:
            return response
        return ExtendedModelResponse(response, Command(update=self._update(choice)))

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run a tool if it is on offer."""
        return self._refusal(request) or handler(request)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run a tool if it is on offer, natively async."""
        return self._refusal(request) or await handler(request)

    def _known(self, state: Any, turn: UserTurn) -> ToolChoice | None:
        choice: ToolChoice | None = (state.get("tool_choices") or {}).get(self.name)
        return choice if choice is not None and choice["turn"] == turn.key else None

    def _update(self, choice: ToolChoice) -> dict[str, Any]:
        return {"tool_choices": {self.name: choice}}

    def _decide(self, turn: UserTurn) -> ToolChoice:
        if not turn.text:
            return _all_tools(turn, "no text")
        try:
            decision = self.router.invoke(turn.text)
            if decision.tool is not None:
                return _choice(turn, decision, [decision.tool])
            nearest = self.router.select(turn.text, self.k)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything
            return _failed(turn, error)
        return _choice(turn, decision, self._names_of(nearest))

    async def _adecide(self, turn: UserTurn) -> ToolChoice:
        if not turn.text:
            return _all_tools(turn, "no text")
        try:
            decision = await self.router.ainvoke(turn.text)
            if decision.tool is not None:
                return _choice(turn, decision, [decision.tool])
            nearest = await self.router.aselect(turn.text, self.k)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything
            return _failed(turn, error)
        return _choice(turn, decision, self._names_of(nearest))

    def _names_of(self, tools: Sequence[Tool]) -> list[str]:
        names = {id(tool): name for name, tool in self.router.tools_by_name.items()}
        return [names[id(tool)] for tool in tools]

    def _narrowed(
        self, request: ModelRequest[ContextT], choice: ToolChoice
    ) -> ModelRequest[ContextT]:
        """Leave out the router's tools that were not chosen."""
        names = [each.name for each in request.tools if isinstance(each, BaseTool)]
        missing = sorted(self.always_include.difference(names))
        if missing:
            msg = (
                f"always_include names {', '.join(missing)}, which the agent does not "
                f"have; it has {', '.join(sorted(names)) or 'no tools'}"
            )
            raise ConfigurationError(msg)
        hidden = self._hidden(choice, names)
        if not hidden:
            return request
        tools = [each for each in request.tools if _name_of(each) not in hidden]
        return request.override(tools=tools)

    def _hidden(self, choice: ToolChoice, names: Collection[str]) -> frozenset[str]:
        """Return which of an agent's tools are not on offer.

        None is hidden where the agent has not one of those that were chosen.
        """
        if not set(choice["tools"] or ()) & set(names):
            return frozenset()
        routed = self.router.tools_by_name.keys() & set(names)
        return frozenset(routed - set(choice["tools"] or ()) - self.always_include)

    def _refusal(self, request: ToolCallRequest) -> ToolMessage | None:
        """Say no to the call of a tool that the model was not shown."""
        choice = (request.state.get("tool_choices") or {}).get(self.name)
        if choice is None:
            return None
        names = [each.name for each in request.runtime.tools]
        hidden = self._hidden(choice, names)
        called = request.tool_call["name"]
        if called not in hidden:
            return None
        offered = ", ".join(name for name in names if name not in hidden)
        return ToolMessage(
            f"Tool {called!r} is not on offer for this question and was not run. "
            f"On offer: {offered}.",
            name=called,
            tool_call_id=request.tool_call["id"],
            status="error",
        )


def _choice(turn: UserTurn, decision: RouteDecision, tools: list[str]) -> ToolChoice:
    return ToolChoice(turn=turn.key, tools=tools, decided_by=decision.decided_by)


def _all_tools(turn: UserTurn, why: str) -> ToolChoice:
    return ToolChoice(turn=turn.key, tools=None, decided_by=why)


def _available(request: ModelRequest[Any], choice: ToolChoice) -> ToolChoice:
    """Return the choice as a request leaves it.

    Others in the agent may leave out tools too, or have a model call a certain one:
    what a model was shown must run. All tools, where it has none of those chosen.
    """
    names = {_name_of(each) for each in request.tools}
    if not names or choice["tools"] is None:
        return choice
    forced = _forced(request.tool_choice)
    tools = list(choice["tools"])
    if forced in names and forced not in tools:
        tools.append(forced)
    kept = tools if names & set(tools) else None
    return choice if kept == choice["tools"] else {**choice, "tools": kept}


def _forced(tool_choice: Any) -> Any:
    """Return the name of the tool that a model must call; other words name none."""
    if not isinstance(tool_choice, dict):
        return tool_choice
    return (tool_choice.get("function") or tool_choice).get("name")


def _failed(turn: UserTurn, error: Exception) -> ToolChoice:
    # The message of an embedder's error may quote the query: only its type is safe.
    kind = type(error).__name__
    logger.warning("routing: the router failed (%s), all tools are bound", kind)
    return _all_tools(turn, "failed")


def _name_of(tool: BaseTool | dict[str, Any]) -> str | None:
    """Return the name of a tool; a provider's own have none that a router knows."""
    return tool.name if isinstance(tool, BaseTool) else None


def _router(given: Any, embeddings: Any, options: dict[str, Any]) -> ToolRouter:
    if not isinstance(given, ToolRouter):
        if embeddings is None:
            msg = (
                "ToolRouterMiddleware takes a ToolRouter, or tools and embeddings; got "
                f"{type(given).__name__} and no embeddings"
            )
            raise ConfigurationError(msg)
        return ToolRouter(given, embeddings, **options)
    if embeddings is not None or options:
        extra = ", ".join(["embeddings"] * (embeddings is not None) + sorted(options))
        msg = f"a ToolRouter is set up already: give {extra} to it, or give tools"
        raise ConfigurationError(msg)
    return given
