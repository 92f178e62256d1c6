"""The groups in which a country's numbers are written, by its numbering plan.

`phonenumbers` tells whether a number is written in the usual groups, but takes a tenth
of a millisecond for each. What breaks all groups that it knows is found out before.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

# How far the country code and the national prefix may reach.
_LONGEST_LEAD = 10
_IN_ORDER = re.compile(r"\\1(?:[^\\0-9]+\\[2-9])*")


@dataclass(frozen=True, slots=True)
class _Format:
    """A way to write some numbers."""

    leading: re.Pattern[str]
    """What the numbers begin with."""
    groups: re.Pattern[str]
    """Their groups."""

    def fits(self, digits: str, start: int) -> bool:
        """Whether a number is one of those."""
        return (
            self.leading.match(digits, start) is not None
            and self.groups.fullmatch(digits, start) is not None
        )

    def cuts(self, digits: str, start: int) -> set[int]:
        """Return where groups of a number begin behind the first one.

        The plans write what is longer than the groups as if it began anew, with no gap.
        """
        return {
            found.start(group)
            for found in self.groups.finditer(digits, start)
            for group in range(2, self.groups.groups + 1)
        }


@dataclass(frozen=True, slots=True)
class Groups:
    """In which groups the numbers of a country are written."""

    abroad: re.Pattern[str]
    """How numbers of other countries begin, whose groups are not known here."""
    lead: re.Pattern[str]
    """What may stand before the number itself."""
    usual: Sequence[_Format]
    """Formats, of which the first that fits counts."""
    others: Sequence[_Format]
    """Formats, of which any counts."""
    strict: bool
    """Whether a gap anywhere takes one behind the first group."""

    def may_be(self, value: str) -> bool:
        """Whether a number may be written in these groups.

        Args:
            value: Digits, with gaps.

        Returns:
            Whether each group of one format stays together. It may do so and the
            number still be none.
        """
        digits = _NO_DIGIT.sub("", value)
        cuts = _cuts(value)
        return self.abroad.match(digits) is not None or any(
            self._fits(digits, start, cuts)
            for start in range(min(len(digits), _LONGEST_LEAD))
            if self.lead.fullmatch(digits, 0, start)
        )

    def _fits(self, digits: str, start: int, cuts: set[int]) -> bool:
        # The first group might be taken for one that begins in front of the number.
        if digits[start] in digits[:start]:
            return True
        inside = {cut for cut in cuts if cut > start}
        return not inside or any(
            inside <= known and (min(known) in inside or not self.strict)
            for known in self._known(digits, start)
        )

    def _known(self, digits: str, start: int) -> Iterator[set[int]]:
        """Yield where each of the formats has gaps."""
        usual = (each for each in self.usual if each.fits(digits, start))
        for each in usual:
            yield each.cuts(digits, start)
            break
        for each in self.others:
            if each.leading.match(digits, start):
                yield each.cuts(digits, start)


def _cuts(value: str) -> set[int]:
    """Return behind how many digits there are gaps."""
    found, count = set[int](), 0
    for group in _GROUP.findall(value):
        count += len(group)
        found.add(count)
    return found - {count}


_NO_DIGIT = re.compile("[^0-9]+")
_GROUP = re.compile("[0-9]+")


@cache
def groups_of(region: str) -> Groups | None:
    """Return the groups of a region, or nothing where they cannot be told.

    Args:
        region: The country (ISO 3166).
    """
    from phonenumbers import PhoneMetadata, data, region_code_for_country_code

    # Only its own matcher is meant to read them: it is asked itself without them.
    alternatives = getattr(data, "_ALT_NUMBER_FORMATS", None)
    if alternatives is None:
        return None
    plan: Any = PhoneMetadata.metadata_for_region(region)
    code = plan.country_code
    main: Any = PhoneMetadata.metadata_for_region(region_code_for_country_code(code))
    usual = main.intl_number_format or main.number_format
    others = alternatives.get(code, ())
    if plan.national_prefix_transform_rule or not all(
        _IN_ORDER.fullmatch(each.format) for each in (*usual, *others)
    ):
        return None
    lead = f"(?:{code})?(?:{plan.national_prefix_for_parsing or ''})?"
    return Groups(
        re.compile(plan.international_prefix or "(?!)"),
        re.compile(lead),
        [_format_of(each) for each in usual],
        [_format_of(each) for each in others],
        strict=bool(main.national_prefix),
    )


def _format_of(written: Any) -> _Format:
    leading = (written.leading_digits_pattern or [""])[-1]
    return _Format(re.compile(leading), re.compile(written.pattern, re.ASCII))
