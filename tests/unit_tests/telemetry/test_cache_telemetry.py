"""What a cache does, as metrics and spans."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cache.watching import unwatched
from langchain_prodpatterns.errors import (
    ConfigurationError,
    MissingExtraError,
    StoreError,
    StoreUnavailable,
)
from langchain_prodpatterns.telemetry import CacheTelemetry, observed
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.cache.conftest import CLONES, LLM, answer_of

DOGS = "Can I take my dog on the ferry?"
NEAR = "Can I take my dog on the big ferry?"
PREFIX = "prodpatterns.cache"


class Measured:
    """A provider of each kind, and what was reported to them."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._exporter = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def metrics(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
        """Return name to attributes to value, without the common prefixes."""
        data = self._reader.get_metrics_data()
        found: dict[str, dict[tuple[tuple[str, Any], ...], Any]] = {}
        for metric in (
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ):
            points = found.setdefault(metric.name.removeprefix(f"{PREFIX}."), {})
            for point in metric.data.data_points:
                own = {
                    name.removeprefix(f"{PREFIX}."): value
                    for name, value in (point.attributes or {}).items()
                }
                value = getattr(point, "value", None)
                points[tuple(sorted(own.items()))] = (
                    getattr(point, "count", 0) if value is None else value
                )
        return found

    def value(self, metric: str, /, **attributes: Any) -> Any:
        key = tuple(sorted((n.replace("_", "."), v) for n, v in attributes.items()))
        return self.metrics()[metric][key]

    def outcomes(self) -> dict[str, int]:
        points = self.metrics().get("lookups", {})
        return {dict(key)["outcome"]: value for key, value in points.items()}

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def text(self) -> str:
        """All that was reported, as text."""
        return f"{self.metrics()} {[span.to_json() for span in self.spans()]}"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Measured]:
    monkeypatch.setattr(observed, "_FRESH_SECONDS", 0.0)
    measured = Measured()
    yield measured
    measured.meters.shutdown()
    measured.tracers.shutdown()


Watch = Callable[..., CacheTelemetry]


@pytest.fixture
def watch(measured: Measured) -> Watch:
    def start(*caches: SemanticJudgeCache, **options: Any) -> CacheTelemetry:
        return CacheTelemetry(
            *caches,
            meter_provider=measured.meters,
            tracer_provider=measured.tracers,
            **options,
        )

    return start


@pytest.fixture
def cache() -> Iterator[SemanticJudgeCache]:
    with SemanticJudgeCache(LexicalEmbeddings(), lambda request: True) as opened:
        yield opened


@pytest.fixture
def model(cache: SemanticJudgeCache) -> ScriptedChatModel:
    return ScriptedChatModel(default="the private answer", cache=cache)


