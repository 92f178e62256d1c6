"""Telephone numbers."""

import re
from collections.abc import Iterator, Sequence

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.detectors.base import (
    PatternDetector,
    Place,
    at,
    before,
)

DEFAULT_REGIONS = ("US", "GB", "DE", "FR")
"""Regions whose national notation is known without a hint."""

_PATTERN = r"(?<![0-9A-Za-z])[+(]{0,2}+[0-9](?:[ ().\u00a0/-]{0,3}+[0-9]){6,16}+"
_ANNOUNCED = re.compile(
    r"(?:\b(?:tel|telephone|phone|mobile|cell|fax|whatsapp|sms|call|calling|dial|"
    r"ring|hotline|landline|voicemail|reach|text me|answering|message)\b)[^\n]{0,40}$"
)
_OTHER = re.compile(
    r"(?:\b(?:order|tracking|ref|reference|invoice|ticket|timestamp|isbn|serial|part|"
    r"sku|build|version|account|card|iban|ssn|ratio|zip|id|commit|uuid|year|since|in)"
    r"\b[^.\n]{0,12}|[$€£#§]\s?)$"
)
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:\D.*)?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d"
    r"(?:\D.*)?|(?:19|20)\d\d(?: ?[-/ ] ?(?:19|20)\d\d){1,4}"
)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,3})\.[0-9]{7}")
# An order number such as 650-9672286-0826993 goes on.
_GOES_ON = re.compile(r"-[0-9]{5}")
# Deep inside a table of digits every group would be tried as the start of a number.
_TABLE = re.compile(r"(?:[0-9][ ().\u00a0/-]{0,3}+){14}$")
_FEWEST = 7
_MOST_ENDS = 4


class PhoneDetector(PatternDetector):
    """Finds telephone numbers with Google's numbering plans (`phonenumbers`).

    International notation counts where the number is valid. National notation counts
    where it is valid in one of the regions and written in groups, or where a word such
    as "call" or "tel" announces it. Order numbers, dates, versions and hashes do not.
    """

    def __init__(
        self, regions: Sequence[str] = DEFAULT_REGIONS, *, name: str = "phone"
    ) -> None:
        """Set the regions.

        Args:
            regions: Countries (ISO 3166, `"US"`) whose national notation to know.
            name: The type of the values.

        Raises:
            ConfigurationError: When a region is not known.
        """
        from phonenumbers import SUPPORTED_REGIONS

        unknown = sorted(set(regions) - set(SUPPORTED_REGIONS))
        if isinstance(regions, str) or unknown:
            msg = (
                "regions are two-letter countries such as ['US', 'GB'], "
                f"got {regions!r}"
            )
            raise ConfigurationError(msg)
        self._regions = tuple(regions)
        super().__init__(name, _PATTERN)

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Take the longest group of groups that is a number."""
        value = text[start:end]
        context = before(text, start)
        if at(text, start - 1) in _JOINERS:
            return
        if _TABLE.search(context) and "+" not in value[:2]:
            return
        if value.count("(") > 1 or value.count(")") > 1:
            return
        if _DATE.fullmatch(value) or _OTHER.search(context):
            return
        announced = _ANNOUNCED.search(context) is not None
        if not announced and _DECIMAL.match(value):
            return
        # The longest match may end within a group of digits that are another value's.
        whole = [] if at(text, end).isalnum() else [len(value)]
        for stop in [*whole, *_ends(value)]:
            if not value.startswith("+") and _GOES_ON.match(value, stop):
                continue
            if self._is_phone(value[:stop], announced=announced):
                yield start, start + stop
                return

    def _is_phone(self, value: str, *, announced: bool) -> bool:
        digits = sum(char.isdigit() for char in value)
        if digits < _FEWEST:
            return False
        if value.lstrip("(").startswith("+"):
            return _is_valid(value, None)
        grouped = not value.isdigit()
        if announced:
            return grouped or any(_is_valid(value, region) for region in self._regions)
        return grouped and any(
            _is_valid(value, region) and _is_grouped_as_usual(value, region)
            for region in self._regions
        )


# What joins digits to a longer thing: a decimal, a path, an address, an amount.
_JOINERS = frozenset(".,:/-_#$=@") - {":", "=", "/"}


def _ends(value: str) -> list[int]:
    """Return where the last few groups inside a run end, from the back."""
    ends = [
        index + 1
        for index in range(len(value) - 2, 0, -1)
        if value[index].isdigit() and not value[index + 1].isdigit()
    ]
    return ends[:_MOST_ENDS]


def _is_valid(value: str, region: str | None) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))


def _is_grouped_as_usual(value: str, region: str) -> bool:
    """Whether the groups are those in which the region writes the number."""
    import phonenumbers

    return phonenumbers.PhoneNumberMatcher(
        value, region, leniency=phonenumbers.Leniency.STRICT_GROUPING
    ).has_next()
