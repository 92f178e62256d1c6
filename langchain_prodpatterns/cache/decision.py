"""The decision whether a near hit may be served: pure, and the same sync and async."""

import math
from dataclasses import dataclass
from typing import Literal

from langchain_prodpatterns.cache.promise import Learned, Promise
from langchain_prodpatterns.errors import ConfigurationError

AUDITED = 0.05
"""The share of unjudged hits that is judged after all, to see if they are right."""
EXPLORED = 0.02
"""The share judged of what is hardly worth a verdict, lest a change be missed."""
WATCHED = 0.25
"""The share judged of what a judge that errs may not yet decide: its verdicts are
counted, and not served."""

_WORTH_EXPLORING = 0.25

Action = Literal["serve", "judge", "watch", "miss"]
"""What to do with a candidate; to watch is to ask the judge and serve nothing."""

Outcome = Literal["exact", "alias", "served", "judged hit", "miss", "judged miss"]
"""How a lookup ends."""

HITS: frozenset[Outcome] = frozenset({"exact", "alias", "served", "judged hit"})
"""The outcomes that serve an answer."""


@dataclass(frozen=True, slots=True)
class Band:
    """Thresholds that the user has set, in place of learned ones."""

    lo: float
    """Cosine below which a candidate is a miss."""
    hi: float
    """Cosine from which a clean candidate is served without a judge."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The nearest stored question."""

    similarity: float
    """Its cosine to the new question."""
    guards: tuple[str, ...] = ()
    """The guards that found a difference: `number`, `symbol`, `negation`, `entity`,
    `order`."""


@dataclass(frozen=True, slots=True)
class Stakes:
    """What else a decision depends on."""

    judged: bool
    """Whether there is a judge that may be asked."""
    needed: float = 0.0
    """The chance of a yes from which it pays to ask."""
    draw: float = 1.0
    """Between 0 and 1, the same for the same request: who is audited or explored."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a candidate, and why."""

    action: Action
    """Serve it, ask the judge, watch the judge, or miss."""
    reason: str
    """Why, in words, without any text of the user's."""
    audit: bool = False
    """Whether the judge is asked about what would have been served."""
    stands_for: int = 1
    """Of how many pairs like this one the judge is asked about one."""


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
    promise: Promise | None = None
    """From `explain`: what is promised and known of the partition."""

    @property
    def hit(self) -> bool:
        """Whether an answer is served."""
        return self.decision in HITS


def band_of(band: tuple[float, float] | None, *, judged: bool) -> Band | None:
    """Return the thresholds of a cache's arguments.

    Args:
        band: `(lo, hi)` in cosine, or `None` for learned ones.
        judged: Whether there is a judge.

    Returns:
        The thresholds, or `None`.

    Raises:
        ConfigurationError: When the band is none, or missing without a judge.
    """
    if band is None:
        if judged:
            return None
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
    return Band(lo, hi)


def decide(
    candidate: Candidate | None, band: Band | None, learned: Learned, stakes: Stakes
) -> Decision:
    """Decide what to do with the nearest candidate.

    Guards never reject: they send to the judge what would have been served.

    Args:
        candidate: The nearest stored question of the partition, if any.
        band: The user's own thresholds, or `None` for the learned ones.
        learned: What the partition's evidence allows.
        stakes: What else it depends on.

    Returns:
        The decision.
    """
    if candidate is None:
        return Decision("miss", "nothing similar is stored, or it was rejected before")
    near = f"similarity {candidate.similarity:.3f}"
    hi = learned.hi if band is None else band.hi
    if band is not None and candidate.similarity < band.lo:
        return Decision("miss", f"{near} is below {band.lo:g}")
    if candidate.similarity < hi:
        return _doubt(f"{near} is not sure", candidate, band, learned, stakes)
    if candidate.guards:
        doubt = f"{near}, but the questions differ in {', '.join(candidate.guards)}"
        return _doubt(doubt, candidate, band, learned, stakes)
    if band is None and stakes.judged and stakes.draw < AUDITED:
        reason = f"{near} is at least {hi:g}: an audit"
        return Decision("judge", reason, audit=True, stands_for=round(1 / AUDITED))
    return Decision("serve", f"{near} is at least {hi:g}, guards clean")


def _doubt(
    doubt: str,
    candidate: Candidate,
    band: Band | None,
    learned: Learned,
    stakes: Stakes,
) -> Decision:
    """Decide whether a verdict is worth its price, and whether it would be believed."""
    if not stakes.judged:
        return Decision("miss", f"{doubt}, and there is no judge to ask")
    guarded = bool(candidate.guards)
    chance = learned.curve.chance(candidate.similarity, guarded=guarded)
    believed = band is not None or learned.trusts(candidate.similarity, guarded=guarded)
    asked: Action = "judge" if believed else "watch"
    if chance < stakes.needed:
        if stakes.draw < EXPLORED and chance >= _WORTH_EXPLORING * stakes.needed:
            reason = f"{doubt}; judged to see whether that is so"
            return Decision(asked, reason, stands_for=round(1 / EXPLORED))
        reason = f"a {chance:.0%} chance of a yes is not worth the judge's price"
        return Decision("miss", f"{doubt}; {reason}")
    if not believed and stakes.draw >= WATCHED:
        reason = f"a judge that errs in {learned.judge_error:.1%} is not believed here"
        return Decision("miss", f"{doubt}; {reason}")
    return Decision(asked, doubt, stands_for=1 if believed else round(1 / WATCHED))
