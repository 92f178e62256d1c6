"""Numbers that states give to persons, checked by `python-stdnum`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place
from langchain_prodpatterns.guard.detectors.cues import mention
from langchain_prodpatterns.guard.detectors.hints import (
    Announcements,
    beginnings,
)
from langchain_prodpatterns.guard.detectors.surroundings import (
    GAPS,
    before,
    goes_on,
    opening,
    plain,
)

# Capitals only: of small letters any words could be a part of a number.
_PATTERN = (
    opening("[0-9A-Z]", also="./+")
    + rf"(?:[{GAPS}./+]?[0-9]|(?<![a-z])[A-Z]){{7,20}}+"
    + rf"(?:[{GAPS}][A-Z](?![0-9A-Za-z]))?+(?![0-9A-Za-z])"
)
_GROUP_END = re.compile(r"(?=[ ./+-]|$)")
_MOST_ENDS = 5
_FEWEST_LETTERS = 16
"""In an Italian tax code all may be letters; in any other number there are digits."""


@dataclass(frozen=True, slots=True)
class _Number:
    """How a number is written, and what is said of it."""

    layout: str
    """What it looks like, with the usual gaps."""
    words: str
    """Words of which one must be near: its checksum is too weak to stand alone."""
    alone: bool = False
    """Whether digits, date and checksum say enough without a word."""


# A hyphen or a blank may stand wherever the number is printed in groups.
_NUMBERS: Mapping[str, _Number] = {
    "ar.dni": _Number(r"\d{2}\.?\d{3}\.?\d{3}", "dni documento"),
    "au.tfn": _Number(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "tfn tax_file"),
    "be.nn": _Number(
        r"\d{2}[. ]?\d{2}[. ]?\d{2}[- ]?\d{3}[. ]?\d{2}",
        "nn niss insz rijksregister registre_national rijksregisternummer",
    ),
    "br.cpf": _Number(r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", "cpf contribuinte"),
    "ca.sin": _Number(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "sin nas social_insurance"),
    "ch.ssn": _Number(r"756\.?\d{4}\.?\d{4}\.?\d{2}", "ahv avs", alone=True),
    "cn.ric": _Number(r"\d{17}[\dX]", "ric resident", alone=True),
    "de.idnr": _Number(
        r"\d{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}",
        "idnr steuer-id steuerid steuernummer tin identifikationsnummer "
        "steueridentifikationsnummer steuerliche",
    ),
    "dk.cpr": _Number(r"\d{6}[- ]?\d{4}", "cpr cpr-nr personnummer"),
    "es.dni": _Number(r"\d{8}[- ]?[A-Z]", "dni nif documento"),
    "es.nie": _Number(r"[XYZ][- ]?\d{7}[- ]?[A-Z]", "nie nif"),
    "fi.hetu": _Number(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", "hetu", alone=True),
    "fr.nir": _Number(
        r"[1-478] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}",
        "nir insee securite_sociale s\u00e9curit\u00e9_sociale",
        alone=True,
    ),
    "gb.nhs": _Number(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "nhs"),
    "in.aadhaar": _Number(r"\d{4}[ -]?\d{4}[ -]?\d{4}", "aadhaar aadhar uid uidai"),
    "in.pan": _Number(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", "pan income_tax"),
    "it.codicefiscale": _Number(
        r"[A-Z]{6}[0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]",
        "codice fiscale",
        alone=True,
    ),
    "kr.rrn": _Number(r"\d{6}-?\d{7}", "rrn resident"),
    "mx.curp": _Number(r"[A-Z]{4}\d{6}[A-Z]{6}[0-9A-Z]\d", "curp", alone=True),
    "nl.bsn": _Number(r"\d{4}[ .]?\d{2}[ .]?\d{3}", "bsn burgerservicenummer sofi"),
    "no.fodselsnummer": _Number(r"\d{6} ?\d{5}", "f\u00f8dselsnummer fodselsnummer"),
    "pl.pesel": _Number(r"\d{11}", "pesel"),
    "pt.nif": _Number(r"\d{3} ?\d{3} ?\d{3}", "nif contribuinte"),
    "se.personnummer": _Number(r"(?:\d{2})?\d{6}[-+]?\d{4}", "personnummer"),
    "us.itin": _Number(r"9\d{2}[- ]?\d{2}[- ]?\d{4}", "itin taxpayer tax_id"),
    "za.idnr": _Number(r"\d{6} ?\d{4} ?\d{3}", "south_african rsa"),
}

KNOWN = tuple(_NUMBERS)
"""The numbers that are known: `us.itin`, the country and its name in `stdnum`."""


class NationalIdDetector(PatternDetector):
    """Finds identity, tax and insurance numbers of persons.

    ```python
    GuardRunnable([*DEFAULT_DETECTORS, NationalIdDetector(["nl.bsn"], name="bsn")])
    ```

    A number counts where its checksum and its layout are right and a word such as
    "BSN" is near; those with a date, a fixed structure or a strong checksum, such as
    the French NIR, count alone. In the default set with all of `KNOWN`: with the words
    false alarms are as rare as texts that speak of such numbers. Social security
    numbers of the United States have a detector of their own, `ssn`.
    """

    def __init__(
        self, numbers: Sequence[str] = KNOWN, *, name: str = "national_id"
    ) -> None:
        """Set the numbers.

        Args:
            numbers: Which to find, of `KNOWN`.
            name: The type of the values.

        Raises:
            ConfigurationError: When one is not known.
        """
        unknown = [each for each in numbers if each not in _NUMBERS]
        if isinstance(numbers, str) or unknown or not numbers:
            msg = f"numbers are a list of {', '.join(KNOWN)}; got {numbers!r}"
            raise ConfigurationError(msg)
        self._numbers = tuple(numbers)
        super().__init__(name, _PATTERN)
        self._shape = replace(self._shape, calm=_FEWEST_LETTERS)

    def matches(self, text: str) -> Iterator[Place]:
        """Leave out what needs a word that is not near: most texts have none."""
        words = Announcements(text, _HINTS)
        for start, end in super().matches(text):
            if words.near(start) or _ALONE.match(plain(text[start:end])):
                yield start, end

    def refine(self, text: str, start: int, end: int) -> Iterator[Place]:
        """Try the ends of the last groups, the longest first."""
        value = plain(text[start:end])
        stops = [
            stop
            for stop in _stops(value)
            if _ANY.fullmatch(value, 0, stop) and not goes_on(text, start + stop)
        ]
        may_be = _may_be(before(text, start), self._numbers) if stops else []
        for stop in stops:
            if any(_is_number(value[:stop], each) for each in may_be):
                yield start, start + stop
                return


def _stops(value: str) -> list[int]:
    """Return where the last few groups of a value end, from the back."""
    ends = [found.start() for found in _GROUP_END.finditer(value, 1)]
    return ends[: -_MOST_ENDS - 1 : -1]


def _may_be(context: str, numbers: Iterable[str]) -> list[str]:
    """Return the numbers that need no word or of which one is near."""
    return [
        each for each in numbers if _NUMBERS[each].alone or _words(each).search(context)
    ]


def _is_number(value: str, name: str) -> bool:
    if not _layout(name).fullmatch(value):
        return False
    try:
        return bool(_module(name).is_valid(value))
    except LookupError:  # a place that its tables know in part
        return False


@cache
def _words(name: str) -> re.Pattern[str]:
    return re.compile(mention(_NUMBERS[name].words))


@cache
def _layout(name: str) -> re.Pattern[str]:
    return re.compile(_NUMBERS[name].layout, re.ASCII)


@cache
def _module(name: str) -> Any:
    # `in` is a word of Python: there the package has `in_`.
    country, _, number = name.partition(".")
    country = "in_" if country == "in" else country
    return import_module(f"stdnum.{country}.{number}")


_HINTS = beginnings(" ".join(each.words for each in _NUMBERS.values()))
_ANY = re.compile("|".join(each.layout for each in _NUMBERS.values()), re.ASCII)
_ALONE = re.compile(
    "|".join(each.layout for each in _NUMBERS.values() if each.alone), re.ASCII
)
