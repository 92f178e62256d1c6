"""Payment card numbers."""

import re
from collections.abc import Iterator

from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place
from langchain_prodpatterns.guard.detectors.cues import ORDERS, label, mention
from langchain_prodpatterns.guard.detectors.hints import (
    Announcements,
    beginnings,
)
from langchain_prodpatterns.guard.detectors.iban import passes_mod97
from langchain_prodpatterns.guard.detectors.surroundings import (
    GAPS,
    at,
    before,
    goes_on,
    opening,
    plain,
)

# Of two cards side by side both are in the match: whether groups of four are a card's
# or a table's is told by what follows.
_PATTERN = rf"{opening('[1-6]')}(?:[{GAPS}.\t]{{0,2}}+[0-9]){{12,31}}+"
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
_OTHER = label(f"{ORDERS} timestamp isbn part ean upc gtin barcode")
_NAMES = (
    "card credit debit visa mastercard maestro amex american_express karte "
    "kreditkarte carte tarjeta"
)
_CARD, _HINTS = re.compile(mention(_NAMES)), beginnings(_NAMES)
# The head of an IBAN in groups of four, of which the digits are the rest.
_IBAN_HEAD = re.compile(r"(?<![0-9a-z])[a-z]{2}[0-9]{2}(?:[ -][0-9a-z]{4}){1,7}[ -]$")
_SHORTEST, _LONGEST = 13, 19
_DECIMALS = re.compile(r"[0-9]{7}")
# As cards are printed: in fours, or as American Express, Diners, old Visa and long
# UnionPay cards are.
_LAYOUT = re.compile("(?:4 ){3,4}[1-4]|4 6 [45]|4 5 4|6 13")
_BEGINS_PRINTED = re.compile("[0-9]{13}|(?:[0-9]{4}|[0-9]{6})[^0-9]{1,2}[0-9]{4}")
_FOURS = re.compile("(?:[0-9]{4}[^0-9]{1,2})+[0-9]{1,4}")
_FOURS_BEFORE = re.compile(r"(?:(?<![0-9])[0-9]{4}[ .\t-]{1,2})+$")
_FOURS_BEHIND = re.compile(r"(?:[ .\t-]{1,2}[0-9]{4}(?![0-9]))*")
_GROUP = re.compile("[0-9]+")
_A_ROW = 2
_ONE_GAP = 2


class CardDetector(PatternDetector):
    """Finds card numbers of 13 to 19 digits by network, length and Luhn checksum.

    One number in ten passes the checksum by chance. So digits within words do not
    count, and unless a word for cards is near neither do digits in other groups than
    cards are printed in, a row of numbers of four digits, and what is labeled as an
    order, tracking or reference number.
    """

    def __init__(self) -> None:
        super().__init__("card", _PATTERN)

    def matches(self, text: str) -> Iterator[Place]:
        """Leave out digits in other groups than cards where no word is near."""
        words = Announcements(text, _HINTS)
        for start, end in super().matches(text):
            if _BEGINS_PRINTED.match(text, start, end) or words.near(start):
                yield start, end

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Try every length that ends with a group of digits."""
        value = plain(text[start:end])
        context = before(text, start)
        # Nothing is lower case where there are no letters.
        named = context.islower() and _CARD.search(context) is not None
        if not named and not _BEGINS_PRINTED.match(value):
            return
        stops = [each for each in _stops(value) if not goes_on(text, start + each[0])]
        if not stops or _is_fraction(text, start):
            return
        head = _IBAN_HEAD.search(context)
        # Behind a whole one comes another value.
        if head and not passes_mod97(re.sub("[ -]", "", head[0])):
            return
        if _OTHER.heads(context) and not named:
            return
        for stop, printed in stops:
            if named or (printed and not _is_in_row(context, value, stop)):
                yield start, start + stop


def _is_fraction(text: str, start: int) -> bool:
    """Whether these are the digits behind the point of a decimal number."""
    behind = at(text, start - 1) == "." and at(text, start - 2).isdigit()
    return behind and _DECIMALS.match(text, start) is not None


def _stops(value: str) -> Iterator[tuple[int, bool]]:
    """Yield where a card may end that begins here, and whether it looks printed."""
    digits, sizes, gaps = "", list[int](), set[str]()
    position = 0
    for group in _GROUP.finditer(value):
        gaps.add(value[position : group.start()])
        position = group.end()
        digits += group[0]
        sizes.append(len(group[0]))
        if len(digits) > _LONGEST:
            return
        if len(digits) >= _SHORTEST and _is_card(digits):
            # The first gap is that in front of the value: nothing.
            yield position, len(gaps) <= _ONE_GAP and _is_printed(sizes)


def _is_printed(sizes: list[int]) -> bool:
    layout = " ".join(map(str, sizes))
    return len(sizes) == 1 or _LAYOUT.fullmatch(layout) is not None


def _is_in_row(context: str, value: str, stop: int) -> bool:
    """Whether groups of four go on, in front and behind, as in a table.

    One more may be a year or when the card expires, and other cards are no table. Nor
    are the last digits of another value in groups of other sizes.
    """
    if not _FOURS.fullmatch(value, 0, stop):
        return False
    fours = _FOURS_BEFORE.search(context)
    front: list[str] = []
    if fours and not context[: fours.start()].rstrip(" .\t-")[-1:].isdigit():
        front = _GROUP.findall(fours[0])
    found = _FOURS_BEHIND.match(value, stop)
    behind = _GROUP.findall(found[0]) if found else []
    more = [*_not_of_card(front[-4:], front), *_not_of_card(behind[:4], behind)]
    return len(more) >= _A_ROW


def _not_of_card(nearest: list[str], groups: list[str]) -> list[str]:
    """Return the groups, or none where the four nearest ones are a card too."""
    return [] if _is_card("".join(nearest)) else groups


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
