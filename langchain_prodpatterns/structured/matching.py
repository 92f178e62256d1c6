"""What a word, or a sentence with one, means where the schema knows the words."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

EXACT = "matched without regard to quotes and white space"
RECASED = "matched without regard to case, accents and punctuation"
FOUND = "found in a longer text"
AS_NUMBER = "read as a number"
AS_BOOLEAN = "read as true or false"

_MARKS = " \t\r\n\"'`*_.,:;!?()[]\u201c\u201d\u2018\u2019"
_NEGATED = re.compile(
    r"(?:\b(?:not|no|non|never|neither|nor|isn't|without|except|instead of|rather than"
    r"|hardly|barely|far from|anything but|other than)"
    r"|n't)(?:\s+(?:a|an|the|at all|really|exactly|necessarily))?[\s\-\"'*`]*+\Z",
    re.IGNORECASE,
)
_BEFORE = 40
_ANY_JOINT = r"[ _-]"
_JOINT = re.compile(rf"(?<=[^\W\d_]){_ANY_JOINT}(?=[^\W\d_])")
_NUMBER_CORE = r"(?:\d{1,3}(?:[ '\u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d[\d.,]*\d|\d)"
_MINUS = "\u2212-"
_NO_NUMBER_BEFORE = rf"(?<![\w.,/{_MINUS}])"
# What follows makes it another number: `50%`, `1.5 million`.
_SCALE = (
    r"(?:%|[KkMB]\b|(?i:per\s?cent|dozen|mn|bn|lakh|crore"
    r"|(?:hundred|thousand|million|billion|trillion)s?+)\b)"
)
_NO_NUMBER_AFTER = rf"(?![\w/]|[.,]\d|-\d)(?!\s?{_SCALE})"
_NUMBER = re.compile(
    rf"{_NO_NUMBER_BEFORE}([+{_MINUS}]?)\s?[$\u20ac\u00a3\u00a5\u20b9]?\s?([+{_MINUS}]?)"
    rf"({_NUMBER_CORE}(?:[eE][+-]?\d{{1,3}})?|\.\d+)(?:\s?/\s?(\d{{1,100}}))?{_NO_NUMBER_AFTER}"
)
# A sign in words, or one that may as well be the mark of a list's item.
_UNCLEAR_SIGN = re.compile(
    rf"(?:\b(?i:minus|negative)\s++|\n[ \t]*+[+{_MINUS}][ \t]++)[^\w\s]?\d"
)
# `1 000` is one number.
_NO_GROUP_BEFORE = r"(?<!\d[ '\u00a0\u202f\u2019])"
_NO_GROUP_AFTER = r"(?![ '\u00a0\u202f\u2019]\d{3}(?!\d))"
_NUMERAL = re.compile(r"-?\d{1,100}(?:\.\d{1,100})?")
_NUMBER_WITH_UNIT = re.compile(
    r"(?:(?:USD|EUR|GBP|CHF|JPY|INR|US\$)\s?)?" + _NUMBER.pattern, re.IGNORECASE
)
_PART_ENDS = r"(?=[\"'`*_]?[,.;:!?])"
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_GROUPED_BY_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}")
_LONGEST = 400
_LARGEST_EXACT = 2**53
_LONGEST_SENTENCE = 20_000
_TRUE, _FALSE = {"true", "yes", "y", "on", "1"}, {"false", "no", "n", "off", "0"}
_FIRST_WORD = re.compile(
    r"[\s\"'`*_]*+(yes|no)\b(?=[\"'`*_]*+\s*+(?:[.,!:;\n-]|\Z))",
    re.IGNORECASE,
)


class Meaning(NamedTuple):
    """What a text means."""

    value: Any
    """The value."""
    rule: str
    """How it was found out."""


def normalized(text: str) -> str:
    """Return the letters and digits of a text, without case and accents.

    Args:
        text: A word or a name.
    """
    return "".join(filter(str.isalnum, _folded(text)))


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(mark for mark in plain if not unicodedata.combining(mark))


def match_word(text: str, labels: Mapping[str, Sequence[str]]) -> Meaning | None:
    """Find the one allowed word that a text means.

    Args:
        text: A word, or a text that holds one.
        labels: The allowed words, each with everything that it is called.

    Returns:
        The word; `None` where it is none, or where two are meant as well.
    """
    bare = text.strip(_MARKS)
    for known, names in labels.items():
        if bare in names or text.strip() in names:
            return Meaning(known, EXACT)
    wanted = normalized(text)
    same = [
        known
        for known, names in labels.items()
        if wanted and any(_is_called(text, wanted, name) for name in names)
    ]
    if same:
        return Meaning(same[0], RECASED) if len(same) == 1 else None
    if len(text) > _LONGEST_SENTENCE:
        return None
    return _most_named(text, labels, fold=False) or _most_named(text, labels, fold=True)


def _is_called(text: str, wanted: str, name: str) -> bool:
    """Whether a text is a name but for its spelling; of a number, a sign is no mark."""
    if _NUMERAL.fullmatch(name):
        return as_number(text) == float(name)
    return normalized(name) == wanted


def _most_named(
    text: str, labels: Mapping[str, Sequence[str]], *, fold: bool
) -> Meaning | None:
    """Return the word that a text names most often, if none is named as often."""
    text = _folded(text) if fold else text
    named = [
        (_folded(name) if fold else name, known, "")
        for known, names in labels.items()
        for name in names
        if name.strip()
    ]
    if not fold:
        names = {name for name, *_ in named}
        # A word without capitals has one where it is a sentence's first part: `No, ..`.
        begun = [(n[0].upper() + n[1:], known, _PART_ENDS) for n, known, _ in named]
        named += [one for one in begun if one[0] not in names]
    counts: dict[str, int] = {}
    taken = [False] * len(text)
    # Patterns of many words are dear: each is made only where the word can be.
    named = [one for one in named if _JOINT.split(one[0])[0] in text]
    for name, known, end_of_part in sorted(named, key=lambda one: -len(one[0])):
        for match in re.finditer(_bounded(name, fold=fold) + end_of_part, text):
            begin, end = match.span()
            if taken[begin] or taken[end - 1]:
                continue
            taken[begin:end] = [True] * (end - begin)
            if _NEGATED.search(text[max(0, begin - _BEFORE) : begin]):
                return None
            counts[known] = counts.get(known, 0) + 1
    ranked = sorted(counts, key=lambda known: -counts[known])
    if not ranked or (len(ranked) > 1 and counts[ranked[0]] == counts[ranked[1]]):
        return None
    return Meaning(ranked[0], FOUND)


def _bounded(name: str, *, fold: bool) -> str:
    """A name in a sentence is a word of its own, where the script has spaces.

    What joins its words is as free as its case: `ON_HOLD` is also `on hold`.
    """
    if _NUMERAL.fullmatch(name):
        apart = _NO_NUMBER_BEFORE + _NO_GROUP_BEFORE, _NO_GROUP_AFTER + _NO_NUMBER_AFTER
        return re.escape(name).join(apart)
    before = r"(?<![^\W_])" if name[0].isascii() and name[0].isalnum() else ""
    after = r"(?![^\W_])" if name[-1].isascii() and name[-1].isalnum() else ""
    words = _JOINT.split(name) if fold else [name]
    return f"{before}{_ANY_JOINT.join(map(re.escape, words))}{after}"


def as_boolean(text: str) -> bool | None:
    """Return what a word says: yes or no; `None` for any other one.

    Args:
        text: The word.
    """
    word = text.strip(_MARKS).lower()
    return True if word in _TRUE else False if word in _FALSE else None


def boolean_in(text: str) -> bool | None:
    """Return what a sentence says: yes or no; `None` where it says both or neither.

    Args:
        text: The sentence.
    """
    whole = as_boolean(text)
    if whole is not None:
        return whole
    found = match_word(text, {"true": ["true"], "false": ["false"]})
    words = {
        word.lower() for word in re.findall(r"\b(?:true|false)\b", text, re.IGNORECASE)
    }
    if found is not None and len(words) == 1:
        return bool(found.value == "true")
    first = _FIRST_WORD.match(text)
    if words or first is None:
        return None
    return first[1].lower() == "yes"


def as_number(text: str) -> int | float | None:
    """Return the number that a text is, or begins with: `$1,200.50`, `5 kg`.

    Args:
        text: The text of a field.

    Returns:
        The number; `None` where there is none, or more than one.
    """
    stripped = text.strip().strip("\"'`*")
    match = _NUMBER_WITH_UNIT.match(stripped)
    if len(stripped) > _LONGEST or match is None:
        return None
    rest = stripped[match.end() :]
    if any(character.isdigit() for character in rest):
        return None
    return _value(match)


def number_in(text: str) -> int | float | None:
    """Return the one number in a sentence; `None` where there are several.

    Args:
        text: The sentence.

    Returns:
        The number; also `None` where it is not clear whether it is below zero.
    """
    if len(text) > _LONGEST_SENTENCE or _UNCLEAR_SIGN.search(text):
        return None
    found = {_value(match) for match in _NUMBER.finditer(text)}
    return found.pop() if len(found) == 1 else None


def as_whole(number: float) -> int | None:
    """Return the integer that a number is.

    Args:
        number: An integer or a float.

    Returns:
        The integer; `None` where it is none, or where a float that large stands for
        several: `1e23` is not what `int` makes of it.
    """
    if isinstance(number, int):
        return number
    exact = number.is_integer() and abs(number) <= _LARGEST_EXACT
    return int(number) if exact else None


def _value(match: re.Match[str]) -> int | float | None:
    sign, inner_sign, digits, divisor = match.groups()
    negative = any(mark in sign + inner_sign for mark in _MINUS)
    number = _plain(digits)
    if divisor is not None:
        if not int(divisor) or number is None:
            return None
        number = _finite(Fraction(str(number)) / int(divisor))
    if number is None:
        return None
    return -number if negative else number


def _plain(digits: str) -> int | float | None:
    """Read digits with separators; where these can mean two things, it is none."""
    digits = re.sub(r"[ '\u00a0\u202f]", "", digits)
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    elif _GROUPED_BY_DOTS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    try:
        return int(digits) if digits.isdigit() else _finite(digits)
    except ValueError:
        return None


def _finite(number: str | Fraction) -> float | None:
    """Return a number as a float; `None` where it is too large for one."""
    try:
        value = float(number)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
