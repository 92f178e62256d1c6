"""The lines of an exported cache: a header, then one entry a line, as JSON.

```
{"format": "prodpatterns-cache", "version": 1, "embedder": {...}, "entries": 2}
{"key": "...", "partition": "...", "exact": "...", "text": "...", "vector": "...", ...}
```

What was learned follows (`commands.learned`).

A vector is the base64 of its float32 numbers, little endian. Times are seconds since
the epoch: an answer goes on to age while it is in a file. What is in a file is data: it
is checked field by field, and what is not of this form is refused by its line number,
without a word of what stands there.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.errors import ProdPatternsError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.json_lines import read_object
from langchain_prodpatterns.usage import Usage

FORMAT = "prodpatterns-cache"
"""The first word of the header."""
VERSION = 1
"""Raised whenever an older release could not read the lines."""

_NUMBERS = np.dtype("<f4")
_UNIT = 1e-3
_USAGE = {one.name: one.default for one in fields(Usage)}
_NAMES = ("key", "partition", "exact")
_TEXTS = ("namespace", "value")


class BadLine(ProdPatternsError):
    """Raised by a line that is none of an export; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an export."""

    embedder: Fingerprint | None
    """The embedding model of the vectors; `None` where there are none."""
    entries: int | None = None
    """How many entries there were, about, when the export began."""


def header_line(header: Header) -> str:
    """Write the first line, without its end."""
    model = header.embedder
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "embedder": model and {"name": model.name, "dimensions": model.dimensions},
            "entries": header.entries,
        }
    )


def read_header(line: str) -> Header:
    """Read the first line.

    Raises:
        BadLine: When it is no header, or of a version that is not known here.
    """
    given = read_fields(line)
    if given.get("format") != FORMAT:
        msg = "no export of `prodpatterns cache export`"
        raise BadLine(msg)
    if given.get("version") != VERSION:
        msg = (
            f"an export of version {given.get('version')!r}, this release reads "
            f"version {VERSION}: use the release that wrote it"
        )
        raise BadLine(msg)
    entries = given.get("entries")
    return Header(
        _read_embedder(given.get("embedder")), entries if _is_count(entries) else None
    )


def entry_line(entry: Entry, vector: Vector | None) -> str:
    """Write an entry, without the line's end."""
    saved = {name: getattr(entry.saved, name) for name in _USAGE}
    return json.dumps(
        {
            "key": entry.key,
            "partition": entry.partition,
            "exact": entry.exact,
            "namespace": entry.namespace,
            "text": entry.text,
            "value": entry.value,
            "saved": {n: value for n, value in saved.items() if value != _USAGE[n]},
            "metadata": dict(entry.metadata),
            "created": entry.created,
            "expires": None if entry.ttl is None else entry.created + entry.ttl,
            "hits": entry.hits,
            "vector": None if vector is None else _as_base64(vector),
        }
    )


def read_fields(line: str) -> Mapping[str, Any]:
    """Read the fields of a line.

    Raises:
        BadLine: When it is no JSON object.
    """
    given = read_object(line)
    if given is None:
        msg = "no JSON object"
        raise BadLine(msg)
    return given


def read_entry(
    given: Mapping[str, Any], header: Header, now: float
) -> tuple[Entry, Vector | None]:
    """Read an entry.

    Args:
        given: The fields of its line.
        header: The first line of the file.
        now: Seconds since the epoch: the time to live is what is left of it then, and
            not above zero where it is over.

    Raises:
        BadLine: When it is no entry.
    """
    key, partition, exact = (_read_name(given, name) for name in _NAMES)
    namespace, value = (_read_text(given, name) for name in _TEXTS)
    text, metadata, expires = (given.get(n) for n in ("text", "metadata", "expires"))
    check("value", _is_utf8(value))
    check("text", text is None or isinstance(text, str))
    check("metadata", isinstance(metadata, dict))
    check("expires", expires is None or is_number(expires))
    entry = Entry(
        key=key,
        partition=partition,
        exact=exact,
        text=text,
        value=value,
        namespace=namespace,
        saved=_read_usage(given.get("saved")),
        metadata=metadata or {},
        ttl=None if expires is None else expires - now,
    )
    return entry, _read_vector(given.get("vector"), header.embedder)


def key_of(line: str) -> str:
    """Return the key of an entry's line.

    Raises:
        BadLine: When it is none.
    """
    return _read_name(read_fields(line), "key")


def is_name(given: Any) -> bool:
    """Whether this is a text by which every store can keep something."""
    return (
        isinstance(given, str) and bool(given) and "\0" not in given and _is_utf8(given)
    )


def check(name: str, is_good: object) -> None:
    """Refuse a field that is missing or of another form.

    Raises:
        BadLine: When it is.
    """
    if not is_good:
        msg = f"no {name!r}, or one that is none"
        raise BadLine(msg)


def _read_text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    check(name, isinstance(value, str) and value)
    return str(value)


def _read_name(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    check(name, is_name(value))
    return str(value)


def _is_utf8(text: str) -> bool:
    """Tell whether no half of a surrogate pair is in a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_embedder(given: Any) -> Fingerprint | None:
    if given is None:
        return None
    named = given if isinstance(given, dict) else {}
    name, size = named.get("name"), named.get("dimensions")
    check("embedder", is_name(name) and (size is None or _is_count(size)))
    return Fingerprint(str(name), size)


def _read_usage(given: Any) -> Usage:
    check("saved", isinstance(given, dict) and given.keys() <= _USAGE.keys())
    check("saved", all(_is_used(name, value) for name, value in given.items()))
    return Usage(**given)


def _is_used(name: str, value: Any) -> bool:
    if isinstance(_USAGE[name], int):
        return _is_count(value)
    return is_number(value) or (name == "usd" and value is None)


def _as_base64(vector: Vector) -> str:
    return base64.b64encode(vector.astype(_NUMBERS).tobytes()).decode("ascii")


def _from_base64(given: Any) -> bytes:
    """Return the bytes of a text; none for what is not base64."""
    try:
        return base64.b64decode(given, validate=True)
    except (TypeError, ValueError):
        return b""


def _read_vector(given: Any, embedder: Fingerprint | None) -> Vector | None:
    if given is None or embedder is None:
        check("vector", given is None)
        return None
    blob = _from_base64(given)
    check("vector", blob)
    size = len(blob) // _NUMBERS.itemsize
    if len(blob) % _NUMBERS.itemsize or embedder.dimensions not in {None, size}:
        msg = f"a vector of {size} dimensions, the export is of {embedder}"
        raise BadLine(msg)
    vector = np.frombuffer(blob, _NUMBERS).astype(np.float32)
    # False of what is not a number, too.
    if not math.isclose(float(np.linalg.norm(vector)), 1.0, abs_tol=_UNIT):
        msg = "a vector that is not of unit length"
        raise BadLine(msg)
    return vector
