"""What a `StructuredRetryParser` is given: its arguments, and a prompt in any form."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage

from langchain_prodpatterns import models
from langchain_prodpatterns.arguments import refuse_unknown
from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
    Target,
)


def as_messages(value: LanguageModelInput | BaseMessage) -> list[BaseMessage]:
    """Read a prompt in any of its forms.

    Args:
        value: A prompt value, messages, a message or a text.

    Returns:
        Its messages.

    Raises:
        TypeError: When it is none of these.
    """
    if isinstance(value, Mapping):
        msg = (
            "a StructuredRetryParser takes no dict: give it the prompt that is filled "
            "in with it, prompt | StructuredRetryParser(...)"
        )
        raise TypeError(msg)
    return models.as_messages(
        value,
        "a StructuredRetryParser takes a prompt value, messages, a text or a "
        "completion",
    )


def rendered_examples(target: Target, examples: Sequence[Any]) -> list[str]:
    """Write the examples of a developer as JSON.

    Args:
        target: What an answer has to be.
        examples: Valid answers.

    Returns:
        Compact JSON of each.

    Raises:
        ConfigurationError: When one is not valid.
    """
    return [_rendered(target, example) for example in examples]


def _rendered(target: Target, example: Any) -> str:
    try:
        return target.render(example)
    except MisfitError as error:
        why = "; ".join(one.safe for one in error.errors)
    except (NotJsonError, ValueError):
        why = "it cannot be written as JSON"
    kind = type(example).__name__
    msg = f"examples must be valid answers: a {kind} among them is not ({why})"
    raise ConfigurationError(msg)


def check_arguments(
    kwargs: dict[str, Any],
    budget: Any,
    examples: Any,
    choices: Mapping[str, tuple[Any, Any]],
    texts: Mapping[str, Any],
) -> None:
    """Refuse arguments that cannot work.

    Args:
        kwargs: What was given beyond the named parameters.
        budget: The budget.
        examples: The examples, which are looked into later.
        choices: By its name, what was given where one of several words is due, with
            the `Literal` of these words.
        texts: By its name, what was given where a text or `None` is due.

    Raises:
        ConfigurationError: When one cannot work; it says what would.
    """
    refuse_unknown("StructuredRetryParser", kwargs, "name")
    if not isinstance(budget, Budget):
        msg = f"budget must be a Budget, got {type(budget).__name__}"
        raise ConfigurationError(msg)
    if isinstance(examples, str | Mapping) or not isinstance(examples, Sequence):
        msg = f"examples must be a list of valid answers, got {examples!r}"
        raise ConfigurationError(msg)
    for name, (word, words) in choices.items():
        if word not in get_args(words):
            shown = ", ".join(map(repr, get_args(words)))
            msg = f"{name} must be one of {shown}, got {word!r}"
            raise ConfigurationError(msg)
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            msg = f"{name} must be a text or None, got {type(text).__name__}"
            raise ConfigurationError(msg)
