"""Payment card numbers."""

import re
from collections.abc import Iterator

from langchain_prodpatterns.guard.detectors.base import (
    PatternDetector,
    Place,
    at,
    before,
)
from langchain_prodpatterns.guard.detectors.cues import label
from langchain_prodpatterns.guard.detectors.iban import passes_mod97

# One separator between digits; groups need not be of four (American Express, Diners),
# but in a table of numbers they are of all sizes.
_PATTERN = r"(?<![0-9])[0-9](?:[ .\u00a0-]?[0-9]){12,18}+"
# First digits and lengths of the networks, from their published ranges.
_NETWORKS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|5[1-5][0-9]{14}"
    r"|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}"
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"
    r"|(?:2131|1800)[0-9]{11}"
    r"|62[0-9]{14,17}"
    r"|(?:5[0678]|6[0-9])[0-9]{11,17}"
)
_OTHER = label(
    "order tracking ref reference invoice ticket timestamp isbn serial part sku parcel "
    "shipment ean upc gtin barcode"
)
_CARD = re.compile(
    r"\b(?:card|credit|debit|visa|mastercard|maestro|amex|american express)\b"
)
# The head of an IBAN in groups of four, of which the digits are the rest.
_IBAN_HEAD = re.compile(r"(?<![0-9a-z])[a-z]{2}[0-9]{2}(?: [0-9a-z]{4}){1,7} $")
_SHORTEST = 13
_DECIMALS = re.compile(r"[0-9]{7}")
_SMALLEST_GROUP, _LARGEST_GROUP = 3, 8


class CardDetector(PatternDetector):
    """Finds card numbers of 13 to 19 digits by network, length and Luhn checksum.

    One number in ten passes the checksum by chance. So what is labeled as an order,
    tracking or reference number is left alone unless a word for cards is near, and so
    are digits within words.
    """

    def __init__(self) -> None:
        super().__init__("card", _PATTERN)

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Try every length that ends with a group of digits."""
        if at(text, start - 1).isalpha() or _is_fraction(text, start):
            return
        context = before(text, start)
        if _OTHER.search(context) and not _CARD.search(context):
            return
        head = _IBAN_HEAD.search(context)
        # Behind a whole one comes another value.
        if head and not passes_mod97(head[0].replace(" ", "")):
            return
        digits = ""
        for index in range(start, end):
            if not text[index].isdigit():
                continue
            digits += text[index]
            following = at(text, index + 1)
            if (
                len(digits) >= _SHORTEST
                and not following.isalnum()
                and _is_card(digits)
                and _is_grouped(text[start : index + 1])
            ):
                yield start, index + 1


def _is_fraction(text: str, start: int) -> bool:
    """Whether these are the digits behind the point of a decimal number."""
    behind = at(text, start - 1) == "." and at(text, start - 2).isdigit()
    return behind and _DECIMALS.match(text, start) is not None


def _is_grouped(value: str) -> bool:
    """Whether the groups of digits are of a card's sizes, or all of one size."""
    sizes = [len(group) for group in re.split("[^0-9]", value)]
    return (
        len(sizes) == 1
        or all(_SMALLEST_GROUP <= size <= _LARGEST_GROUP for size in sizes)
        or (len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0])
    )


def _is_card(digits: str) -> bool:
    return bool(_NETWORKS.fullmatch(digits)) and passes_luhn(digits)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the checksum of the others (ISO/IEC 7812-1).

    Args:
        digits: ASCII digits.

    Returns:
        Whether the checksum is right.
    """
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of its digits
    return total % 10 == 0
