"""What is put before a judge, and what a judge answers."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_prodpatterns.errors import JudgeError, JudgeFailureKind


class JudgeRequest(BaseModel):
    """Base of what a component puts before a judge.

    The text fields hold the plain texts, undelimited, so that a judge can also be a
    classifier, a rule or a human.
    """

    model_config = ConfigDict(frozen=True)


class Verdict(BaseModel):
    """Base of what a judge answers."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def closed(cls, failure: "JudgeFailure") -> Self:
        """Return the verdict that stands for no verdict, if there is a safe one.

        Raises:
            JudgeError: Where the type has no such verdict.
        """
        raise JudgeError(failure.kind, failure.detail)


class YesNoVerdict(Verdict):
    """A verdict that is yes or no. A judge may also answer with a bare `bool`."""

    yes: bool = Field(description="true or false")
    reason: str = Field(default="", description="one short sentence")

    @classmethod
    def closed(cls, failure: "JudgeFailure") -> Self:
        """Return the no that stands for no verdict.

        Raises:
            JudgeError: Where the type also needs what nobody said.
        """
        with suppress(ValidationError):
            return cls(yes=False, reason=f"no verdict: {failure.kind}")
        return super().closed(failure)


@dataclass(frozen=True, slots=True)
class QuoteOf:
    """Marks a verdict's field as a verbatim quote of a field of the request.

    `quote: Annotated[str, QuoteOf("text")]`; also on tuples and lists of `str`. Code
    checks that the quote occurs in the text, white space aside. An empty quote claims
    nothing and is not checked.
    """

    field: str
    """The request's field."""


@dataclass(frozen=True, slots=True)
class JudgeFailure:
    """Why there is no verdict."""

    kind: JudgeFailureKind
    """The kind of failure."""
    detail: str
    """What happened, without any judged text."""


Request = TypeVar("Request", bound=JudgeRequest)
V = TypeVar("V", bound=Verdict)


@dataclass(frozen=True, slots=True)
class Judgement(Generic[V]):
    """A verdict, or the failure to come to one."""

    verdict: V | None
    """The verdict, or `None`."""
    failure: JudgeFailure | None = None
    """Why there is none."""

    @property
    def yes(self) -> bool:
        """Whether it is a yes. A failure never is, nor anything but `True`."""
        return getattr(self.verdict, "yes", False) is True


def no_verdict(kind: JudgeFailureKind, detail: str) -> Judgement[Any]:
    """Return the judgement that stands for a failure.

    Args:
        kind: The kind of failure.
        detail: What happened, without any judged text.

    Returns:
        A judgement without a verdict.
    """
    return Judgement(None, JudgeFailure(kind, detail))


def describe_errors(
    error: ValidationError, model: type[BaseModel] | None = None
) -> str:
    """Say which fields are wrong and how, without the values.

    Args:
        error: What pydantic raised.
        model: Name only what this model declares: the keys of a mapping, and fields
            that should not be there, are the words of whoever wrote the value.

    Returns:
        One line.
    """
    entries = error.errors(include_input=False, include_url=False)
    parts = [f"{_place(entry['loc'], model)}: {entry['type']}" for entry in entries]
    return "; ".join(parts[:5])


def _place(steps: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    if model is not None:
        declared = set(model.model_fields)
        declared |= {str(info.alias) for info in model.model_fields.values()}
        steps = steps[:1] if steps[:1] and steps[0] in declared else ()
    return ".".join(str(step) for step in steps) or "verdict"


def unproven_quote(verdict: Verdict, request: JudgeRequest) -> str | None:
    """Check the quotes of a verdict.

    Args:
        verdict: The verdict.
        request: The texts it quotes from.

    Returns:
        The name of a field whose quote does not occur in its source, if there is one.
    """
    for name, info in type(verdict).model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, QuoteOf) and not _occurs(
                getattr(verdict, name), getattr(request, mark.field)
            ):
                return name
    return None


def _occurs(value: Any, source: Any) -> bool:
    """Whether each quote stands in one text of the source, white space aside."""
    quotes = [value] if isinstance(value, str) else list(value or ())
    texts = list(source) if isinstance(source, list | tuple) else [source or ""]
    squeezed = [_squeeze(str(text)) for text in texts]
    return all(
        any(_squeeze(quote) in text for text in squeezed)
        for quote in quotes
        if quote.strip()
    )


def _squeeze(text: str) -> str:
    return " ".join(text.split())
