"""The decision, as pure functions: one route near, and no other near."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

DecidedBy = Literal["distance", "llm", "cache", "none"]
"""Who decided: the distance alone, the fallback, now or before, or nobody."""

DIGITS = 6
"""Similarities are rounded to this: an embedder's last bits should decide nothing."""


class RouteDecision(BaseModel):
    """Where a query goes, and why."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    tool: str | None
    """The name of the tool, or `None`: nothing fits, or nobody could tell."""
    decided_by: DecidedBy
    """`distance`: one tool was near and no other was. `llm`: the fallback chose, or
    said that nothing fits. `cache`: it did so before, or `feedback` did. `none`: it was
    not clear, and no fallback answered."""
    confidence: float | None = None
    """After `fit` the probability that `tool` is right, or the likeliest tool where
    none was chosen; `None` for a tool that is not the likeliest. Before `fit` the
    similarity (cosine) of the query to `tool`, or to the nearest, which is not a
    probability. `None` where nothing could be compared."""
    runner_up: str | None = None
    """The nearest tool, after `fit` the likeliest, beside the one chosen."""
    margin: float | None = None
    """The similarity of the tool less that of `runner_up`. Negative where the chosen
    one is not the nearest."""
    reason: str = ""
    """Why, in words, with the names of tools and without the query."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A route and how near the query is to it."""

    name: str
    """The route's name."""
    similarity: float
    """The cosine of the query and the nearest text of the route."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a query stands to the routes."""

    nearest: tuple[Ranked, ...]
    """The nearest routes, the nearest first, or after `fit` the likeliest; none where
    nothing could be compared."""
    obstacle: str = ""
    """Why nothing could be compared."""
    confidence: float | None = None
    """After `fit`: the probability that the first is the right one."""

    def about(self, name: str | None) -> tuple[Ranked | None, Ranked | None]:
        """Return a route, or the nearest for `None`, and the nearest of the others."""
        chosen = next(
            (each for each in self.nearest if name is None or each.name == name), None
        )
        other = next((each for each in self.nearest if each is not chosen), None)
        return chosen, other


@dataclass(frozen=True, slots=True)
class Policy:
    """What is near, and what is alone."""

    threshold: float
    """The least similarity of the nearest route."""
    margin: float
    """The least lead over the next route."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What `fit` found: the bar that keeps a precision, or why there is none."""

    precision: float
    """The share of decisions that is right."""
    bar: float | None
    """The least confidence of a decision; `None`: nothing is decided."""
    obstacle: str = ""
    """Why there is no bar."""


def decide(
    standing: Standing, policy: Policy, promise: Promise | None = None
) -> RouteDecision:
    """Decide by distance, or leave it open.

    Never falls through to a lower-ranked route: the nearest is chosen or none is.

    Args:
        standing: How the query stands to the routes.
        policy: What is near, and what is alone, as long as there is no promise.
        promise: What decides after `fit`.

    Returns:
        A decision `distance`, or `none` where it is not clear.
    """
    if not standing.nearest:
        return conclude(standing, None, "none", standing.obstacle)
    if promise is not None:
        return _keep(promise, standing)
    best, second = standing.nearest[0], next(iter(standing.nearest[1:]), None)
    here = f"{best.name!r} at {best.similarity:.3f}"
    if best.similarity < policy.threshold:
        reason = f"{here} is below the threshold of {policy.threshold:g}"
        return conclude(standing, None, "none", reason)
    if second is None:
        return conclude(standing, best.name, "distance", f"{here} is the only tool")
    there = f"{second.name!r} at {second.similarity:.3f}"
    if round(best.similarity - second.similarity, DIGITS) < policy.margin:
        reason = f"{here} leads {there} by less than {policy.margin:g}"
        return conclude(standing, None, "none", reason)
    return conclude(standing, best.name, "distance", f"{here} leads {there}")


def _keep(promise: Promise, standing: Standing) -> RouteDecision:
    """Choose the likeliest route if it is likely enough to keep the promise."""
    best = standing.nearest[0]
    if promise.bar is None or standing.confidence is None:
        return conclude(standing, None, "none", promise.obstacle)
    here = f"{best.name!r} with a confidence of {standing.confidence:.4f}"
    bar = f"the bar of {promise.bar:.4f} for a precision of {promise.precision:g}"
    # Not "below": what is no number reaches nothing.
    if not standing.confidence >= promise.bar:
        return conclude(standing, None, "none", f"{here} is below {bar}")
    return conclude(standing, best.name, "distance", f"{here} reaches {bar}")


def conclude(
    standing: Standing, tool: str | None, decided_by: DecidedBy, reason: str
) -> RouteDecision:
    """Write down a decision with how near it was.

    Args:
        standing: How the query stands to the routes.
        tool: What was chosen.
        decided_by: Who chose.
        reason: Why.

    Returns:
        The decision.
    """
    chosen, other = standing.about(tool)
    return RouteDecision(
        tool=tool,
        decided_by=decided_by,
        confidence=_confidence(standing, chosen),
        runner_up=other.name if other else None,
        margin=round(chosen.similarity - other.similarity, DIGITS)
        if chosen and other
        else None,
        reason=reason,
    )


def _confidence(standing: Standing, chosen: Ranked | None) -> float | None:
    if chosen is None or standing.confidence is None:
        return chosen.similarity if chosen else None
    return standing.confidence if chosen is standing.nearest[0] else None
