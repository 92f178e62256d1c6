"""What is put before a judge, and what a judge answers."""

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
        """Return the no that stands for no verdict."""
        return cls(yes=False, reason=f"no verdict: {failure.kind}")


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
        """Whether it is a yes. A failure never is."""
        return bool(getattr(self.verdict, "yes", False))


def no_verdict(kind: JudgeFailureKind, detail: str) -> Judgement[Any]:
    """Return the judgement that stands for a failure.

    Args:
        kind: The kind of failure.
        detail: What happened, without any judged text.

    Returns:
        A judgement without a verdict.
    """
    return Judgement(None, JudgeFailure(kind, detail))


def describe_errors(error: ValidationError) -> str:
    """Say which fields are wrong and how, without the values.

    Args:
        error: What pydantic raised.

    Returns:
        One line.
    """
    parts = [
        f"{'.'.join(str(step) for step in entry['loc']) or 'verdict'}: {entry['type']}"
        for entry in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(parts[:5])
