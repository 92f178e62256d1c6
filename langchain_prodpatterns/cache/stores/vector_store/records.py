"""What is kept under a name: JSON with a schema version and a checksum."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from langchain_prodpatterns.cache.digests import canonical_json, digest
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.sealing import sealed_columns, size_of
from langchain_prodpatterns.usage import Usage

SCHEMA = 1
"""The version of the records that are written."""

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_FLOATS = np.dtype("<f4")
_SAVED = 7
_METADATA = 8


class DamagedRecord(Exception):
    """Raised when a record is not as it was written."""


class NewerRecord(Exception):
    """Raised when a record is of a release after this one."""


def seal(name: str, body: Mapping[str, Any]) -> bytes:
    """Write a record.

    Args:
        name: What it is kept under; under another name it is damaged.
        body: JSON.
    """
    mark = digest(name, SCHEMA, body)
    record = {"schema": SCHEMA, "seal": mark, "body": body}
    # Lone surrogates are text in Python; JSON is read with them, too.
    return canonical_json(record).encode("utf-8", "surrogatepass")


def unseal(name: str, raw: bytes) -> dict[str, Any]:
    """Read a record.

    Raises:
        DamagedRecord: When it is not as it was written.
        NewerRecord: When this release cannot read it.
    """
    try:
        record = json.loads(raw)
        schema, mark, body = record["schema"], record["seal"], record["body"]
        newer = schema > SCHEMA
    except _MALFORMED as error:
        msg = "no record"
        raise DamagedRecord(msg) from error
    if newer:
        raise NewerRecord
    if digest(name, schema, body) != mark or not isinstance(body, dict):
        msg = "wrong checksum"
        raise DamagedRecord(msg)
    return body


def unseal_note(name: str, raw: bytes | None) -> dict[str, Any] | None:
    """Read a record beside the entries: a damaged one is as good as none."""
    if raw is None:
        return None
    try:
        return unseal(name, raw)
    except (DamagedRecord, NewerRecord):
        return None


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as it is kept."""

    entry: Entry
    """The entry."""
    vector: Vector | None
    """The vector of its text."""
    point: str | None
    """The id of that vector in the vector store, where it is there."""
    size: int
    """About how many bytes it holds."""

    def is_past(self, now: float) -> bool:
        """Whether its time is over."""
        ttl = self.entry.ttl
        return ttl is not None and self.entry.created + ttl <= now


def entry_body(
    entry: Entry, vector: Vector | None, point: str | None, now: float
) -> dict[str, Any]:
    """Return what is written of an entry that is stored now.

    Raises:
        ConfigurationError: When its metadata is no JSON.
    """
    columns = sealed_columns(entry, vector, now)
    return {
        "key": entry.key,
        "partition": entry.partition,
        "exact": entry.exact,
        "namespace": entry.namespace,
        "text": entry.text,
        "vector": None if vector is None else _as_text(vector),
        "point": point,
        "value": entry.value,
        # Texts: what JSON makes of a key that is a number would not fit the checksum.
        "saved": columns[_SAVED],
        "metadata": columns[_METADATA],
        "created": now,
        "ttl": entry.ttl,
        "size": size_of(columns),
    }


def kept_in(body: Mapping[str, Any], hits: Mapping[str, int]) -> Kept:
    """Return the entry that was written.

    Args:
        body: As `entry_body` made it.
        hits: Key to how often the entry was served.

    Raises:
        DamagedRecord: When it was not.
    """
    try:
        entry = Entry(
            key=body["key"],
            partition=body["partition"],
            exact=body["exact"],
            text=body["text"],
            value=body["value"],
            namespace=body["namespace"],
            saved=Usage(**json.loads(body["saved"])),
            metadata=json.loads(body["metadata"]),
            ttl=body["ttl"],
            created=body["created"],
            hits=hits.get(body["key"], 0),
        )
        vector = None if body["vector"] is None else _as_vector(body["vector"])
        return Kept(entry, vector, body["point"], body["size"])
    except _MALFORMED as error:
        msg = "no entry"
        raise DamagedRecord(msg) from error


def _as_text(vector: Vector) -> str:
    return base64.b64encode(np.asarray(vector, _FLOATS).tobytes()).decode()


def _as_vector(text: str) -> Vector:
    numbers = base64.b64decode(text, validate=True)
    return np.frombuffer(numbers, _FLOATS).astype(np.float32, copy=False)
