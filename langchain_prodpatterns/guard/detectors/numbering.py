"""The world's numbering plans (`phonenumbers`), asked as seldom as possible."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from langchain_prodpatterns.guard.detectors.grouping import groups_of

_KINDS = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager",
    "uan", "voicemail", "fixed_line", "mobile",
)  # fmt: skip
_LONGEST_CODE = 3
_ANYTHING = re.compile("[0-9]+")
_NO_DIGITS = re.compile("[^0-9]+")
_NOT_DIALED = re.compile("[^+0-9]+")


class NumberingPlans:
    """Says of one text's numbers whether they are telephone numbers.

    Verdicts are remembered, so an instance lives for one look at one text: no number
    may stay in memory any longer.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        """Begin without verdicts.

        Args:
            regions: Countries whose national notation is known.
        """
        self._regions = regions
        self._written = _written(tuple(regions))
        self._parsed: dict[tuple[str, str | None], Any] = {}
        self._usual: dict[str, bool] = {}

    def is_international(self, value: str) -> bool:
        """Whether a number that begins with `+` is valid."""
        return self._parse(value, None) is not None

    def is_national(self, value: str) -> bool:
        """Whether a number is valid in one of the regions."""
        return any(self._parse(value, region) for region in self._regions)

    def is_usual(self, value: str) -> bool:
        """Whether it is also written in the groups that the region uses."""
        digits = _NO_DIGITS.sub("", value)
        if not self._written.fullmatch(digits):
            return False
        known = self._usual.get(value)
        if known is None:
            known = self._usual[value] = any(
                _digits(region)[1].fullmatch(digits)
                and _may_be_grouped(value, region)
                and self._parse(value, region)
                and _is_grouped_as_usual(value, region)
                for region in self._regions
            )
        return known

    def _parse(self, value: str, region: str | None) -> Any:
        """Return the number if it is valid, by its digits: few texts have many."""
        digits = _NOT_DIALED.sub("", value)
        if region is not None and not _digits(region)[0].fullmatch(digits):
            return None
        key = digits, region
        if key not in self._parsed:
            dialed = _dialed(region).fullmatch if region else _may_be_abroad
            self._parsed[key] = _valid(digits, region) if dialed(digits) else None
        return self._parsed[key]


@cache
def _digits(region: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what a region's numbers must look like, as dialed and as written.

    Parsing costs twenty times as much as these, and most digits are no number anywhere.
    """
    from phonenumbers import PhoneMetadata

    plan: Any = PhoneMetadata.metadata_for_region(region)
    if plan.national_prefix_transform_rule:
        return _ANYTHING, _ANYTHING  # it is not dialed as it is spelled
    number = f"(?:{plan.general_desc.national_number_pattern})"
    prefix = f"(?:{plan.national_prefix_for_parsing or ''})"
    code = f"(?:{plan.country_code})"
    abroad = f"(?:{plan.international_prefix or code})[0-9]+"
    bare = "|".join(_written_bare(plan))
    return (
        re.compile(f"{abroad}|{code}?{prefix}?{number}"),
        re.compile(
            f"{abroad}|{code}{prefix}?{number}|{prefix}{number}|(?={bare}){number}"
        ),
    )


@cache
def _written(regions: tuple[str, ...]) -> re.Pattern[str]:
    """Return what the numbers of any of several regions look like as written."""
    return re.compile("|".join(f"(?:{_digits(each)[1].pattern})" for each in regions))


def _written_bare(plan: Any) -> Iterator[str]:
    """Yield how the numbers begin that are written without the national prefix."""
    for written in plan.number_format:
        rule = written.national_prefix_formatting_rule or ""
        prefixed = re.search("[0-9]", re.sub(r"[\\$][0-9]", "", rule))
        if not prefixed or written.national_prefix_optional_when_formatting:
            yield (written.leading_digits_pattern or [""])[0]
    yield "(?!)" if plan.number_format else ""


def _number(code: int) -> str:
    """Return what the numbers of all kinds behind a country code look like."""
    from phonenumbers import PhoneMetadata, region_codes_for_country_code

    regions = region_codes_for_country_code(code)
    plans: Any = map(PhoneMetadata.metadata_for_region, regions)
    kinds = [getattr(each, kind) for each in plans for kind in _KINDS]
    patterns = dict.fromkeys(
        kind.national_number_pattern
        for kind in kinds
        if kind is not None and kind.national_number_pattern
    )
    return f"(?:{'|'.join(patterns)})"


@cache
def _dialed(region: str) -> re.Pattern[str]:
    """Return what numbers of every kind look like as dialed in a region."""
    from phonenumbers import PhoneMetadata

    plan: Any = PhoneMetadata.metadata_for_region(region)
    if plan.national_prefix_transform_rule:
        return _ANYTHING
    prefix = f"(?:{plan.national_prefix_for_parsing or ''})"
    code = f"(?:{plan.country_code})"
    abroad = f"(?:{plan.international_prefix or code})[0-9]+"
    return re.compile(f"{abroad}|{code}?{prefix}?{_number(plan.country_code)}")


def _may_be_abroad(digits: str) -> bool:
    """Whether a number that begins with `+` may be valid."""
    number = digits.lstrip("+")
    for end in range(1, _LONGEST_CODE + 1):
        rest = _abroad(number[:end])
        if rest is not None:
            return rest.fullmatch(number, end) is not None
    return False


@cache
def _abroad(code: str) -> re.Pattern[str] | None:
    """Return what follows a country code, or nothing where it is none."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    number = int(code) if code.isdigit() else 0
    if number not in COUNTRY_CODE_TO_REGION_CODE:
        return None
    region = COUNTRY_CODE_TO_REGION_CODE[number][0]
    plan: Any = PhoneMetadata.metadata_for_region(region)
    if plan is None or plan.national_prefix_transform_rule:
        return _ANYTHING  # of no country, or not dialed as it is spelled
    return re.compile(f"(?:{plan.national_prefix_for_parsing or ''})?{_number(number)}")


def _may_be_grouped(value: str, region: str) -> bool:
    groups = groups_of(region)
    return groups is None or groups.may_be(value)


def _valid(value: str, region: str | None) -> Any:
    import phonenumbers

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _is_grouped_as_usual(value: str, region: str) -> bool:
    """Whether the groups of all of it are those in which the region writes numbers."""
    import phonenumbers

    # One try: numbers within the value are looked for by their own starts and ends.
    match = phonenumbers.PhoneNumberMatcher(
        value, region, leniency=phonenumbers.Leniency.STRICT_GROUPING, max_tries=1
    )
    return any(found.raw_string == value for found in match)
