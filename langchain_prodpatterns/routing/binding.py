"""A model that is shown only the tools that a question needs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.queries import query_text
from langchain_prodpatterns.routing.routes import Route, Tool

if TYPE_CHECKING:
    from langchain_prodpatterns.routing.tool_router import ToolRouter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Binding:
    """Chooses tools for each input, and binds them."""

    router: "ToolRouter"
    """Who chooses."""
    model: BaseChatModel
    """What they are bound to."""
    k: int
    """How many, where none is decided."""
    options: Mapping[str, Any]
    """What else is bound."""

    def bound(
        self, value: LanguageModelInput, config: RunnableConfig
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with the tools for one input."""
        if not query_text(value):
            return self._with(self.router.tools)
        decision = self.router.invoke(value, config)
        if decision.tool is not None:
            return self._with(self._decided(decision))
        try:
            nearest = self.router.select(value, self.k)
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything
            return self._with(self._all_tools(error))
        return self._with(nearest)

    async def abound(
        self, value: LanguageModelInput, config: RunnableConfig
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with the tools for one input, natively async."""
        if not query_text(value):
            return self._with(self.router.tools)
        decision = await self.router.ainvoke(value, config)
        if decision.tool is not None:
            return self._with(self._decided(decision))
        try:
            nearest = await self.router.aselect(value, self.k)
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything
            return self._with(self._all_tools(error))
        return self._with(nearest)

    def _all_tools(self, error: Exception) -> Sequence[Tool]:
        """Return all tools where the nearest are not known, as the fallback is shown.

        Raises:
            Exception: The error, when embeddings never work or nobody else was asked.
        """
        if isinstance(error, ConfigurationError) or self.router.judge is None:
            raise error
        # The message of an embedder's error may quote the query: only its type is safe.
        kind = type(error).__name__
        logger.warning("routing: the embeddings failed (%s), all tools are bound", kind)
        return self.router.tools

    def _decided(self, decision: RouteDecision) -> list[Tool]:
        return [self.router.tools_by_name[cast("str", decision.tool)]]

    def _with(self, tools: Sequence[Tool]) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools; a `Route` is none, and a choice of a tool needs one."""
        real = [tool for tool in tools if not isinstance(tool, Route)]
        return self.model.bind_tools(real, **self.options) if real else self.model


def bind_tools(
    router: "ToolRouter",
    model: BaseChatModel,
    k: int | None,
    options: Mapping[str, Any],
) -> Runnable[LanguageModelInput, AIMessage]:
    """Make the Runnable of `ToolRouter.bind_tools`.

    Args:
        router: Who chooses.
        model: What the tools are bound to.
        k: How many, where none is decided.
        options: What else is bound.

    Returns:
        From the model's input to its answer.

    Raises:
        ConfigurationError: When an argument cannot work.
    """
    count = router.top_k if k is None else k
    check_count("k", count, optional=False)
    if not callable(getattr(model, "bind_tools", None)):
        msg = f"model must be a chat model that binds tools, got {type(model).__name__}"
        raise ConfigurationError(msg)
    if all(isinstance(tool, Route) for tool in router.tools):
        msg = "no tool of this router can be bound: all of them are Routes"
        raise ConfigurationError(msg)
    binding = Binding(router, model, count, dict(options))
    # It runs what it returns, streamed where it is streamed itself.
    step: RunnableLambda[LanguageModelInput, AIMessage] = RunnableLambda(
        cast("Any", binding.bound), cast("Any", binding.abound), name="routed_tools"
    )
    return step.with_types(input_type=router.InputType, output_type=AIMessage)
