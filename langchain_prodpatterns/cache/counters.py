"""What a cache did, in numbers."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_prodpatterns.cache.decision import Outcome
from langchain_prodpatterns.cache.mistakes import MistakeError
from langchain_prodpatterns.cache.promise import Promise
from langchain_prodpatterns.cache.stores import StoreCounts
from langchain_prodpatterns.errors import StoreUnavailable
from langchain_prodpatterns.forking import guard

logger = logging.getLogger(__name__)

Event: TypeAlias = (
    Outcome
    | Literal[
        "audit",
        "deferred",
        "dropped",
        "error",
        "judge failure",
        "not stored",
        "stored",
        "unavailable",
        "unserializable",
    ]
)
"""What is counted."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache did since it was opened, in this process."""

    exact: int
    """Requests that were asked before, word for word."""
    alias: int
    """Requests found earlier to have the answer of another."""
    served: int
    """Near hits served without a judge."""
    judged_hits: int
    """Near hits served on a judge's yes."""
    misses: int
    """Lookups without a hit and without a judge's no."""
    judged_misses: int
    """Lookups without a hit after a judge's no, or a judge without a verdict."""
    judge_failures: int
    """Verdicts that did not come: late, garbled, or an error of the judge."""
    audits: int
    """Verdicts on near hits that would have been served without one."""
    deferred: int
    """Near hits that the judge is, or was, asked about in the background."""
    dropped: int
    """Near hits that it was not asked about, because too many were waiting."""
    errors: int
    """Lookups and updates that failed and were treated as a miss."""
    unavailable: int
    """Those that failed because the store was away; `errors` counts them not."""
    stored: int
    """Answers stored."""
    not_stored: int
    """Answers not worth storing: empty, refused, cut off or broken."""
    unserializable: int
    """Answers that JSON cannot hold."""
    entries: int
    """Entries in the store now; this and what follows as they were when it was last
    seen, where it is away."""
    evicted: int
    """Entries removed to make room."""
    quarantined: int
    """Damaged rows put aside."""
    aliases: int
    """Requests known now to have the answer of another; an entry keeps the last 64."""
    rejected: int
    """Pairs known now not to have one answer; an entry keeps the last 64."""
    bytes: int
    """What the entries hold now: texts, vectors, answers and what identifies them."""
    expired: int
    """Entries removed since their time was over."""
    indexed: int
    """Vectors in memory now, to search in."""
    building: bool
    """Whether vectors are still being taken into memory."""
    promise: Promise
    """Which share of wrong answers is promised, and what is known of it."""

    @property
    def bound(self) -> float:
        """The upper bound on the share of wrong answers, as in `promise`."""
        return self.promise.bound

    @property
    def evidence(self) -> int:
        """The verdicts, feedback and labeled pairs behind it, as in `promise`."""
        return self.promise.evidence

    @property
    def reason(self) -> str:
        """What is promised and known, in words, as in `promise`."""
        return self.promise.reason

    @property
    def hits(self) -> int:
        """Lookups that were served."""
        return self.exact + self.alias + self.served + self.judged_hits

    @property
    def lookups(self) -> int:
        """Lookups that came to a decision."""
        return self.hits + self.misses + self.judged_misses

    @property
    def hit_rate(self) -> float:
        """The share of lookups that were served; 0 without any."""
        return self.hits / self.lookups if self.lookups else 0.0

    def __str__(self) -> str:
        served = (
            f"{self.lookups} lookups, {self.hit_rate:.1%} of them hits: "
            f"{self.exact} exact, {self.alias} by alias, {self.served} unjudged, "
            f"{self.judged_hits} judged"
        )
        missed = (
            f"{self.misses + self.judged_misses} misses, {self.judged_misses} of them "
            f"judged; without a verdict {self.judge_failures}, errors {self.errors}, "
            f"without the store {self.unavailable}"
        )
        held = (
            f"{self.entries} entries, {self.bytes / 1000:,.1f} kB; "
            f"{self.aliases} aliases, {self.rejected} rejected pairs"
        )
        return f"{served}\n{missed}\n{held}\n{self.reason}"


class Counters:
    """Counts events, and tells of some once; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._counts: Counter[Event] = Counter()
        self._told: set[str] = set()

    def __reduce__(self) -> Any:
        # A copy counts from zero.
        return Counters, ()

    def count(self, event: Event, times: int = 1) -> None:
        """Count an event."""
        with self._lock:
            self._counts[event] += times

    def tell_once(self, what: str, message: str, *values: object) -> None:
        """Log something that goes on and on, the first time.

        Args:
            what: What it is that is told once.
            message: The message, as `logging` takes it.
            *values: The values in it; none that a user wrote.
        """
        with self._lock:
            if what in self._told:
                return
            self._told.add(what)
        logger.warning(message, *values)

    @contextmanager
    def quiet(self, what: str) -> Iterator[None]:
        """Swallow an error: a cache that fails must not fail the call it serves.

        Args:
            what: What is done, for the log.
        """
        try:
            yield
        except StoreUnavailable:
            # The store has told that it is away: once, not with each call.
            self.count("unavailable")
        except MistakeError as error:
            self.count("error")
            logger.warning("cache: %s failed: %s", what, error)
        except Exception as error:  # noqa: BLE001 - stores, embeddings and keys fail in any way
            self.count("error")
            # Never the message: it may hold what a user wrote.
            logger.warning("cache: %s failed (%s)", what, type(error).__name__)

    def so_far(self) -> Counter[Event]:
        """Return how often each event was counted, without a look at the store."""
        with self._lock:
            return self._counts.copy()

    def stats(self, store: StoreCounts, promise: Promise) -> CacheStats:
        """Return the counts, with those of the store and what is promised."""
        counts = self.so_far()
        return CacheStats(
            exact=counts["exact"],
            alias=counts["alias"],
            served=counts["served"],
            judged_hits=counts["judged hit"],
            misses=counts["miss"],
            judged_misses=counts["judged miss"],
            judge_failures=counts["judge failure"],
            audits=counts["audit"],
            deferred=counts["deferred"],
            dropped=counts["dropped"],
            errors=counts["error"],
            unavailable=counts["unavailable"],
            stored=counts["stored"],
            not_stored=counts["not stored"],
            unserializable=counts["unserializable"],
            entries=store.entries,
            evicted=store.evicted,
            quarantined=store.quarantined,
            aliases=store.aliases,
            rejected=store.rejected,
            bytes=store.bytes,
            expired=store.expired,
            indexed=store.indexed,
            building=store.building,
            promise=promise,
        )
