r"""What stands around a value: where one may begin, what joins it, what comes before.

Text is often JSON or the `repr` of a string, where a line that begins with a value
begins with an escape: in `\n4111` the `n` is no letter in front of the digits.
"""

import re

from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK

_SPACES = " \u00a0\u2009\u202f"
_DASHES = "-\u2010\u2011\u2012\u2013"
GAPS = rf"{_SPACES}\u2010-\u2013\-"
"""For a class of characters: what groups of digits are set apart with, also by the
programs that people write letters with."""

_HEX = "[0-9A-Fa-f]"
_ESCAPES = (r"\\[nrtbf]", rf"\\x{_HEX}{{2}}", rf"\\u{_HEX}{{4}}", rf"\\U{_HEX}{{8}}")
_ESCAPE = re.compile("|".join(_ESCAPES))
_LONGEST_ESCAPE = 10
_WORD = re.compile("[0-9A-Za-z]")


def opening(first: str = "", *, also: str = "") -> str:
    r"""Return a pattern for the place where a value may begin.

    That is not behind an ASCII letter or digit, but for the end of an escape. Letters
    of other scripts join nothing: many of them are written without blanks.

    Args:
        first: A pattern of fixed width with which the value begins. Given here, the
            engine skips to it, which is a good deal faster.
        also: Other characters, for a class, behind which no value begins.

    Returns:
        The pattern, `first` included.
    """
    unescaped = "".join(f"(?<!{escape})" for escape in _ESCAPES)
    return f"{first}(?<![0-9A-Za-z{also}]{unescaped}{first})"


def is_in_escape(text: str, start: int, end: int) -> bool:
    r"""Whether a match begins inside an escape, as with the `n` of `\njane@`.

    Args:
        text: The text.
        start: Where the match starts.
        end: Where it ends.

    Returns:
        Whether the escape ends behind the start, and inside the match.
    """
    slash = text.rfind("\\", max(0, start - _LONGEST_ESCAPE), start)
    escape = _ESCAPE.match(text, slash, end) if slash >= 0 else None
    return escape is not None and escape.end() > start


def plain(value: str) -> str:
    """Write every gap between digits as a blank or a hyphen; the length stays."""
    if value.isascii():
        return value
    # On texts this short several times as fast as `str.translate`.
    for space in _SPACES[1:]:
        value = value.replace(space, " ")
    for dash in _DASHES[1:]:
        value = value.replace(dash, "-")
    return value


def before(text: str, start: int) -> str:
    """Return the characters before a value that may decide about it, in lower case.

    Args:
        text: The text.
        start: Where the value starts.

    Returns:
        At most `LOOKBACK` characters, with what escapes stand for in their place.
    """
    context = plain(text[max(0, start - LOOKBACK) : start].lower())
    return _ESCAPE.sub(_unescaped, context) if "\\" in context else context


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[0] in (r"\n", r"\r") else " "


def at(text: str, index: int) -> str:
    """Return the character at an index, or nothing outside the text."""
    return text[index] if 0 <= index < len(text) else ""


def goes_on(text: str, index: int) -> bool:
    """Whether a value that ends here would end within a word or a number."""
    return _WORD.match(text, index) is not None
