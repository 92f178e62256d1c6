"""Hardware addresses of network devices."""

import re
from collections.abc import Iterable, Iterator

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
    is_mixed,
)
from langchain_prodpatterns.guard.detectors.cues import mention
from langchain_prodpatterns.guard.detectors.hints import matches_near, places_of
from langchain_prodpatterns.guard.detectors.surroundings import (
    before,
    goes_on,
    is_in_escape,
    opening,
)

# The whole row of pairs: a fingerprint of a certificate has sixteen or more.
_PAIRS = (
    opening("[0-9A-Fa-f]{2}[:-]", also=":.-")
    + "[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){4,31}+"
)
_DOTTED = opening(r"[0-9A-Fa-f]{4}\.", also=":.-") + r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
# What stands behind the first pair or the first four digits.
_SECOND_PAIR = re.compile("[:-](?=[0-9A-Fa-f]{2}[:-])")
_SECOND_FOUR = re.compile(r"\.(?=[0-9A-Fa-f]{4}\.)")
_SIX_PAIRS = re.compile("[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\\1){4}[0-9a-f]{2}")
_NAMED = re.compile(
    mention("mac hwaddr ether bssid lladdr ethernet hardware wlan wi-fi wifi bluetooth")
)
_NOBODYS = re.compile("(?:0|[:.-])+|(?:f|[:.-])+")


class _MacPattern(PatternDetector):
    def __init__(self, pattern: str, second: re.Pattern[str], first: int) -> None:
        super().__init__("mac", pattern)
        self._second = second
        self._first = first

    def matches(self, text: str) -> Iterator[Place]:
        """Find rows by what follows their first digits."""
        hints, width = places_of(self._second, text), self._shape.width
        return matches_near(self._regex, text, hints, width=width, before=self._first)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Leave out longer rows, ratios and the addresses of everybody and nobody."""
        value = text[start:end].lower()
        if goes_on(text, end) or is_in_escape(text, start, end):
            return []
        if not ("." in value or _SIX_PAIRS.fullmatch(value)):
            return []
        if _NOBODYS.fullmatch(value):
            return []
        named = is_mixed(value) or _NAMED.search(before(text, start))
        return [(start, end)] if named else []


def mac_detector() -> AnyOf:
    """Return the detector of MAC addresses, in pairs or as Cisco writes them.

    In the default set: like an IP address it tells whose device it is, and six pairs
    with letters and digits are hardly ever anything else. Where all are digits or all
    are letters, a word such as "MAC" or "Wi-Fi" must be near.
    """
    pairs = _MacPattern(_PAIRS, _SECOND_PAIR, 2)
    return AnyOf("mac", [pairs, _MacPattern(_DOTTED, _SECOND_FOUR, 4)])
