"""Digests of what identifies a request: the same value, the same digest."""

import hashlib
import json
from typing import Any

_LENGTH = 32
# Made once: `json.dumps` would make one for every lookup.
_encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(*parts: Any) -> str:
    """Return the digest of JSON values: 128 bits of SHA-256, in hex.

    Args:
        *parts: JSON values; the order of a mapping's keys does not matter.

    Returns:
        32 hexadecimal digits.
    """
    text = canonical_json(parts)
    # Lone surrogates are text in Python and must not fail here.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_LENGTH]


def canonical_json(value: Any) -> str:
    """Write a JSON value so that equal values give equal text."""
    return _encoder.encode(value)
