"""What a model tells about itself, through whatever it is wrapped in."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import (
    BaseChatModel,
    BaseLanguageModel,
    SimpleChatModel,
)
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

_IN_A_POOL = (BaseChatModel._agenerate, SimpleChatModel._agenerate)  # noqa: SLF001 - as LangChain has them


def layers(model: Any) -> list[Any]:
    """List a model and what it wraps, from the outside in."""
    found = []
    while model is not None:
        found.append(model)
        if isinstance(model, RunnableBindingBase):
            model = model.bound
        elif isinstance(model, DynamicRunnable):
            model = model.default
        elif isinstance(model, RunnableWithFallbacks):
            model = model.runnable
        else:
            model = None
    return found


def is_language_model(candidate: object) -> bool:
    """Whether it is a language model, perhaps bound, retried or with fallbacks."""
    return any(isinstance(part, BaseLanguageModel) for part in layers(candidate))


def is_sync_only(model: Any) -> bool:
    """Whether the async side of a chat model is its sync one, in a thread of a pool."""
    return any(
        isinstance(part, BaseChatModel) and type(part)._agenerate in _IN_A_POOL  # noqa: SLF001 - what a model overrides
        for part in layers(model)
    )


def profile(model: Any) -> Mapping[str, Any]:
    """Return what the chat model inside says it can do."""
    for part in layers(model):
        if isinstance(part, BaseChatModel):
            return part.profile or {}
    return {}


def model_name(model: Any) -> str | None:
    """Return the name of a model, as far as it tells."""
    for part in layers(model):
        if isinstance(part, RunnableBindingBase):
            continue
        for attribute in ("model_name", "model", "model_id"):
            name = getattr(part, attribute, None)
            if isinstance(name, str):
                return name
    return None


def takes_temperature(model: Any) -> bool:
    """Whether a temperature may be sent: `False` only where the profile forbids it."""
    return profile(model).get("temperature") is not False


def as_messages(value: Any, takes: str) -> list[BaseMessage]:
    """Read what a chat model takes, in any of its forms.

    Args:
        value: A prompt value, messages, a message or a text.
        takes: Who takes what, for the message.

    Returns:
        Its messages.

    Raises:
        TypeError: When it is none of these.
    """
    if isinstance(value, PromptValue):
        return value.to_messages()
    if isinstance(value, str):
        return [HumanMessage(value)]
    if isinstance(value, BaseMessage):
        return [value]
    if isinstance(value, Sequence):
        return convert_to_messages(value)
    msg = f"{takes}, got {type(value).__name__}"
    raise TypeError(msg)


def at_temperature(
    model: Runnable[Any, Any], temperature: float | None
) -> Runnable[Any, Any]:
    """Bind a temperature to a model that takes one.

    Args:
        model: A chat model, perhaps bound.
        temperature: The temperature, or `None` for the model's own.

    Returns:
        The model, bound where there is something to bind.
    """
    if temperature is None or not takes_temperature(model):
        return model
    return model.bind(temperature=temperature)


def are_temperatures(values: Any) -> bool:
    """Whether values are temperatures: at least one number from 0 up, or `None`."""
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    return is_list and bool(values) and all(map(_is_temperature, values))


def _is_temperature(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and value >= 0)
