"""Dates of birth."""

import re
from collections.abc import Iterable
from datetime import date

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.surroundings import (
    before,
    goes_on,
    opening,
)

_MONTHS = (
    "jan january januar j\u00e4nner janvier enero",
    "feb february februar f\u00e9vrier febrero",
    "mar march m\u00e4rz mars marzo",
    "apr april avril abril",
    "may mai mayo",
    "jun june juni juin junio",
    "jul july juli juillet julio",
    "aug august ao\u00fbt agosto",
    "sep sept september septembre septiembre",
    "oct okt october oktober octobre octubre",
    "nov november novembre noviembre",
    "dec dez december dezember d\u00e9cembre diciembre",
)
_MONTH = {
    name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()
}
_LETTERS = "[A-Za-z\u00e4\u00e9\u00fb]"
_NUMBERS = (
    opening("[0-9]", also="./-")
    + r"[0-9]{0,3}+[./-][0-9]{1,2}+[./-](?:[0-9]{4}|[0-9]{2})"
)
_DAY_FIRST = (
    opening("[0-3]", also="./-")
    + rf"[0-9]?+(?:st|nd|rd|th|er|\.)?+ (?:of |de )?+{_LETTERS}{{3,10}}+"
    r"\.?+,?+ (?:de )?+[0-9]{4}"
)
_MONTH_FIRST = (
    opening("[JFMASOND]")
    + rf"{_LETTERS}{{2,8}}+\.?+ [0-3]?[0-9](?:st|nd|rd|th)?+,?+ [0-9]{{4}}"
)
_BORN = re.compile(
    r"(?<!\w)(?:born|d\.?o\.?b\.?|date[ _-]of[ _-]birth|birth[ _-]?(?:date|day)|"
    r"geboren|geb\.|geburts(?:datum|tag)|n\u00e9e?(?:\(e\))?|"
    r"date[ _-]de[ _-]naissance|nacid[oa]|fecha[ _-]de[ _-]nacimiento)(?!\w)"
    r"[^\n;!?]{0,24}$"
)
# Another date says what it is itself.
_AT_ANOTHER = re.compile("[0-9]{4}|[.!?] [a-z]")
_LONG = "long_birth_date"
_EARLIEST = 1900
_CENTURY = 100


class _DatePattern(PatternDetector):
    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Check that it is a date, and that a word for births is before it."""
        if goes_on(text, end) or not _is_date(text[start:end].lower()):
            return []
        said = _BORN.search(before(text, start))
        if said is None or _AT_ANOTHER.search(said[0]):
            return []
        return [(start, end)]


def _is_date(value: str) -> bool:
    """Whether a value is a day since 1900, in the order of any country."""
    parts = [int(part) for part in re.findall("[0-9]+", value)]
    names = [word for word in re.findall(f"{_LETTERS}{{3,}}", value) if word in _MONTH]
    if names:
        return len(parts) == 2 and _is_day(parts[1], _MONTH[names[0]], parts[0])  # noqa: PLR2004 - day and year
    if any(char.isalpha() for char in value):
        return False
    first, second, third = parts
    if first >= _CENTURY:
        return _is_day(first, second, third)
    return _is_day(third, second, first) or _is_day(third, first, second)


def _is_day(year: int, month: int, day: int) -> bool:
    if year < _CENTURY:
        year += _EARLIEST
    try:
        return date(year, month, day).year >= _EARLIEST
    except ValueError:
        return False


def birth_date_detector() -> AnyOf:
    """Return the detector of dates in digits that "born", "DOB" or the like announces.

    In English, German, French and Spanish. In the default set, since the word has to
    stand within a few others in front; dates before 1900 are of nobody alive. Leave it
    out of a guard of answers that tell of public persons.
    """
    return AnyOf("birth_date", [_DatePattern("birth_date", _NUMBERS)])


def long_birth_date_detector() -> AnyOf:
    """Return the detector of such dates with the month in letters: `3 March 1980`.

    Not in the default set: any words could be a part of one, so a stream is held back
    by some words instead of one.
    """
    patterns = (_DAY_FIRST, _MONTH_FIRST)
    return AnyOf(_LONG, [_DatePattern(_LONG, pattern) for pattern in patterns])
