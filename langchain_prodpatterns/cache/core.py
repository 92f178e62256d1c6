"""What the cache of a model and the cache of a chain have in common."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.cache.counters import Counters
from langchain_prodpatterns.cache.decision import Policy
from langchain_prodpatterns.cache.flights import Flights
from langchain_prodpatterns.cache.identity import Scope
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.steps import Hands, Steps, awalk, walk
from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.cache.tiers import Tiers
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of
from langchain_prodpatterns.judging import BoundJudge, YesNoVerdict

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
        ttl: float | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            embeddings: What embeds questions.
            store: Where the entries are. It is closed if it is of other embeddings.
            policy: Which near hits are served, judged or missed.
            judge: The judge, where there is one.
            ttl: Seconds that an answer lives.

        Raises:
            StoreError: When the store is of other embeddings, or cannot be read.
        """
        self.embeddings = embeddings
        """What embeds questions."""
        self.counters = Counters()
        """Where events are counted."""
        self.flights = Flights()
        """The calls of wrapped chains that are under way."""
        self.tiers = Tiers(store, policy, judge, self.counters, ttl=ttl)
        """The steps of a lookup and of an update."""
        self._embedder = self._bind(store)

    def _bind(self, store: CacheStore) -> Fingerprint:
        """Refuse a store whose vectors are of other embeddings."""
        fingerprint = fingerprint_of(self.embeddings)
        try:
            store.bind(fingerprint)
            if store.fingerprint is not None:
                store.bind(Fingerprint(fingerprint.name, self._dimensions()))
        except BaseException:
            store.close()
            raise
        return fingerprint

    def _dimensions(self) -> int | None:
        """Return the length of the embeddings' vectors, if they can be asked now."""
        # A provider that is down must not keep answers from those who ask as before;
        # of another length, a vector is like no other.
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
