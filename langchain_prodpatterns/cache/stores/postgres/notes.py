"""Verdicts, tallies, claims and damaged rows, as work for a database."""

from collections.abc import Mapping

from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.notes import ALL
from langchain_prodpatterns.cache.stores.postgres.announcing import announce
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.writing import (
    MAX_QUARANTINED,
    VERDICTS_AN_ENTRY,
)


def approve(exact: str, asked: str | None, key: str, nearness: str) -> Work[None]:
    """Write down that an entry answers a request, too."""
    pair = {"exact": exact, "key": key}
    alias = {**pair, "asked": asked, "nearness": nearness}
    yield Batch(
        (
            Statement(
                "DELETE FROM {s}.rejected WHERE exact = %(exact)s AND key = %(key)s",
                pair,
            ),
            Statement(
                # Not of an entry that another process has just removed.
                "INSERT INTO {s}.aliases (exact, asked, key, nearness, namespace) "
                "SELECT %(exact)s, %(asked)s, key, %(nearness)s, namespace "
                "FROM {s}.entries WHERE key = %(key)s FOR KEY SHARE "
                "ON CONFLICT (exact) DO UPDATE SET id = DEFAULT, "
                "asked = excluded.asked, key = excluded.key, "
                "nearness = excluded.nearness, namespace = excluded.namespace",
                alias,
            ),
            _keep_latest("aliases", key),
        )
    )


def reject(exact: str, key: str, origin: str) -> Work[bool]:
    """Write down that an entry does not answer a request; return if it is news."""
    pair = {"exact": exact, "key": key}
    results = yield Batch(
        (
            Statement(
                "DELETE FROM {s}.aliases WHERE exact = %(exact)s AND key = %(key)s",
                pair,
            ),
            Statement(
                "INSERT INTO {s}.rejected (exact, key, namespace) "
                "SELECT %(exact)s, key, namespace FROM {s}.entries "
                "WHERE key = %(key)s FOR KEY SHARE ON CONFLICT DO NOTHING",
                pair,
            ),
            _keep_latest("rejected", key),
        )
    )
    if results[0].count:
        # Others may hold the alias in memory.
        yield announce(Selection(key=key), origin)
    return results[1].count > 0


def _keep_latest(table: str, key: str) -> Statement:
    """Bound the verdicts on an entry: whoever asks for the first again is judged."""
    return Statement(
        "DELETE FROM {s}.{table} WHERE key = %(key)s AND id <= (SELECT id "
        "FROM {s}.{table} WHERE key = %(key)s ORDER BY id DESC LIMIT 1 OFFSET {kept})",
        {"key": key},
        {"table": table, "kept": VERDICTS_AN_ENTRY},
    )


_TALLY = "INSERT INTO {s}.tallies AS t (partition, cell, rights, wrongs, updated)"
_ADDED_UP = (
    "ON CONFLICT (partition, cell) DO UPDATE SET rights = t.rights + excluded.rights, "
    "wrongs = t.wrongs + excluded.wrongs, updated = excluded.updated"
)


def add_tally(partition: str, cell: str, right: int, wrong: int) -> Work[None]:
    """Add to a cell of a partition, and to the same cell of the sums."""
    yield Batch.of(
        f"{_TALLY} SELECT p, %(cell)s, %(right)s, %(wrong)s, clock_timestamp() "  # noqa: S608 - our own words
        f"FROM unnest(%(partitions)s::text[]) AS p {_ADDED_UP}",
        # The sums first: in one order for all, so that none locks another.
        partitions=[ALL, partition],
        cell=cell,
        right=right,
        wrong=wrong,
    )


