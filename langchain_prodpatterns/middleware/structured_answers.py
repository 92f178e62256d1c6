"""What a message of an agent's model says as its structured answer, if it is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import uuid4

from langchain.agents.middleware.types import ModelResponse
from langchain.agents.structured_output import (
    AutoStrategy,
    ProviderStrategy,
    ToolStrategy,
)
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call
from pydantic_core import to_jsonable_python

from langchain_prodpatterns.structured.answers import text_of
from langchain_prodpatterns.structured.assessing import Assessment, Validator, assess
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.targets import make_target

Call: TypeAlias = ToolCall | InvalidToolCall

NO_ANSWER = object()
"""The value of a message that is no answer yet, since it calls tools of the agent."""
_UNTITLED = "response_format_"
"""How LangChain begins the name of a JSON Schema that has no title."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a call of the agent's model came to."""

    message: AIMessage | None
    """What the model said; `None` where a middleware inside answered otherwise."""
    response: ModelResponse[Any] | None = None
    """What LangChain made of it; `None` where it raised."""


@dataclass(frozen=True)
class AnswerForm:
    """The form that an agent's answer has to have."""

    whole: Target
    """What the answer has to be."""
    by_tool: Mapping[str, Target]
    """The same by the tool that a model answers with: several for a union."""
    tool_message: str | None = None
    """What the tool says to a valid answer, in the words of the developer."""

    def calls_in(self, message: AIMessage) -> list[Call]:
        """Return the calls that answer, also those whose arguments are malformed."""
        calls: list[Call] = [*message.tool_calls, *message.invalid_tool_calls]
        return [call for call in calls if self._target_of(call) is not None]

    def assess(self, given: Given, validators: Sequence[Validator] = ()) -> Assessment:
        """Judge what a call came to.

        Args:
            given: What it came to.
            validators: Further checks of a valid value.

        Returns:
            What it is worth. The value of what calls other tools is `NO_ANSWER`.
        """
        message = given.message
        if message is None:
            return Assessment("ok", value=NO_ANSWER)
        calls = self.calls_in(message)
        if len(calls) > 1:
            return self._too_many(message, len(calls))
        if calls:
            target = self._target_of(calls[0]) or self.whole
            return assess(_alone(message, calls[0]), target, validators=validators)
        if message.tool_calls or message.invalid_tool_calls:
            return Assessment("ok", value=NO_ANSWER)
        return assess(message, self.whole, validators=validators)

    def response(self, given: Given, value: Any) -> ModelResponse[Any]:
        """Return what the agent goes on with.

        Args:
            given: What was judged, and is valid.
            value: The value of it.

        Returns:
            The response as LangChain made it, with our value. Where LangChain could
            not read the answer, and we could, it is made anew.
        """
        made = given.response
        if made is not None and value is NO_ANSWER:
            return made
        if made is not None and made.structured_response is not None:
            return replace(made, structured_response=value)
        message = given.message
        assert message is not None  # noqa: S101 - without one there is no value
        return ModelResponse(self._messages(message, value), value)

    def _messages(self, message: AIMessage, value: Any) -> list[BaseMessage]:
        calls = self.calls_in(message)
        if not calls:
            return [message]
        message, call = _mended(message, calls[0], value)
        said = self.tool_message or f"Returning structured response: {value}"
        answer = ToolMessage(said, tool_call_id=call["id"] or "", name=call["name"])
        return [message, answer]

    def _target_of(self, call: Call) -> Target | None:
        name = call["name"] or ""
        found = self.by_tool.get(name)
        if found is None and len(self.by_tool) == 1:
            (known,) = self.by_tool
            if known.startswith(_UNTITLED) and name.startswith(_UNTITLED):
                return self.by_tool[known]
        return found

    def _too_many(self, message: AIMessage, count: int) -> Assessment:
        problem = f"{count} answers where one is asked for"
        error = self.whole.error((), problem, with_value=False)
        return Assessment("schema", text_of(message), errors=(error,))


def read_form(response_format: Any) -> AnswerForm:
    """Read the form of an agent's answer.

    Args:
        response_format: A strategy of LangChain's, or a schema.

    Returns:
        The form.

    Raises:
        ConfigurationError: When nothing can be validated by the schema.
    """
    if isinstance(response_format, ProviderStrategy):
        return AnswerForm(make_target(response_format.schema), {})
    if not isinstance(response_format, ToolStrategy):
        is_auto = isinstance(response_format, AutoStrategy)
        schema = response_format.schema if is_auto else response_format
        response_format = ToolStrategy(schema)
    specs = response_format.schema_specs
    return AnswerForm(
        make_target(response_format.schema),
        {spec.name: make_target(spec.schema) for spec in specs},
        response_format.tool_message_content,
    )


def _alone(message: AIMessage, call: Call) -> AIMessage:
    """Return a message that says nothing but one call."""
    valid = [call] if call in message.tool_calls else []
    rest = {"content": "", "tool_calls": valid}
    return message.model_copy(
        update={**rest, "invalid_tool_calls": [] if valid else [call]}
    )


def _mended(message: AIMessage, call: Call, value: Any) -> tuple[AIMessage, Call]:
    """Make a valid call of one whose malformed arguments could be read."""
    if call in message.tool_calls:
        return message, call
    arguments = to_jsonable_python(value)
    mended = tool_call(
        name=call["name"] or "",
        args=arguments if isinstance(arguments, dict) else {},
        id=call["id"] or f"call_{uuid4().hex}",
    )
    malformed = [each for each in message.invalid_tool_calls if each is not call]
    update = {
        "tool_calls": [*message.tool_calls, mended],
        "invalid_tool_calls": malformed,
    }
    return message.model_copy(update=update), mended
