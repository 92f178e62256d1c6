"""Reading, adding and removing entries, as work for a database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import (
    Entry,
    Found,
    Selection,
    Vector,
)
from langchain_prodpatterns.cache.stores.postgres.announcing import announce
from langchain_prodpatterns.cache.stores.postgres.columns import (
    GIVEN,
    LIVE,
    READ,
    as_vector,
    given,
    read,
)
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Result,
    Statement,
    Work,
)
from langchain_prodpatterns.cache.stores.sealing import as_blob
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

_FROM = "FROM {s}.entries e LEFT JOIN {s}.uses u ON u.id = e.id"
_REMOVED_AT_ONCE = 5_000
_TRIES = 3
_BIG_SECONDS = 1e9
_EMBEDDER = "SELECT name, dimensions FROM {s}.embedder"


@dataclass(slots=True)
class Seen:
    """An entry that was read, and what was noticed by the way."""

    found: Found | None = None
    """The entry."""
    left: float | None = None
    """Seconds that it has left; `None` is for ever."""
    damaged: list[str] = field(default_factory=list)
    """The keys of rows that are damaged."""


def find(exact: str) -> Work[Seen]:
    """Return the entry of a request, or of its alias."""
    results = yield Batch.of(
        f"SELECT NULL, {READ} {_FROM} WHERE e.exact = %(exact)s AND {LIVE} "  # noqa: S608 - our own columns
        f"UNION ALL SELECT a.nearness, {READ} FROM {{s}}.aliases a "
        "JOIN {s}.entries e ON e.key = a.key LEFT JOIN {s}.uses u ON u.id = e.id "
        f"WHERE a.exact = %(exact)s AND {LIVE}",
        exact=exact,
    )
    seen = Seen()
    # That very request comes before an alias.
    for nearness, *columns in sorted(
        results[0].rows, key=lambda row: row[0] is not None
    ):
        entry = read(columns)
        if entry is None:
            seen.damaged.append(columns[1])
        elif seen.found is None:
            by: Any = "exact" if nearness is None else "alias"
            seen.found, seen.left = Found(entry[0], by, nearness or ""), entry[1]
    return seen


def get(key: str) -> Work[tuple[Entry | None, list[str]]]:
    """Return an entry by its key, and whether it is damaged."""
    results = yield Batch.of(
        f"SELECT {READ} {_FROM} WHERE e.key = %(key)s AND {LIVE}",
        key=key,
    )
    for row in results[0].rows:
        entry = read(row)
        return (None, [key]) if entry is None else (entry[0], [])
    return None, []


_NAMES = ", ".join(GIVEN)
_TYPES = {"namespace": "bytea", "text": "bytea", "value": "bytea", "seal": "bytea"}
_TYPES |= {"ttl": "float8", "size": "integer", "cost": "float8"}
_ARRAYS = ", ".join(f"%({name})s::{_TYPES.get(name, 'text')}[]" for name in GIVEN)
_INSERT = f"""
WITH given AS (SELECT * FROM unnest({_ARRAYS}) AS g ({_NAMES})),
fresh AS (
    INSERT INTO {{s}}.entries (key, partition, exact, namespace, text, value, saved,
        metadata, ttl, seal, asked, size, created, expires)
    SELECT key, partition, exact, namespace, text, value, saved, metadata, ttl, seal,
        asked, size, now(), now() + make_interval(secs => least(ttl, {_BIG_SECONDS}))
    FROM given WHERE vector IS NULL OR EXISTS (
        SELECT FROM {{s}}.embedder o
        WHERE o.name = %(embedder)s AND o.dimensions = %(dimensions)s
    )
    ON CONFLICT DO NOTHING RETURNING id, key
),
placed AS (
    INSERT INTO {{s}}.vectors (id, partition, namespace, vector)
    SELECT f.id, g.partition, g.namespace, g.vector::{{v}}.halfvec
    FROM fresh f JOIN given g USING (key) WHERE g.vector IS NOT NULL
),
used AS (
    INSERT INTO {{s}}.uses (id, size, cost, rank)
    SELECT f.id, g.size, g.cost, i.rank + g.cost / g.size
    FROM fresh f JOIN given g USING (key), {{s}}.inflation i
)
SELECT key FROM fresh
"""  # noqa: S608 - our own columns


@dataclass(frozen=True, slots=True)
class Added:
    """What became of entries that were to be stored."""

    stored: int
    """How many are stored."""
    embedder: Fingerprint | None
    """The embedding model of the store."""


def add(
    items: Sequence[tuple[Entry, Vector | None]],
    embedder: str,
    replaced: Sequence[str] = (),
) -> Work[Added]:
    """Store entries in place of those of the same requests.

    Args:
        items: The entries, with vectors of one length.
        embedder: The name of the embedding model.
        replaced: More requests whose entries are to go.

    Raises:
        StoreError: When the vectors in the store were made by another model.
    """
    # The last one of the same request wins, as if they came one by one.
    left = {entry.exact: (entry, vector) for entry, vector in items}
    doubled, stored, known = len(items) - len(left), 0, None
    size = next((v.size for _, v in items if v is not None), None)
    for _ in range(_TRIES):
        columns = given(left.values())
        exacts = sorted({*left, *replaced})
        results = yield _adding(columns, exacts, Fingerprint(embedder, size))
        known = _embedder(results[-1])
        if size is not None:
            _check_embedder(known, Fingerprint(embedder, size))
        keys = {key for (key,) in results[-2].rows}
        stored += len(keys)
        left = {x: item for x, item in left.items() if item[0].key not in keys}
        if not left:
            break
        # Another process has stored the same request between the two statements.
    return Added(stored + doubled if stored else 0, known)


def _adding(
    columns: dict[str, list[Any]], exacts: Sequence[str], given_by: Fingerprint
) -> Batch:
    model = {"embedder": given_by.name, "dimensions": given_by.dimensions}
    named = {"exacts": list(exacts)}
    statements = [
        Statement("DELETE FROM {s}.aliases WHERE exact = ANY(%(exacts)s)", named),
        Statement(
            "DELETE FROM {s}.entries WHERE id IN (SELECT id FROM {s}.entries "
            "WHERE exact = ANY(%(exacts)s) ORDER BY exact FOR UPDATE)",
            named,
        ),
        Statement(_INSERT, {**columns, **model}),
        Statement(_EMBEDDER),
    ]
    if given_by.dimensions is not None:
        record = (
            "INSERT INTO {s}.embedder (name, dimensions) "
            "VALUES (%(embedder)s, %(dimensions)s) ON CONFLICT DO NOTHING"
        )
        statements.insert(0, Statement(record, model))
    return Batch(tuple(statements))


def fingerprint() -> Work[Fingerprint | None]:
    """Return the embedding model of the vectors, once there is one."""
    results = yield Batch.of(_EMBEDDER)
    return _embedder(results[0])


def _embedder(result: Result) -> Fingerprint | None:
    return Fingerprint(*result.rows[0]) if result.rows else None


def _check_embedder(stored: Fingerprint | None, own: Fingerprint) -> None:
    if stored is not None and stored != own:
        msg = f"the store holds vectors of {stored}, not of {own}"
        raise StoreError(msg)


def clauses(selection: Selection) -> tuple[str, dict[str, Any]]:
    """Return a condition on the entries, as `e`, and the values in it.

    Args:
        selection: The criteria; its `where` is not for SQL.
    """
    conditions, values = ["true"], dict[str, Any]()
    if selection.key is not None:
        conditions.append("e.key = %(key)s")
        values["key"] = selection.key
    if selection.text is not None:
        conditions.append(
            "(e.asked = %(asked)s OR e.key IN "
            "(SELECT a.key FROM {s}.aliases a WHERE a.asked = %(asked)s))"
        )
        values["asked"] = digest(selection.text)
    if selection.namespace is not None:
        conditions.append("e.namespace = %(namespace)s")
        values["namespace"] = as_blob(selection.namespace)
    if selection.partition is not None:
        conditions.append("e.partition = %(partition)s")
        values["partition"] = selection.partition
    if selection.older_than is not None:
        conditions.append("e.created <= now() - make_interval(secs => %(age)s::float8)")
        values["age"] = min(float(selection.older_than), _BIG_SECONDS)
    return " AND ".join(conditions), values


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the entries that a selection fits, as far as columns can tell."""

    items: list[tuple[Entry, Vector | None]]
    """The entries with their vectors."""
    last: int
    """Where to go on."""
    is_last: bool
    """Whether there are no more."""


