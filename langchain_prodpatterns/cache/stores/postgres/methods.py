"""The methods of a store in PostgreSQL, for threads."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Neighbor,
    Selection,
    StoreCounts,
    Vector,
)
from langchain_prodpatterns.cache.stores.census import Census
from langchain_prodpatterns.cache.stores.postgres import counting, entries, notes
from langchain_prodpatterns.cache.stores.postgres.database import Kind
from langchain_prodpatterns.cache.stores.postgres.keeper import Keeper
from langchain_prodpatterns.cache.stores.postgres.searching import Search
from langchain_prodpatterns.cache.stores.postgres.statements import Work

T = TypeVar("T")
Item = tuple[Entry, Vector | None]

ADD_AT_ONCE = 500
"""Entries of one transaction."""


class Methods:
    """Has the work of each method run, blocking its thread."""

    _keeper: Keeper

    @abstractmethod
    def _run(self, work: Work[T], kind: Kind = "read") -> T:
        """Run work."""

    def find(self, exact: str) -> Found | None:
        """Return the entry of a request, or of its alias."""
        return self._run(self._keeper.find(exact))

    def nearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        """Return the nearest entries of a partition, the nearest first."""
        search = Search(partition, vector, exact, limit)
        return self._run(self._keeper.nearest(search))

    def get(self, key: str) -> Entry | None:
        """Return an entry by its key."""
        return self._run(self._keeper.get(key))

    def add(self, entry: Entry, vector: Vector | None) -> bool:
        """Store an entry, in place of one of the same request; return whether it is.

        Raises:
            StoreError: When the vector is not of the store's embedding model.
        """
        return self._run(self._keeper.add([(entry, vector)]), "write") == 1

    def add_many(self, items: Iterable[Item]) -> int:
        """Store many entries, some hundred a transaction; return how many.

        Raises:
            StoreError: When a vector is not of the store's embedding model.
        """
        count, pending = 0, iter(items)
        while batch := list(islice(pending, ADD_AT_ONCE)):
            count += self._run(self._keeper.add(batch), "bulk")
        return count

    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        """Remember that an entry answers this request, too."""
        self._run(self._keeper.add_alias(exact, asked, key, nearness), "write")

    def reject(self, exact: str, key: str) -> bool:
        """Remember that an entry does not answer this request; return if it is news."""
        return self._run(self._keeper.reject(exact, key), "write")

    def touch(self, key: str) -> None:
        """Note that an entry was served: written down with the next entry, or soon."""
        self._keeper.touch(key)

    def remove(self, selection: Selection) -> int:
        """Remove entries, some thousand a transaction; return how many."""
        if selection.where is None:
            return self._run(self._keeper.remove(selection), "bulk")
        keys = [entry.key for entry, _ in self.scan(selection)]
        return self._run(self._keeper.remove(selection, keys), "bulk")

    def scan(
        self, selection: Selection | None = None, *, batch: int = 500
    ) -> Iterator[Item]:
        """Go through entries and their vectors, the oldest row first."""
        selection, last = selection or Selection(), 0
        while True:
            page = self._run(entries.page(selection, last, batch), "bulk")
            yield from chosen(page, selection)
            if page.is_last:
                return
            last = page.last

    def sweep(self, limit: int = 10_000) -> int:
        """Remove what is past and what there is no room for; return how many."""
        return self._run(self._keeper.sweep(limit), "bulk")

    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        """Add to the counters of a cell, and to those of all partitions together."""
        self._run(notes.add_tally(partition, cell, right, wrong), "write")

    def tallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Return what was right and wrong, a cell; `None` for all partitions."""
        return self._run(notes.read_tallies(partition))

    def adopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        """Take over a partition's counters, unless it has some; return whether."""
        return self._run(notes.adopt_tallies(partition, tallies), "write")

    def reset_tallies(self, partition: str | None) -> None:
        """Forget the counters of a partition, in the sums too, or all of them."""
        self._run(notes.forget_tallies(partition), "write")

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Try to be the only one, in all processes, who does something."""
        return self._run(notes.claim(name, holder, seconds), "write")

    def release(self, name: str, holder: str) -> None:
        """Give a claim back, if the holder has it."""
        self._run(notes.release(name, holder), "write")

    def quarantine(self, key: str, reason: str) -> None:
        """Put a damaged entry aside, where it is never served."""
        self._run(self._keeper.quarantine({key: reason}), "write")

    def clear(self) -> None:
        """Forget every entry, alias, rejected pair, tally and the embedding model."""
        self._run(self._keeper.clear(), "bulk")

    def counts(self) -> StoreCounts:
        """Return what the store did."""
        return self._run(self._keeper.counts())

    def census(self, largest: int = 10) -> Census:
        """Return what there is, by whose it is.

        Args:
            largest: Of how many partitions to tell.
        """
        return self._run(counting.census(largest), "bulk")


def chosen(page: entries.Page, selection: Selection) -> Iterator[Item]:
    """Go through what a selection's predicate fits, too.

    Args:
        page: What the rest of the selection fits.
        selection: The selection.
    """
    for entry, vector in page.items:
        if selection.where is None or selection.where(entry.metadata):
            yield entry, vector
