"""Judging one answer: refused, cut off, no JSON, of another form, or valid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.runnables.utils import is_async_callable

from langchain_prodpatterns.callables import check_takes_one, name_of
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.answers import (
    is_cut_off,
    is_refused,
    is_rewritten,
    text_of,
)
from langchain_prodpatterns.structured.attempts import (
    AttemptKind,
    FieldError,
    Reading,
)
from langchain_prodpatterns.structured.reading import Prefer, read
from langchain_prodpatterns.structured.target import UNEXPECTED, Target

Validator = Callable[[Any], str | None]
"""Checks a valid value: returns `None`, or says (or raises `ValueError`) what is
wrong."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an answer is worth."""

    kind: AttemptKind
    """What it is."""
    text: str = field(default="", repr=False)
    """Its raw text."""
    value: Any = field(default=None, repr=False)
    """The validated value, where it is `ok`."""
    errors: tuple[FieldError, ...] = ()
    """What is wrong, where it is not."""
    repairs: tuple[str, ...] = ()
    """What had to be done to the text."""
    cause: BaseException | None = field(default=None, repr=False, compare=False)
    """What a developer's own validator raised that failed instead of judging."""
    cut_off: bool = False
    """Whether the provider said that the token limit cut it off."""
    data: Any = field(default=None, repr=False, compare=False)
    """The JSON data that did not fit, where it is `schema`."""


def assess(
    answer: Any,
    target: Target,
    *,
    prefer: Prefer = "last",
    validators: Sequence[Validator] = (),
) -> Assessment:
    """Judge an answer.

    Args:
        answer: A message, or the text of a plain language model.
        target: What it has to be.
        prefer: Which of several valid values in the text counts.
        validators: Further checks of a valid value.

    Returns:
        What it is worth.
    """
    text = text_of(answer)
    if is_refused(answer):
        refusal = target.error((), "the model refused to answer", with_value=False)
        return Assessment("refused", text, errors=(refusal,))
    reading = read(text, target, prefer)
    cut_off = is_cut_off(answer)
    if cut_off and (is_rewritten(answer) or not _is_whole(reading, text)):
        message = "the answer was cut off at the token limit"
        problem = target.error((), message, with_value=False)
        return Assessment("truncated", text, errors=(problem,), cut_off=True)
    if reading.kind == "ok":
        reading = _validate(reading, target, validators)
    return Assessment(
        reading.kind,
        text,
        reading.value,
        reading.errors,
        reading.repairs,
        reading.cause,
        data=reading.data,
    )


def check_validators(validators: Any) -> None:
    """Refuse what cannot check a value.

    Raises:
        ConfigurationError: When a validator is no plain function of the value.
    """
    if not isinstance(validators, Sequence) or isinstance(validators, str):
        msg = f"validators must be a list of functions, got {validators!r}"
        raise ConfigurationError(msg)
    for validator in validators:
        if not callable(validator) or is_async_callable(validator):
            msg = f"a validator must be a function that is not async, got {validator!r}"
            raise ConfigurationError(msg)
        check_takes_one("a validator", validator, "the validated value")


def _is_whole(reading: Reading, text: str) -> bool:
    """Whether a text that was cut off was complete all the same."""
    strict = reading.kind in {"ok", "schema"} and not reading.repairs
    # A number or a word at the end may be the beginning of a longer one.
    return strict and text.rstrip()[-1:] in {"}", "]"}


def _validate(
    reading: Reading, target: Target, validators: Sequence[Validator]
) -> Reading:
    errors: list[FieldError] = []
    cause: Exception | None = None
    for validator in validators:
        safe = f"refused by the validator '{name_of(validator)}'"
        try:
            said = validator(reading.value)
        except (ValueError, AssertionError) as error:
            said = str(error)
        except UNEXPECTED as error:
            errors.append(target.unexpected(error, safe))
            cause = error
            continue
        complaint = _complaint(validator, said)
        if complaint is not None:
            errors.append(target.error((), complaint, safe=safe, with_value=False))
    if not errors:
        return reading
    return replace(
        reading, kind="schema", value=None, errors=tuple(errors), cause=cause
    )


def _complaint(validator: Validator, said: Any) -> str | None:
    if said is None or isinstance(said, str):
        # An empty complaint is one all the same.
        return said if said is None else said or "the value is not valid"
    msg = (
        f"validator '{name_of(validator)}' must return None or say what is wrong, "
        f"got {type(said).__name__}"
    )
    raise TypeError(msg)
