"""An agent of which nothing private is stored, and whose user sees values."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command, StateSnapshot

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard.vault import scope_of
from langchain_prodpatterns.middleware.guard import OUTSIDE_KEY, GuardMiddleware
from langchain_prodpatterns.middleware.restoring import Restoring
from langchain_prodpatterns.middleware.results import updates_of


class GuardedAgent(Runnable[Any, Any]):
    """Guards what an agent is given before the graph stores it, and restores behind it.

    Between the two there are stand-ins only, in every checkpoint. What a human is
    asked by an interrupt shows values, and a `Command` that answers is guarded as
    messages are; a block of it is always raised. Any other input that is no dict with
    `messages` goes through as it is.
    """

    def __init__(
        self, agent: Runnable[Any, Any], middleware: GuardMiddleware[Any, Any]
    ) -> None:
        """Put the two together.

        Args:
            agent: The agent that has the middleware.
            middleware: The middleware.

        Raises:
            ConfigurationError: When the agent is no Runnable.
        """
        if not isinstance(agent, Runnable):
            msg = (
                "wrap takes the agent that has this middleware, as create_agent makes "
                f"it, got {type(agent).__name__}"
            )
            raise ConfigurationError(msg)
        self.agent = agent
        self.middleware = middleware

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Run the agent.

        Args:
            input: As for the agent.
            config: As for the agent.
            **kwargs: As for the agent.

        Returns:
            Its state, with the values.
        """
        config, restoring = self._around(config)
        guarded = self._guarded(input, config)
        return restoring.everywhere(self.agent.invoke(guarded, config, **kwargs))

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Run the agent, natively async.

        Args:
            input: As for the agent.
            config: As for the agent.
            **kwargs: As for the agent.

        Returns:
            Its state, with the values.
        """
        config, restoring = self._around(config)
        guarded = await self._aguarded(input, config)
        result = await self.agent.ainvoke(guarded, config, **kwargs)
        return restoring.everywhere(result)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream what the agent streams.

        Args:
            input: As for the agent.
            config: As for the agent.
            **kwargs: As for the agent, such as `stream_mode`.

        Yields:
            The agent's chunks, with the values.
        """
        config, restoring = self._around(config)
        guarded = self._guarded(input, config)
        for chunk in self.agent.stream(guarded, config, **kwargs):
            yield restoring.everywhere(chunk)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream what the agent streams, natively async.

        Args:
            input: As for the agent.
            config: As for the agent.
            **kwargs: As for the agent, such as `stream_mode`.

        Yields:
            The agent's chunks, with the values.
        """
        config, restoring = self._around(config)
        guarded = await self._aguarded(input, config)
        async for chunk in self.agent.astream(guarded, config, **kwargs):
            yield restoring.everywhere(chunk)

    def get_state(
        self, config: RunnableConfig, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return what is stored of a thread, with the values.

        Args:
            config: As for the agent, with the `thread_id`.
            subgraphs: As for the agent.

        Returns:
            The state, what comes next, and what a human is asked.
        """
        agent: Any = self.agent
        _, restoring = self._around(config)
        stored: StateSnapshot = agent.get_state(config, subgraphs=subgraphs)
        return restoring.everywhere(stored)

    async def aget_state(
        self, config: RunnableConfig, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return what is stored of a thread, with the values, natively async.

        Args:
            config: As for `get_state`.
            subgraphs: As for the agent.

        Returns:
            As `get_state`.
        """
        agent: Any = self.agent
        _, restoring = self._around(config)
        stored: StateSnapshot = await agent.aget_state(config, subgraphs=subgraphs)
        return restoring.everywhere(stored)

    def _around(
        self, config: RunnableConfig | None
    ) -> tuple[RunnableConfig, Restoring]:
        config = ensure_config(config)
        configurable = dict(config.get("configurable") or {})
        vault = self.middleware.guard.vault
        configurable[OUTSIDE_KEY] = (*configurable.get(OUTSIDE_KEY, ()), id(vault))
        if not {"session_id", "thread_id"} & configurable.keys():
            configurable["session_id"] = uuid4().hex
        restoring = Restoring(vault, scope_of(configurable, ""))
        return {**config, "configurable": configurable}, restoring

    def _guarded(self, value: Any, config: RunnableConfig) -> Any:
        guard = self.middleware.facing_in
        if guard is not None and isinstance(value, Command):
            answers = [guard.invoke(each, config) for each in _carriers(value)]
            pairs = [
                (key, self._guarded({key: written}, config)[key])
                for key, written in updates_of(value)
            ]
            return _command(value, pairs, answers)
        messages = _messages_in(value)
        if guard is None or messages is None:
            return value
        seen = []
        for message in messages:
            try:
                seen.append(guard.invoke(message, config))
            except GuardBlocked as blocked:
                seen.append(self.middleware.withheld(message, blocked))
        return {**value, "messages": seen}

    async def _aguarded(self, value: Any, config: RunnableConfig) -> Any:
        guard = self.middleware.facing_in
        if guard is not None and isinstance(value, Command):
            answers = [await guard.ainvoke(each, config) for each in _carriers(value)]
            pairs = [
                (key, (await self._aguarded({key: written}, config))[key])
                for key, written in updates_of(value)
            ]
            return _command(value, pairs, answers)
        messages = _messages_in(value)
        if guard is None or messages is None:
            return value
        seen = []
        for message in messages:
            try:
                seen.append(await guard.ainvoke(message, config))
            except GuardBlocked as blocked:
                seen.append(self.middleware.withheld(message, blocked))
        return {**value, "messages": seen}


def _messages_in(value: Any) -> list[BaseMessage] | None:
    """Return the messages of an agent's input, if it has any."""
    if not isinstance(value, dict) or "messages" not in value:
        return None
    given = value["messages"]
    return convert_to_messages(given if isinstance(given, list) else [given])


def _carriers(command: Command[Any]) -> list[AIMessage]:
    """Put the answers to interrupts where a guard looks at plain data.

    Where there are several the keys are identifiers of interrupts, not texts.
    """
    resume = command.resume
    answers = resume.values() if isinstance(resume, dict) else [resume]
    return [AIMessage("", additional_kwargs={"data": answer}) for answer in answers]


def _command(
    command: Command[Any],
    pairs: Sequence[tuple[str, Any]],
    answers: Sequence[AIMessage],
) -> Command[Any]:
    """Return a command with what came out of the guard."""
    # None stays none: an update that is empty would count as input.
    written = dict(pairs) if isinstance(command.update, dict) else pairs or None
    return replace(command, update=written, resume=_answer(command, answers))


def _answer(command: Command[Any], seen: Sequence[BaseMessage]) -> Any:
    """Return the answers to interrupts as they came out of the guard."""
    answers = [each.additional_kwargs["data"] for each in seen]
    if isinstance(command.resume, dict):
        return dict(zip(command.resume, answers, strict=True))
    return answers[0]
