"""The one error that tells the whole story."""

from collections.abc import Sequence

from langchain_prodpatterns.errors import (
    BudgetExceeded,
    BudgetSpent,
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.structured.attempts import Attempt

MAX_MESSAGE = 1000
"""Characters of the message."""
_ERRORS_SHOWN = 3


def failure(
    name: str, attempts: Sequence[Attempt], cause: BaseException | None = None
) -> StructuredOutputError:
    """Make the error for attempts of which none was valid.

    Args:
        name: What the answer had to be.
        attempts: Every attempt, in order.
        cause: The error that ended them, if it was one.

    Returns:
        The error, whose message holds no text of a model.
    """
    raw = [attempt.text for attempt in attempts if attempt.text]
    kind = _kind(attempts, cause)
    return kind(
        _message(name, attempts, cause),
        attempts=attempts,
        llm_output=raw[-1] if raw else "",
    )


def _kind(
    attempts: Sequence[Attempt], cause: BaseException | None
) -> type[StructuredOutputError]:
    if isinstance(cause, BudgetSpent) and cause.limit != "attempts":
        return BudgetExceeded
    kinds = [attempt.kind for attempt in attempts]
    if kinds and all(kind == "refused" for kind in kinds):
        return ModelRefused
    if kinds and kinds[-1] == "truncated":
        return OutputTruncated
    return StructuredOutputError


def _message(
    name: str, attempts: Sequence[Attempt], cause: BaseException | None
) -> str:
    count = len(attempts)
    tried = f"{count} attempt" if count == 1 else f"{count} attempts"
    lines = [f"no valid {name} after {tried}"]
    if isinstance(cause, BudgetSpent):
        lines[0] += f" ({cause})"
    lines += [_line(number, attempt) for number, attempt in enumerate(attempts, 1)]
    message = "\n".join(lines)
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"


def _line(number: int, attempt: Attempt) -> str:
    where = "given" if attempt.rung is None else f"rung {attempt.rung}"
    shown = [error.safe for error in attempt.errors[:_ERRORS_SHOWN]]
    more = len(attempt.errors) - len(shown)
    if more:
        shown.append(f"{more} more")
    return f"{number}. {where}, {attempt.kind}: {'; '.join(shown)}"
