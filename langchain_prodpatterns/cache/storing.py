"""What becomes of an answer: stored, or passed through if it is not worth it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from langchain_prodpatterns.cache.admission import Unworthy, objection
from langchain_prodpatterns.cache.counters import Counters, Event
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.metadata import (
    Labels,
    TimeToLive,
    seconds_to_live,
)
from langchain_prodpatterns.cache.recalls import Recalls
from langchain_prodpatterns.cache.steps import Call, Steps, of_store, vector_of
from langchain_prodpatterns.cache.stores import CacheStore, Entry, Selection
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.values import Unstorable, answer_in, pack
from langchain_prodpatterns.cache.warming import Warmed
from langchain_prodpatterns.usage import Usage


class Storing:
    """Stores answers."""

    def __init__(
        self,
        store: CacheStore,
        counters: Counters,
        recalls: Recalls,
        *,
        ttl: TimeToLive | None = None,
    ) -> None:
        """Set up what stores answers.

        Args:
            store: Where the entries are.
            counters: Where events are counted.
            recalls: What was invalidated lately.
            ttl: Seconds that an answer lives, or what tells them of an answer.
        """
        self._store = store
        self._counters = counters
        self._recalls = recalls
        self._ttl = ttl

    def keep(
        self,
        identity: Identity,
        value: Callable[[], dict[str, Any]],
        saved: Usage,
        labels: Labels,
        *,
        vector: Vector | None = None,
    ) -> Steps[bool]:
        """Store a value under a request's identity.

        Args:
            identity: The request.
            value: Gives the `output`, the `chunks` or both. May raise `Unstorable`
                and `Unworthy`.
            saved: What the output had cost.
            labels: What else to store with it.
            vector: The question's vector, where it is known.

        Returns:
            The steps of the update, which end with whether it was stored.
        """
        try:
            entry: Entry = yield Call(
                partial(self._entry, identity, value, saved, labels)
            )
        except Unworthy as error:
            self._refuse("not stored", error)
            return False
        except Unstorable as error:
            self._refuse("unserializable", error)
            return False
        if vector is None and identity.text is not None:
            vector = yield from vector_of(identity.text, self._counters.quiet)
        stored = yield from self._add(entry, vector, labels.since)
        self._counters.count("stored" if stored else "not stored")
        return stored

    def _add(
        self, entry: Entry, vector: Vector | None, since: float | None
    ) -> Steps[bool]:
        """Store an entry, unless it was invalidated while it was on its way."""
        if self._recalls.cover(entry, since):
            return False
        fitting: Vector | None = yield Call(partial(self._fitting, vector))
        stored: bool = yield of_store(self._store, "add", entry, fitting)
        # Or while it was being stored: then it was not there to be removed.
        if stored and self._recalls.cover(entry, since):
            yield of_store(self._store, "remove", Selection(key=entry.key))
            return False
        return stored

    def _fitting(self, vector: Vector | None) -> Vector | None:
        """Return a vector, if it is as long as the stored ones; else there is none.

        To open a cache refuses such embeddings, but not if their provider was down
        then. An equal request is answered all the same.
        """
        known = self._store.fingerprint
        if vector is None or known is None or known.dimensions in {None, vector.size}:
            return vector
        self._counters.count("error")
        self._counters.tell_once(
            "misfit",
            "the embeddings give %d dimensions, the stored vectors have %d: answers "
            "are kept for equal requests only (told once)",
            vector.size,
            known.dimensions,
        )
        return None

    def _entry(
        self,
        identity: Identity,
        value: Callable[[], dict[str, Any]],
        saved: Usage,
        labels: Labels,
    ) -> Entry:
        """Write a value down, if it is worth storing.

        Raises:
            Unworthy: When it is not.
            Unstorable: When JSON cannot hold it.
        """
        given = value()
        answer = answer_in(given)
        reason = objection(answer)
        if reason is not None:
            raise Unworthy(reason)
        return Entry(
            key=uuid4().hex,
            partition=identity.partition,
            exact=identity.exact,
            text=identity.text,
            value=pack(given),
            namespace=identity.namespace,
            saved=saved,
            metadata=labels.metadata_of(answer),
            ttl=seconds_to_live(labels.ttl or self._ttl, answer),
        )

    def write_down(self, warmed: Warmed, labels: Labels) -> Entry | None:
        """Return the entry of an answer that is stored ahead, if it is worth it."""
        try:
            return self._entry(
                warmed.identity, lambda: warmed.value, warmed.saved, labels
            )
        except Unworthy as error:
            self._refuse("not stored", error)
        except Unstorable as error:
            self._refuse("unserializable", error)
        return None

    def store_many(self, items: Sequence[tuple[Entry, Vector | None]]) -> int:
        """Store entries with their vectors; return how many."""
        stored = self._store.add_many(items)
        self._counters.count("stored", stored)
        return stored

    def _refuse(self, event: Event, error: Exception) -> None:
        """Count an answer that is passed through unstored, and tell of the first."""
        self._counters.count(event)
        self._counters.tell_once(
            event, "an answer is not cached (told once): %s", error
        )
