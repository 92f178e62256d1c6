"""Values that are written in base64, hexadecimal digits or percent escapes.

What is decoded is looked at by the other detectors, after the same words as before it.
It is decoded twice at most, and nothing that is not plain text then counts.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    Detector,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.surroundings import before

NAME = "encoded"
_BASE64 = r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,2048}+={0,2}"
_HEX = r"(?<![A-Za-z0-9])(?:[0-9A-Fa-f]{2}){8,512}+(?![A-Za-z0-9])"
_PERCENT = r"(?<![A-Za-z0-9._~+%-])(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9._~+-]){6,600}+"
_FILL = 4
_TO_URL_SAFE = str.maketrans("+/", "-_")


class _Decoded(PatternDetector):
    """Finds what the other detectors find in what a pattern's matches decode to."""

    def __init__(
        self,
        pattern: str,
        decode: Callable[[str], str | None],
        inner: Sequence[Detector],
        deeper: Sequence["_Decoded"] = (),
        *,
        needs: str = "",
    ) -> None:
        super().__init__(NAME, pattern)
        self._decode = decode
        self._inner = inner
        self._deeper = deeper
        self._needs = needs

    def matches(self, text: str) -> Iterator[Place]:
        """Find what may be decoded; texts without what that needs cost nothing."""
        return super().matches(text) if self._needs in text else iter(())

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Take the whole match where a value is in it."""
        plain = self._decode(text[start:end])
        if plain is None:
            return
        context = before(text, start)
        if self._holds_value(context + plain, len(context)):
            yield start, end

    def _holds_value(self, text: str, since: int) -> bool:
        """Whether a value starts behind the context."""
        found = (place for each in self._inner for place in each.find(text))
        return any(start >= since for start, _ in found) or any(
            each.occurs(text, since) for each in self._deeper
        )

    def occurs(self, text: str, since: int) -> bool:
        """Whether such a value starts at a place or after it.

        What comes before is only context. It is not decoded: else each of many encoded
        words would decode all those before it once more.
        """
        return any(
            True
            for start, end in self.matches(text)
            if start >= since
            for _ in self.refine(text, start, end)
        )


def _from_base64(value: str) -> str | None:
    body = value.rstrip("=").translate(_TO_URL_SAFE)
    try:
        return _readable(base64.b64decode(body + "=" * (-len(body) % _FILL), b"-_"))
    except (binascii.Error, ValueError):
        return None


def _from_hex(value: str) -> str | None:
    return _readable(bytes.fromhex(value))


def _from_percent(value: str) -> str | None:
    if "%" not in value:
        return None
    plain = _readable(unquote_to_bytes(value))
    return plain if plain != value else None


def _readable(data: bytes) -> str | None:
    """Return bytes as text, if that is what they are."""
    if not data.isascii():
        return None
    text = data.decode("ascii")
    return text if text.isprintable() else None


def encoded_detector(inner: Sequence[Detector]) -> AnyOf:
    """Return the detector of values that are encoded.

    Args:
        inner: What finds them when they are decoded.
    """
    return AnyOf(NAME, _decoders(inner, _decoders(inner)))


def _decoders(
    inner: Sequence[Detector], deeper: Sequence[_Decoded] = ()
) -> list[_Decoded]:
    return [
        _Decoded(_BASE64, _from_base64, inner, deeper),
        _Decoded(_HEX, _from_hex, inner, deeper),
        _Decoded(_PERCENT, _from_percent, inner, deeper, needs="%"),
    ]
