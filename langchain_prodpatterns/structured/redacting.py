"""Records of attempts that may be logged, by the developer's own redaction."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables.utils import is_async_callable

from langchain_prodpatterns.callables import check_takes_one
from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.structured.attempts import Attempt, FieldError

Redact = Callable[[str], str]
"""Takes a text and returns it without what must not be logged."""


def check_redact(redact: Any) -> None:
    """Refuse what cannot redact a text.

    Raises:
        ConfigurationError: When it is neither `None` nor a plain function of a text.
    """
    if redact is None:
        return
    if not callable(redact) or is_async_callable(redact):
        msg = f"redact must be a function of a text that is not async, got {redact!r}"
        raise ConfigurationError(msg)
    check_takes_one("redact", redact, "a text")


def redacted(attempts: Sequence[Attempt], redact: Redact | None) -> tuple[Attempt, ...]:
    """Redact every text of attempts that a model wrote, or that may repeat one.

    Args:
        attempts: The attempts.
        redact: What to do to each text; `None` leaves them as they are.

    Returns:
        The attempts, which say of the places of errors only what they say in words.
    """
    if redact is None:
        return tuple(attempts)
    return tuple(
        replace(
            attempt,
            text=_applied(redact, attempt.text),
            errors=tuple(_without_texts(redact, error) for error in attempt.errors),
        )
        for attempt in attempts
    )


def loggable_cause(
    cause: BaseException | None, redact: Redact | None
) -> BaseException | None:
    """Choose the cause of an error whose texts are redacted.

    The message of a provider's error, or of a developer's validator, may quote
    anything, and a logger prints the causes of an error: only a spent budget is told.

    Args:
        cause: What ended the attempts.
        redact: Whether, and how, texts are redacted.

    Returns:
        The cause; as it is where nothing is redacted.
    """
    if redact is None:
        return cause
    if not isinstance(cause, BudgetSpent):
        return None
    cause.__cause__ = cause.__context__ = None
    return cause


def _without_texts(redact: Redact, error: FieldError) -> FieldError:
    return FieldError(
        path=_applied(redact, error.path),
        message=_applied(redact, error.message),
        value=_applied(redact, error.value),
        safe=error.safe,
    )


def _applied(redact: Redact, text: str) -> str:
    """Redact a text; where that fails, nothing of it is shown."""
    if not text:
        return text
    try:
        shown = redact(text)
    except Exception as error:  # noqa: BLE001 - the story of the failure must not be lost
        return f"[not shown: redact raised {type(error).__name__}]"
    if isinstance(shown, str):
        return shown
    return f"[not shown: redact returned {type(shown).__name__}]"
