"""The promise: of the near hits that are served, at most a given share is wrong.

What is learned from verdicts, and when a near hit may be served because of it. Pure:
counts go in, thresholds come out.

The method is a fixed-sequence test (Angelopoulos et al., "Learn then test", 2021) with
e-values in place of p-values. The cosines from which clean pairs would be served
without a judge are tried from 1 downwards. Each is passed if, with 95% confidence,

- all that would be served with it, judged or not, is wrong in at most half of `delta`
  of the cases, and
- what would be served unjudged is wrong in at most five times as many.

The first that fails ends the search. What has no evidence of its own is served on a
judge's word only. The other half of `delta` is kept back for what a test cannot see.

It assumes that the questions to come are like those that were judged (random audits of
unjudged hits go on adding evidence, so that a change shows; since each stands for many,
what is always judged counts less beside them), and that the judge is
right, except for the share of false consents that was measured on labeled pairs or
shown by feedback. Where that share matters, its consents count as evidence with their
expected errors, and are served only from a cosine on for which the same test holds.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.bounds import (
    CONFIDENCE,
    anytime_bound,
    enough,
    evidence_below,
)
from langchain_prodpatterns.cache.acceptance import (
    Acceptance,
    own_curve,
    shared_curve,
)
from langchain_prodpatterns.cache.evidence import EDGES, Evidence

_Counts: TypeAlias = npt.NDArray[np.float64]

MOST_DELTA = 0.5
"""The greatest share of wrong answers that may be promised."""
_USED = 0.5
"""The share of `delta` that is used. In streams of shuffled questions the share of
wrong answers moves by about as much between what is learned and what comes."""
_UNJUDGED = 5.0
_MOST_UNJUDGED = 0.3
_TAKEN_ON_TRUST = 0.25
"""The share of `delta` that one consent of the judge may be expected to be wrong in,
without a test."""
_POOLED = 2.0
"""What other partitions have shown counts at most so many times what a test needs: a
partition that is different soon shows it."""
_HINTS = 50.0
"""What labeled pairs that are no traffic count in the curve."""
_RATIOS_MIXED = math.log(3)
_MOST_STOOD_FOR = 25.0
"""For how many pairs one verdict may stand: an audit's does for 20, and one that
explores for 50."""
_HARDLY_ANY = 1e-9


@dataclass(frozen=True, slots=True)
class _Region:
    """What would be served if clean pairs from some cosine on were not judged.

    Weighed as if each pair had had the same chance to be judged: else those that are
    always judged would hide how often those are wrong of which one in twenty is. The
    clean pairs weigh as many as were judged.
    """

    clean_right: float
    clean_wrong: float
    judged_right: float
    judged_wrong: float
    judge_error: float

    @classmethod
    def of_clean_pairs(
        cls, evidence: Evidence, judge_error: float
    ) -> "Iterator[tuple[int, _Region]]":
        """Yield the regions from a cosine of 1 downwards."""
        for step in reversed(range(len(EDGES))):
            yield step, cls.of_clean_pairs_from(step, evidence, judge_error)

    @classmethod
    def of_clean_pairs_from(
        cls, step: int, evidence: Evidence, judge_error: float
    ) -> "_Region":
        """Return the region from a range of the cosine on."""
        right, wrong = evidence.right[step:, 0], evidence.wrong[step:, 0]
        stands_for = _stands_for(right + wrong, evidence.unseen[step:, 0])
        mean = _mean(stands_for, right + wrong)
        return cls(
            float(right @ stands_for) / mean,
            float(wrong @ stands_for) / mean,
            float(evidence.right.sum() - right.sum()) / mean,
            float(evidence.wrong.sum() - wrong.sum()) / mean,
            judge_error,
        )

    @property
    def unjudged(self) -> float:
        """How many of the pairs would not be judged."""
        return self.clean_right + self.clean_wrong

    def unjudged_counts(self, false_yes: float) -> tuple[float, float]:
        """Return how many would be served wrongly unjudged, and how many at all."""
        return self.clean_wrong * (1 + false_yes), self.unjudged

    def judged_counts(self, false_yes: float) -> tuple[float, float]:
        """Return how many would be served wrongly by the judge, and how many at all."""
        return self.judged_wrong * false_yes, self.judged_right

    def counts(self, false_yes: float) -> tuple[float, float]:
        """Return how many would be served wrongly, and how many at all."""
        parts = self.unjudged_counts(false_yes), self.judged_counts(false_yes)
        (wrong, total), (judged_wrong, judged_total) = parts
        return wrong + judged_wrong, total + judged_total

    def holds(self, target: float, most_unjudged: float) -> bool:
        """Whether what would be served is right often enough, in all and unjudged."""
        false_yes = self.judge_error / (1 - self.judge_error)
        unjudged = self.unjudged_counts(false_yes)
        return (
            evidence_below(*self.counts(false_yes), target) >= enough()
            and evidence_below(*unjudged, most_unjudged) >= enough()
        )


def _stands_for(judged: _Counts, unseen: _Counts) -> _Counts:
    """Return for how many pairs each judged one stands, a range of the cosine."""
    return 1 + unseen / np.maximum(judged, _HARDLY_ANY)


def _mean(stands_for: _Counts, judged: _Counts) -> float:
    """Return for how many pairs a judged one stands on average."""
    total = float(judged.sum())
    return float(judged @ stands_for) / total if total else 1.0


def _is_known(judged: _Counts, unseen: _Counts) -> npt.NDArray[np.bool_]:
    """Whether pairs were judged, more than the few that explore, at each cosine."""
    return (judged > 0) & (_stands_for(judged, unseen) <= _MOST_STOOD_FOR)


@dataclass(frozen=True)
class Learned:
    """What a partition's evidence allows."""

    delta: float
    """The promised share of wrong answers among the near hits served."""
    curve: Acceptance
    """The chance that the judge accepts."""
    evidence: Evidence
    """The verdicts in it, those of other partitions included as far as they count."""
    judge_error: float = 0.0
    """The share of wrong answers that the judge accepts."""

    @cached_property
    def hi(self) -> float:
        """The cosine from which clean pairs are served unjudged; infinite if none."""
        unjudged = _Region.of_clean_pairs(self.evidence, self.judge_error)
        most = min(_MOST_UNJUDGED, _UNJUDGED * self._target)
        judged = self.evidence.right[:, 0] + self.evidence.wrong[:, 0]
        known = _is_known(judged, self.evidence.unseen[:, 0])
        hi = math.inf
        for step, region in unjudged:
            if region.unjudged < needed_for(most):
                continue
            if not region.holds(self._target, most):
                break
            if known[step]:
                hi = EDGES[step]
        return hi

    @cached_property
    def trusted_from(self) -> float:
        """The cosine from which a judge that errs is right often enough."""
        if not self.judge_error:
            return 0.0
        counts = self.evidence.right, self.evidence.wrong, self.evidence.unseen
        right, wrong, unseen = (columns.sum(axis=1) for columns in counts)
        stands_for = _stands_for(right + wrong, unseen)
        known = _is_known(right + wrong, unseen)
        trusted = math.inf
        for step in reversed(range(len(EDGES))):
            weights = stands_for[step:] / _mean(stands_for[step:], right[step:])
            served = float(right[step:] @ weights)
            mistaken = float(wrong[step:] @ weights) * self._false_yes
            if served < needed_for(self._target):
                continue
            if evidence_below(mistaken, served, self._target) < enough():
                break
            if known[step]:
                trusted = EDGES[step]
        return trusted

    def trusts(self, similarity: float, *, guarded: bool) -> bool:
        """Whether the judge's consent to a pair is enough to serve it."""
        if not self.judge_error or similarity >= self.trusted_from:
            return True
        chance = max(self.curve.chance(similarity, guarded=guarded), 1e-9)
        mistaken = self._false_yes * (1 - chance) / chance
        return mistaken <= _TAKEN_ON_TRUST * self.delta

    def bound(self, hi: float) -> float:
        """Return the upper bound, 95% sure, on the share of wrong near hits.

        Args:
            hi: The cosine from which clean pairs are served unjudged.

        Returns:
            The bound; 1 without evidence.
        """
        return anytime_bound(*self._served_from(hi).counts(self._false_yes))

    def bound_unaudited(self, hi: float) -> float:
        """Return the bound where no unjudged hit is audited.

        Then nothing tells how many there are beside those that are judged: both have to
        be right often enough.

        Args:
            hi: The cosine from which clean pairs are served unjudged.

        Returns:
            The bound; 1 without evidence of what is served unjudged.
        """
        region = self._served_from(hi)
        parts = [region.unjudged_counts(self._false_yes)]
        # Who was never judged was never served on the judge's word.
        if region.judged_right or region.judged_wrong:
            parts.append(region.judged_counts(self._false_yes))
        sure = (1 + CONFIDENCE) / 2
        return max(anytime_bound(*counts, sure) for counts in parts)

    def _served_from(self, hi: float) -> _Region:
        """Return what is served if clean pairs from some cosine on are not judged."""
        # A range that is unjudged in part counts as unjudged.
        step = len(EDGES) if math.isinf(hi) else max(bisect_right(EDGES, hi) - 1, 0)
        return _Region.of_clean_pairs_from(step, self.evidence, self.judge_error)

    @property
    def _target(self) -> float:
        return _USED * self.delta

    @property
    def _false_yes(self) -> float:
        """False consents for each refusal of the judge's."""
        return self.judge_error / (1 - self.judge_error)


