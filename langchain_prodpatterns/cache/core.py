"""What the cache of a model and the cache of a chain have in common."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TypeVar

from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_prodpatterns import ledger
from langchain_prodpatterns.cache.calibration import LabeledPair, Measured
from langchain_prodpatterns.cache.counters import Counters
from langchain_prodpatterns.cache.decision import CacheDecision
from langchain_prodpatterns.cache.flights import Flights
from langchain_prodpatterns.cache.identity import Identity, Scope
from langchain_prodpatterns.cache.leases import Leases
from langchain_prodpatterns.cache.lookups import Lookup, Visit
from langchain_prodpatterns.cache.measuring import measured, questions_of
from langchain_prodpatterns.cache.metadata import Labels, TimeToLive
from langchain_prodpatterns.cache.policy import Policy
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.recalls import Recalls
from langchain_prodpatterns.cache.steps import Hands, Steps, awalk, walk
from langchain_prodpatterns.cache.stores import Announcing, CacheStore
from langchain_prodpatterns.cache.storing import Storing
from langchain_prodpatterns.cache.tiers import Tiers
from langchain_prodpatterns.cache.warming import (
    Warmed,
    aembedded,
    batches,
    embedded,
    entries_of,
)
from langchain_prodpatterns.cache.watching import Watch, unwatched
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import StoreUnavailable
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of
from langchain_prodpatterns.judging import BoundJudge, Judgement, YesNoVerdict

T = TypeVar("T")

_active: ContextVar[tuple[int, ...]] = ContextVar("prodpatterns_cache", default=())


class Core:
    """Takes the steps of lookups and updates; the judge asked in one is not cached."""

    def __init__(
        self,
        embeddings: Embeddings,
        store: CacheStore,
        policy: Policy,
        judge: BoundJudge[SameAnswerRequest, YesNoVerdict] | None,
        *,
        ttl: TimeToLive | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            embeddings: What embeds questions.
            store: Where the entries are. It is closed if it is of other embeddings.
            policy: Which near hits are served, judged or missed.
            judge: The judge, where there is one.
            ttl: Seconds that an answer lives, or what tells them of an answer.

        Raises:
            StoreError: When the store is of other embeddings, or cannot be read.
        """
        self.embeddings = embeddings
        """What embeds questions."""
        self.counters: Counters = Counters()
        """Where events are counted."""
        self.flights: Flights = Flights()
        """The calls of wrapped chains that are under way."""
        self.leases: Leases = Leases(store, self.counters.quiet)
        """Which of them other processes wait for."""
        self._judge = judge
        self._policy = policy
        self.recalls: Recalls = Recalls()
        """What was invalidated lately."""
        self.tiers: Tiers = Tiers(store, policy, judge, self.counters)
        """The steps of a lookup."""
        self.storing: Storing = Storing(store, self.counters, self.recalls, ttl=ttl)
        """The steps of an update."""
        self.watch: Watch = unwatched
        """Who watches the lookups."""
        self._embedder = self._bind(store)
        if isinstance(store, Announcing):
            store.on_recall(self.recalls.note)

    def _bind(self, store: CacheStore) -> Fingerprint:
        """Refuse a store whose vectors are of other embeddings."""
        fingerprint = fingerprint_of(self.embeddings)
        try:
            store.bind(fingerprint)
            if store.fingerprint is not None:
                store.bind(Fingerprint(fingerprint.name, self._dimensions()))
        except StoreUnavailable:
            # It was opened without its database. It compares no vectors of others.
            self.counters.count("unavailable")
        except BaseException:
            store.close()
            raise
        return fingerprint

    def _dimensions(self) -> int | None:
        """Return the length of the embeddings' vectors, if they can be asked now."""
        # A provider that is down must not keep answers from those who ask as before;
        # of another length, a vector is like no other, and is not stored.
        with self.quiet("asking the embeddings for their dimension"):
            return len(self.embeddings.embed_query("dimension"))
        return None

    def scope(self, namespace: str) -> Scope:
        """Return what partitions every request in a namespace."""
        return Scope(namespace, self._embedder.name)

    def quiet(self, what: str) -> AbstractContextManager[None]:
        """Swallow, log and count an error: the call that is served must not fail."""
        return self.counters.quiet(what)

    def take(self, steps: Steps[T], hands: Hands) -> T:
        """Take the steps of a lookup or an update, blocking this thread."""
        with self._as_active():
            return walk(steps, hands)

    async def atake(self, steps: Steps[T], hands: Hands) -> T:
        """Take the steps of a lookup or an update without blocking the event loop."""
        with self._as_active():
            return await awalk(steps, hands)

    def look_up(self, steps: Steps[Lookup], hands: Hands, namespace: str) -> Lookup:
        """Take the steps of a lookup that somebody may watch."""
        with self.watch(namespace) as note:
            found = self.take(steps, hands)
            note(found)
            return found

    async def alook_up(
        self, steps: Steps[Lookup], hands: Hands, namespace: str
    ) -> Lookup:
        """Take the steps of a lookup that somebody may watch, natively async."""
        with self.watch(namespace) as note:
            found = await self.atake(steps, hands)
            note(found)
            return found

    def explain(self, identity: Identity) -> CacheDecision:
        """Say what a lookup would decide, with what is promised and known."""
        hands = Visit().hands(self.embeddings, booked=False)
        found = self.take(self.tiers.find(identity, dry=True), hands)
        return self._explained(found.decision)

    async def aexplain(self, identity: Identity) -> CacheDecision:
        """Say what a lookup would decide, natively async."""
        hands = Visit().hands(self.embeddings, booked=False)
        found = await self.atake(self.tiers.find(identity, dry=True), hands)
        return await off_loop(partial(self._explained, found.decision))

    def _explained(self, decision: CacheDecision) -> CacheDecision:
        return replace(decision, promise=self._policy.promise(decision.partition))

    def ask_all(
        self, requests: list[SameAnswerRequest], max_concurrency: int
    ) -> list[Judgement[YesNoVerdict]] | None:
        """Ask the judge about several pairs at once; `None` without a judge."""
        if self._judge is None:
            return None
        with self._as_active(), self._booked(len(requests)) as asking:
            return asking.batch(requests, {"max_concurrency": max_concurrency})

    async def aask_all(
        self, requests: list[SameAnswerRequest], max_concurrency: int
    ) -> list[Judgement[YesNoVerdict]] | None:
        """Ask the judge about several pairs at once, natively async."""
        if self._judge is None:
            return None
        with self._as_active(), self._booked(len(requests)) as asking:
            return await asking.abatch(requests, {"max_concurrency": max_concurrency})

    @contextmanager
    def _booked(
        self, pairs: int
    ) -> Iterator[Runnable[SameAnswerRequest, Judgement[YesNoVerdict]]]:
        """Lend what asks the judge; its calls are those of one decision."""
        judge, visit = self._judge, Visit()
        assert judge is not None  # noqa: S101 - both callers have looked
        config = visit.hands(self.embeddings).judge_config()

        def ask(request: SameAnswerRequest) -> Judgement[YesNoVerdict]:
            return judge.ask(request, config)

        async def aask(request: SameAnswerRequest) -> Judgement[YesNoVerdict]:
            return await judge.aask(request, config)

        yield RunnableLambda(ask, aask)
        ledger.report(visit.calibrated(pairs), visit.config)

    def measure(self, pairs: list[LabeledPair]) -> list[Measured]:
        """Compare the questions of labeled pairs."""
        texts = questions_of(pairs)
        return measured(pairs, texts, self.embeddings.embed_documents(texts))

    async def ameasure(self, pairs: list[LabeledPair]) -> list[Measured]:
        """Compare the questions of labeled pairs, natively async."""
        texts = questions_of(pairs)
        vectors = await self.embeddings.aembed_documents(texts)
        return await off_loop(partial(measured, pairs, texts, vectors))

    def warm(self, items: Iterable[Warmed], labels: Labels) -> int:
        """Store many answers; return how many."""
        stored = 0
        for batch in batches(items):
            entries = entries_of(batch, labels, self.storing.write_down)
            stored += self.storing.store_many(embedded(self.embeddings, entries))
        return stored

    async def awarm(self, items: Iterable[Warmed], labels: Labels) -> int:
        """Store many answers, natively async; return how many."""
        stored = 0
        left = batches(items)
        while batch := await off_loop(partial(next, left, None)):
            entries = await off_loop(
                partial(entries_of, batch, labels, self.storing.write_down)
            )
            items_ = await aembedded(self.embeddings, entries)
            stored += await off_loop(partial(self.storing.store_many, items_))
        return stored

    @contextmanager
    def _as_active(self) -> Iterator[None]:
        """Keep the judge's own calls out of the cache that asks it."""
        token = _active.set((*_active.get(), id(self)))
        try:
            yield
        finally:
            _active.reset(token)

    @property
    def is_active(self) -> bool:
        """Whether this is called from within a step of its own."""
        return id(self) in _active.get()
