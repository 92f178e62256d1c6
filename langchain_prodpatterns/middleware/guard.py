"""`GuardMiddleware`: nothing private reaches the model, the state or the tokens."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
    ResponseT,
    ToolCallRequest,
    hook_config,
)
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.vault import scope_of
from langchain_prodpatterns.middleware.answers import kept, unguarded
from langchain_prodpatterns.middleware.cleared import seal, split
from langchain_prodpatterns.middleware.guarded_model import (
    GuardedChatModel,
)
from langchain_prodpatterns.middleware.naming import NamedMiddleware
from langchain_prodpatterns.middleware.restoring import Restoring, put_back
from langchain_prodpatterns.middleware.results import messages_of, with_messages
from langchain_prodpatterns.middleware.withholding import (
    WITHHELD,
    is_withheld,
    withheld,
)

if TYPE_CHECKING:
    from langchain_prodpatterns.middleware.guarded_agent import GuardedAgent

BLOCKED_ANSWER = "I cannot help with this: it is against the rules of this service."
"""What an agent says by default where a block ends its run."""
OUTSIDE_KEY = "prodpatterns_restored_outside"
"""In `configurable`: the vaults whose values are restored by who is around the agent.

An agent within a tool inherits it, and may have a vault of its own."""

OnBlock = Literal["raise", "end"]
"""What a block does: it raises `GuardBlocked`, or the run ends with an answer."""


def _latest(_before: Any, now: Any) -> Any:
    """Take the latest, also where parallel tools write the same."""
    return now


class GuardState(AgentState[ResponseT]):
    """The state of an agent with a guard. No value is in it.

    LangGraph takes for a reducer what stands last.
    """

    guard_blocked: NotRequired[Annotated[bool, PrivateStateAttr, _latest]]
    guard_session: NotRequired[Annotated[str, PrivateStateAttr, _latest]]
    guard_cleared: NotRequired[Annotated[list[str], PrivateStateAttr, _latest]]


@dataclass(frozen=True, slots=True)
class _Call:
    """What one hook works with."""

    config: RunnableConfig
    """The config of the guards' runs."""
    restoring: Restoring
    """Values and stand-ins of the conversation."""


