"""The decision whether a near hit may be served: pure, and the same sync and async."""

import math
from dataclasses import dataclass
from typing import Literal

from langchain_prodpatterns.errors import ConfigurationError

DEFAULT_FLOOR = 0.7
"""The cosine below which, without a `band`, no near hit is put before the judge.

On pairs of Quora questions under MiniLM, 94% of the true duplicates are above it.
"""

Action = Literal["serve", "judge", "miss"]
"""What to do with a candidate."""

Outcome = Literal["exact", "alias", "served", "judged hit", "miss", "judged miss"]
"""How a lookup ends."""

HITS: frozenset[Outcome] = frozenset({"exact", "alias", "served", "judged hit"})
"""The outcomes that serve an answer."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which near hits are served, judged or missed."""

    lo: float
    """Cosine below which a candidate is a miss."""
    hi: float
    """Cosine from which a clean candidate is served without a judge."""
    judged: bool
    """Whether there is a judge."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The nearest stored question."""

    similarity: float
    """Its cosine to the new question."""
    guards: tuple[str, ...] = ()
    """The guards that found a difference: `number`, `symbol`, `negation`, `entity`,
    `order`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a candidate, and why."""

    action: Action
    """Serve it, ask the judge, or miss."""
    reason: str
    """Why, in words, without any text of the user's."""


@dataclass(frozen=True, slots=True)
class CacheDecision:
    """How a lookup ends, and why."""

    decision: Outcome
    """`exact`, `alias`, `served`, `judged hit`, `miss` or `judged miss`."""
    reason: str
    """Why, in words, without any text of the user's."""
    partition: str
    """The digest of all that must be equal for an answer to be shared."""
    similarity: float | None = None
    """The cosine to the nearest candidate, where one was looked at."""
    guards: tuple[str, ...] = ()
    """The guards that found a difference to it."""
    hit_id: str | None = None
    """Names the candidate to `feedback` and `invalidate`."""

    @property
    def hit(self) -> bool:
        """Whether an answer is served."""
        return self.decision in HITS


def policy_of(band: tuple[float, float] | None, *, judged: bool) -> Policy:
    """Return the policy of a cache's arguments.

    Args:
        band: `(lo, hi)` in cosine, or `None`.
        judged: Whether there is a judge.

    Returns:
        The policy.

    Raises:
        ConfigurationError: When the band is none, or missing without a judge.
    """
    if band is None:
        if judged:
            return Policy(DEFAULT_FLOOR, math.inf, judged=True)
        msg = (
            "SemanticJudgeCache without a judge needs band=(lo, hi), the cosines "
            "between which a near hit is not sure: give a judge, or a band such as "
            "(0.8, 0.98)"
        )
        raise ConfigurationError(msg)
    try:
        lo, hi = (float(edge) for edge in band)
    except (TypeError, ValueError):
        lo, hi = math.nan, math.nan
    if not 0 <= lo <= hi <= 1:
        msg = f"band must be (lo, hi) with 0 <= lo <= hi <= 1, got {band!r}"
        raise ConfigurationError(msg)
    return Policy(lo, hi, judged=judged)


def decide(candidate: Candidate | None, policy: Policy) -> Decision:
    """Decide what to do with the nearest candidate.

    Guards never reject: they send to the judge what would have been served.

    Args:
        candidate: The nearest stored question of the partition, if any.
        policy: The cache's policy.

    Returns:
        The decision.
    """
    if candidate is None:
        return Decision("miss", "nothing similar is stored")
    near = f"similarity {candidate.similarity:.3f}"
    if candidate.similarity < policy.lo:
        return Decision("miss", f"{near} is below {policy.lo:g}")
    if candidate.similarity < policy.hi:
        doubt = f"{near} is not sure"
    elif candidate.guards:
        doubt = f"{near}, but the questions differ in {', '.join(candidate.guards)}"
    else:
        return Decision("serve", f"{near} is at least {policy.hi:g}, guards clean")
    if policy.judged:
        return Decision("judge", doubt)
    return Decision("miss", f"{doubt}, and there is no judge")
