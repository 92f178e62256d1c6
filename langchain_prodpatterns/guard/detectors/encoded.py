"""Values that are written in base64, hexadecimal digits or percent escapes.

What is decoded is looked at by the other detectors, after the same words as before it.
It is decoded twice at most, and nothing that is not plain text then counts.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    Detector,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK
from langchain_prodpatterns.guard.detectors.surroundings import before

NAME = "encoded"
# Only what can be plain text counts, which few words can: four characters of base64 for
# three below 0x80, the first two of them no controls; two of hexadecimal digits for
# one that is no control.
_FOUR = "[I-Za-f][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_BASE64 = (
    rf"{_FOUR}(?<![A-Za-z0-9+/_-]{_FOUR}){_FOUR}{_FOUR}"
    r"[A-Za-z0-9+/_-]{0,2036}+={0,2}"
)
_PAIR = "[2-7][0-9A-Fa-f]"
_HEX = rf"{_PAIR}(?<![A-Za-z0-9]{_PAIR})(?:{_PAIR}){{7,511}}+(?![A-Za-z0-9])"
_PERCENT = (
    r"(?<![A-Za-z0-9._~+%-])[A-Za-z0-9._~+-]{0,599}+%[0-9A-Fa-f]{2}"
    r"(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9._~+-]){0,599}+"
)
_FEWEST = 6
_FILL = 4
_NO_DIGITS = str.maketrans("0123456789", "x" * 10)
"""Words tell what follows; digits there would be looked at as if they were values."""
_APART = "\n\x00\n"
"""No value of ours holds both a line end and a zero."""
_TO_URL_SAFE = str.maketrans("+/", "-_")


class _Decoded(PatternDetector):
    """Finds what the other detectors find in what a pattern's matches decode to."""

    def __init__(
        self,
        pattern: str,
        decode: Callable[[str], str | None],
        inner: Sequence[Detector],
        deeper: "Sequence[_Decoded]",
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

    def find(self, text: str) -> Iterator[Place]:
        """Find the matches that hold a value, whole.

        All that is decoded is laid out in one text, since a look costs much more than
        the few characters that it is at. What sets the parts apart is in no value.
        """
        places, parts, starts, size = list[Place](), list[str](), list[int](), 0
        for start, end in self.matches(text):
            for context, plain in self.decoded(before(text, start), text[start:end]):
                lead = _APART + context.rjust(LOOKBACK).translate(_NO_DIGITS)
                places.append((start, end))
                starts.append(size + len(lead))
                size += len(lead) + len(plain)
                parts += lead, plain
        if places:
            hits = self._hits("".join(parts) + _APART, starts)
            yield from dict.fromkeys(places[index] for index in sorted(hits))

    def decoded(self, context: str, value: str) -> Iterator[tuple[str, str]]:
        """Yield what a value decodes to, once and twice, and the words before it.

        Args:
            context: The words before the value.
            value: What is encoded.
        """
        plain = self._decode(value)
        if plain is None:
            return
        yield context, plain
        for decoder in self._deeper:
            for start, end in decoder.matches(plain):
                words = before(context + plain, len(context) + start)
                for _, deeper in decoder.decoded(words, plain[start:end]):
                    yield words, deeper

    def _hits(self, laid_out: str, starts: Sequence[int]) -> set[int]:
        """Return in which parts values begin, not in the words before them."""
        ends = [start - LOOKBACK - len(_APART) for start in starts[1:]]
        hits: set[int] = set()
        for detector in self._inner:
            for start, _ in detector.find(laid_out):
                index = bisect_right(starts, start) - 1
                if index >= 0 and (index == len(ends) or start < ends[index]):
                    hits.add(index)
        return hits


def _from_base64(value: str) -> str | None:
    body = value.rstrip("=").translate(_TO_URL_SAFE)
    try:
        return _readable(base64.b64decode(body + "=" * (-len(body) % _FILL), b"-_"))
    except (binascii.Error, ValueError):
        return None


def _from_hex(value: str) -> str | None:
    return _readable(bytes.fromhex(value))


def _from_percent(value: str) -> str | None:
    plain = _readable(unquote_to_bytes(value))
    return plain if plain is not None and len(plain) >= _FEWEST else None


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
    again = _decoders(inner, [])
    return AnyOf(NAME, _decoders(inner, again))


def _decoders(inner: Sequence[Detector], deeper: Sequence[_Decoded]) -> list[_Decoded]:
    return [
        _Decoded(_BASE64, _from_base64, inner, deeper),
        _Decoded(_HEX, _from_hex, inner, deeper),
        _Decoded(_PERCENT, _from_percent, inner, deeper, needs="%"),
    ]
