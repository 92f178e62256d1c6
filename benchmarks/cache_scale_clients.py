"""What the load benchmark asks: our cache, our store alone, and bare pgvector."""

from dataclasses import dataclass
from typing import Literal

import psycopg
from cache_data import answer, prompt_of
from cache_scale_data import DIMENSIONS, FARTHEST, Layout, Reflected, read_back, worded
from cache_scale_traffic import SLACK, Asked, Client
from langchain_core.messages import HumanMessage
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.identity import identify
from langchain_prodpatterns.cache.stores import PostgresStore

# Without a judge: a paraphrase is served, and what is farther away is not.
BAND = (FARTHEST - SLACK, FARTHEST - SLACK + 0.01)
SCANNED = 4_000_000 // DIMENSIONS
"""Up to so many vectors of a partition our store compares all, and so bare ones are."""
_PATIENCE = 30.0
_TEMPLATE = prompt_of(HumanMessage("QUESTION"))

System = Literal["ours", "our store", "pgvector", "pgvector, no filter"]


def prompt(text: str) -> str:
    """Return what a chat model hands to its cache, without the time that takes."""
    return _TEMPLATE.replace("QUESTION", text)


def llm(partition: int) -> str:
    """Return the parameters that make a partition."""
    return f"[('model', 'm{partition}')]"


class Ours:
    """Our cache, as a chat model asks it."""

    def __init__(
        self, dsn: str, reflected: Reflected, ttl: float | None = None
    ) -> None:
        self.cache = SemanticJudgeCache(
            reflected, band=BAND, store=PostgresStore(dsn, timeout=_PATIENCE), ttl=ttl
        )

    def ask(self, asked: Asked) -> int | None:
        """Look a question up."""
        hit = self.cache.lookup(prompt(asked.text), llm(asked.partition))
        return None if hit is None else int(hit[0].text)

    def store(self, asked: Asked) -> None:
        """Store its answer."""
        value = answer(str(asked.number))
        self.cache.update(prompt(asked.text), llm(asked.partition), value)

    def failures(self) -> int:
        """Return how often it failed."""
        stats = self.cache.stats()
        return stats.errors + stats.unavailable

    def close(self) -> None:
        """Close it."""
        self.cache.close()


class OurStore(Ours):
    """The store alone, asked for the nearest entry, as it is after each first miss."""

    def __init__(self, dsn: str, reflected: Reflected) -> None:
        super().__init__(dsn, reflected)
        self._reflected = reflected
        self._partitions: dict[int, str] = {}

    def ask(self, asked: Asked) -> int | None:
        """Ask for the nearest."""
        vector = self._reflected.of_text(asked.text)
        near = self.cache._store.nearest(  # noqa: SLF001 - it is this that is measured
            self._partition(asked.partition), vector, exact="none"
        )
        return read_back(near[0].entry.text or "")[0] if near else None

    def _partition(self, partition: int) -> str:
        if partition not in self._partitions:
            scope = self.cache.core.scope(self.cache.namespace)
            asked = identify(prompt(worded(0)), llm(partition), scope, None)
            self._partitions[partition] = asked.partition
        return self._partitions[partition]


class Bare:
    """One table, one index, one statement."""

    def __init__(
        self, dsn: str, reflected: Reflected, *, search: "Search", filtered: bool
    ) -> None:
        self._reflected = reflected
        self._connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=1)
        register_vector(self._connection)
        for setting in search.settings:
            self._connection.execute(setting.encode())
        where = "WHERE partition = %(partition)s" if filtered else ""
        self._query = (
            f"SELECT number FROM bare {where} ORDER BY vector <=> %(vector)s LIMIT 1"  # noqa: S608 - our own words
        ).encode()

    def ask(self, asked: Asked) -> int | None:
        """Ask for the nearest."""
        values = {
            "vector": HalfVector(self._reflected.of_text(asked.text)),
            "partition": asked.partition,
        }
        row = self._connection.execute(self._query, values, binary=True).fetchone()
        return None if row is None else int(row[0])

    def store(self, asked: Asked) -> None:
        """Insert its vector."""
        self._connection.execute(
            "INSERT INTO bare (number, partition, vector) VALUES (%s, %s, %s)",
            (
                asked.number,
                asked.partition,
                HalfVector(self._reflected.of_text(asked.text)),
            ),
        )

    def failures(self) -> int:
        """Return 0: a failure ends it."""
        return 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Search:
    """How bare pgvector searches partitions of a size."""

    layout: Layout
    """What is stored."""

    @property
    def by_index(self) -> bool:
        """Whether the index over the vectors is used."""
        return self.layout.size > SCANNED

    @property
    def settings(self) -> list[str]:
        """What is set in each connection."""
        never = "SET max_parallel_workers_per_gather = 0"
        if not self.by_index:
            return [never]
        return [
            never,
            "SET enable_sort = off",
            "SET hnsw.ef_search = 200",
            "SET hnsw.iterative_scan = relaxed_order",
        ]


def opened(
    system: System, dsn: str, layout: Layout, reflected: Reflected, ttl: float | None
) -> Client:
    """Open what is to be asked."""
    if system == "ours":
        return Ours(dsn, reflected, ttl)
    if system == "our store":
        return OurStore(dsn, reflected)
    filtered = system == "pgvector" and layout.partitions > 1
    return Bare(dsn, reflected, search=Search(layout), filtered=filtered)
