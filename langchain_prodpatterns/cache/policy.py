"""The rules of one cache: thresholds set or learned, costs, and when to ask."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from langchain_prodpatterns.cache.calibrated_settings import CacheSettings
from langchain_prodpatterns.cache.calibration import (
    Calibration,
    Measured,
    calibrated,
    record_of,
)
from langchain_prodpatterns.cache.costs import NEEDED_UNPRICED, Costs
from langchain_prodpatterns.cache.decision import (
    Band,
    Candidate,
    Decision,
    Stakes,
    decide,
)
from langchain_prodpatterns.cache.evidence import Evidence
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.promise import Learned, Promise, learn, promise_of
from langchain_prodpatterns.judging import Judgement, YesNoVerdict
from langchain_prodpatterns.usage import Usage

JudgeMode = Literal["sync", "async", "off"]
"""Ask the judge now, in the background, or never."""

JUDGE_MODES: tuple[JudgeMode, ...] = get_args(JudgeMode)
"""The modes."""

_DRAWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Policy:
    """Decides on near hits."""

    band: Band | None
    """The user's own thresholds, or `None` for the learned ones."""
    learning: Learning
    """What the evidence allows."""
    costs: Costs
    """What verdicts and answers cost."""
    judged: bool
    """Whether there is a judge that may be asked."""
    mode: JudgeMode = "sync"
    """When it is asked."""
    _unlearned: Learned = field(init=False, repr=False)

    def __post_init__(self) -> None:
        none = Evidence.none()
        blank = learn(none, none, none, delta=self.learning.delta)
        object.__setattr__(self, "_unlearned", blank)

    def decide(
        self, identity: Identity, candidate: Candidate | None, saved: Usage
    ) -> Decision:
        """Decide what to do with the nearest candidate. May ask the store.

        Args:
            identity: The request.
            candidate: The nearest stored question, if any.
            saved: What its answer had cost.

        Returns:
            The decision.
        """
        needed = self._needed(saved)
        stakes = Stakes(self.judged and self.mode != "off", needed, draw_of(identity))
        # Thresholds of the user's own need no evidence, unless costs are weighed.
        learned = self._unlearned
        if candidate is not None and (self.band is None or needed):
            learned = self.learning.of(identity.partition)
        return decide(candidate, self.band, learned, stakes)

    def promise(self, partition: str | None = None) -> Promise:
        """Say what is promised, and known, of a partition or of all of them."""
        return self._promise(self.learning.afresh(partition))

    @property
    def unlearned(self) -> Promise:
        """What is promised where no evidence can be had."""
        return self._promise(self._unlearned)

    def _promise(self, learned: Learned) -> Promise:
        band = None if self.band is None else (self.band.lo, self.band.hi)
        return promise_of(learned, self._needed(None), band)

    def calibrate(
        self,
        measured: Sequence[Measured],
        judgements: Sequence[Judgement[YesNoVerdict]] | None,
        *,
        as_traffic: bool,
    ) -> Calibration:
        """Learn from labeled pairs.

        Args:
            measured: The pairs, with how near they are.
            judgements: What the judge said to them, if it was asked.
            as_traffic: Whether they are evidence, or hints.

        Returns:
            What they say.
        """
        labeled = [(one.cell, bool(one.pair.same_answer)) for one in measured]
        self.learning.note_labeled(labeled, as_traffic=as_traffic)
        record = None
        if judgements is not None:
            record = record_of(measured, judgements)
            self.learning.note_judge(
                refused=record.different - record.accepted_wrongly,
                accepted=record.accepted_wrongly,
            )
        needed = self._needed(None) or NEEDED_UNPRICED
        return calibrated(measured, record, delta=self.learning.delta, needed=needed)

    def learn_from(self, settings: CacheSettings) -> None:
        """Learn from labeled pairs that were counted elsewhere."""
        self.learning.note_labeled(settings.pairs(), as_traffic=settings.as_traffic)
        if settings.judge is not None:
            refused, accepted = settings.judge
            self.learning.note_judge(refused=refused, accepted=accepted)

    def _needed(self, saved: Usage | None) -> float:
        needed = self.costs.needed(saved)
        if needed is not None:
            return needed
        return NEEDED_UNPRICED if self.band is None else 0.0


def draw_of(identity: Identity) -> float:
    """Return a number from 0 to 1 that a request always draws.

    So `explain` tells what a lookup will do, and who asks again is not audited by luck.
    """
    return int(identity.exact[:_DRAWN_DIGITS], 16) / float(16**_DRAWN_DIGITS)
