"""What any worker may do at any time: remove what is past or too much, and add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_prodpatterns.cache.stores.base import LASTING
from langchain_prodpatterns.cache.stores.eviction import Bounds
from langchain_prodpatterns.cache.stores.notes import ALL, MAX_TALLIED
from langchain_prodpatterns.cache.stores.postgres.announcing import KEPT_SECONDS
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)

_EVICTING = 7_236_814_501
"""The advisory lock of who makes room, so that two do not make it twice."""
_FOLDED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Swept:
    """How many entries went."""

    expired: int
    """Because their time was over."""
    evicted: int
    """To make room."""


def sweep(limit: int, bounds: Bounds) -> Work[Swept]:
    """Remove what is past and what there is no room for, and tidy up.

    Args:
        limit: How many entries to remove at most.
        bounds: How much is held, at most.
    """
    results = yield Batch(
        (
            Statement(
                "DELETE FROM {s}.entries WHERE id IN (SELECT id FROM {s}.entries "
                "WHERE expires <= clock_timestamp() ORDER BY expires "
                "LIMIT %(limit)s FOR UPDATE SKIP LOCKED)",
                {"limit": limit},
            ),
            Statement(
                "DELETE FROM {s}.claims WHERE name IN (SELECT name FROM {s}.claims "
                "WHERE expires <= clock_timestamp() "
                "LIMIT %(limit)s FOR UPDATE SKIP LOCKED)",
                {"limit": limit},
            ),
        )
    )
    expired = results[0].count
    yield from _tidy()
    evicted = yield from make_room(limit - expired, bounds)
    return Swept(expired, evicted)


def _tidy() -> Work[None]:
    """Add the totals up, and forget old announcements and the oldest tallies."""
    yield Batch.of(
        "WITH gone AS (DELETE FROM {s}.totals WHERE ctid IN (SELECT ctid "
        "FROM {s}.totals LIMIT %(limit)s FOR UPDATE SKIP LOCKED) "
        "RETURNING entries, bytes, aliases, rejected) "
        "INSERT INTO {s}.totals (entries, bytes, aliases, rejected) "
        "SELECT sum(entries), sum(bytes), sum(aliases), sum(rejected) FROM gone "
        "HAVING count(*) > 0",
        limit=_FOLDED_AT_ONCE,
    )
    yield Batch.of(
        "DELETE FROM {s}.recalls "
        "WHERE at < now() - make_interval(secs => %(seconds)s::float8)",
        seconds=KEPT_SECONDS,
    )
    yield Batch.of(
        "DELETE FROM {s}.tallies WHERE partition IN (SELECT partition "
        "FROM {s}.tallies WHERE partition <> %(all)s "
        "AND NOT starts_with(partition, %(lasting)s) "
        "GROUP BY partition ORDER BY max(updated) DESC OFFSET %(kept)s)",
        all=ALL,
        lasting=LASTING,
        kept=MAX_TALLIED,
    )


_LOWEST = """
WITH held AS (SELECT sum(entries) AS entries, sum(bytes) AS bytes FROM {s}.totals),
over AS (
    SELECT greatest(
        coalesce(entries - %(entries)s::bigint, 0),
        ceil(coalesce(bytes - %(bytes)s::bigint, 0) * entries / greatest(bytes, 1)),
        0
    )::bigint AS rows FROM held
),
lowest AS (
    SELECT id, rank FROM {s}.uses WHERE id NOT IN (
        SELECT id FROM {s}.entries WHERE key = ANY(%(spared)s)
    )
    ORDER BY rank, id
    LIMIT (SELECT least(rows, %(limit)s::bigint) FROM over) FOR UPDATE
),
risen AS (
    UPDATE {s}.inflation SET rank = greatest(rank, (SELECT max(rank) FROM lowest))
    WHERE EXISTS (SELECT FROM lowest)
)
DELETE FROM {s}.entries WHERE id IN (SELECT id FROM lowest)
"""


def make_room(limit: int, bounds: Bounds, spared: Sequence[str] = ()) -> Work[int]:
    """Remove the entries that are least worth their bytes, until all is in bounds.

    Args:
        limit: How many to remove at most.
        bounds: How much is held, at most.
        spared: The keys of those that are not removed.

    Returns:
        How many were removed.
    """
    evicted = 0
    while bounds and evicted < limit:
        results = yield Batch(
            (
                # After it, not within it, the rest looks at the database.
                Statement("SELECT pg_advisory_xact_lock(%(key)s)", {"key": _EVICTING}),
                Statement(
                    _LOWEST,
                    {
                        "entries": bounds.entries,
                        "bytes": bounds.bytes,
                        "limit": limit - evicted,
                        "spared": list(spared),
                    },
                ),
            )
        )
        if not results[1].count:
            break
        evicted += results[1].count
    return evicted


def note_hits(hits: Mapping[str, int]) -> Work[None]:
    """Raise the hits and the ranks of entries that were served.

    Args:
        hits: Key to how often it was.
    """
    yield Batch.of(
        # Locked in one order: two that note the same would else lock each other.
        "WITH served AS (SELECT u.id, g.count FROM unnest(%(keys)s::text[], "
        "%(counts)s::bigint[]) AS g (key, count) JOIN {s}.entries e USING (key) "
        "JOIN {s}.uses u ON u.id = e.id ORDER BY u.id FOR UPDATE OF u) "
        "UPDATE {s}.uses u SET hits = u.hits + s.count, "
        "rank = (SELECT rank FROM {s}.inflation) "
        "+ (1 + u.hits + s.count) * u.cost / u.size FROM served s WHERE u.id = s.id",
        keys=list(hits),
        counts=list(hits.values()),
    )


def forget_all(announced: Batch, *, is_alone: bool) -> Work[None]:
    """Forget what does not go with the entries.

    Args:
        announced: What tells other processes.
        is_alone: Whether the entries that are gone were all there were: else the
            tallies and the embedding model are others', too.
    """
    yield announced
    statements = [Statement("DELETE FROM {s}.quarantine")]
    if is_alone:
        statements += [
            Statement("DELETE FROM {s}.tallies"),
            # Another process may just have stored a vector of that model.
            Statement(
                "DELETE FROM {s}.embedder WHERE NOT EXISTS (SELECT FROM {s}.vectors)"
            ),
        ]
    yield Batch(tuple(statements))