@dataclass(frozen=True, slots=True)
class Promise:
    """The promised share of wrong answers, and what is known of it."""

    delta: float
    """Of the near hits served, the share that may be wrong."""
    bound: float
    """The upper bound on that share, 95% sure, for what is served now; 1 without
    evidence. Where no labeled pair and no feedback has shown how often the judge errs,
    it is taken to be right."""
    evidence: int
    """The verdicts, feedback and labeled pairs behind it."""
    lo: float
    """The cosine below which a clean pair is not worth a verdict, as far as the costs
    are not an answer's own."""
    hi: float | None
    """The cosine from which clean pairs are served unjudged; `None` if none are."""
    judge_error: float
    """The share of wrong answers that the judge accepts; 0 where it is not known."""
    reason: str
    """All that in words."""


def promise_of(
    learned: Learned, needed: float, band: tuple[float, float] | None
) -> Promise:
    """Say what is promised and known.

    Args:
        learned: What the evidence allows.
        needed: The chance of a yes from which a verdict is worth its price.
        band: The user's own thresholds, if there are any.
    """
    lo, hi = band or (learned.curve.similarity_at(needed), learned.hi)
    evidence = math.floor(learned.evidence.total)
    bound = learned.bound(hi) if band is None else learned.bound_unaudited(hi)
    return Promise(
        delta=learned.delta,
        bound=bound,
        evidence=evidence,
        lo=lo,
        hi=hi if math.isfinite(hi) else None,
        judge_error=learned.judge_error,
        reason=f"{_served(hi, band is not None, learned)}; {_known(evidence, bound)}",
    )


