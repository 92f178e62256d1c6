"""The contract of a store. The decisions are made elsewhere; a store keeps rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import NO_USAGE, Usage

Vector: TypeAlias = npt.NDArray[np.float32]
"""A vector of unit length."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored answer."""

    key: str
    """Names the entry."""
    partition: str
    """The digest of all that must be equal for it to be shared."""
    exact: str
    """The digest of the whole request that it answers."""
    text: str | None
    """The semantic text of that request."""
    value: str
    """The answer, as `pack` writes it."""
    namespace: str
    """Whose it is."""
    saved: Usage = NO_USAGE
    """What the answer had cost: what a hit saves."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON that removal can ask for."""
    ttl: float | None = None
    """Seconds that it lives, from when it is stored; `None` is for ever."""
    created: float = 0.0
    """As read: when it was stored, in seconds since the epoch, by the store's clock."""
    hits: int = 0
    """As read: how often it was served, as far as that was written down."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that answers a request without a look at similarity."""

    entry: Entry
    """The entry."""
    by: Literal["exact", "alias"]
    """Whether it is that very request, or one found to have the same answer."""
    nearness: str = ""
    """Of an alias: what `add_alias` was told."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """An entry whose question is near."""

    entry: Entry
    """The entry."""
    similarity: float
    """The cosine of the two questions."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries to remove: those that every given criterion fits."""

    key: str | None = None
    """The entry of this key."""
    text: str | None = None
    """Entries that answer this text, as their own question or by an alias."""
    namespace: str | None = None
    """Entries of this namespace."""
    older_than: float | None = None
    """Entries stored at least this many seconds ago."""
    partition: str | None = None
    """Entries of this partition."""
    where: Callable[[Mapping[str, Any]], bool] | None = None
    """Entries for whose metadata this is true. What it raises reaches the caller, and
    nothing is removed then."""

    def fits(self, entry: Entry, age: float) -> bool:
        """Whether every criterion fits an entry, aliases aside.

        Args:
            entry: The entry.
            age: Its age in seconds.
        """
        given = (self.key, self.text, self.namespace, self.partition)
        own = (entry.key, entry.text, entry.namespace, entry.partition)
        return (
            all(one in {None, other} for one, other in zip(given, own, strict=True))
            and (self.older_than is None or age >= self.older_than)
            and (self.where is None or bool(self.where(entry.metadata)))
        )


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What a store did since it was opened."""

    entries: int
    """Entries in it now, expired ones that were not yet swept included."""
    evicted: int
    """Entries removed to make room."""
    quarantined: int
    """Rows that were damaged, and put aside."""
    aliases: int = 0
    """Requests in it that are known to have the answer of another."""
    rejected: int = 0
    """Pairs in it of a request and an entry that does not answer it."""
    bytes: int = 0
    """What the entries in it hold: texts, vectors, answers and what identifies them."""
    expired: int = 0
    """Entries removed since their time was over."""
    indexed: int = 0
    """Vectors in memory, to search in."""
    building: bool = False
    """Whether vectors are still being taken into memory."""


LASTING = "lasting:"
"""What the name of a partition begins with whose tallies are never forgotten, however
many others there are."""


class CacheStore(Protocol):
    """Keeps entries, aliases, rejected pairs, tallies and claims.

    Every method may block, is safe to call from many threads, and never returns an
    expired entry, a damaged one or one of another partition. One that cannot do what is
    asked raises `StoreError`; one that is away for now, `StoreUnavailable`.

    A store may have natively async twins, named with an `a` in front (`afind`): they
    are then awaited where there is an event loop. Else the methods here run in threads
    of the cache's own.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may use it, too: only then a claim is of use."""
        ...

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The embedding model of its vectors, once there is one."""
        ...

    def bind(self, fingerprint: Fingerprint) -> None:
        """Take note of the embedding model.

        Raises:
            StoreError: When the vectors in the store were made by another.
        """
        ...

    def find(self, exact: str) -> Found | None:
        """Return the entry of a request, or of its alias."""
        ...

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
        ...

    def get(self, key: str) -> Entry | None:
        """Return an entry by its key."""
        ...

    def add(self, entry: Entry, vector: Vector | None) -> bool:
        """Store an entry, in place of one of the same request.

        Returns:
            Whether it is stored: one for which there is no room is not.
        """
        ...

    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        """Store many entries, about a thousand a transaction; return how many.

        What is stored stays so when `items` raises.
        """
        ...

    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        """Remember that an entry answers this request, too.

        Args:
            exact: The request.
            asked: The digest of its semantic text, where it has one.
            key: The entry.
            nearness: How near the two were, in words of the caller's own.
        """
        ...

    def reject(self, exact: str, key: str) -> bool:
        """Remember that an entry does not answer this request.

        Returns:
            Whether that is news.
        """
        ...

    def touch(self, key: str) -> None:
        """Note that an entry was served."""
        ...

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many."""
        ...

    def scan(
        self, selection: Selection | None = None, *, batch: int = 500
    ) -> Iterator[tuple[Entry, Vector | None]]:
        """Go through entries and their vectors, in an order of the store's own.

        What comes meanwhile may be missed. Nothing is written, and nobody waits while
        the caller looks at an entry.

        Args:
            selection: Which entries; `None` for all.
            batch: How many to read at once.
        """
        ...

    def sweep(self, limit: int = 10_000) -> int:
        """Remove what is past, and what there is no room for.

        Any process may do that at any time.

        Args:
            limit: How many to remove at most.

        Returns:
            How many were removed.
        """
        ...

    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        """Add to the counters of a cell, and to those of all partitions together.

        Of the partitions some thousand are kept, those that were added to last. The
        sums over all partitions keep what was counted for the others.

        Args:
            partition: The partition; not empty.
            cell: Names what is counted.
            right: How many more were right.
            wrong: How many more were wrong.
        """
        ...

    def tallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Return what was right and wrong, a cell.

        Args:
            partition: The partition; `None` for the sums over all.
        """
        ...

    def adopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        """Take over what was counted elsewhere: all of it or nothing, and once.

        Args:
            partition: The partition; not empty.
            tallies: What was right and wrong, a cell.

        Returns:
            Whether that is done: where something is counted of the partition, it is
            not.
        """
        ...

    def reset_tallies(self, partition: str | None) -> None:
        """Forget the counters of a partition, in the sums too.

        Args:
            partition: The partition; `None` for all of them.
        """
        ...

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Try to be the only one, in all processes, who does something.

        Args:
            name: What is to be done.
            holder: Who will do it.
            seconds: How long the claim holds, unless it is renewed or released.

        Returns:
            Whether the holder has it: nobody else had, or not in time.
        """
        ...

    def release(self, name: str, holder: str) -> None:
        """Give a claim back, if the holder has it."""
        ...

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        ...

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair and tally."""
        ...

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        ...

    def close(self) -> None:
        """Release files. Nothing may be called after it."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """A store that other processes can tell something through."""

    def on_recall(self, listener: Callable[[Selection], None]) -> None:
        """Have a function called when another process removes entries on purpose.

        It may be told of more than was removed, never of less.

        Args:
            listener: Called from any thread.
        """
        ...
