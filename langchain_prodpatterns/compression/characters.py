"""Where a text may be cut: never inside of what is read as one character."""

import regex

from langchain_prodpatterns.compression.sentences import joins_back

_CHARACTERS = regex.compile(r"\X")
_LONGEST_LOOK = 1_000


def between_characters(text: str, start: int, stop: int, end: int) -> int:
    """Move an offset back out of a flag, a family or a letter with its accents.

    Args:
        text: The text.
        start: Where the part begins that is to be cut.
        stop: Where it would be cut.
        end: Where that part ends.

    Returns:
        Where to cut: `stop` or before, and not before `start`.
    """
    begin = max(start, stop - _LONGEST_LOOK)
    last = begin
    for character in _CHARACTERS.finditer(text, begin, min(end, stop + _LONGEST_LOOK)):
        if character.end() > stop:
            break
        last = character.end()
    while start < last < end and joins_back(text[last]):
        last -= 1
    return last
