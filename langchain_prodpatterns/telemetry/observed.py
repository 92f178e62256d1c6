"""What caches count by themselves, read when metrics are collected."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.counters import CacheStats, Event
from langchain_prodpatterns.cache.watching import Watch

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

PREFIX = "prodpatterns.cache"
"""What every name begins with."""

Attributes: TypeAlias = dict[str, Any]
"""Attributes of a measurement or a span."""

_Read: TypeAlias = "Callable[[Watched], Iterable[tuple[float, Attributes]]]"
_RESULT = f"{PREFIX}.result"
_REASON = f"{PREFIX}.reason"
_FRESH_SECONDS = 1.0
# Not "1": then some exporters to Prometheus write `_ratio` at the end, and some do not.
_SHARE = ""


class Watched:
    """A cache whose own counts are read when metrics are collected."""

    def __init__(
        self, cache: SemanticJudgeCache, attributes: Attributes, watcher: Watch
    ) -> None:
        self.cache = cache
        self.attributes = attributes
        self.watcher = watcher
        self._lock = threading.Lock()
        self._stats: CacheStats | None = None
        self._stale_at = float("-inf")

    def events(self) -> Mapping[Event, int]:
        """Return what the cache has counted; the store is not asked."""
        return self.cache.core.counters.so_far()

    def stats(self) -> CacheStats | None:
        """Return the figures of the cache; `None` while its store fails.

        They are read once for all the instruments that are collected together.
        """
        with self._lock:
            if time.monotonic() >= self._stale_at:
                self._stats = self._read()
                self._stale_at = time.monotonic() + _FRESH_SECONDS
            return self._stats

    def _read(self) -> CacheStats | None:
        try:
            return self.cache.stats()
        except Exception:  # noqa: BLE001 - stores fail in any way, and may tell what users wrote
            return None


@dataclass(frozen=True, slots=True)
class Observed:
    """An instrument that is read when metrics are collected."""

    name: str
    unit: str
    description: str
    read: _Read
    counts: bool = False
    """Whether it only grows."""


def _events(attribute: str = "", **results: Event) -> _Read:
    """Read counted events, each under the attribute's value that is its keyword."""

    def read(watched: Watched) -> Iterator[tuple[float, Attributes]]:
        counted = watched.events()
        for value, event in results.items():
            yield counted.get(event, 0), {attribute: value} if attribute else {}

    return read


def _figures(attribute: str = "", **figures: str) -> _Read:
    """Read figures of the cache by the names that they have there, dots included."""

    def read(watched: Watched) -> Iterator[tuple[float, Attributes]]:
        stats = watched.stats()
        if stats is not None:
            for value, name in figures.items():
                found = attrgetter(name)(stats)
                yield found, {attribute: value} if attribute else {}

    return read


_OBSERVED = (
    Observed(
        "updates",
        "{answer}",
        "Answers, by whether they were stored.",
        _events(
            _RESULT,
            stored="stored",
            not_stored="not stored",
            unserializable="unserializable",
        ),
        counts=True,
    ),
    Observed(
        "judge.failures",
        "{verdict}",
        "Verdicts that did not come.",
        _events(failures="judge failure"),
        counts=True,
    ),
    Observed(
        "judge.audits",
        "{verdict}",
        "Verdicts on near hits that would have been served without one.",
        _events(audits="audit"),
        counts=True,
    ),
    Observed(
        "judge.background",
        "{verdict}",
        "Near hits for the judge in the background, by whether it is asked.",
        _events(_RESULT, deferred="deferred", dropped="dropped"),
        counts=True,
    ),
    Observed(
        "errors",
        "{error}",
        "Lookups and updates that failed and were a miss.",
        _events(errors="error"),
        counts=True,
    ),
    Observed(
        "store.unavailable",
        "{error}",
        "Lookups and updates that failed because the store was away.",
        _events(unavailable="unavailable"),
        counts=True,
    ),
    Observed(
        "removals",
        "{entry}",
        "Entries that this process removed, by why.",
        _figures(
            _REASON, evicted="evicted", expired="expired", quarantined="quarantined"
        ),
        counts=True,
    ),
    Observed("entries", "{entry}", "Entries.", _figures(entries="entries")),
    Observed("size", "By", "What the entries hold.", _figures(bytes="bytes")),
    Observed(
        "aliases",
        "{request}",
        "Requests known to have the answer of another.",
        _figures(aliases="aliases"),
    ),
    Observed(
        "rejected",
        "{pair}",
        "Pairs known not to have one answer.",
        _figures(rejected="rejected"),
    ),
    Observed(
        "promise.delta",
        _SHARE,
        "The share of near hits that may be wrong.",
        _figures(delta="promise.delta"),
    ),
    Observed(
        "promise.bound",
        _SHARE,
        "The upper bound on that share, 95% sure.",
        _figures(bound="promise.bound"),
    ),
    Observed(
        "promise.evidence",
        "{verdict}",
        "The verdicts behind the bound.",
        _figures(evidence="promise.evidence"),
    ),
)


def observe(
    meter: "Meter",
    caches: Mapping[str | None, Watched],
    observation: "type[Observation]",
) -> None:
    """Make the instruments that read from the caches when metrics are collected."""

    def reader(read: _Read) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        def read_all(_: "CallbackOptions") -> "Iterator[Observation]":
            for watched in list(caches.values()):
                for value, own in read(watched):
                    yield observation(value, {**watched.attributes, **own})

        return read_all

    for one in _OBSERVED:
        create = (
            meter.create_observable_counter
            if one.counts
            else meter.create_observable_gauge
        )
        create(
            f"{PREFIX}.{one.name}",
            [reader(one.read)],
            unit=one.unit,
            description=one.description,
        )
