"""Writing an entry as columns, with a checksum over all of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.usage import Usage

Row: TypeAlias = tuple[Any, ...]
"""A row, of whatever types its columns turn out to be."""

SEALED = (
    "key, partition, exact, namespace, text, vector, value, saved, metadata, "
    "created, expires"
)
"""What the checksum of an entry is of."""

_USAGE = {field.name: field.default for field in fields(Usage)}
_NUMBER_BYTES = 8
_CHECKSUM_BYTES = 16


def sealed_columns(entry: Entry, vector: Vector | None, now: float) -> Row:
    """Return the columns of an entry that is stored now, in the order of `SEALED`.

    Raises:
        ConfigurationError: When its metadata is no JSON.
    """
    return (
        entry.key,
        entry.partition,
        entry.exact,
        as_blob(entry.namespace),
        None if entry.text is None else as_blob(entry.text),
        None if vector is None else np.asarray(vector, np.float32).tobytes(),
        entry.value,
        usage_json(entry.saved),
        metadata_json(entry.metadata),
        now,
        None if entry.ttl is None else now + entry.ttl,
    )


def usage_json(usage: Usage) -> str:
    """Write what is not as by default: `asdict` takes as long as to store the row.

    Args:
        usage: As `Usage(**...)` of it gives it back.
    """
    given = ((name, getattr(usage, name)) for name in _USAGE)
    return json.dumps({n: value for n, value in given if value != _USAGE[n]})


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """Write an entry's metadata.

    Raises:
        ConfigurationError: When it is no JSON.
    """
    try:
        return json.dumps(dict(metadata)) if metadata else "{}"
    except (TypeError, ValueError) as error:
        # It names a type, never a value.
        msg = f"an entry's metadata must be JSON: {error}"
        raise ConfigurationError(msg) from error


def size_of(sealed: Row) -> int:
    """Return about how many bytes an entry holds: its texts, blobs and numbers."""
    return sum(
        len(column) if isinstance(column, str | bytes) else _NUMBER_BYTES
        for column in sealed
    )


def checksum(sealed: Sequence[Any]) -> bytes:
    """Return the digest of a row's columns, of whatever types they turn out to be."""
    # A blob is hashed as it is: as `repr` writes it, it is four times as long.
    blobs = [column for column in sealed if isinstance(column, bytes)]
    rest = [(len(c),) if isinstance(c, bytes) else c for c in sealed]
    seal = blake2b(repr(rest).encode(), digest_size=_CHECKSUM_BYTES)
    for blob in blobs:
        seal.update(blob)
    return seal.digest()


def as_blob(text: str) -> bytes:
    """Write a text: lone surrogates are text in Python, SQLite's text refuses them."""
    return text.encode("utf-8", "surrogatepass")


def as_text(blob: bytes) -> str:
    """Read what `as_blob` has written."""
    return blob.decode("utf-8", "surrogatepass")
