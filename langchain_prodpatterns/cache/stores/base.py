"""The contract of a store. The decisions are made elsewhere; a store keeps rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

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


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that answers a request without a look at similarity."""

    entry: Entry
    """The entry."""
    by: Literal["exact", "alias"]
    """Whether it is that very request, or one found to have the same answer."""


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


class CacheStore(Protocol):
    """Keeps entries, aliases and rejected pairs.

    Every method may block, is safe to call from many threads, and never returns an
    expired entry, a damaged one or one of another partition.
    """

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

    def add(self, entry: Entry, vector: Vector | None) -> None:
        """Store an entry, in place of one of the same request."""
        ...

    def add_alias(self, exact: str, asked: str | None, key: str) -> None:
        """Remember that an entry answers this request, too.

        Args:
            exact: The request.
            asked: The digest of its semantic text, where it has one.
            key: The entry.
        """
        ...

    def reject(self, exact: str, key: str) -> None:
        """Remember that an entry does not answer this request."""
        ...

    def touch(self, key: str) -> None:
        """Note that an entry was served."""
        ...

    def remove(self, selection: Selection) -> int:
        """Remove entries; return how many."""
        ...

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        ...

    def clear(self) -> None:
        """Forget every entry, alias and rejected pair."""
        ...

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        ...

    def close(self) -> None:
        """Release files. Nothing may be called after it."""
        ...
