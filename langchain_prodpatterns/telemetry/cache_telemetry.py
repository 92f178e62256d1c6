"""Measuring and tracing the lookups of caches."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from langchain_prodpatterns._version import __version__
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.decision import Outcome
from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.watching import Note, Watch, unwatched
from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError
from langchain_prodpatterns.telemetry.observed import (
    PREFIX,
    Attributes,
    Watched,
    observe,
)
from langchain_prodpatterns.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

DURATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds, as the semantic conventions have them for `db.client.operation.duration`: a
lookup is a question to a database, at times with a call of a model in it."""

_OUTCOME = f"{PREFIX}.outcome"
_NAMESPACE = f"{PREFIX}.namespace"


class CacheTelemetry:
    """Measures and traces the lookups of caches. Safe to use from many threads.

    What a cache counts by itself is read when metrics are collected. A cache that
    nobody measures does nothing for it.

    !!! note
        Set the global providers before, or give them: instruments of the same name, of
        one provider, are made once. Have one `CacheTelemetry` for all caches that share
        a provider.
    """

    def __init__(
        self,
        *caches: SemanticJudgeCache,
        meter_provider: "MeterProvider | None" = None,
        tracer_provider: "TracerProvider | None" = None,
        namespaces: bool = False,
    ) -> None:
        """Begin to measure.

        Args:
            *caches: A cache to watch, with its views and the chains that it wraps; for
                several see `watch`.
            meter_provider: Where metrics go; by default the global one.
            tracer_provider: Where spans go; by default the global one.
            namespaces: Whether lookups tell their namespace. Only where there are few:
                each one multiplies the series.

        Raises:
            MissingExtraError: When the extra `otel` is not installed.
            ConfigurationError: When something else than a cache is given, or two are.
        """
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            feature = "CacheTelemetry"
            raise MissingExtraError(feature, "otel") from error
        meter = metrics.get_meter(PREFIX, __version__, meter_provider)
        self._tracer = trace.get_tracer(PREFIX, __version__, tracer_provider)
        self._namespaces = namespaces
        self._watched: dict[str | None, Watched] = {}
        self._recorder = _Recorder(meter)
        observe(meter, self._watched, metrics.Observation)
        for cache in caches:
            self.watch(cache)

    def watch(self, cache: SemanticJudgeCache, name: str | None = None) -> None:
        """Watch one more cache.

        Args:
            cache: The cache.
            name: Tells it from other caches in metrics and spans.

        Raises:
            ConfigurationError: When it is no cache, or its name is taken.
        """
        if not isinstance(cache, SemanticJudgeCache):
            msg = f"only a SemanticJudgeCache is watched, got {type(cache).__name__}"
            raise ConfigurationError(msg)
        if name in self._watched:
            msg = f"a cache named {name!r} is watched already: give each a name"
            raise ConfigurationError(msg)
        attributes = {} if name is None else {f"{PREFIX}.name": name}
        watcher = _Watcher(self._look, attributes, namespaces=self._namespaces)
        self._watched[name] = Watched(cache, attributes, watcher)
        cache.core.watch = watcher

    def close(self) -> None:
        """Watch no cache any more."""
        for watched in list(self._watched.values()):
            if watched.cache.core.watch is watched.watcher:
                watched.cache.core.watch = unwatched
        self._watched.clear()

    @contextmanager
    def _look(self, attributes: Attributes) -> Iterator[Note]:
        """Open a span around a lookup, and record how it ends."""
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            "cache lookup",
            attributes=attributes,
            # An error's message may hold what a user wrote.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def note(found: Lookup) -> None:
                outcome = {**attributes, _OUTCOME: _code(found.decision.decision)}
                self._recorder.ended(time.perf_counter() - started, outcome)
                if found.decision.hit:
                    self._recorder.saved(found.saved, attributes)
                span.set_attributes({**outcome, **_facts(found)})

            try:
                yield note
            except Exception as error:
                outcome = {**attributes, _OUTCOME: "error"}
                self._recorder.ended(time.perf_counter() - started, outcome)
                _set_failed(span, error)
                raise


class _Watcher:
    """What a cache calls at each lookup."""

    def __init__(
        self,
        look: "Callable[[Attributes], AbstractContextManager[Note]]",
        attributes: Attributes,
        *,
        namespaces: bool,
    ) -> None:
        self._look = look
        self._attributes = attributes
        self._namespaces = namespaces

    def __call__(self, namespace: str) -> AbstractContextManager[Note]:
        own = {_NAMESPACE: namespace} if self._namespaces else {}
        return self._look({**self._attributes, **own})

    def __reduce__(self) -> Any:
        # A copy of a cache is watched by nobody.
        return _nobody, ()


def _nobody() -> Watch:
    return unwatched


class _Recorder:
    """The instruments that a lookup writes to."""

    def __init__(self, meter: "Meter") -> None:
        self._lookups = meter.create_counter(
            f"{PREFIX}.lookups", "{lookup}", "Lookups, by how they ended."
        )
        self._duration = meter.create_histogram(
            f"{PREFIX}.lookup.duration",
            "s",
            "How long lookups took, the judge and waiting for others included.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._calls = meter.create_counter(
            f"{PREFIX}.saved.calls", "{call}", "Model calls that hits made needless."
        )
        self._tokens = meter.create_counter(
            f"{PREFIX}.saved.tokens", "{token}", "Tokens of these calls."
        )
        self._usd = meter.create_counter(
            f"{PREFIX}.saved.usd", "{usd}", "What these calls had cost, where known."
        )
        self._seconds = meter.create_counter(
            f"{PREFIX}.saved.duration", "s", "How long these calls had taken."
        )
        self._unpriced = meter.create_counter(
            f"{PREFIX}.saved.unpriced", "{hit}", "Hits whose price nobody knows."
        )

    def ended(self, seconds: float, attributes: Attributes) -> None:
        """Record how a lookup ended."""
        self._lookups.add(1, attributes)
        self._duration.record(seconds, attributes)

    def saved(self, saved: Usage, attributes: Attributes) -> None:
        """Record what a hit saved."""
        self._calls.add(saved.calls, attributes)
        self._tokens.add(saved.total_tokens, attributes)
        self._seconds.add(saved.seconds, attributes)
        if saved.usd is None:
            self._unpriced.add(1, attributes)
        else:
            self._usd.add(saved.usd, attributes)


def _code(outcome: Outcome) -> str:
    return outcome.replace(" ", "_")


def _facts(found: Lookup) -> Attributes:
    """Return what a span tells of a lookup besides its outcome."""
    decision, saved = found.decision, found.saved
    facts: Attributes = {}
    if decision.similarity is not None:
        facts["similarity"] = decision.similarity
    if decision.guards:
        facts["guards"] = list(decision.guards)
    if decision.hit:
        facts["saved.calls"] = saved.calls
        facts["saved.tokens"] = saved.total_tokens
        if saved.usd is not None:
            facts["saved.usd"] = saved.usd
    return {f"{PREFIX}.{name}": value for name, value in facts.items()}


def _set_failed(span: "Span", error: Exception) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute(_OUTCOME, "error")
    # Not in metrics: exporters there are that lose the labels that not all points have.
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)
