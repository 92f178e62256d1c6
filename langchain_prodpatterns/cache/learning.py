"""Learning from verdicts, feedback and labeled pairs, counted in the store."""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from langchain_prodpatterns.cache.decision import Candidate
from langchain_prodpatterns.cache.evidence import UNSEEN, Cell, Evidence
from langchain_prodpatterns.cache.lookups import Pair
from langchain_prodpatterns.cache.promise import Learned, learn
from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.cache.stores.base import LASTING
from langchain_prodpatterns.forking import guard

_JUDGE = "judge"
_HINT = "hint:"
_LABELED = f"{LASTING}labeled pairs"
_TESTED = f"{LASTING}the judge"
LASTING_PARTITIONS = (_LABELED, _TESTED)
"""What is counted under a name of its own, since it is of no partition."""
_MAX_PARTITIONS = 1024
_STALE_SECONDS = 30.0
_NEW_VERDICTS = 8
_NEW_SHARE = 0.03
_TAKEN_FOR_RIGHT = 29


@dataclass(slots=True)
class _Held:
    """What was learned of a partition, and how old that is."""

    learned: Learned
    stale_at: float
    verdicts_left: float


class Learning:
    """What the store's counters say of each partition. Safe to use from many threads.

    The counters are the truth, and shared with other processes; what they allow is
    worked out again after some more verdicts, and now and then for those of others.
    """

    def __init__(
        self,
        store: CacheStore,
        delta: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Learn from a store.

        Args:
            store: Where the counters are.
            delta: The promised share of wrong answers.
            clock: Seconds, for telling what is stale.
        """
        self.delta = delta
        """The promised share of wrong answers."""
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def __reduce__(self) -> Any:
        # The counters are the store's.
        return Learning, (self._store, self.delta)

    def of(self, partition: str) -> Learned:
        """Return what a partition's evidence allows. May ask the store."""
        with self._lock:
            held = self._held.get(partition)
            if held is not None and not self._is_stale(held):
                self._held.move_to_end(partition)
                return held.learned
        learned = self.afresh(partition)
        with self._lock:
            few = max(_NEW_VERDICTS, _NEW_SHARE * learned.evidence.total)
            self._held[partition] = _Held(learned, self._clock() + _STALE_SECONDS, few)
            self._held.move_to_end(partition)
            while len(self._held) > _MAX_PARTITIONS:
                self._held.popitem(last=False)
        return learned

    def _is_stale(self, held: _Held) -> bool:
        return held.verdicts_left <= 0 or self._clock() >= held.stale_at

    def afresh(self, partition: str | None = None) -> Learned:
        """Return what the evidence allows at this moment, read from the store.

        Args:
            partition: The partition; `None` for all of them together.
        """
        sums, tested = self._store.tallies(None), self._store.tallies(_TESTED)
        everywhere = Evidence.of(sums)
        own = Evidence.of(self._store.tallies(partition)) if partition else everywhere
        return learn(
            own,
            everywhere,
            Evidence.of(sums, _HINT),
            delta=self.delta,
            judge_error=judge_error(
                tested.get(_JUDGE, (0, 0)),
                complaints=sums.get(_JUDGE, (0, 0))[1] - tested.get(_JUDGE, (0, 0))[1],
                refusals=math.floor(everywhere.wrong.sum()),
            ),
        )

    def note_verdict(
        self, partition: str, candidate: Candidate, *, yes: bool, stands_for: int = 1
    ) -> None:
        """Count a verdict.

        Args:
            partition: The partition.
            candidate: What it is on.
            yes: Whether the answer is right.
            stands_for: Of how many pairs like it one is judged.
        """
        cell = Cell.of(candidate.similarity, guarded=bool(candidate.guards))
        if stands_for > 1:
            # First: without it the verdict would count as all there was to judge.
            self._store.tally(partition, f"{UNSEEN}{cell}", right=stands_for - 1)
        self._tally(partition, str(cell), right=int(yes), wrong=int(not yes))

    def note_feedback(self, partition: str, pair: Pair, *, correct: bool) -> None:
        """Count what a user says of a near hit.

        Args:
            partition: The partition.
            pair: The pair; what the judge had said yes to was counted then.
            correct: Whether the answer was right.
        """
        if pair.cell is None:
            return
        cell = str(pair.cell)
        if not pair.judged:
            self._tally(partition, cell, int(correct), int(not correct))
        elif not correct:
            self._tally(partition, cell, right=-1, wrong=1)
            self._tally(partition, _JUDGE, wrong=1)

    def note_labeled(
        self, pairs: Iterable[tuple[Cell, bool]], *, as_traffic: bool
    ) -> None:
        """Count labeled pairs, in place of earlier ones.

        Args:
            pairs: The cell of each, and whether it has one answer.
            as_traffic: Whether they are evidence, or hints.
        """
        wanted: dict[str, tuple[int, int]] = {}
        for (cell, same), count in Counter(pairs).items():
            code = str(cell) if as_traffic else f"{_HINT}{cell}"
            right, wrong = wanted.get(code, (0, 0))
            wanted[code] = (right + count * same, wrong + count * (not same))
        # The same ones again, as from a file at every start, leave the store in peace.
        if self._store.tallies(_LABELED) == wanted:
            return
        self._store.reset_tallies(_LABELED)
        for code, counts in wanted.items():
            self._tally(_LABELED, code, *counts)
        self.forget()

    def note_judge(self, *, refused: int, accepted: int) -> None:
        """Count what the judge said to labeled pairs with two answers.

        In place of what it said to earlier ones, if there were any such pairs.
        """
        known = self._store.tallies(_TESTED).get(_JUDGE)
        if (refused or accepted) and known != (refused, accepted):
            self._store.reset_tallies(_TESTED)
            self._tally(_TESTED, _JUDGE, right=refused, wrong=accepted)
            self.forget()

    def _tally(self, partition: str, code: str, right: int = 0, wrong: int = 0) -> None:
        self._store.tally(partition, code, right, wrong)
        with self._lock:
            held = self._held.get(partition)
            if held is not None:
                held.verdicts_left -= 1

    def forget(self) -> None:
        """Look into the store again."""
        with self._lock:
            self._held.clear()


def judge_error(tested: tuple[int, int], *, complaints: int, refusals: int) -> float:
    """Return the share of wrong answers that the judge accepts.

    The greater one of what labeled pairs and what users have shown: few users
    complain, and labeled pairs may be easier than the traffic. For labeled pairs it
    is the mean under Jeffreys' prior. For complaints it is one as if 29 refusals more
    had been right, so that the first complaint does not condemn a judge. Until one or
    the other has shown anything, the judge is taken to be right.

    Args:
        tested: Of labeled pairs with two answers, how many it refused and accepted.
        complaints: How many of its consents users have complained of.
        refusals: How many pairs were found wrong, those included.
    """
    refused, accepted = tested
    shown = [(accepted, refused + accepted)] if refused or accepted else []
    if complaints > 0:
        shown.append((complaints, max(refusals, complaints) + _TAKEN_FOR_RIGHT))
    return max(((wrong + 0.5) / (total + 1) for wrong, total in shown), default=0.0)
