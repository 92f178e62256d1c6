"""The nearest entries: found by vectors of half precision, ranked by the exact ones."""

from dataclasses import dataclass, field

import numpy as np

from langchain_prodpatterns.cache.stores.base import Neighbor, Vector
from langchain_prodpatterns.cache.stores.indexer import Indexer
from langchain_prodpatterns.cache.stores.rows import Rows
from langchain_prodpatterns.cache.stores.vectors import HALF_ERROR

_SPARE = 3
_TIES = 64


@dataclass(frozen=True, slots=True)
class Query:
    """What is near to what."""

    partition: str
    """The partition to look in."""
    vector: Vector
    """The question's vector."""
    limit: int
    """How many neighbors, at most."""
    rejected: set[str]
    """Keys of entries that are no neighbors."""


@dataclass(slots=True)
class _Ranked:
    """Neighbors by their exact cosines, and the rows that turned out to be none."""

    neighbors: list[Neighbor] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    is_sure: bool = False

    def take(self, neighbor: Neighbor) -> None:
        self.neighbors.append(neighbor)
        self.neighbors.sort(key=lambda n: -n.similarity)


def nearest(rows: Rows, indexer: Indexer, query: Query) -> list[Neighbor]:
    """Return the nearest entries, the nearest first.

    Rows that are gone, past or damaged are dropped from the index on the way.

    Args:
        rows: The rows now.
        indexer: The vectors in memory.
        query: What is asked.
    """
    count = query.limit + len(query.rejected) + _SPARE
    while True:
        found = indexer.search(query.partition, query.vector, count)
        ranked = _ranked(rows, query, found)
        if ranked.gone:
            _drop(rows, indexer, query.partition, ranked.gone)
        elif ranked.is_sure or len(found) < count or _is_enough(ranked, query, count):
            return ranked.neighbors[: query.limit]
        # Twice as many the next time: there may be more of the kind.
        count *= 2


def _ranked(rows: Rows, query: Query, found: list[tuple[int, float]]) -> _Ranked:
    """Read rows, the nearest first, until no other can be among the nearest."""
    ranked = _Ranked()
    for row, score in found:
        if len(ranked.neighbors) >= query.limit:
            last = ranked.neighbors[query.limit - 1].similarity
            if score + HALF_ERROR < last:
                ranked.is_sure = True
                break
        pair = rows.with_vector(row, query.partition)
        if pair is None:
            ranked.gone.append(row)
        elif pair[0].key not in query.rejected:
            ranked.take(Neighbor(pair[0], _cosine(query.vector, pair[1])))
    return ranked


def _cosine(one: Vector, other: Vector) -> float:
    return min(float(np.dot(one, other)), 1.0)


def _is_enough(ranked: _Ranked, query: Query, count: int) -> bool:
    """Return whether to stop among ever more that are as near as the last."""
    return len(ranked.neighbors) >= query.limit and count > query.limit + _TIES


def _drop(rows: Rows, indexer: Indexer, partition: str, gone: list[int]) -> None:
    indexer.remove(partition, gone)
    # Where one is past, many may be.
    for row, its_partition in rows.expired():
        indexer.remove(its_partition, [row])
