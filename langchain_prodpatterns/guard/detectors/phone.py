"""Telephone numbers."""

import re
from collections.abc import Iterable, Iterator, Sequence

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place
from langchain_prodpatterns.guard.detectors.cues import ORDERS, label, mention
from langchain_prodpatterns.guard.detectors.hints import (
    Announcements,
    beginnings,
)
from langchain_prodpatterns.guard.detectors.numbering import NumberingPlans
from langchain_prodpatterns.guard.detectors.surroundings import (
    GAPS,
    at,
    before,
    goes_on,
    opening,
    plain,
)

DEFAULT_REGIONS = ("US", "GB", "DE", "FR")
"""Regions whose national notation is known without a hint."""

_PATTERN = (
    opening("[+(0-9]")
    + rf"(?:(?<=[0-9])|[+(]?+[0-9])(?:[{GAPS}()./]{{0,3}}+[0-9]){{6,16}}+"
)
_NAMES = (
    "tel telephone phone mobile cell fax whatsapp sms hotline landline telefon "
    "telefonnummer rufnummer handy handynummer mobil t\u00e9l t\u00e9l\u00e9phone"
)
_CALLS = "call calling dial ring voicemail reach text_me answering message"
_HINTS = beginnings(f"{_NAMES} {_CALLS}")
_LABELED = label(_NAMES)
_ANNOUNCED = re.compile(mention(f"{_NAMES} {_CALLS}") + r"[^\n]{0,40}$")
_OTHER = label(
    f"{ORDERS} timestamp isbn part build version account card iban ssn ratio zip id "
    "commit uuid year"
)
_PERIOD = label("since in")
_YEAR = re.compile("(?:19|20)[0-9]{2}(?![0-9])")
_AMOUNT = re.compile(r"[$€£#§]\s?$")
_DIRECT = re.compile(r"(?:\b(?:at|on|under|me|us|call|dial|ring)|[:=#])[ (]{0,2}\Z")
# What joins digits to a longer thing: a decimal, an amount, a date, a name.
_LONGEST_JOINED = 4
_JOINED = re.compile(r"(?:[0-9],|(?<![0-9])[0-9]{1,2}/|[._@-])\Z")
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:\D.*)?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d"
    r"(?:\D.*)?|(?:19|20)\d\d(?: ?[-/ ] ?(?:19|20)\d\d){1,4}"
    # 03.12.24, but pairs that go on are a French number.
    r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\1\d\d"
    r"(?:(?!\1)\D.*)?"
)
# Thousands are written in threes, as are the numbers of some countries: these begin
# with three digits, have blanks in between and are no round sums. Where the word that
# announces a number is next to it, "12 345 678" is one too.
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d?(?: \d{3})+|[1-9]\d\d(?: \d{3})* 000"
)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,3})\.[0-9]{7}")
# An order number such as 650-9672286-0826993 goes on.
_GOES_ON = re.compile(r"-[0-9]{5}")
# Deep inside a table of digits every group would be tried as the start of a number;
# what closes a bracket or is no blank is of a list of numbers.
_TABLE_BACKWARDS = re.compile(r"(?:[ (]{0,3}+[0-9]){14}")
# Pairs in a table do not begin with 0, as numbers with their area code do.
_PAIRS = re.compile("(?!0[0-9])[(]?[0-9]{1,2}(?:[^0-9]+[0-9]{1,2})*")
_IN_A_ROW = re.compile(r"[0-9] {1,3}\Z")
_ROW_GOES_ON = re.compile(" {1,3}[0-9]")
_SIGNED = re.compile(r"(?:^|[^0-9a-z+(])[+(]$")
# Groups of which at most one is a single digit.
_IN_GROUPS = re.compile(
    "(?:[^0-9]{0,3}+[0-9]{2,}+)*+(?:[^0-9]{0,3}+[0-9](?![0-9]))?+"
    "(?:[^0-9]{0,3}+[0-9]{2,}+)*+"
)
_NO_DIGITS = re.compile("[^0-9]+")
_GROUP_END = re.compile("[0-9](?=[^0-9])")
_FEWEST, _MOST = 7, 15
_MOST_ENDS = 5


class PhoneDetector(PatternDetector):
    """Finds telephone numbers with Google's numbering plans (`phonenumbers`).

    International notation counts where the number is valid, whatever stands before it.
    National notation counts where it is valid in one of the regions and written in
    groups, or where a word such as "call" or "tel" announces it. What is labeled as an
    order number or the like does not, nor do dates, versions and hashes.
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

    def find(self, text: str) -> Iterator[Place]:
        """Find the values.

        Args:
            text: The text.

        Yields:
            Where they are.
        """
        plans = NumberingPlans(self._regions)
        words = Announcements(text, _HINTS)
        for start, end in self.matches(text):
            yield from _narrow(text, start, end, plans, near=words.near(start))

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take the longest group of groups that is a number."""
        return _narrow(text, start, end, NumberingPlans(self._regions), near=True)


