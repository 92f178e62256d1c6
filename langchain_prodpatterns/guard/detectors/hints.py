"""Search beside hints: what a pattern cannot match without, and few texts have.

A pattern that begins with any letter is tried at every letter. What makes its matches
rare, such as two colons in an IPv6 address, is found several times as fast, and the
pattern is then tried only where a match could have it.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK

_STRIDE = 64
"""Characters beyond a hint that are searched too, so that a text full of hints is not
searched anew for each of them."""
_CHARACTERS_A_LOOK = 128


def places_of(hint: re.Pattern[str], text: str) -> Iterator[int]:
    """Yield where a hint stands in a text.

    Args:
        hint: The pattern of the hint; each place counts only if it is one character
            and looks beyond it.
        text: The text.
    """
    return (found.start() for found in hint.finditer(text))


def matches_near(
    regex: re.Pattern[str],
    text: str,
    hints: Iterable[int],
    *,
    width: int,
    before: int = 0,
    behind: int = 0,
) -> Iterator[tuple[int, int]]:
    """Find the matches from every start that is near a hint, and some others.

    Args:
        regex: A pattern that looks one character beyond a match at most.
        text: The text.
        hints: Where the hints are, in order.
        width: Characters of the longest match.
        before: How far before its hint a match may start.
        behind: How far behind its hint a match may start.

    Yields:
        Where the matches are, each once, in order.
    """
    position = 0
    for hint in hints:
        if hint + behind < position:
            continue
        position = max(position, hint - before)
        end = hint + behind + width + max(width, _STRIDE)
        # A match from a later start might be cut short by the end.
        last = end - width - 1
        match = regex.search(text, position, end)
        while match is not None and match.start() <= last:
            yield match.span()
            match = regex.search(text, match.start() + 1, end)
        position = last + 1


def words_in(text: str, words: Iterable[str]) -> list[int]:
    """Return where any of some words begin in a text, in order.

    Args:
        text: The text, in which case does not matter.
        words: The words in lower case.

    Returns:
        The places.
    """
    lowered = _lowered(text)
    found: list[int] = []
    for word in words:
        at = lowered.find(word)
        while at >= 0:
            found.append(at)
            at = lowered.find(word, at + 1)
    return sorted(found)


def beginnings(words: str) -> frozenset[str]:
    """Return what words begin with, to look for it in a text.

    Args:
        words: As for `cues.mention`: what stands for a blank, or joins two words, may
            be written in several ways.

    Returns:
        The first part of each.
    """
    return frozenset(re.split("[_-]", word)[0] for word in words.split())


class Announcements:
    """Tells whether a word that announces a value is near, before anything is matched.

    One look at a few characters costs as much as one at a text of `_CHARACTERS_A_LOOK`:
    the whole text is searched, once, when that many were asked for.
    """

    def __init__(self, text: str, words: Collection[str]) -> None:
        """Search nothing yet.

        Args:
            text: The text.
            words: As for `words_in`.
        """
        self._text = text
        self._words = words
        self._looks = 0
        self._places: list[int] | None = None

    def near(self, start: int) -> bool:
        """Whether a word begins in the `LOOKBACK` characters before a value.

        Args:
            start: Where the value starts.
        """
        first = max(0, start - LOOKBACK)
        if self._places is None:
            self._looks += 1
            if self._looks * _CHARACTERS_A_LOOK <= len(self._text):
                return self._is_in(first, start)
            self._places = words_in(self._text, self._words)
        return bisect_left(self._places, first) < bisect_left(self._places, start)

    def _is_in(self, first: int, start: int) -> bool:
        seen = _lowered(self._text[first : start + LOOKBACK])
        last = start - first - 1
        return any(seen.find(word, 0, last + len(word)) >= 0 for word in self._words)


def _lowered(text: str) -> str:
    """Return a text in lower case, character by character."""
    lowered = text.lower()
    if len(lowered) != len(text):  # some letters have two for one
        return "".join(char.lower()[0] for char in text)
    return lowered
