"""Giving the vectors of large partitions to the index: some at a time, or all at once.

By the way it is done by the thread that keeps house, for which each vector costs some
milliseconds in a large index. All at once, by who maintains the store, the index is
made anew, which is much faster for many.
"""

from collections.abc import Sequence

import psycopg

from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Names,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.postgres.tables import (
    NAME_OF_NEAREST,
    NEAREST,
    SIDE_BY_SIDE,
)

_INDEXING = 7_236_814_502
"""The advisory lock of who indexes: two would do it twice."""

_SIDE_BY_SIDE = "{v}.vector_dims(vector) <= {most}"
_LONG = "{v}.vector_dims(vector) > {most}"


def of_size(text: str, dimensions: int) -> str:
    """Say which index of what is not yet indexed holds vectors of a length.

    Args:
        text: A statement with `<fitting>` in it.
        dimensions: Of the vectors.
    """
    fitting = _SIDE_BY_SIDE if dimensions <= SIDE_BY_SIDE else _LONG
    return text.replace("<fitting>", fitting)


_MANY = """
SELECT p.partition FROM unnest(%(partitions)s::text[]) AS p (partition) WHERE (
    SELECT count(*) FROM (
        SELECT FROM {s}.vectors n
        WHERE n.partition = p.partition AND NOT indexed AND <fitting>
        LIMIT %(rows)s + 1
    ) counted
) > %(rows)s
"""


def large_ones(
    partitions: Sequence[str], dimensions: int, rows: int
) -> Work[frozenset[str]]:
    """Return those of some partitions that have many vectors outside the index.

    Args:
        partitions: The partitions.
        dimensions: Of their vectors.
        rows: More than so many are many.
    """
    text = of_size(_MANY, dimensions)
    results = yield Batch.of(text, partitions=list(partitions), rows=rows)
    return frozenset(partition for (partition,) in results[0].rows)


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
        of_size(_INDEX_SOME, dimensions),
        lock=_INDEXING,
        partition=partition,
        rows=rows,
        limit=limit,
    )
    return results[0].count


_INDEX_ALL = """
UPDATE {s}.vectors SET indexed = true
WHERE NOT indexed AND {v}.vector_dims(vector) = {dimensions} AND partition IN (
    SELECT partition FROM {s}.vectors WHERE {v}.vector_dims(vector) = {dimensions}
    GROUP BY partition HAVING bool_or(indexed) OR count(*) > %(rows)s
)
"""


def index_all(
    connection: psycopg.Connection, names: Names, dimensions: int, rows: int
) -> int:
    """Give all vectors of large partitions to the index, which is made anew.

    Until that is done, and in one transaction, nobody reads a vector or writes one.

    Args:
        connection: In autocommit mode, of the owner of the tables.
        names: Of the tables.
        dimensions: Of the vectors.
        rows: A partition with more vectors is large.

    Returns:
        How many were given that were not in the index before.

    Raises:
        psycopg.Error: When the database does not do it; then all is as it was.
    """
    words: dict[str, str | int] = {
        "dimensions": dimensions,
        "index": f"{NAME_OF_NEAREST}{dimensions}",
    }

    def run(text: str, **values: int) -> int:
        query = names.query(Statement(text, values, words))
        return connection.execute(query, values or None).rowcount

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_INDEXING,))
        run("DROP INDEX IF EXISTS {s}.{index}")
        given = run(_INDEX_ALL, rows=rows)
        run(NEAREST)
    # What was side by side would be gone over by each search until then.
    run("VACUUM (ANALYZE) {s}.vectors")
    return given
