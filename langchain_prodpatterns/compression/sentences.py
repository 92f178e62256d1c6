"""Where sentences end, by rules: linear in the length of the text, no download."""

import unicodedata
from collections.abc import Iterator

import regex

_CLOSERS = "\"'\u201d\u2019\u00bb)\\]}\u300d\u300f\u3011\uff09"
# Possessive and without look-ahead: a run of marks is read once, whatever follows.
_MARKS = regex.compile(
    rf"(?V1)[.!?…]++[{_CLOSERS}]*+"
    # What ends a sentence in every other script, such as the full stop of Chinese, the
    # danda of Hindi, the question mark of Arabic.
    rf"|[\p{{Sentence_Terminal}}--[.!?…]]++[{_CLOSERS}]*+"
    # Scripts that separate sentences by a break.
    r"|(?<=[\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}])\n"
)
_WESTERN = frozenset(".!?…")
_OPENERS = "\"'\u201c\u2018\u00ab([{"
_GAP = regex.compile(rf"\s*+[{regex.escape(_OPENERS)}]*+")
_CAPITAL = regex.compile(r"[\p{Lu}\p{Lt}]")
_WORD = regex.compile(r"[^\W\d_]+")
_LOOK_BACK = 16
_LONG_NUMBER = 3


def _words_of(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TITLES = _words_of(
    "mr mrs ms mx dr prof st mt ft gen col maj sgt capt cmdr lt rev hon sen rep gov "
    "pres supt messrs mme mlle sr sra srta vs cf viz e.g i.e z.b d.h u.a bzw "
    "approx"
)
"""Abbreviations that a name or an example follows."""

_BEFORE_NUMBERS = _words_of(
    "no nos nr num fig figs eq eqs vol vols p pp ch chap sec art op ca c para tab app "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
"""Abbreviations only where a number follows."""

_ANYWHERE = _words_of(
    "inc ltd co corp bros jr sr etc al dept univ assn ave blvd rd esq usw"
)
"""Abbreviations that can also end a sentence."""

_STARTERS = _words_of(
    "a after all also although an and as at because before both but by during each "
    "even for from he her here his how however i if in it its many most no on one "
    "other our she since so some such that the their then there these they this those "
    "to today under until we what when where which while who why with you your"
)
"""Words that, capitalized after an abbreviation, begin a sentence."""


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Find where sentences end in a part of a text.

    Args:
        text: The whole text.
        start: Where the part begins.
        end: Where the part ends.

    Yields:
        Each offset behind a sentence, in ascending order; the last one is `end`.
    """
    begin = start
    # Where nothing is capitalized, a small letter begins a sentence like any other.
    cased = _CAPITAL.search(text, start, end) is not None
    for match in _MARKS.finditer(text, start, end):
        stop = match.end()
        if match[0][0] in _WESTERN:
            is_end = _ends_western(text, begin, match, end, cased=cased)
        else:
            stop = behind_marks(text, stop, end)
            is_end = True
        if is_end and stop < end:
            yield stop
            begin = stop
    yield end


def behind_marks(text: str, at: int, end: int) -> int:
    """Move an offset behind combining marks, joiners and a pair's low surrogate."""
    while at < end and joins_back(text[at]):
        at += 1
    return at


def joins_back(character: str) -> bool:
    """Whether a character belongs to the one before it."""
    if character < "\u0300":
        return False
    return (
        unicodedata.category(character) in {"Mn", "Mc", "Me"}
        or character == "\u200d"
        or "\udc00" <= character <= "\udfff"
    )


def _ends_western(
    text: str, begin: int, match: regex.Match[str], end: int, *, cased: bool
) -> bool:
    stop = match.end()
    gap = _GAP.match(text, stop, end)
    following = gap.end() if gap else stop
    if following >= end:
        return True
    if not text[stop].isspace() or (cased and text[following].islower()):
        return False
    if match[0] != ".":
        return True
    return not _abbreviates(text, begin, match.start(), following)


def _abbreviates(text: str, begin: int, dot: int, following: int) -> bool:
    """Whether a dot belongs to the word before it and ends no sentence."""
    tail = text[max(begin, dot - _LOOK_BACK) : dot]
    if not tail or tail[-1].isspace():
        return False
    word = tail.split()[-1].lstrip(_OPENERS).lower()
    if word in _TITLES:
        return True
    if word in _BEFORE_NUMBERS:
        return text[following].isdigit()
    if word.isdigit():
        # `1. First` numbers a heading or an item; `in 1912. Then` ends a sentence.
        return len(word) <= _LONG_NUMBER and text[begin:dot].strip() == word
    initial = len(word) == 1 and word.isalpha() and tail[-1].isupper()
    if initial or word in _ANYWHERE or "." in word:
        return not _begins_sentence(text, following)
    return False


def _begins_sentence(text: str, at: int) -> bool:
    word = _WORD.match(text, at, at + _LOOK_BACK)
    return word is not None and word[0].lower() in _STARTERS
