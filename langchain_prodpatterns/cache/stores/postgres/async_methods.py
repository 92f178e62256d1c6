"""The methods of a store in PostgreSQL, for event loops."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
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
from langchain_prodpatterns.cache.stores.postgres import entries, notes
from langchain_prodpatterns.cache.stores.postgres.database import Kind
from langchain_prodpatterns.cache.stores.postgres.keeper import Keeper
from langchain_prodpatterns.cache.stores.postgres.methods import (
    ADD_AT_ONCE,
    Item,
    chosen,
)
from langchain_prodpatterns.cache.stores.postgres.searching import Search
from langchain_prodpatterns.cache.stores.postgres.statements import Work
from langchain_prodpatterns.cache.workers import off_loop

T = TypeVar("T")


class AsyncMethods:
    """Awaits the work of each method, natively async."""

    _keeper: Keeper

    @abstractmethod
    async def _arun(self, work: Work[T], kind: Kind = "read") -> T:
        """Run work."""

    async def afind(self, exact: str) -> Found | None:
        """Do what `find` does, natively async."""
        return await self._arun(self._keeper.find(exact))

    async def anearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        """Do what `nearest` does, natively async."""
        search = Search(partition, vector, exact, limit)
        return await self._arun(self._keeper.nearest(search))

    async def aget(self, key: str) -> Entry | None:
        """Do what `get` does, natively async."""
        return await self._arun(self._keeper.get(key))

    async def aadd(self, entry: Entry, vector: Vector | None) -> bool:
        """Do what `add` does, natively async."""
        return await self._arun(self._keeper.add([(entry, vector)]), "write") == 1

    async def aadd_many(self, items: Iterable[Item]) -> int:
        """Do what `add_many` does, natively async; `items` may block."""
        count, pending = 0, iter(items)
        while batch := await off_loop(lambda: list(islice(pending, ADD_AT_ONCE))):
            count += await self._arun(self._keeper.add(batch), "bulk")
        return count

    async def aadd_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        """Do what `add_alias` does, natively async."""
        await self._arun(self._keeper.add_alias(exact, asked, key, nearness), "write")

    async def areject(self, exact: str, key: str) -> bool:
        """Do what `reject` does, natively async."""
        return await self._arun(self._keeper.reject(exact, key), "write")

    async def aremove(self, selection: Selection) -> int:
        """Do what `remove` does, natively async."""
        if selection.where is None:
            return await self._arun(self._keeper.remove(selection), "bulk")
        keys = [entry.key async for entry, _ in self.ascan(selection)]
        return await self._arun(self._keeper.remove(selection, keys), "bulk")

    async def ascan(
        self, selection: Selection | None = None, *, batch: int = 500
    ) -> AsyncIterator[Item]:
        """Do what `scan` does, natively async."""
        selection, last = selection or Selection(), 0
        while True:
            page = await self._arun(entries.page(selection, last, batch), "bulk")
            fitting = partial(list[Item], chosen(page, selection))
            for item in await off_loop(fitting):
                yield item
            if page.is_last:
                return
            last = page.last

    async def asweep(self, limit: int = 10_000) -> int:
        """Do what `sweep` does, natively async."""
        return await self._arun(self._keeper.sweep(limit), "bulk")

    async def atally(
        self, partition: str, cell: str, right: int = 0, wrong: int = 0
    ) -> None:
        """Do what `tally` does, natively async."""
        await self._arun(notes.add_tally(partition, cell, right, wrong), "write")

    async def atallies(self, partition: str | None) -> dict[str, tuple[int, int]]:
        """Do what `tallies` does, natively async."""
        return await self._arun(notes.read_tallies(partition))

    async def aadopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        """Do what `adopt_tallies` does, natively async."""
        return await self._arun(notes.adopt_tallies(partition, tallies), "write")

    async def areset_tallies(self, partition: str | None) -> None:
        """Do what `reset_tallies` does, natively async."""
        await self._arun(notes.forget_tallies(partition), "write")

    async def aclaim(self, name: str, holder: str, seconds: float) -> bool:
        """Do what `claim` does, natively async."""
        return await self._arun(notes.claim(name, holder, seconds), "write")

    async def arelease(self, name: str, holder: str) -> None:
        """Do what `release` does, natively async."""
        await self._arun(notes.release(name, holder), "write")

    async def aquarantine(self, key: str, reason: str) -> None:
        """Do what `quarantine` does, natively async."""
        await self._arun(self._keeper.quarantine({key: reason}), "write")

    async def aclear(self) -> None:
        """Do what `clear` does, natively async."""
        await self._arun(self._keeper.clear(), "bulk")

    async def acounts(self) -> StoreCounts:
        """Do what `counts` does, natively async."""
        return await self._arun(self._keeper.counts())