def _served(hi: float, given: bool, learned: Learned) -> str:  # noqa: FBT001 - of this module
    if given:
        return f"near hits are served unjudged from {hi:g} on, as the band says"
    if math.isfinite(hi):
        return f"clean near hits are served unjudged from {hi:g} on"
    if not learned.delta:
        return "no near hit is served unjudged, since delta is 0"
    needed = math.ceil(needed_for(_USED * learned.delta))
    return (
        "no near hit is served unjudged yet: that takes evidence of at least "
        f"{needed} near hits, hardly any of them wrong"
    )


def _known(evidence: int, bound: float) -> str:
    if not evidence:
        return "nothing was judged yet"
    return (
        f"{evidence} verdicts show, with 95% confidence, that at most {bound:.1%} of "
        "what is served is wrong"
    )


def needed_for(rate: float) -> float:
    """Return how many pairs, all of them right, show that a rate is kept."""
    return (enough() + _RATIOS_MIXED) / -math.log1p(-rate) if rate else math.inf


def learn(
    own: Evidence,
    everywhere: Evidence,
    hints: Evidence,
    *,
    delta: float,
    judge_error: float = 0.0,
) -> Learned:
    """Learn from the verdicts on a partition's pairs, and on all.

    Args:
        own: The partition's.
        everywhere: Those of all partitions, this one's included.
        hints: Labeled pairs that need not be like the traffic: they bend the curve,
            and are no evidence of what may be served.
        delta: The promised share of wrong answers.
        judge_error: The share of wrong answers that the judge accepts.

    Returns:
        What the evidence allows.
    """
    others = everywhere.without(own)
    shared = shared_curve(others.plus(hints, _HINTS))
    pooled = own.plus(others, _POOLED * needed_for(_USED * delta)) if delta else own
    return Learned(delta, own_curve(own, shared), pooled, judge_error)
