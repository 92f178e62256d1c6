"""An entry as columns of PostgreSQL, and back: a damaged one is as good as none."""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.eviction import cost_of
from langchain_prodpatterns.cache.stores.sealing import (
    as_blob,
    as_text,
    checksum,
    metadata_json,
    size_of,
    usage_json,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.usage import Usage

_SEALED = "key, partition, exact, namespace, text, value, saved, metadata, ttl"
_ENTRY = f"e.{', e.'.join(_SEALED.split(', '))}"

READ = (
    f"e.id, {_ENTRY}, e.seal, extract(epoch FROM e.created)::float8, "
    "coalesce(u.hits, 0), extract(epoch FROM e.expires - clock_timestamp())::float8"
)
"""The columns that `Columns` reads, of `entries` as `e` and `uses` as `u`."""

LIVE = "(e.expires IS NULL OR e.expires > clock_timestamp())"
"""What is true of an entry, as `e`, whose time is not over."""

GIVEN = (
    "key",
    "partition",
    "exact",
    "namespace",
    "text",
    "value",
    "saved",
    "metadata",
    "ttl",
    "seal",
    "asked",
    "size",
    "cost",
    "vector",
)
"""The names of the columns that `given` writes."""

_HALF_LIMIT = 65_504  # the greatest number of half precision
_HALF_NONE = 2.0**-25  # the greatest that half precision rounds to none
MAX_DIMENSIONS = 4_000
"""Of a vector that an index of half-precision ones takes."""


def given(items: Iterable[tuple[Entry, Vector | None]]) -> dict[str, list[Any]]:
    """Return entries that are to be stored as columns, by name.

    Raises:
        ConfigurationError: When an entry's metadata is no JSON.
        StoreError: When a vector cannot be stored.
    """
    rows = [_given(entry, vector) for entry, vector in items]
    # In one order for all writers: two that store the same would else lock each other.
    rows.sort(key=lambda row: str(row[GIVEN.index("exact")]))
    columns = zip(*rows, strict=True) if rows else [() for _ in GIVEN]
    return {name: list(column) for name, column in zip(GIVEN, columns, strict=True)}


def _given(entry: Entry, vector: Vector | None) -> tuple[Any, ...]:
    sealed = (
        entry.key,
        entry.partition,
        entry.exact,
        as_blob(entry.namespace),
        None if entry.text is None else as_blob(entry.text),
        as_blob(entry.value),
        usage_json(entry.saved),
        metadata_json(entry.metadata),
        None if entry.ttl is None else float(entry.ttl),
    )
    halves = 0 if vector is None else 2 * vector.size
    return (
        *sealed,
        checksum(sealed),
        None if entry.text is None else digest(entry.text),
        size_of(sealed) + halves,
        cost_of(entry.saved),
        None if vector is None else as_literal(vector),
    )


def size_of_item(entry: Entry, vector: Vector | None) -> int:
    """Return about how many bytes an entry holds."""
    return int(_given(entry, vector)[GIVEN.index("size")])


def has_direction(vector: Vector) -> bool:
    """Whether a vector has one, also in half precision."""
    # Never true of what is not a number.
    return bool(_HALF_NONE < np.abs(vector).max(initial=0.0) < _HALF_LIMIT)


def as_literal(vector: Vector) -> str:
    """Write a vector as pgvector reads it.

    Raises:
        StoreError: When it has no direction, is too long, or not of numbers that half
            precision can hold.
    """
    if vector.size > MAX_DIMENSIONS:
        msg = f"PostgreSQL indexes {MAX_DIMENSIONS} dimensions, got {vector.size}"
        raise StoreError(msg)
    if not has_direction(vector):
        msg = "a vector must have a direction, and numbers that half precision can hold"
        raise StoreError(msg)
    return f"[{','.join(['%.5g'] * vector.size)}]" % tuple(vector.tolist())


@dataclass(frozen=True, slots=True)
class Half:
    """A vector to compare with, as pgvector sends it: a text takes far longer."""

    packed: bytes
    """Dimensions, a reserved number, and the numbers in half precision."""

    @classmethod
    def of(cls, vector: Vector) -> "Half":
        """Write a vector."""
        head = struct.pack(">HH", vector.size, 0)
        return cls(head + vector.astype(">f2").tobytes())


class _HalfDumper(Dumper):
    """Sends a `Half`; its type is that which a statement casts it to."""

    format = Format.BINARY

    def dump(self, obj: Half) -> bytes:
        return obj.packed


def teach(adapters: AdaptersMap) -> None:
    """Have connections send a `Half`."""
    adapters.register_dumper(Half, _HalfDumper)


teach(psycopg.adapters)


def as_vector(literal: str) -> Vector:
    """Read a vector as pgvector writes it."""
    return np.fromstring(literal[1:-1], np.float32, sep=",")


def read(row: Sequence[Any]) -> tuple[Entry, float | None] | None:
    """Return the entry of the columns `READ`, and how many seconds it has left.

    Returns:
        `None` for one that is damaged.
    """
    sealed, seal = row[1:10], row[10]
    created, hits, left = row[11:14]
    if checksum(sealed) != seal:
        return None
    key, partition, exact, namespace, text, value, saved, metadata, ttl = sealed
    entry = Entry(
        key=key,
        partition=partition,
        exact=exact,
        text=None if text is None else as_text(text),
        value=as_text(value),
        namespace=as_text(namespace),
        saved=Usage(**json.loads(saved)),
        metadata=json.loads(metadata),
        ttl=ttl,
        created=created,
        hits=hits,
    )
    return entry, left
