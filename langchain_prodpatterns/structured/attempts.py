"""What came of each attempt: the records behind results and errors."""

from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_prodpatterns.usage import NO_USAGE, Usage

AttemptKind = Literal["ok", "syntax", "schema", "truncated", "refused", "provider"]
"""What came of an attempt: a valid answer, no JSON, JSON of another form, an answer
that breaks off, a refusal, or an error of the provider instead of an answer."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with an answer.

    Everything but `safe` may hold text of the model, and is left out of the `repr`.
    """

    path: str = field(repr=False)
    """Where, as `items[0].price`; empty for the answer as a whole."""
    message: str = field(repr=False)
    """What is wrong, for the model to read."""
    value: str = field(default="", repr=False)
    """The offending value as JSON, cut to 200 characters; empty where there is none."""
    safe: str = ""
    """The same without any text of the model, for messages and logs."""
    loc: tuple[str | int, ...] = field(default=(), repr=False, compare=False)
    """The keys and indices that lead there, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text turned out to say."""

    kind: Literal["ok", "syntax", "schema", "truncated"]
    """Whether it is valid, and if not, why not."""
    value: Any = field(default=None, repr=False)
    """The validated value, where `kind` is `ok`."""
    errors: tuple[FieldError, ...] = ()
    """What is wrong, where it is not."""
    repairs: tuple[str, ...] = ()
    """What had to be done to the text before it could be validated, in words."""
    cause: BaseException | None = field(default=None, repr=False, compare=False)
    """What a developer's own validator raised that failed instead of judging."""
    data: Any = field(default=None, repr=False, compare=False)
    """The JSON data that did not fit, where `kind` is `schema`."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to get a valid answer."""

    rung: int | None
    """The rung of the ladder, from 0; `None` is the completion that was given."""
    model: str | None
    """The name of the model, as far as it is known."""
    temperature: float | None
    """The temperature that was sent; `None` is the model's own."""
    kind: AttemptKind
    """What came of it."""
    errors: tuple[FieldError, ...] = ()
    """What was wrong."""
    repairs: tuple[str, ...] = ()
    """What had to be done to the text before it could be validated, in words."""
    text: str = field(default="", repr=False)
    """The raw text of the model."""
    usage: Usage = NO_USAGE
    """What the call used; of a completion that was given: nothing."""
    seconds: float = 0.0
    """Seconds the attempt took."""


@dataclass(frozen=True, slots=True)
class StructuredResult:
    """A valid answer and how it came about."""

    value: Any
    """The validated value."""
    attempts: tuple[Attempt, ...]
    """Every attempt, in order; the last one is `ok`."""
    usage: Usage
    """What all attempts used together."""
    rung: int | None
    """The rung that answered; `None` is the completion that was given."""
