"""Entries in any LangChain `VectorStore` and any LangChain `BaseStore`."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore
from langchain_core.vectorstores import VectorStore

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.vector_store import (
    adding,
    checks,
    embedder,
    removing,
    searching,
    tallies,
    verdicts,
)
from langchain_prodpatterns.cache.stores.vector_store.asking import Backends, Read
from langchain_prodpatterns.cache.stores.vector_store.claims import Claims
from langchain_prodpatterns.cache.stores.vector_store.filters import PartitionFilter
from langchain_prodpatterns.cache.stores.vector_store.handover import VectorHandover
from langchain_prodpatterns.cache.stores.vector_store.shelf import (
    BATCH,
    Shelf,
    entry_name,
)
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of
from langchain_prodpatterns.forking import guard

_UNFILTERED = 8
"""Times as many candidates where the partitions cannot be told apart in a search."""


class VectorStoreStore:
    """A `CacheStore` on a vector store and a key-value store of LangChain's.

    The key-value store is the truth: entries, aliases, rejected pairs and tallies are
    JSON in it, each record with a schema version and a checksum. The vector store only
    proposes candidates. Each is read from the key-value store, and its vector compared
    exactly with the question's: scores are not believed, and what is removed, past,
    damaged, rejected or of another partition is never served, even where its vector is
    still found.

    ```python
    from langchain_core.stores import InMemoryByteStore
    from langchain_core.vectorstores import InMemoryVectorStore

    from langchain_prodpatterns.cache.stores import VectorHandover, VectorStoreStore
    from langchain_prodpatterns.cache.stores.vector_store.filters import (
        in_memory_filter,
    )

    store = VectorStoreStore(
        InMemoryVectorStore(VectorHandover()),
        InMemoryByteStore(),
        partition_filter=in_memory_filter,
    )
    ```

    A vector store made with `VectorHandover` is handed the vectors that the cache has,
    and ids in place of texts. One that was made with other embeddings embeds each
    stored question again, which costs one more call an entry, and gets its text. They
    have to be the embeddings of the cache.

    A `BaseStore` has no transactions, no atomic counters and no way to compare and set.
    So this store is not `shared`: claims hold among the threads of one process, and
    each process makes an answer of its own at the same time. Several processes may all
    the same keep entries in one key-value store, if a record in it is written as a
    whole. Two that add to a tally at one moment may lose one of the counts, and what is
    promised then rests on the others. Where many processes shall act as one, use
    `PostgresStore`.

    It has no bounds: nothing is removed to make room. Entries that are past are never
    served, and take room until `sweep` is called. `remove`, `sweep` and `clear` go
    through all entries, unless a key says which one; `counts` lists them.
    """

    def __init__(
        self,
        vectorstore: VectorStore,
        kv: BaseStore[str, bytes],
        *,
        partition_filter: PartitionFilter | None = None,
        candidates: int = 8,
        prefix: str = "prodpatterns",
        embeddings: Embeddings | None = None,
        concurrent: bool = False,
        native_async: bool = False,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store.

        Args:
            vectorstore: Where vectors are searched; its own, with nothing else in it.
            kv: Where entries are kept: a `ByteStore`.
            partition_filter: From a partition to the keyword arguments with which
                `similarity_search_by_vector` looks in that partition only, as in
                `vector_store.filters`. Without one 8 times as many candidates are taken
                from all partitions, and up to 1,024 where too few fit: a neighbor that
                has more than those nearer to the question, in other partitions, is not
                found.
            candidates: How many to take from the vector store for one neighbor: the
                nearest of them by exact cosine. For each more, one more is taken.
            prefix: What every name in `kv` begins with.
            embeddings: What the vector store was made with; by default what it says.
            concurrent: Whether both stores may be asked by several threads at once,
                also while one writes, as the clients of servers may. Without it they
                are asked one at a time: FAISS and dictionaries are not safe otherwise.
            native_async: Whether to await the async methods of both. Not all vector
                stores have them, or have them beside the sync ones; those that make
                their collection with the first vectors should have it by then. Without
                it the sync ones run in threads of the cache's own.
            max_entries: Not supported: `None`.
            max_bytes: Not supported: `None`.
            clock: Seconds since the epoch.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When `kv` cannot be read, or holds what a newer release wrote.
        """
        checks.check_stores(vectorstore, kv)
        checks.check_unbounded(max_entries, max_bytes)
        checks.check_prefix(prefix)
        checks.check_filter(partition_filter)
        check_count("candidates", candidates, optional=False)
        checks.check_async(concurrent=concurrent, native_async=native_async)
        self._embeddings = checks.check_embeddings(embeddings or vectorstore.embeddings)
        handover = self._embeddings
        self._by_text = not isinstance(handover, VectorHandover)
        self._candidates = candidates
        self._times = _UNFILTERED if partition_filter is None else 1
        self._native = native_async
        self._model = ""
        self._backends = Backends(
            vectorstore,
            kv,
            handover=handover if isinstance(handover, VectorHandover) else None,
            partition_filter=partition_filter,
            prefix=prefix,
            concurrent=concurrent,
        )
        self._shelf = Shelf(clock)
        self._tallies = tallies.Tallies(self._shelf)
        self._claims = Claims(clock)
        # For what is read, changed and written: a `BaseStore` has no way to do that.
        self._changing = threading.RLock()
        # Apart: to go through all entries takes long, and a verdict does not wait.
        self._removing = threading.RLock()
        guard(self, "_changing", "_removing")
        self._backends.run(embedder.opened())

    @property
    def shared(self) -> bool:
        """Whether a claim holds for other processes, too: it does not."""
        return False

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The embedding model of its vectors, once there is one."""
        return self._backends.run(embedder.known())

    def bind(self, fingerprint: Fingerprint) -> None:
        """Take note of the embedding model.

        Raises:
            StoreError: When the vectors in the store were made by another, or the
                vector store embeds by another.
        """
        stored = self.fingerprint
        if stored is not None and not stored.admits(fingerprint):
            msg = (
                f"the store holds vectors of {stored}, the embeddings given are "
                f"{fingerprint}: give the same embeddings, or another prefix and an "
                "empty vector store"
            )
            raise StoreError(msg)
        own = fingerprint_of(self._embeddings).name
        if self._by_text and own != fingerprint.name:
            msg = (
                f"the vector store embeds by {own}, the cache by {fingerprint.name}: "
                "make the vector store with VectorHandover(), or with the same"
            )
            raise StoreError(msg)
        self._model = fingerprint.name

    def find(self, exact: str) -> Found | None:
        """Return the entry of a request, or of its alias."""
        return self._backends.run(searching.find(self._shelf, exact))

    async def afind(self, exact: str) -> Found | None:
        """Do what `find` does without blocking the event loop."""
        if not self._native:
            return await off_loop(partial(self.find, exact))
        return await self._backends.arun(searching.find(self._shelf, exact))

    def get(self, key: str) -> Entry | None:
        """Return an entry by its key."""
        return self._backends.run(searching.get(self._shelf, key))

    async def aget(self, key: str) -> Entry | None:
        """Do what `get` does without blocking the event loop."""
        if not self._native:
            return await off_loop(partial(self.get, key))
        return await self._backends.arun(searching.get(self._shelf, key))

    def nearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        """Return the nearest entries of a partition, the nearest first.

        Args:
            partition: The partition.
            vector: The question's vector.
            exact: The request: entries that were rejected for it are left out.
            limit: How many to return at most.
        """
        query = self._query(partition, vector, exact, limit)
        return self._backends.run(searching.nearest(self._shelf, query))

    async def anearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        """Do what `nearest` does without blocking the event loop.

        Args:
            partition: As for `nearest`.
            vector: As for `nearest`.
            exact: As for `nearest`.
            limit: As for `nearest`.
        """
        if not self._native:
            search = partial(self.nearest, partition, vector, exact=exact, limit=limit)
            return await off_loop(search)
        query = self._query(partition, vector, exact, limit)
        return await self._backends.arun(searching.nearest(self._shelf, query))

    def _query(
        self, partition: str, vector: Vector, exact: str, limit: int
    ) -> searching.Query:
        # As many to spare for many neighbors as for one.
        count = (self._candidates + limit - 1) * self._times
        return searching.Query(partition, vector, exact, limit, count)

    def add(self, entry: Entry, vector: Vector | None) -> bool:
        """Store an entry, in place of one of the same request; return that it is.

        Raises:
            StoreError: When the vector is not of the store's embedding model.
        """
        return self.add_many([(entry, vector)]) == 1

    async def aadd(self, entry: Entry, vector: Vector | None) -> bool:
        """Do what `add` does without blocking the event loop."""
        return await self.aadd_many([(entry, vector)]) == 1

    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        """Store many entries, some hundreds at once; return how many.

        What is stored stays so when `items` raises.

        Raises:
            StoreError: When a vector is not of the store's embedding model.
        """
        count = 0
        pending = iter(items)
        while batch := list(islice(pending, BATCH)):
            count += self._backends.run(adding.add(self._shelf, self._adding(batch)))
        return count

    async def aadd_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        """Do what `add_many` does without blocking the event loop."""
        if not self._native:
            return await off_loop(partial(self.add_many, items))
        count = 0
        pending = iter(items)
        while batch := list(islice(pending, BATCH)):
            steps = adding.add(self._shelf, self._adding(batch))
            count += await self._backends.arun(steps)
        return count

    def _adding(self, batch: Sequence[tuple[Entry, Vector | None]]) -> adding.Adding:
        return adding.Adding(batch, self._model, self._by_text)

    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        """Remember that an entry answers this request, too."""
        steps = verdicts.approve(self._shelf, exact, asked, key, nearness)
        with self._changing:
            self._backends.run(steps)

    def reject(self, exact: str, key: str) -> bool:
        """Remember that an entry does not answer this request; return if it is news."""
        with self._changing:
            return self._backends.run(verdicts.reject(self._shelf, exact, key))

    def touch(self, key: str) -> None:
        """Note that an entry was served, in this process's memory."""
        self._backends.check_open()
        self._shelf.note_hit(key)

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many.

        A vector that cannot be removed now is removed by a later `sweep`.
        """
        with self._removing:
            return self._backends.run(removing.remove(self._shelf, selection))

    def scan(
        self, selection: Selection | None = None, *, batch: int = 500
    ) -> Iterator[tuple[Entry, Vector | None]]:
        """Go through entries and their vectors, in the order of the key-value store.

        Args:
            selection: Which entries; `None` for all.
            batch: How many to read at once.
        """
        selection = selection or Selection()
        chosen = self._backends.run(removing.choose(selection))
        slots = self._backends.run(removing.places(selection))
        for some in removing.batches(slots, batch):
            raws = self._backends.run(_read(some))
            kept, _ = self._shelf.opened(dict(zip(some, raws, strict=True)))
            now = self._shelf.clock()
            for slot, one in self._shelf.lasting(kept).items():
                if chosen.fits(slot, one, now):
                    yield one.entry, one.vector

    def sweep(self, limit: int = 10_000) -> int:
        """Remove entries whose time is over, and vectors that were left behind.

        Every entry is read for it.

        Args:
            limit: How many entries to remove at most.

        Returns:
            How many entries were removed.
        """
        with self._removing:
            return self._backends.run(removing.sweep(self._shelf, limit))

    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        """Add to the counters of a cell, and to those of all partitions together."""
        with self._changing:
            self._backends.run(self._tallies.add(partition, cell, right, wrong))

    def tallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Return what was right and wrong, a cell; `None` for all partitions."""
        return self._backends.run(tallies.read(partition))

    def adopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        """Take over a partition's counters, unless it has some; return whether."""
        with self._changing:
            return self._backends.run(self._tallies.adopt(partition, tallies))

    def reset_tallies(self, partition: str | None) -> None:
        """Forget the counters of a partition, in the sums too, or all of them."""
        with self._changing:
            self._backends.run(self._tallies.reset(partition))

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Try to be the only one, in this process, who does something."""
        self._backends.check_open()
        return self._claims.claim(name, holder, seconds)

    def release(self, name: str, holder: str) -> None:
        """Give a claim back, if the holder has it."""
        self._backends.check_open()
        self._claims.release(name, holder)

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        with self._removing:
            self._backends.run(removing.quarantine(self._shelf, key, reason))

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair, tally and the embedding model."""
        with self._removing, self._changing:
            self._backends.run(removing.clear(self._shelf))
            self._backends.run(self._tallies.reset(None))

    def counts(self) -> StoreCounts:
        """Return what the store did, and what there is.

        Of more than 1,000 entries the bytes are estimated by as many.
        """
        return self._backends.run(removing.count(self._shelf))

    def close(self) -> None:
        """Have nothing asked any more. Both stores are yours to close."""
        self._backends.close()


def _read(slots: Sequence[str]) -> Any:
    return (yield Read([entry_name(slot) for slot in slots]))