class GuardMiddleware(NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]):
    """Guards all that goes through an agent: in, out, and to and from its tools.

    ```python
    guard = GuardMiddleware(policy={"email": "pseudonymize"}, vault=Vault(), judge=llm)
    agent = create_agent(model, tools, middleware=[guard, *others])
    agent = guard.wrap(agent)  # with a checkpointer
    ```

    - **Into the model**: the system prompt, what the user says, earlier turns and what
      tools gave. New messages are replaced in the agent's state too; the judge and the
      classifier look at each of them once.
    - **Out of the model**: text, tool calls and extra fields, as they stream. The model
      is called through one that is guarded (`GuardedChatModel`), so no token, trace or
      event of it holds any part of a value. Answers are not judged.
    - **Tools**: stand-ins in the arguments become values again just before the tool
      runs; the result is guarded as untrusted (`direction="tool"`) before model and
      state see it. The tool's own run is not reached: what it streams, and what
      callbacks and events (`on_tool_start`, `on_tool_end`) hear of it.
    - **The user** sees values, not stand-ins: in tokens, and in the final answer.

    **Checkpoints.** LangGraph stores what `invoke` is given before any middleware runs,
    and what it returns is the state. So with a checkpointer use `wrap(agent)`: it
    guards the input before and restores the answer behind the graph, and what is
    stored holds neither. Without, the first checkpoint of a turn holds the raw input
    (unless with `durability="exit"`, where no block is raised), and the last one the
    restored answer. A structured response holds values in any case, and LangGraph
    stores the text of an error that a tool raises.

    Put it first in the list, so that all others see guarded messages. Two belong in
    front of it: what chooses another model (`ModelFallbackMiddleware`), since of a
    model that is put in behind it the answer is guarded but not the tokens; and
    `HumanInTheLoopMiddleware`, since behind it arguments are values, which an interrupt
    stores, and what a human edits is not restored. What middleware behind it adds to a
    request is not looked at. Values in state keys other than `messages` are left alone.
    """

    # Not in the type of the class: a list of middleware has one type of state.
    state_schema: type[AgentState[ResponseT]] = GuardState

    def __init__(
        self,
        guard: GuardRunnable | None = None,
        *,
        on_block: OnBlock = "raise",
        blocked_answer: str = BLOCKED_ANSWER,
        name: str | None = None,
        **options: Any,
    ) -> None:
        """Set up the middleware.

        Args:
            guard: A guard with `direction="input"`; by default one with the options.
            on_block: `raise` ends the run with `GuardBlocked`. `end` ends it with an
                answer, and withholds what was blocked from the state.
            blocked_answer: That answer.
            name: Its name in graphs and traces; two in one agent need two
                names. By default that of the class.
            **options: As for `GuardRunnable`, such as `policy`, `judge` and `vault`.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        if on_block not in ("raise", "end"):
            msg = f"on_block must be 'raise' or 'end', got {on_block!r}"
            raise ConfigurationError(msg)
        if not isinstance(blocked_answer, str) or not blocked_answer.strip():
            msg = f"blocked_answer must be a text, got {blocked_answer!r}"
            raise ConfigurationError(msg)
        self.guard: GuardRunnable = _guard(guard, options)
        self.on_block = on_block
        self.blocked_answer = blocked_answer
        # The guard that `wrap` puts behind a chain: the same, without a judge.
        self._out = self.guard._facing_out()  # noqa: SLF001 - of this very package
        self.facing_in: GuardRunnable | None = self._out and self._out.model_copy(
            update={"direction": "input"}
        )

    def wrap(self, agent: Runnable[Any, Any]) -> "GuardedAgent":
        """Guard an agent's input before it is stored, and restore what it returns.

        Args:
            agent: The agent that has this middleware.

        Returns:
            A Runnable that takes and gives what the agent does; `get_state` and
            `aget_state` tell what is stored of a thread, with the values.

        Raises:
            ConfigurationError: When the agent is no Runnable.
        """
        # It needs to know what a middleware is, and so imports this module.
        from langchain_prodpatterns.middleware.guarded_agent import GuardedAgent

        return GuardedAgent(agent, self)

    @hook_config(can_jump_to=["end"])
    def before_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Guard the messages in the state."""
        call, update = self._begin(state)
        old, new = _split(state, call)
        if any(map(is_withheld, new)):
            return self._answered(update, old, filter(is_withheld, new))
        batch: list[Any] = old
        try:
            seen = (
                self.facing_in.invoke(old, call.config)
                if self.facing_in and old
                else old
            )
            batch = new
            seen = [*seen, *(self.guard.invoke(new, call.config) if new else [])]
        except GuardBlocked as blocked:
            return self._ended(blocked, old, batch, update)
        return self._guarded(state, seen, update)

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Guard the messages in the state, natively async."""
        call, update = self._begin(state)
        old, new = _split(state, call)
        if any(map(is_withheld, new)):
            return self._answered(update, old, filter(is_withheld, new))
        batch: list[Any] = old
        try:
            seen = (
                await self.facing_in.ainvoke(old, call.config)
                if self.facing_in and old
                else old
            )
            batch = new
            seen = [*seen, *(await self.guard.ainvoke(new, call.config) if new else [])]
        except GuardBlocked as blocked:
            return self._ended(blocked, old, batch, update)
        return self._guarded(state, seen, update)

    def after_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Restore the values in the final answer, if nobody outside does."""
        last = state["messages"][-1]
        call = self._call(state)
        outside = (call.config.get("configurable") or {}).get(OUTSIDE_KEY, ())
        if id(self.guard.vault) in outside:
            return None
        restored = call.restoring.everywhere(last)
        return None if restored is last else {"messages": [restored]}

    async def aafter_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Restore the values in the final answer, if nobody outside does."""
        return self.after_agent(state, runtime)

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT] | AIMessage:
        """Guard what goes to the model and what comes from it."""
        if request.state.get("guard_blocked"):
            return AIMessage(self.blocked_answer)
        if self.facing_in is None:
            return handler(request)
        call = self._call(request.state)
        try:
            seen = self.facing_in.invoke(_asked(request), call.config)
            response = handler(self._asking(request, seen, call))
            late = [
                self._out.invoke(each, call.config) if self._out else each
                for each in unguarded(response)
            ]
        except GuardBlocked as blocked:
            return self._answer_to(blocked)
        return kept(response, late, call.restoring.known(seen))

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[
            [ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]
        ],
    ) -> ModelResponse[ResponseT] | AIMessage:
        """Guard what goes to the model and what comes from it, natively async."""
        if request.state.get("guard_blocked"):
            return AIMessage(self.blocked_answer)
        if self.facing_in is None:
            return await handler(request)
        call = self._call(request.state)
        try:
            seen = await self.facing_in.ainvoke(_asked(request), call.config)
            response = await handler(self._asking(request, seen, call))
            late = [
                await self._out.ainvoke(each, call.config) if self._out else each
                for each in unguarded(response)
            ]
        except GuardBlocked as blocked:
            return self._answer_to(blocked)
        return kept(response, late, call.restoring.known(seen))

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Give a tool the values, and guard what it gives."""
        call = self._call(request.state)
        result = handler(self._calling(request, call))
        messages = _given(result, call, request)
        try:
            seen = self.guard.invoke(messages, call.config) if messages else []
        except GuardBlocked as blocked:
            return self._refused(blocked, request)
        return with_messages(result, seen)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Give a tool the values, and guard what it gives, natively async."""
        call = self._call(request.state)
        result = await handler(self._calling(request, call))
        messages = _given(result, call, request)
        try:
            seen = await self.guard.ainvoke(messages, call.config) if messages else []
        except GuardBlocked as blocked:
            return self._refused(blocked, request)
        return with_messages(result, seen)

    def withheld(self, message: BaseMessage, blocked: GuardBlocked) -> BaseMessage:
        """Return what stands in the place of a message that was blocked.

        Args:
            message: The message.
            blocked: The block.

        Returns:
            A message that says nothing.

        Raises:
            GuardBlocked: When a block is to be raised.
        """
        if self.on_block == "raise":
            raise blocked
        return withheld(message)

    def _begin(self, state: Any) -> tuple[_Call, dict[str, Any]]:
        session = state.get("guard_session") or secrets.token_hex(8)
        update = {
            "guard_session": session,
            "guard_blocked": False,
        }
        return self._call({"guard_session": session}), update

    def _call(self, state: Any) -> _Call:
        config = ensure_config()
        configurable = dict(config.get("configurable") or {})
        if not {"session_id", "thread_id"} & configurable.keys():
            # One run of an agent is one conversation: a value has one stand-in.
            configurable["session_id"] = state.get("guard_session")
        scope = scope_of(configurable, "")
        restoring = Restoring(self.guard.vault, scope)
        return _Call({**config, "configurable": configurable}, restoring)

    def _guarded(
        self, state: Any, seen: Sequence[BaseMessage], update: dict[str, Any]
    ) -> dict[str, Any]:
        """Replace the messages that are not what they were."""
        before = {message.id: message for message in state["messages"]}
        changed = [each for each in seen if each is not before[each.id]]
        update = {**update, "guard_cleared": [seal(each) for each in seen]}
        return {**update, "messages": changed} if changed else update

    def _ended(
        self,
        blocked: GuardBlocked,
        old: Sequence[Any],
        batch: Sequence[Any],
        update: dict[str, Any],
    ) -> dict[str, Any]:
        """End the run with an answer, and keep nothing of what was blocked."""
        if self.on_block == "raise":
            raise blocked
        return self._answered(update, old, map(withheld, batch))

    def _answered(
        self, update: dict[str, Any], old: Sequence[Any], withheld: Iterable[Any]
    ) -> dict[str, Any]:
        """Answer; what came beside and was not judged is looked at in the next turn."""
        hidden = list(withheld)
        return {
            **update,
            "guard_cleared": [seal(each) for each in [*old, *hidden]],
            "messages": [*hidden, AIMessage(self.blocked_answer)],
            "jump_to": "end",
        }

    def _answer_to(self, blocked: GuardBlocked) -> AIMessage:
        if self.on_block == "raise":
            raise blocked
        return AIMessage(self.blocked_answer)

    def _refused(self, blocked: GuardBlocked, request: ToolCallRequest) -> Command[Any]:
        if self.on_block == "raise":
            raise blocked
        call = request.tool_call
        message = ToolMessage(
            WITHHELD, name=call["name"], tool_call_id=call["id"], status="error"
        )
        return Command(update={"messages": [message], "guard_blocked": True})

    def _asking(
        self, request: ModelRequest[ContextT], seen: Sequence[Any], call: _Call
    ) -> ModelRequest[ContextT]:
        """Ask a guarded model with guarded messages."""
        system = seen[0] if request.system_message is not None else None
        messages = list(seen if system is None else seen[1:])
        model: Any = request.model
        if self._out is not None:
            model = GuardedChatModel.of(model, self._out, call.config)
        return request.override(model=model, messages=messages, system_message=system)

    def _calling(self, request: ToolCallRequest, call: _Call) -> ToolCallRequest:
        return request.override(tool_call=call.restoring.call(request.tool_call))


def _asked(request: ModelRequest[Any]) -> list[BaseMessage]:
    system: SystemMessage | None = request.system_message
    return [*([] if system is None else [system]), *request.messages]


def _split(state: Any, call: _Call) -> tuple[list[Any], list[Any]]:
    """Tell messages that were looked at in an earlier turn from new ones."""
    messages: list[Any] = state["messages"]
    # The answer of the last turn has values in it that the user was shown.
    hidden = put_back(messages, call.restoring.known(messages))
    return split(hidden, frozenset(state.get("guard_cleared") or ()))


def _given(result: Any, call: _Call, request: ToolCallRequest) -> list[Any]:
    """Return the messages that a tool gave, with the stand-ins of its arguments."""
    asked = AIMessage("", tool_calls=[request.tool_call])
    return put_back(messages_of(result), call.restoring.known([asked]))


def _guard(given: GuardRunnable | None, options: dict[str, Any]) -> GuardRunnable:
    guard = GuardRunnable(**options) if given is None else given
    if not isinstance(guard, GuardRunnable) or guard.direction != "input":
        msg = f"guard must be a GuardRunnable with direction='input', got {guard!r}"
        raise ConfigurationError(msg)
    if guard.keys is not None:
        msg = "keys are for dicts, and an agent has messages: leave keys out"
        raise ConfigurationError(msg)
    if given is not None and options:
        extra = ", ".join(sorted(options))
        msg = f"a guard is set up already: give {extra} to it"
        raise ConfigurationError(msg)
    return guard
