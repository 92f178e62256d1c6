"""What is put before a judge, and what a judge answers."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from langchain_prodpatterns.errors import JudgeError, JudgeFailureKind
from langchain_prodpatterns.quotes import unproven_quote


class JudgeRequest(BaseModel):
    """Base of what a component puts before a judge.

    The text fields hold the plain texts, undelimited, so that a judge can also be a
    classifier, a rule or a human.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    def quotable(self, field: str) -> Any:
        """Return the text, or the texts, in which a quote of a field must stand.

        Args:
            field: The name of the field.
        """
        return getattr(self, field)


class Verdict(BaseModel):
    """Base of what a judge answers."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    # Of a verdict that stands for none: a component that is handed it by a judge in a
    # chain of the user's must not take it for a judge's own no.
    _failure: "JudgeFailure | None" = PrivateAttr(default=None)

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


def stand_in(verdict_type: type[V], failure: JudgeFailure) -> V:
    """Return the verdict that stands for a failure, which can be told from a judge's.

    Args:
        verdict_type: The type of the verdict.
        failure: Why there is none.

    Returns:
        What `closed` gives.

    Raises:
        JudgeError: Where the type has no safe verdict.
    """
    verdict = verdict_type.closed(failure)
    verdict._failure = failure  # noqa: SLF001 - one module
    return verdict


def weigh(answer: Any, verdict_type: type[V], request: JudgeRequest) -> Judgement[V]:
    """Say what a judge's answer is worth.

    Args:
        answer: A verdict, or what validates as one.
        verdict_type: The type of the verdict.
        request: The texts it may quote from.

    Returns:
        The verdict; the failure where there is none, or one that it stands for.
    """
    if isinstance(answer, Verdict) and answer._failure is not None:  # noqa: SLF001 - one module
        return Judgement(None, answer._failure)  # noqa: SLF001 - one module
    try:
        verdict = verdict_type.model_validate(answer)
    except ValidationError as error:
        return no_verdict("unparseable", describe_errors(error, verdict_type))
    unproven = unproven_quote(verdict, request)
    if unproven is not None:
        return no_verdict("quote", f"'{unproven}' does not occur in the text")
    return Judgement(verdict)


def describe_errors(
    error: ValidationError,
    model: type[BaseModel] | None = None,
    whole: str = "verdict",
) -> str:
    """Say which fields are wrong and how, without the values.

    Args:
        error: What pydantic raised.
        model: Name only what this model declares: the keys of a mapping, and fields
            that should not be there, are the words of whoever wrote the value.
        whole: What to call the value itself.

    Returns:
        One line.
    """
    entries = error.errors(include_input=False, include_url=False)
    parts = [
        f"{_place(entry['loc'], model) or whole}: {entry['type']}" for entry in entries
    ]
    return "; ".join(parts[:5])


def _place(steps: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    if model is not None:
        declared = set(model.model_fields)
        declared |= {str(info.alias) for info in model.model_fields.values()}
        steps = steps[:1] if steps[:1] and steps[0] in declared else ()
    return ".".join(str(step) for step in steps)