def test_lookups_are_counted_by_how_they_end(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    watch(cache)
    for question in (DOGS, DOGS, NEAR, NEAR, "What does a kayak cost?"):
        model.invoke(question)

    assert measured.outcomes() == {"miss": 2, "exact": 1, "judged_hit": 1, "alias": 1}
    assert measured.value("lookup.duration", outcome="miss") == 2
    assert measured.value("updates", result="stored") == 2
    assert measured.value("entries") == 2
    assert measured.value("aliases") == 1
    assert measured.value("size") == cache.stats().bytes
    assert measured.value("promise.evidence") == 1
    assert measured.value("promise.delta") == 0.02
    assert measured.value("promise.bound") == cache.stats().bound


def test_verdicts_that_say_no_or_do_not_come_are_counted(
    measured: Measured, watch: Watch
) -> None:
    def judge(request: Any) -> bool:
        if "big" in request.new_question:
            raise TimeoutError
        return False

    with SemanticJudgeCache(LexicalEmbeddings(), judge) as cache:
        watch(cache)
        model = ScriptedChatModel(default="x", cache=cache)
        for question in (DOGS, NEAR, "Can I take my dog on this ferry?"):
            model.invoke(question)

        assert measured.outcomes() == {"miss": 1, "judged_miss": 2}
        assert measured.value("judge.failures") == 1
        assert measured.value("judge.background", result="deferred") == 0
        assert measured.value("rejected") == 1


def test_what_hits_save_is_summed(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    watch(cache)
    answer = answer_of(AIMessage("x"))
    cache.update("priced", LLM, answer, saved=Usage(2, 10, 20, 0.25, 0.0))
    cache.update("unpriced", LLM, answer, saved=Usage(1, 1, 1, None, 0.0))
    for question in ("priced", "priced", "unpriced"):
        assert cache.lookup(question, LLM)

    assert measured.value("saved.calls") == 5
    assert measured.value("saved.tokens") == 62
    assert measured.value("saved.usd") == 0.5
    assert measured.value("saved.unpriced") == 1
    assert measured.value("saved.duration") == 0.0


def test_a_wrapped_chain_is_measured_too(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    watch(cache)
    chain: Any = cache.wrap(RunnableLambda(lambda text: f"answer to {text}"))

    chain.invoke(DOGS)
    assert list(chain.stream(DOGS)) == [f"answer to {DOGS}"]
    chain.batch([DOGS, NEAR])

    assert measured.outcomes() == {"miss": 1, "exact": 2, "judged_hit": 1}


async def test_async_lookups_are_measured_like_sync_ones(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    watch(cache)
    chain = cache.wrap(RunnableLambda(lambda text: text))
    await model.ainvoke(DOGS)
    await asyncio.gather(*(model.ainvoke(DOGS) for _ in range(10)))
    await chain.ainvoke(DOGS)
    await chain.ainvoke(DOGS)

    assert measured.outcomes() == {"miss": 2, "exact": 11}
    spans = measured.spans()
    assert len(spans) == 13
    # None is left open, in whatever task.
    assert {span.parent for span in spans} == {None}


def test_no_lookup_is_lost_among_threads(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    watch(cache)
    model.invoke(DOGS)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(model.invoke, [DOGS] * 100))

    assert measured.outcomes() == {"miss": 1, "exact": 100}


def test_a_span_tells_how_a_lookup_ended(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    watch(cache)
    tracer = measured.tracers.get_tracer("application")
    with tracer.start_as_current_span("request") as request:
        model.invoke(DOGS)
        model.invoke(NEAR)

    miss, hit, _ = measured.spans()
    assert {miss.name, hit.name} == {"cache lookup"}
    assert miss.parent is not None
    assert miss.parent.span_id == request.get_span_context().span_id
    assert dict(miss.attributes or {}) == {f"{PREFIX}.outcome": "miss"}
    attributes: dict[str, Any] = dict(hit.attributes or {})
    assert attributes.pop(f"{PREFIX}.similarity") == pytest.approx(0.9, abs=0.1)
    assert attributes.pop(f"{PREFIX}.saved.tokens") > 0
    assert attributes == {f"{PREFIX}.outcome": "judged_hit", f"{PREFIX}.saved.calls": 1}


def test_what_embeds_in_a_lookup_is_below_its_span(
    measured: Measured, watch: Watch
) -> None:
    tracer = measured.tracers.get_tracer("embeddings")

    class Traced(LexicalEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            with tracer.start_as_current_span("embed"):
                return super().embed_query(text)

    with SemanticJudgeCache(Traced(), lambda request: True) as cache:
        watch(cache)
        cache.lookup("x", LLM)

    inner, outer = measured.spans()
    assert (inner.name, outer.name) == ("embed", "cache lookup")
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id


def test_the_guards_that_fired_and_the_price_are_in_the_span(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    watch(cache)
    answer = answer_of(AIMessage("x"))
    saved = Usage(1, 1, 1, 0.5, 0.0)
    cache.update("The ferry at 9 with my dog", LLM, answer, saved=saved)
    cache.lookup("The ferry at 8 with my dog", LLM)

    attributes = measured.spans()[-1].attributes or {}
    assert attributes[f"{PREFIX}.guards"] == ("number",)
    assert attributes[f"{PREFIX}.saved.usd"] == 0.5


@pytest.mark.parametrize("error", [StoreUnavailable, StoreError, ZeroDivisionError])
def test_a_lookup_that_fails_is_one_and_says_no_more_than_its_type(
    measured: Measured,
    watch: Watch,
    cache: SemanticJudgeCache,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    watch(cache)

    def fail(*_: object) -> None:
        raise error("a private message")

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "find", fail)
        patched.setattr(LocalStore, "counts", fail)

        assert cache.lookup(DOGS, LLM) is None
        away = error is StoreUnavailable
        # Told while the store cannot be asked for anything.
        assert measured.value("store.unavailable") == int(away)
        assert measured.value("errors") == int(not away)
        # Of a store that is away, as it was last seen.
        assert ("entries" in measured.metrics()) == away

    assert measured.outcomes() == {"error": 1}
    assert measured.value("lookup.duration", outcome="error") == 1
    (span,) = measured.spans()
    assert dict(span.attributes or {}) == {
        f"{PREFIX}.outcome": "error",
        "error.type": error.__name__,
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()
    assert "private" not in measured.text()
    assert measured.value("entries") == 0


def test_a_lookup_that_is_interrupted_is_none(
    measured: Measured,
    watch: Watch,
    cache: SemanticJudgeCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch(cache)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalStore, "find", interrupt)

    with pytest.raises(KeyboardInterrupt):
        cache.lookup(DOGS, LLM)

    assert measured.outcomes() == {}
    assert len(measured.spans()) == 1


def test_nothing_private_is_in_metrics_or_spans(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    watch(cache)
    tenant = cache.scoped("a private tenant")
    ScriptedChatModel(default="x", cache=tenant).invoke(DOGS)
    for question in (DOGS, NEAR):
        model.invoke(question)
    keys = [entry.key for entry, _ in cache._store.scan()]

    told = measured.text()

    assert "private" not in told
    assert "dog" not in told
    assert not [key for key in keys if key in told]


def test_namespaces_are_told_when_that_is_wanted(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    watch(cache, namespaces=True)
    cache.scoped("tenant").lookup("x", LLM)

    assert measured.value("lookups", namespace="tenant", outcome="miss") == 1
    attributes = measured.spans()[0].attributes or {}
    assert attributes[f"{PREFIX}.namespace"] == "tenant"


def test_caches_are_told_apart_by_their_names(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    with SemanticJudgeCache(LexicalEmbeddings(), band=(0.5, 0.9)) as other:
        telemetry = watch(cache)
        telemetry.watch(other, "other")
        cache.lookup("x", LLM)
        other.lookup("x", LLM)
        other.update("x", LLM, answer_of(AIMessage("x")))

        assert measured.value("lookups", outcome="miss") == 1
        assert measured.value("lookups", outcome="miss", name="other") == 1
        assert measured.value("entries", name="other") == 1
        assert measured.value("entries") == 0
        with pytest.raises(ConfigurationError, match="'other' is watched already"):
            telemetry.watch(other, "other")
        with pytest.raises(ConfigurationError, match="None is watched already"):
            telemetry.watch(cache)


def test_after_close_nothing_is_measured(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache, model: Any
) -> None:
    telemetry = watch(cache)
    model.invoke(DOGS)
    telemetry.close()
    model.invoke(DOGS)

    assert measured.outcomes() == {"miss": 1}
    assert "entries" not in measured.metrics()
    assert cache.core.watch is unwatched
    telemetry.close()


def test_a_later_watcher_is_not_taken_away(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    first = watch(cache)
    second = CacheTelemetry(cache, meter_provider=MeterProvider())
    first.close()
    cache.lookup("x", LLM)

    assert cache.core.watch is not unwatched
    assert measured.outcomes() == {}
    second.close()


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_of_a_cache_is_not_watched(
    measured: Measured, watch: Watch, clone: Callable[[Any], Any]
) -> None:
    with SemanticJudgeCache(LexicalEmbeddings(), band=(0.5, 0.9)) as cache:
        watch(cache)
        with clone(cache) as copied:
            copied.lookup("x", LLM)

            assert copied.core.watch is unwatched
            assert measured.outcomes() == {}


def test_without_providers_nothing_is_reported_and_nothing_fails(
    cache: SemanticJudgeCache, model: Any
) -> None:
    CacheTelemetry(cache)

    assert model.invoke(DOGS).content == model.invoke(DOGS).content


def test_without_the_extra_it_is_named(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(MissingExtraError, match=r"langchain-prodpatterns\[otel\]"):
        CacheTelemetry(cache)


def test_only_a_cache_is_watched() -> None:
    with pytest.raises(ConfigurationError, match="got str"):
        CacheTelemetry("cache")  # type: ignore[arg-type]


def test_explain_is_no_lookup(
    measured: Measured, watch: Watch, cache: SemanticJudgeCache
) -> None:
    watch(cache)
    cache.explain("x", LLM)

    assert measured.outcomes() == {}
    assert measured.spans() == []