def adopt_tallies(partition: str, tallies: Mapping[str, tuple[int, int]]) -> Work[bool]:
    """Add to the cells of a partition that has none; return whether that is done."""
    results = yield Batch(
        (
            # What another adopts at this moment is seen by the next statement.
            Statement(
                "SELECT pg_advisory_xact_lock(hashtextextended(%(partition)s, 0))",
                {"partition": partition},
            ),
            Statement(
                f"{_TALLY} SELECT p, cell, rights, wrongs, clock_timestamp() "  # noqa: S608 - our own words
                "FROM unnest(%(partitions)s::text[]) WITH ORDINALITY AS p(p, place), "
                "unnest(%(cells)s::text[], %(rights)s::bigint[], %(wrongs)s::bigint[]) "
                "AS cells(cell, rights, wrongs) WHERE NOT EXISTS "
                "(SELECT FROM {s}.tallies WHERE partition = %(partition)s) "
                # As in `add_tally`, and in one order for all who adopt.
                f'ORDER BY place, cell COLLATE "C" {_ADDED_UP}',
                {
                    "partition": partition,
                    "partitions": [ALL, partition],
                    "cells": list(tallies),
                    "rights": [right for right, _ in tallies.values()],
                    "wrongs": [wrong for _, wrong in tallies.values()],
                },
            ),
        )
    )
    return results[1].count > 0


def read_tallies(partition: str | None) -> Work[dict[str, tuple[int, int]]]:
    """Return the cells of a partition, or the sums of all."""
    results = yield Batch.of(
        "SELECT cell, rights, wrongs FROM {s}.tallies WHERE partition = %(partition)s",
        partition=ALL if partition is None else partition,
    )
    return {cell: (right, wrong) for cell, right, wrong in results[0].rows}


def forget_tallies(partition: str | None) -> Work[None]:
    """Forget a partition's cells and what the sums have of them, or everything."""
    if partition is None:
        yield Batch.of("DELETE FROM {s}.tallies")
        return
    yield Batch.of(
        "WITH gone AS (DELETE FROM {s}.tallies WHERE partition = %(partition)s "
        "RETURNING cell, rights, wrongs) "
        "UPDATE {s}.tallies t SET rights = t.rights - gone.rights, "
        "wrongs = t.wrongs - gone.wrongs FROM gone "
        "WHERE t.partition = %(all)s AND t.cell = gone.cell",
        partition=partition,
        all=ALL,
    )


def claim(name: str, holder: str, seconds: float) -> Work[bool]:
    """Take or renew a claim, unless another holds it."""
    results = yield Batch.of(
        "INSERT INTO {s}.claims AS c (name, holder, expires) VALUES (%(name)s, "
        "%(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s::float8)) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, "
        "expires = excluded.expires "
        "WHERE c.holder = excluded.holder OR c.expires <= clock_timestamp()",
        name=name,
        holder=holder,
        seconds=seconds,
    )
    return results[0].count > 0


def release(name: str, holder: str) -> Work[None]:
    """Drop a claim, if it is this holder's."""
    yield Batch.of(
        "DELETE FROM {s}.claims WHERE name = %(name)s AND holder = %(holder)s",
        name=name,
        holder=holder,
    )


def put_aside(damaged: Mapping[str, str]) -> Work[int]:
    """Move damaged entries, by key, to where they are never served.

    Args:
        damaged: Key to reason.

    Returns:
        How many there were.
    """
    rows = {"keys": list(damaged), "reasons": list(damaged.values())}
    results = yield Batch(
        (
            Statement(
                "INSERT INTO {s}.quarantine (key, reason, namespace, value) "
                "SELECT e.key, g.reason, e.namespace, e.value FROM {s}.entries e "
                "JOIN unnest(%(keys)s::text[], %(reasons)s::text[]) AS g (key, reason) "
                "USING (key)",
                rows,
            ),
            Statement("DELETE FROM {s}.entries WHERE key = ANY(%(keys)s)", rows),
            Statement(
                "DELETE FROM {s}.quarantine "
                "WHERE id <= (SELECT max(id) FROM {s}.quarantine) - {kept}",
                {},
                {"kept": MAX_QUARANTINED},
            ),
        )
    )
    return results[1].count
