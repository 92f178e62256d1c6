"""Counting what is in the database, as work for it."""

from dataclasses import dataclass, replace

from langchain_prodpatterns.cache.stores.census import Census, Group, summed
from langchain_prodpatterns.cache.stores.postgres.columns import LIVE
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.sealing import as_text


@dataclass(frozen=True, slots=True)
class Totals:
    """What is in the store now."""

    entries: int
    """Entries."""
    bytes: int
    """Bytes that they hold."""
    aliases: int
    """Requests known to have the answer of another."""
    rejected: int
    """Pairs known not to have one answer."""


def totals() -> Work[Totals]:
    """Return what is in the store now."""
    results = yield Batch.of(
        "SELECT coalesce(sum(entries), 0)::bigint, coalesce(sum(bytes), 0)::bigint, "
        "coalesce(sum(aliases), 0)::bigint, coalesce(sum(rejected), 0)::bigint "
        "FROM {s}.totals"
    )
    return Totals(*results[0].rows[0])


def census(largest: int) -> Work[Census]:
    """Return what there is, by whose it is; every entry is looked at.

    Args:
        largest: Of how many partitions to tell.
    """
    results = yield Batch(
        (
            Statement(
                "SELECT e.namespace, e.partition, count(*), sum(e.size)::bigint, "  # noqa: S608 - our own clause
                "coalesce(sum(u.hits), 0)::bigint FROM {s}.entries e "
                f"LEFT JOIN {{s}}.uses u ON u.id = e.id WHERE {LIVE} GROUP BY 1, 2"
            ),
            Statement(
                f"SELECT count(*) FILTER (WHERE NOT {LIVE}), "  # noqa: S608 - our own clause
                f"extract(epoch FROM min(e.created) FILTER (WHERE {LIVE}))::float8, "
                f"extract(epoch FROM max(e.created) FILTER (WHERE {LIVE}))::float8 "
                "FROM {s}.entries e"
            ),
            Statement("SELECT count(*) FROM {s}.quarantine"),
        )
    )
    groups = [Group(as_text(row[0]), *row[1:]) for row in results[0].rows]
    expired, oldest, newest = results[1].rows[0]
    return replace(
        summed(groups, largest),
        expired=expired,
        quarantined=results[2].rows[0][0],
        oldest=oldest,
        newest=newest,
    )
