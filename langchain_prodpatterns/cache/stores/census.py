"""Who has how much in a store: its namespaces, its largest partitions, its ages."""

import heapq
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Protocol, runtime_checkable

from langchain_prodpatterns.cache.stores.base import CacheStore
from langchain_prodpatterns.cache.stores.sealing import (
    as_text,
    sealed_columns,
    size_of,
)


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that have something in common."""

    namespace: str
    """Their namespace."""
    partition: str | None = None
    """Their partition; `None` where they are of several."""
    entries: int = 0
    """How many they are."""
    bytes: int = 0
    """What they hold."""
    hits: int = 0
    """How often they were served, as far as that was written down."""

    def plus(self, entries: int, size: int, hits: int) -> "Group":
        """Return the group with some more in it."""
        return replace(
            self,
            entries=self.entries + entries,
            bytes=self.bytes + size,
            hits=self.hits + hits,
        )


@dataclass(frozen=True, slots=True)
class Census:
    """What there is in a store, by whose it is."""

    namespaces: Sequence[Group] = field(default_factory=tuple)
    """Every namespace, the largest first."""
    largest: Sequence[Group] = field(default_factory=tuple)
    """The partitions with most entries, the largest first."""
    partitions: int = 0
    """How many partitions there are."""
    expired: int = 0
    """Entries that are past and not yet swept."""
    quarantined: int | None = None
    """Damaged rows that were put aside; `None` where the store does not tell."""
    oldest: float | None = None
    """When the oldest entry was stored, in seconds since the epoch."""
    newest: float | None = None
    """When the newest one was."""


@runtime_checkable
class Countable(Protocol):
    """A store that counts by itself, without handing out every entry."""

    def census(self, largest: int = 10) -> Census:
        """Return what there is, by whose it is.

        Args:
            largest: Of how many partitions to tell.
        """
        ...


def take_census(store: CacheStore, largest: int = 10) -> Census:
    """Count the entries of a store by whose they are.

    Args:
        store: The store. One that cannot count by itself is read once as a whole; its
            damaged entries then count as expired.
        largest: Of how many partitions to tell.
    """
    if isinstance(store, Countable):
        return store.census(largest)
    held = store.counts().entries
    groups: dict[tuple[str, str], Group] = {}
    oldest, newest = float("inf"), float("-inf")
    for entry, vector in store.scan():
        size = size_of(sealed_columns(entry, vector, entry.created))
        whose = entry.namespace, entry.partition
        group = groups.get(whose, Group(*whose))
        groups[whose] = group.plus(1, size, entry.hits)
        oldest = min(oldest, entry.created)
        newest = max(newest, entry.created)
    seen = sum(group.entries for group in groups.values())
    return replace(
        summed(groups.values(), largest),
        expired=max(held - seen, 0),
        oldest=oldest if seen else None,
        newest=newest if seen else None,
    )


def read_census(db: sqlite3.Connection, now: float, largest: int) -> Census:
    """Count the rows of `LocalStore` by whose they are.

    Args:
        db: The database.
        now: Seconds since the epoch.
        largest: Of how many partitions to tell.
    """
    found = db.execute(
        "SELECT namespace, partition, count(*), sum(size), sum(hits) FROM entries "
        "WHERE expires IS NULL OR expires > ? GROUP BY namespace, partition",
        (now,),
    )
    groups = [Group(as_text(row[0]), *row[1:]) for row in found]
    expired, oldest, newest = db.execute(
        "SELECT count(*) FILTER (WHERE expires <= :now), "
        "min(created) FILTER (WHERE expires IS NULL OR expires > :now), "
        "max(created) FILTER (WHERE expires IS NULL OR expires > :now) FROM entries",
        {"now": now},
    ).fetchone()
    (quarantined,) = db.execute("SELECT count(*) FROM quarantine").fetchone()
    return replace(
        summed(groups, largest),
        expired=expired,
        quarantined=quarantined,
        oldest=oldest,
        newest=newest,
    )


def summed(partitions: Iterable[Group], largest: int) -> Census:
    """Sum partitions up by namespace.

    Args:
        partitions: The partitions.
        largest: Of how many to tell.
    """
    groups = list(partitions)
    namespaces: dict[str, Group] = {}
    for group in groups:
        sums = namespaces.get(group.namespace, Group(group.namespace))
        namespaces[group.namespace] = sums.plus(group.entries, group.bytes, group.hits)
    by_entries = attrgetter("entries")
    return Census(
        namespaces=sorted(namespaces.values(), key=by_entries, reverse=True),
        largest=heapq.nlargest(largest, groups, key=by_entries),
        partitions=len(groups),
    )
