# %% [markdown]
# # A cache on a dashboard
#
# Who runs a cache for many users wants to see whether it helps: how lookups end, what
# hits save, how long users wait, whether the promise is kept, and that a store which is
# away costs hits and never an answer. `CacheTelemetry` tells all that to OpenTelemetry,
# from where it goes to Prometheus, or to any other backend.
#
# 1. measure a cache
# 2. some traffic, and a store that goes away
# 3. what Prometheus reads
# 4. what a trace shows
# 5. alerts and a dashboard
#
# **Real:** the cache, its metrics and spans, the exporter, and the page that is read
# over HTTP from this machine to itself. **Scripted:** what the model and the judge
# answer, the prices, and the store's absence. The embeddings are `LexicalEmbeddings`,
# which know spelling and no meaning.
#
# No key, no network, no download. The exporter is the application's own choice:
# `pip install "langchain-prodpatterns[otel]" opentelemetry-exporter-prometheus`.

# %%
import re
from urllib.request import urlopen

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import start_http_server

from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.cache import LocalStore, SameAnswerRequest
from langchain_prodpatterns.cache.stores import Found
from langchain_prodpatterns.errors import StoreUnavailable
from langchain_prodpatterns.telemetry import CacheTelemetry
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

# %% [markdown]
# ## 1. Measure a cache
#
# The providers are OpenTelemetry's own. An application that has set them globally needs
# the last line only. Whatever is wrapped by the cache, or served from it, is measured.


# %%
class DistantStore(LocalStore):
    """A store that can be away, as a database on another host can."""

    is_away = False

    def find(self, exact: str) -> Found | None:
        """Return the entry of a request, if the store is there."""
        if self.is_away:
            msg = "the database is away"
            raise StoreUnavailable(msg)
        return super().find(exact)


def judge(request: SameAnswerRequest) -> bool:
    """Agree, unless one question is about a cat and the other is not."""
    return ("cat" in request.new_question) == ("cat" in request.stored_question)


store = DistantStore()
cache = SemanticJudgeCache(LexicalEmbeddings(), judge, store=store, judge_timeout=None)
model = ScriptedChatModel(model="ferry", default="It is free of charge.", cache=cache)

reader = PrometheusMetricReader(disable_target_info=True)
meters = MeterProvider([reader])
spans = InMemorySpanExporter()
tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
telemetry = CacheTelemetry(cache, meter_provider=meters, tracer_provider=tracers)

# %% [markdown]
# ## 2. Some traffic, and a store that goes away
#
# While the store is away every lookup is a miss, and the model answers.

# %%
DOG = "Can I take my dog on the ferry?"
questions = [DOG, DOG, "Can I take my dog on the big ferry?", "May a cat take a cabin?"]
questions += ["Can I take my cat on the ferry?", "Can I take my dog on the big ferry?"]
with track(prices={"ferry": (2.0, 8.0)}):
    for question in questions:
        model.invoke(question)
    store.is_away = True
    print(model.invoke(DOG).content)
    store.is_away = False
    model.invoke(DOG)

# %% [markdown]
# ## 3. What Prometheus reads
#
# A page over HTTP, here on a free port of this machine. In production the port is in
# the `scrape_configs` of Prometheus.

# %%
server, thread = start_http_server(0, addr="127.0.0.1")
with urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as response:
    page = response.read().decode()


def show(*names: str) -> None:
    """Print some metrics, with the outcome where they tell one."""
    found = []
    for line in page.splitlines():
        if line.startswith(names):
            words = re.findall(r'^\w+|(?<=outcome=")\w+', line)
            found.append((words, float(line.split()[-1])))
    for words, value in sorted(found):
        print(*words, f"{value:.3g}")


show("prodpatterns_cache_lookups_total", "prodpatterns_cache_saved_calls_total")
show("prodpatterns_cache_saved_usd_total", "prodpatterns_cache_store_unavailable_total")
show("prodpatterns_cache_promise", "prodpatterns_cache_entries")

# %% [markdown]
# The bound is far above the promise, and that is no reason to worry yet: it says how
# little a few verdicts prove. Until they prove more, nothing is served without a judge.
#
# Latency is a histogram by outcome; its counts are exact, its times are this machine's:

# %%
show("prodpatterns_cache_lookup_duration_seconds_count")

# %% [markdown]
# No label holds a question, an answer or a key. `CacheTelemetry(namespaces=True)` adds
# the namespace, where there are few; `telemetry.watch(other, "name")` watches one more
# cache under a name.
#
# ## 4. What a trace shows
#
# A lookup is one span. What an instrumented provider reports of its calls, such as the
# judge's, is below it.

# %%
PREFIX = "prodpatterns.cache."
for span in spans.get_finished_spans():
    facts = {
        name.removeprefix(PREFIX): f"{value:.2f}" if isinstance(value, float) else value
        for name, value in sorted((span.attributes or {}).items())
        if not name.startswith(f"{PREFIX}saved")
    }
    print(span.name, facts)

# %% [markdown]
# ## 5. Alerts and a dashboard
#
# [prometheus/](prometheus/prometheus.yml) has a configuration and the alerts: lookups
# that fail, a store that is away, slow lookups, a bound above the promise in spite of
# much evidence, verdicts that do not come. [grafana/](grafana/prodpatterns-cache.json)
# has a dashboard to import: outcomes, hit rate, judged share, bound and promise, what
# is saved, latency, errors.

# %%
server.shutdown()
server.server_close()
thread.join()
telemetry.close()
meters.shutdown()
tracers.shutdown()
cache.close()
