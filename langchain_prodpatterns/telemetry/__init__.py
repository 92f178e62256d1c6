"""What caches do, as OpenTelemetry metrics and spans (extra `otel`).

```python
telemetry = CacheTelemetry(cache)  # all it does, behind a model or around a chain
```

| metric | instrument, unit | attributes besides those of every metric |
|---|---|---|
| `prodpatterns.cache.lookups` | counter | `prodpatterns.cache.outcome` |
| `prodpatterns.cache.lookup.duration` | histogram, s | the same |
| `prodpatterns.cache.saved.calls`, `.tokens`, `.usd` | counters | |
| `prodpatterns.cache.saved.duration` | counter, s | |
| `prodpatterns.cache.saved.unpriced` | counter: hits whose price nobody knows | |
| `prodpatterns.cache.updates` | counter | `prodpatterns.cache.result` |
| `prodpatterns.cache.judge.failures`, `.audits` | counters | |
| `prodpatterns.cache.judge.background` | counter | `prodpatterns.cache.result` |
| `prodpatterns.cache.errors` | counter: what failed and was a miss | |
| `prodpatterns.cache.store.unavailable` | counter: the store was away | |
| `prodpatterns.cache.removals` | counter | `prodpatterns.cache.reason` |
| `prodpatterns.cache.entries`, `.aliases`, `.rejected` | gauges | |
| `prodpatterns.cache.size` | gauge, By | |
| `prodpatterns.cache.promise.delta`, `.bound` | gauges: shares | |
| `prodpatterns.cache.promise.evidence` | gauge: verdicts | |

Every metric has `prodpatterns.cache.name` where the cache was given a name. No text, no
key and no message of an error is in any attribute. Gauges are of the store, which
processes may share: take their maximum, not their sum.

A lookup is a span, `cache lookup`; what embeds and judges within it is below it where
that is traced, too. It is no call of a model, so it has no `gen_ai` attributes: those
are of the calls below it.

The spans of model calls are made by what instruments LangChain or the provider's
client, and `gen_ai.request.model`, `gen_ai.usage.input_tokens`,
`gen_ai.usage.output_tokens` and their like are on these. An instrumentation that takes
over the metadata of LangChain's runs has beside them `prodpatterns.pattern`, on whose
behalf a model was called, `prodpatterns.run`, by which pattern run, and on the run of a
pattern itself `prodpatterns.decision`, `.calls`, `.input_tokens`, `.output_tokens`,
`.usd`, `.saved_calls`, `.saved_tokens`, `.saved_usd` and `.counts`. The ledger books
the same figures.
"""

from langchain_prodpatterns.telemetry.cache_telemetry import CacheTelemetry

__all__ = ["CacheTelemetry"]
