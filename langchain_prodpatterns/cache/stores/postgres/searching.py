"""Searching the vectors of a partition: all of a few, by an index among many.

Vectors come into the table unindexed, where those of a partition lie side by side: to
compare some thousand takes milliseconds, and to store one costs nothing. Only those of
a partition that has become large are given to the HNSW index. An index over all would
be slow to write for everyone, and blind where many partitions hold the same texts.
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
from langchain_prodpatterns.cache.stores.postgres.indexing import of_size
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)

_MORE = 8
_LOOKED_AT_MOST = 4_096


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


# The planner is not told which partition: for a small one among large ones it would
# make a plan of its own at each search, which takes longer than the search.
_COMPARED = """(
    SELECT id, vector OPERATOR({v}.<=>) %(vector)s::{v}.halfvec AS distance
    FROM {s}.vectors
    WHERE partition = (SELECT %(partition)s::text) AND NOT indexed AND <fitting>
    ORDER BY distance, id LIMIT {looked}
)"""

# The index is told how far to look by what has to be known before it is: a transaction
# around one statement would cost as much as the search. The settings end with it.
_TOLD = """(
    SELECT CASE WHEN set_config('hnsw.ef_search', %(breadth)s::text, true)
        || set_config('hnsw.iterative_scan', 'relaxed_order', true) IS NOT NULL
    THEN %(vector)s::{v}.halfvec({dimensions}) END
)"""

# Not by the index of partitions, for which the expression is none: the planner takes
# it where it knows no better, and would sort a million vectors.
_INDEXED = f"""(
    SELECT id, vector::{{v}}.halfvec({{dimensions}}) OPERATOR({{v}}.<=>) {_TOLD}
        AS distance
    FROM {{s}}.vectors WHERE partition || '' = %(partition)s
    AND indexed AND {{v}}.vector_dims(vector) = {{dimensions}}
    ORDER BY distance LIMIT {{looked}}
)"""  # noqa: S608 - our own words

_FOUND = f"""
SELECT looked.count, live.* FROM (SELECT <count> FROM near) looked
LEFT JOIN LATERAL (
    SELECT 1 - n.distance, {READ}
    FROM near n JOIN {{s}}.entries e ON e.id = n.id
    LEFT JOIN {{s}}.uses u ON u.id = e.id
    WHERE {LIVE} AND NOT EXISTS (
        SELECT FROM {{s}}.rejected r WHERE r.exact = %(exact)s AND r.key = e.key
    )
    ORDER BY n.distance, n.id LIMIT {{limit}}
) live ON true
"""  # noqa: S608 - our own columns

# Some of its vectors may have been given to the index since they were looked for.
_COUNT_OF_SMALL = """CASE WHEN EXISTS (
    SELECT FROM {s}.vectors WHERE partition = %(partition)s AND {of_indexed}
) THEN -1 ELSE count(*) END AS count"""

_SMALL = f"WITH near AS MATERIALIZED {_COMPARED} {_FOUND}".replace(
    "<count>", _COUNT_OF_SMALL
)
_LARGE = (
    f"WITH near AS MATERIALIZED ({_COMPARED} UNION ALL {_INDEXED}) {_FOUND}"
).replace("<count>", "count(*)")


@dataclass(slots=True)
class Nearest:
    """What was found."""

    neighbors: list[Neighbor]
    """The nearest entries, the nearest first."""
    damaged: list[str]
    """The keys of damaged ones."""
    indexed: bool = False
    """Whether vectors of the partition are in the index."""


def nearest(search: Search, breadth: int, *, indexed: bool) -> Work[Nearest]:
    """Return the nearest entries of a partition.

    Args:
        search: What to look for.
        breadth: How many candidates the index keeps in view (`hnsw.ef_search`).
        indexed: Whether vectors of the partition are known to be in the index; where it
            shows that some are, it is looked into, too.
    """
    values: dict[str, Any] = {
        "partition": search.partition,
        "vector": Half.of(search.vector),
        "exact": search.exact,
    }
    # Some of the nearest may be rejected, past or damaged.
    looked = search.limit + _MORE
    while True:
        names: dict[str, str | int] = {"looked": looked, "limit": search.limit}
        if indexed:
            names["dimensions"] = search.vector.size
            values["breadth"] = str(breadth)
        text = of_size(_LARGE if indexed else _SMALL, search.vector.size)
        results = yield Batch((Statement(text, values, names),))
        rows = results[0].rows
        if rows[0][0] < 0:
            indexed = True
            continue
        live = [row for row in rows if row[1] is not None]
        is_all = rows[0][0] < looked or looked >= _LOOKED_AT_MOST
        if len(live) >= search.limit or is_all:
            return Nearest(*_neighbors(live), indexed)
        looked = min(looked * _MORE, _LOOKED_AT_MOST)


def _neighbors(rows: Iterable[Sequence[Any]]) -> tuple[list[Neighbor], list[str]]:
    neighbors, damaged = [], []
    for _, similarity, *columns in rows:
        entry = read(columns)
        if entry is None:
            damaged.append(columns[1])
        else:
            neighbors.append(Neighbor(entry[0], min(similarity, 1.0)))
    return neighbors, damaged
