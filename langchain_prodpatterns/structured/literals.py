"""What a word without quotes stands for in JSON, in Python and in JavaScript."""

import math
from typing import Any, Final

NO_LITERAL: Final = object()
"""What `as_literal` returns for a word that is just a text."""

_LITERALS = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "undefined": None,
    "nan": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
}
_EXACT = {"undefined", "nan", "infinity", "-infinity"}
_SPELLED = {"NaN", "Infinity", "-Infinity", "undefined"}
_LONGEST = 4_300
"""Digits of a number: Python reads no longer one."""


def as_literal(word: str) -> Any:
    """Return what a word stands for: `True`, `None` and the like, in any case.

    Args:
        word: A word without quotes.

    Returns:
        The value, or `NO_LITERAL` for any other word.
    """
    lower = word.lower()
    if lower in _EXACT and word not in _SPELLED:
        return NO_LITERAL
    return _LITERALS.get(lower, NO_LITERAL)


def completed(word: str) -> str:
    """Return the literal that a word at the end of a cut text is the beginning of.

    Args:
        word: The last word, such as `tru`.

    Returns:
        The literal, or the word itself where it begins none.
    """
    begun = [one for one in ("true", "false", "null") if word and one.startswith(word)]
    return begun[0] if begun else word


def as_number(literal: str) -> Any:
    """Return the number that a literal stands for.

    `1_000`, `+1`, `.5`, `5.` and `2e` are numbers. A number with leading zeros is a
    code, such as `0123`, and stays a text; so does one that is too large to be told.

    Args:
        literal: Digits with what may stand between, before and after them.
    """
    plain = literal.replace("_", "").lower().removeprefix("+")
    digits = plain.removeprefix("-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        return literal
    if len(plain) > _LONGEST:
        return literal
    if digits.isdigit():
        return int(plain)
    plain = plain.rstrip("+-").rstrip("e")
    if plain.removeprefix("-").isdigit():
        return int(plain)
    number = float(plain)
    return number if math.isfinite(number) else literal
