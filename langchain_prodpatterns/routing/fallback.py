"""Asking the fallback: which of the nearest tools does the question need?"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    Judge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    Verdict,
)
from langchain_prodpatterns.routing.decision import (
    RouteDecision,
    Standing,
    conclude,
)
from langchain_prodpatterns.routing.routes import NOTHING_FITS, Route

QUESTION = f"""Which one of the numbered tools does the question need?
Choose by what the tools are for, not by which words they share with the question.
Set "choice" to the number of the tool. Set it to "{NOTHING_FITS}" when no tool does
what the question asks for, or when two of them fit equally well."""

_EXAMPLES_SHOWN = 3
_DESCRIPTION_SHOWN = 1_000


class RouteRequest(JudgeRequest):
    """What a fallback is asked."""

    question: str
    """The query."""
    tools: tuple[str, ...]
    """The tools on offer, the nearest first: `name: description`, one line each."""


class RouteVerdict(Verdict):
    """What a fallback answers. A callable may also return a bare number or name."""

    choice: int | str = Field(
        description=f'the number of the tool, from 1, or its name, or "{NOTHING_FITS}"'
    )
    reason: str = Field(default="", description="one short sentence")

    @field_validator("choice", mode="before")
    @classmethod
    def _refuse_what_is_neither(cls, choice: Any) -> Any:
        # Otherwise `true` would be the first tool.
        if isinstance(choice, bool) or not isinstance(choice, int | str):
            msg = "neither a number nor a name"
            raise ValueError(msg)  # noqa: TRY004 - pydantic reports a `ValueError`
        return choice

    @model_validator(mode="before")
    @classmethod
    def _take_a_bare_choice(cls, answer: Any) -> Any:
        return {"choice": answer} if isinstance(answer, int | str) else answer


FallbackJudge = BoundJudge[RouteRequest, RouteVerdict]


def bind_fallback(fallback: JudgeLike, timeout: float | None) -> FallbackJudge:
    """Bind what the user gave as `fallback=`.

    Args:
        fallback: A chat model, or a Runnable or callable from `RouteRequest` to
            `RouteVerdict`.
        timeout: Seconds for a verdict.

    Returns:
        What to ask.

    Raises:
        ConfigurationError: When the fallback or the timeout cannot work.
    """
    if isinstance(fallback, Judge):
        if not issubclass(fallback.verdict_type, RouteVerdict):
            kind = fallback.verdict_type.__name__
            msg = f"a fallback's verdict must be a RouteVerdict, this Judge's is {kind}"
            raise ConfigurationError(msg)
    elif not callable(fallback) and not hasattr(fallback, "invoke"):
        msg = (
            "fallback must be a chat model, or a Runnable or callable from "
            f"RouteRequest to RouteVerdict, got {type(fallback).__name__}"
        )
        raise ConfigurationError(msg)
    return BoundJudge(
        fallback,
        question=QUESTION,
        verdict_type=RouteVerdict,
        timeout=timeout,
        name="routing:fallback",
    )


def offer(question: str, routes: Sequence[Route]) -> RouteRequest:
    """Put the question and the tools before the fallback.

    Args:
        question: The query.
        routes: The routes on offer.

    Returns:
        The request.
    """
    return RouteRequest(question=question, tools=tuple(map(_in_one_line, routes)))


def settle(
    open_decision: RouteDecision,
    standing: Standing,
    offered: Sequence[str],
    judgement: Judgement[RouteVerdict],
) -> RouteDecision:
    """Take the fallback's word, if it is one of those on offer.

    Args:
        open_decision: What the distance left open, and why.
        standing: How the query stands to the routes.
        offered: The names on offer, in the order they were numbered.
        judgement: What the fallback answered.

    Returns:
        A decision `llm`, or `none` where the fallback failed.
    """
    why = open_decision.reason
    if judgement.verdict is None:
        failure = judgement.failure.kind if judgement.failure else "no verdict"
        reason = f"{why}; the fallback failed: {failure}"
        return conclude(standing, None, "none", reason)
    name = _chosen(judgement.verdict.choice, offered)
    if name is None:
        reason = f"{why}; the fallback failed: it chose what was not on offer"
        return conclude(standing, None, "none", reason)
    if name == NOTHING_FITS:
        reason = f"{why}; the fallback says that no tool fits"
        return conclude(standing, None, "llm", reason)
    reason = f"{why}; the fallback chose {name!r} of {len(offered)}"
    return conclude(standing, name, "llm", reason)


def _chosen(choice: int | str, offered: Sequence[str]) -> str | None:
    """Return the name that was chosen, or `none`; `None` for what is neither."""
    if isinstance(choice, str):
        text = choice.strip()
        if text in offered:
            return text
        if text.casefold() == NOTHING_FITS:
            return NOTHING_FITS
        if not (text.isascii() and text.isdecimal()):
            return None
        # More digits than any number of tools has; `int` refuses thousands of them.
        choice = int(text[:9])
    return offered[choice - 1] if 1 <= choice <= len(offered) else None


def _in_one_line(route: Route) -> str:
    """Describe a route in one line, so that no text can pass for the next number."""
    parts = [route.description[:_DESCRIPTION_SHOWN]]
    if route.examples:
        parts.append(f"Examples: {' | '.join(route.examples[:_EXAMPLES_SHOWN])}")
    return " ".join(f"{route.name}: {' '.join(filter(None, parts))}".split())
