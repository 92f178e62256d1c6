"""Searching the vectors of a partition: all of a few, by an index among many.

Vectors come into the table unindexed, where those of a partition lie side by side: to
compare some thousand takes milliseconds, and to store one costs nothing. Only those of
a partition that has become large are given to the HNSW index, a batch at a time and by
nobody who waits. An index over all would be slow to write for everyone, and blind where
many partitions hold the same texts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_prodpatterns.cache.stores.base import Neighbor, Vector
from langchain_prodpatterns.cache.stores.postgres.columns import (
    LIVE,
    READ,
    Half,
    read,
)
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.postgres.tables import SIDE_BY_SIDE

_MORE = 8
_LOOKED_AT_MOST = 4_096
_INDEXING = 7_236_814_502
"""The advisory lock of who indexes: two would do it twice."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for."""

    partition: str
    """The partition."""
    vector: Vector
    """The question's vector."""
    exact: str
    """The request: what was rejected for it is left out."""
    limit: int
    """How many to return at most."""


_SIDE_BY_SIDE = "{v}.vector_dims(vector) <= {most}"
_LONG = "{v}.vector_dims(vector) > {most}"

_COMPARED = """(
    SELECT id, vector OPERATOR({v}.<=>) %(vector)s::{v}.halfvec AS distance
    FROM {s}.vectors WHERE partition = %(partition)s AND NOT indexed AND <fitting>
    ORDER BY distance LIMIT {looked}
)"""

# Not by the index of partitions, for which the expression is none: the planner takes
# it where it knows no better, and would sort a million vectors.
_INDEXED = """(
    SELECT id, vector::{v}.halfvec({dimensions}) OPERATOR({v}.<=>)
        %(vector)s::{v}.halfvec({dimensions}) AS distance
    FROM {s}.vectors WHERE partition || '' = %(partition)s
    AND indexed AND {v}.vector_dims(vector) = {dimensions}
    ORDER BY distance LIMIT {looked}
)"""

_FOUND = f"""
SELECT looked.count, live.* FROM (SELECT <count> FROM near) looked
LEFT JOIN LATERAL (
    SELECT 1 - n.distance, {READ}
    FROM near n JOIN {{s}}.entries e ON e.id = n.id
    LEFT JOIN {{s}}.uses u ON u.id = e.id
    WHERE {LIVE} AND NOT EXISTS (
        SELECT FROM {{s}}.rejected r WHERE r.exact = %(exact)s AND r.key = e.key
    )
    ORDER BY n.distance, e.id LIMIT {{limit}}
) live ON true
"""  # noqa: S608 - our own columns

# Another process may just have given some of a small partition to the index.
_COUNT_OF_SMALL = """CASE WHEN EXISTS (
    SELECT FROM {s}.vectors WHERE partition = %(partition)s AND {of_indexed}
) THEN -1 ELSE count(*) END AS count"""

_SMALL = f"WITH near AS MATERIALIZED {_COMPARED} {_FOUND}".replace(
    "<count>", _COUNT_OF_SMALL
)
_LARGE = (
    f"WITH near AS MATERIALIZED ({_COMPARED} UNION ALL {_INDEXED}) {_FOUND}"
).replace("<count>", "count(*)")


def nearest(
    search: Search, breadth: int, *, large: bool
) -> Work[tuple[list[Neighbor], list[str]]]:
    """Return the nearest entries, the nearest first, and the keys of damaged ones.

    Args:
        search: What to look for.
        breadth: Of a large partition, how many candidates the index keeps in view
            (`hnsw.ef_search`).
        large: Whether the partition is large; of a small one all are compared.
    """
    settings = {
        "hnsw.ef_search": str(breadth),
        "hnsw.iterative_scan": "relaxed_order",
    }
    values = {
        "partition": search.partition,
        "vector": Half.of(search.vector),
        "exact": search.exact,
    }
    # Some of the nearest may be rejected, past or damaged.
    looked = search.limit + _MORE
    while True:
        names: dict[str, str | int] = {"looked": looked, "limit": search.limit}
        if large:
            names["dimensions"] = search.vector.size
        text = _of_size(_LARGE if large else _SMALL, search.vector.size)
        statement = Statement(text, values, names)
        results = yield Batch((statement,), settings if large else {})
        rows = results[0].rows
        if rows[0][0] < 0:
            large = True
            continue
        live = [row for row in rows if row[1] is not None]
        is_all = rows[0][0] < looked or looked >= _LOOKED_AT_MOST
        if len(live) >= search.limit or is_all:
            return _neighbors(live)
        looked = min(looked * _MORE, _LOOKED_AT_MOST)


def _of_size(text: str, dimensions: int) -> str:
    """Say which index of what is not yet indexed holds vectors of a length."""
    fitting = _SIDE_BY_SIDE if dimensions <= SIDE_BY_SIDE else _LONG
    return text.replace("<fitting>", fitting)


def _neighbors(rows: Iterable[Sequence[Any]]) -> tuple[list[Neighbor], list[str]]:
    neighbors, damaged = [], []
    for _, similarity, *columns in rows:
        entry = read(columns)
        if entry is None:
            damaged.append(columns[1])
        else:
            neighbors.append(Neighbor(entry[0], min(similarity, 1.0)))
    return neighbors, damaged


def is_large(partition: str, dimensions: int, rows: int) -> Work[bool]:
    """Return whether a partition has vectors in the index, or more than so many.

    Args:
        partition: The partition.
        dimensions: Of its vectors.
        rows: Vectors that are not in the index.
    """
    text = (
        "SELECT EXISTS (SELECT FROM {s}.vectors WHERE partition = %(partition)s "
        "AND {of_indexed}), count(*) FROM (SELECT FROM {s}.vectors "
        "WHERE partition = %(partition)s AND NOT indexed AND <fitting> LIMIT {rows}) c"
    )
    names, values = {"rows": rows + 1}, {"partition": partition}
    results = yield Batch((Statement(_of_size(text, dimensions), values, names),))
    indexed, count = results[0].rows[0]
    return bool(indexed or count > rows)


_INDEX_SOME = """
UPDATE {s}.vectors SET indexed = true
WHERE (SELECT pg_try_advisory_xact_lock(%(lock)s)) AND id IN (
    SELECT id FROM {s}.vectors
    WHERE partition = %(partition)s AND NOT indexed AND <fitting>
    ORDER BY id LIMIT (
        SELECT least(greatest(count(*) - %(rows)s, 0), %(limit)s) FROM (
            SELECT FROM {s}.vectors
            WHERE partition = %(partition)s AND NOT indexed AND <fitting>
            LIMIT %(rows)s + %(limit)s
        ) counted
    )
    FOR UPDATE SKIP LOCKED
)
"""


def index_some(partition: str, dimensions: int, rows: int, limit: int) -> Work[int]:
    """Give some vectors of a large partition to the index, the oldest first.

    Only one process does so at a time.

    Args:
        partition: The partition.
        dimensions: Of its vectors.
        rows: Vectors that stay as they are, at least.
        limit: How many at most.

    Returns:
        How many were given.
    """
    results = yield Batch.of(
        _of_size(_INDEX_SOME, dimensions),
        lock=_INDEXING,
        partition=partition,
        rows=rows,
        limit=limit,
    )
    return results[0].count
