"""Running the tool that is decided, without a model where its arguments are trivial."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.queries import query_text
from langchain_prodpatterns.routing.routes import Route

if TYPE_CHECKING:
    from langchain_prodpatterns.routing.tool_router import ToolRouter


class RoutedCall(BaseModel):
    """What came of `ToolRouter.call`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, arbitrary_types_allowed=True
    )

    decision: RouteDecision
    """Which tool, and why."""
    messages: tuple[BaseMessage, ...] = ()
    """The `AIMessage` with the tool call, and a `ToolMessage` for each call. Only the
    model's answer where it was asked for arguments and gave none. Else nothing."""
    ran: bool = False
    """Whether the tool ran."""
    reason: str = ""
    """Why it did not."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tool that was decided, and the call of it, as far as that is known."""

    tool: BaseTool
    """The tool."""
    asked: AIMessage | None
    """The message that calls it; `None` where a model has to fill in arguments."""
    model: BaseChatModel | None
    """Which model does."""


def call(
    router: "ToolRouter",
    query: LanguageModelInput,
    config: RunnableConfig | None,
    model: BaseChatModel | None,
) -> RoutedCall:
    """Decide, and run the tool.

    Args:
        router: Who decides.
        query: As for the router.
        config: The config of all runs.
        model: What fills in arguments.

    Returns:
        What came of it.
    """
    decision = router.invoke(query, config)
    prepared = prepare(router, decision, query, model)
    if isinstance(prepared, RoutedCall):
        return prepared
    asked = prepared.asked
    if asked is None:
        asked = _bound(prepared).invoke(query, config)
    calls = _calls(asked, prepared.tool)
    given = [prepared.tool.invoke(each, config) for each in calls]
    return conclude(decision, asked, calls, given)


async def acall(
    router: "ToolRouter",
    query: LanguageModelInput,
    config: RunnableConfig | None,
    model: BaseChatModel | None,
) -> RoutedCall:
    """Decide, and run the tool, natively async.

    Args:
        router: Who decides.
        query: As for the router.
        config: The config of all runs.
        model: What fills in arguments.

    Returns:
        What came of it.
    """
    decision = await router.ainvoke(query, config)
    prepared = prepare(router, decision, query, model)
    if isinstance(prepared, RoutedCall):
        return prepared
    asked = prepared.asked
    if asked is None:
        asked = await _bound(prepared).ainvoke(query, config)
    calls = _calls(asked, prepared.tool)
    given = [await prepared.tool.ainvoke(each, config) for each in calls]
    return conclude(decision, asked, calls, given)


def prepare(
    router: "ToolRouter",
    decision: RouteDecision,
    query: LanguageModelInput,
    model: BaseChatModel | None,
) -> Prepared | RoutedCall:
    """Find the tool and its arguments, or say why it cannot run.

    Args:
        router: Who decided.
        decision: What was decided.
        query: What the user said.
        model: What fills in arguments; by default the fallback, if it is a chat model.

    Returns:
        The tool to run, or the end.

    Raises:
        ConfigurationError: When the model cannot bind tools.
    """
    if model is not None and not isinstance(model, BaseChatModel):
        msg = f"model must be a chat model, got {type(model).__name__}"
        raise ConfigurationError(msg)
    if decision.tool is None:
        return RoutedCall(decision=decision, reason="no tool was decided")
    given = router.tools_by_name[decision.tool]
    if isinstance(given, Route):
        return RoutedCall(decision=decision, reason="a Route is no tool to run")
    tool = given if isinstance(given, BaseTool) else StructuredTool.from_function(given)
    arguments = trivial_arguments(tool, query_text(query))
    if arguments is not None:
        made = ToolCall(name=tool.name, args=arguments, id=f"call_{uuid4().hex}")
        return Prepared(tool, AIMessage("", tool_calls=[made]), None)
    if model is None and isinstance(router.fallback, BaseChatModel):
        model = router.fallback
    if model is None:
        reason = f"{tool.name!r} needs arguments, and there is no model to fill them in"
        return RoutedCall(decision=decision, reason=reason)
    return Prepared(tool, None, model)


def trivial_arguments(tool: BaseTool, text: str) -> dict[str, Any] | None:
    """Return the arguments that need no model.

    Args:
        tool: The tool.
        text: What the user said.

    Returns:
        None at all, or the text for the only argument, where that is any text. `None`
        where it takes a model to tell.
    """
    form = convert_to_openai_tool(tool)["function"].get("parameters") or {}
    properties: dict[str, Any] = form.get("properties") or {}
    if not properties:
        return {}
    if len(properties) > 1:
        return None
    [(name, described)] = properties.items()
    free = described.keys() <= {"type", "description", "title", "default"}
    return {name: text} if free and described.get("type") == "string" else None


def conclude(
    decision: RouteDecision, asked: AIMessage, calls: list[ToolCall], given: list[Any]
) -> RoutedCall:
    """Write down what came of it.

    Args:
        decision: What was decided.
        asked: The message with the calls.
        calls: Those that were run.
        given: What the tool gave for each.

    Returns:
        The result.
    """
    if not calls:
        reason = "the model gave no arguments"
        return RoutedCall(decision=decision, messages=(asked,), reason=reason)
    # A call that was not run must not wait for an answer.
    asked = asked.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []})
    return RoutedCall(decision=decision, messages=(asked, *given), ran=True)


def _bound(prepared: Prepared) -> Any:
    tool, model = prepared.tool, prepared.model
    return model and model.bind_tools([tool], tool_choice=tool.name)


def _calls(asked: AIMessage, tool: BaseTool) -> list[ToolCall]:
    return [each for each in asked.tool_calls if each["name"] == tool.name]