def page(selection: Selection, last: int, batch: int) -> Work[Page]:
    """Return entries beyond a row's number.

    Args:
        selection: Which entries.
        last: The number.
        batch: How many rows to read at most.
    """
    where, values = clauses(selection)
    results = yield Batch.of(
        f"SELECT n.vector::text, {READ} {_FROM} "
        f"LEFT JOIN {{s}}.vectors n ON n.id = e.id WHERE {where} AND {LIVE} "
        "AND e.id > %(last)s ORDER BY e.id LIMIT %(batch)s",
        **values,
        last=last,
        batch=batch,
    )
    rows = results[0].rows
    items = [
        (entry[0], None if literal is None else as_vector(literal))
        for literal, *columns in rows
        if (entry := read(columns)) is not None
    ]
    return Page(items, rows[-1][1] if rows else last, len(rows) < batch)


def remove(
    selection: Selection, origin: str, keys: Sequence[str] | None = None
) -> Work[int]:
    """Remove entries, some thousand a transaction; return how many.

    What is removed is announced before: an answer that another process stores after
    that is there to be removed, and one that it stores before is told to it. And with
    the removal: until then another process could still find it, and keep it at hand.

    Args:
        selection: Which entries.
        origin: Who removes them.
        keys: Only those of these keys.
    """
    announced = announce(selection, origin)
    yield announced
    where, values = clauses(selection)
    if keys is not None:
        where, values = f"{where} AND e.key = ANY(%(keys)s)", {**values, "keys": keys}
    removed = 0
    while True:
        removing = Statement(
            "DELETE FROM {s}.entries WHERE id IN (SELECT e.id FROM {s}.entries e "  # noqa: S608 - our own clauses
            f"WHERE {where} ORDER BY e.exact LIMIT %(limit)s FOR UPDATE)",
            {**values, "limit": _REMOVED_AT_ONCE},
        )
        results = yield Batch((removing, *announced.statements))
        removed += results[0].count
        if results[0].count < _REMOVED_AT_ONCE:
            return removed
