"""International bank account numbers."""

import re
from collections.abc import Iterator

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.hints import matches_near, places_of
from langchain_prodpatterns.guard.detectors.surroundings import (
    GAPS,
    goes_on,
    opening,
)

# Groups only in upper case: else every text in lower case could be a part of one.
_GROUPED = opening("[A-Z]{2}[0-9]{2}") + rf"(?:[{GAPS}]?[0-9A-Z]){{11,30}}+"
_PLAIN = opening("[A-Za-z]{2}[0-9]{2}") + "[0-9A-Za-z]{11,30}+"
# The head of both, seen by its digits: a text has fewer of them than letters.
_HEAD = re.compile("[0-9](?<=[A-Za-z]{2}[0-9])(?=[0-9])")
_GROUP = re.compile("[0-9A-Za-z]+")
_SHORTEST = 15


class _IbanPattern(PatternDetector):
    def __init__(self, pattern: str) -> None:
        super().__init__("iban", pattern)

    def matches(self, text: str) -> Iterator[Place]:
        """Find what may be one by the digits of its head."""
        hints, width = places_of(_HEAD, text), self._shape.width
        return matches_near(self._regex, text, hints, width=width, before=2)

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Try every length that ends with a group."""
        compact = ""
        for group in _GROUP.finditer(text, start, end):
            compact += group[0].upper()
            ends = len(compact) >= _SHORTEST and not goes_on(text, group.end())
            if ends and _is_iban(compact):
                yield start, group.end()


def _is_iban(compact: str) -> bool:
    from stdnum import iban

    return passes_mod97(compact) and bool(iban.is_valid(compact, check_country=False))


def passes_mod97(compact: str) -> bool:
    """Whether the check digits are right (ISO 7064 MOD 97-10).

    Args:
        compact: ASCII letters and digits, upper case, without separators.

    Returns:
        Whether they are.
    """
    number = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    return int(number) % 97 == 1


def iban_detector() -> AnyOf:
    """Return the detector of IBANs: country, length, structure and check digits."""
    return AnyOf("iban", [_IbanPattern(_GROUPED), _IbanPattern(_PLAIN)])