def _narrow(
    text: str, start: int, end: int, plans: NumberingPlans, *, near: bool
) -> Iterable[Place]:
    """Find the number in a match; a word may announce it only if one is near."""
    context = before(text, start)
    if _SIGNED.search(context[-2:]) and at(text, start) not in ("+", "("):
        return []  # it was tried from the sign on
    if text.startswith("((", start):
        start += 1  # the outer one is the sentence's
    abroad = "+" in text[start : start + 2]
    if not abroad and _is_inside(context):
        return []
    value = plain(text[start:end])
    # The longest match may end within a group of digits that are another value's.
    whole = [] if goes_on(text, end) else [len(value)]
    stops = [*whole, *_ends(value)]
    if "(" in value or ")" in value:
        stops = [stop for stop in stops if _has_one_pair(value[:stop])]
    if not stops:
        return []
    if abroad:
        stop = _international(value, stops, plans)
    else:
        stop = _national(value, context, stops, plans, near=near)
    return [(start, start + stop)] if stop else []


def _has_one_pair(value: str) -> bool:
    """Whether at most one pair of brackets is in a value."""
    return value.count("(") <= 1 and value.count(")") <= 1


def _international(value: str, stops: Iterable[int], plans: NumberingPlans) -> int:
    """Return where a number with a country code ends, 0 if there is none.

    Where the code is of no country but a number follows, both are taken: half of a
    number must not stay behind.
    """
    for stop in stops:
        if plans.is_international(value[:stop]):
            return stop
    rest = re.search(r"[^+(0-9]", value)
    inner = rest.end() if rest else len(value)
    return next((s for s in stops if _is_number(value[inner:s], plans)), 0)


def _national(
    value: str,
    context: str,
    stops: Sequence[int],
    plans: NumberingPlans,
    *,
    near: bool,
) -> int:
    """Return where a number without a country code ends, 0 if there is none."""
    labeled = near and _LABELED.heads(context)
    # Nothing is lower case where there are no letters.
    announced = labeled or (
        near and context.islower() and _ANNOUNCED.search(context) is not None
    )
    if not announced:
        stops = _in_groups(value, stops)
    if not stops or _DATE.fullmatch(value):
        return 0
    if not labeled and _is_other(value, context):
        return 0
    if announced:
        direct = labeled or _DIRECT.search(context) is not None
        return next(
            (s for s in stops if _is_announced(value, s, plans, direct=direct)), 0
        )
    if _DECIMAL.match(value):
        return 0
    return next((s for s in stops if _is_alone(value, s, context, plans)), 0)


def _in_groups(value: str, stops: Sequence[int]) -> list[int]:
    """Return the stops where digits are enough, with at most one single digit."""
    found = _IN_GROUPS.match(value)
    last = found.end() if found else 0
    return [stop for stop in stops if _FEWEST < stop <= last]


def _is_alone(value: str, stop: int, context: str, plans: NumberingPlans) -> bool:
    """Whether digits are a number by themselves, and no part of something longer."""
    return (
        not _GOES_ON.match(value, stop)
        and not _is_in_row(value, stop, context)
        and _is_number(value[:stop], plans)
    )


def _is_other(value: str, context: str) -> bool:
    """Whether what stands before says that digits are something else."""
    if _YEAR.match(value) and _PERIOD.heads(context):
        return True
    return _OTHER.heads(context) or _AMOUNT.search(context[-2:]) is not None


def _is_inside(context: str) -> bool:
    """Whether digits go on from what stands before them: a longer thing or a table."""
    return bool(
        _JOINED.search(context[-_LONGEST_JOINED:])
        or _TABLE_BACKWARDS.match(context[::-1])
    )


def _is_announced(
    value: str, stop: int, plans: NumberingPlans, *, direct: bool
) -> bool:
    """Whether digits are a number where a word says so, next to them or not."""
    if sum(map(str.isdigit, value[:stop])) < _FEWEST or _GOES_ON.match(value, stop):
        return False
    if not direct and _THOUSANDS.fullmatch(value, 0, stop):
        return False
    return not value[:stop].isdigit() or plans.is_national(value[:stop])


def _is_number(value: str, plans: NumberingPlans) -> bool:
    """Whether a value is a number by its digits and groups alone."""
    digits = _NO_DIGITS.sub("", value)
    if not _FEWEST <= len(digits) <= _MOST or digits in value:
        return False
    abroad = value.startswith("00") and plans.is_international(f"+{value[2:]}")
    if not abroad and not plans.is_usual(value):
        return False
    return sum(len(group) == 1 for group in re.findall("[0-9]+", value)) <= 1


def _is_in_row(value: str, stop: int, context: str) -> bool:
    """Whether pairs of digits are a part of a row of numbers in a table."""
    return _PAIRS.fullmatch(value, 0, stop) is not None and bool(
        _IN_A_ROW.search(context[-_LONGEST_JOINED:]) or _ROW_GOES_ON.match(value, stop)
    )


def _ends(value: str) -> list[int]:
    """Return where the last few groups inside a run end, from the back."""
    ends = [found.end() for found in _GROUP_END.finditer(value, 1)]
    return ends[: -_MOST_ENDS - 1 : -1]
