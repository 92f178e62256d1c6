"""Windows of a text, and the hashed character n-grams of each. Pure, with numpy.

An injection is a sentence or two in a text that is otherwise harmless. So a text is
cut into windows of sentences, each window is scored by itself, and the highest score
counts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LONGEST = 240
"""Characters of the longest sentence of a window; longer ones are cut at a blank."""
SHORTEST = 60
"""Characters below which a sentence is joined with the next one."""
SIZES = (3, 4, 5)
"""The lengths of the n-grams."""
# A sentence ends with punctuation and a blank, a line, or a comment of a markup.
_END = re.compile(r"(?<=[.!?;:|>])\s|\n|(?<=-->)|(?=<!--)|\s{3}")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text."""

    start: int
    """Where it starts, in characters of the text."""
    end: int
    """Where it ends."""


def windows(text: str) -> list[Window]:
    """Cut a text into windows: sentences, and each sentence with the next one.

    Args:
        text: The text.

    Returns:
        At least one window; together they hold all of the text.
    """
    found = list(_sentences(text)) or [Window(0, len(text))]
    pairs = [Window(first.start, second.end) for first, second in pairwise(found)]
    return found + pairs


def _sentences(text: str) -> Iterator[Window]:
    """Yield sentences, short ones joined and long ones cut."""
    start = 0
    for end in _ends(text):
        while end - start > LONGEST:
            cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
            cut = cut if cut > start else start + LONGEST
            yield Window(start, cut)
            start = cut
        if end - start >= SHORTEST or (end == len(text) and text[start:end].strip()):
            yield Window(start, end)
            start = end


def _ends(text: str) -> Iterator[int]:
    last = 0
    for match in _END.finditer(text):
        if match.end() > last:
            last = match.end()
            yield last
    if last < len(text):
        yield len(text)


def canonical(text: str) -> str:
    """Write a text so that looks do not matter: width, case, blanks, hidden marks.

    Args:
        text: The text.

    Returns:
        The text with one blank around it on each side.
    """
    plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", text)).casefold()
    return f" {' '.join(plain.split())} "


def features(text: str, bits: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Count the n-grams of a window.

    The hash is fixed by this module: it depends on no seed, platform or version.

    Args:
        text: The window.
        bits: The binary logarithm of how many features there are.

    Returns:
        The features that occur, and one plus the logarithm of how often.
    """
    _, found, counts = features_of([text], bits)
    return found, counts


def features_of(
    texts: Sequence[str], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Count the n-grams of several windows in one go, which costs little more than one.

    Args:
        texts: The windows.
        bits: The binary logarithm of how many features there are.

    Returns:
        The number of a window, a feature that occurs in it, and one plus the logarithm
        of how often: in order of windows, then of features.
    """
    encoded = [canonical(text).encode("utf-32-le", "replace") for text in texts]
    codes = np.frombuffer(b"".join(encoded), np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(texts)), [len(each) // 4 for each in encoded])
    keys = [_keys(codes, owner, size, bits) for size in SIZES if len(codes) >= size]
    if not keys:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    weighed = (1.0 + np.log(counts)).astype(np.float32)
    return found >> bits, found & (2**bits - 1), weighed


def _keys(
    codes: NDArray[np.uint64], owner: NDArray[np.int64], size: int, bits: int
) -> NDArray[np.int64]:
    """Number each n-gram of one size by its window, then by its hash."""
    starts, ends = owner[: len(codes) - size + 1], owner[size - 1 :]
    keys = (starts << bits) | _hashed(codes, size, bits)
    # What begins in one window and ends in another occurs in neither.
    return np.asarray(keys[starts == ends])


def _hashed(codes: NDArray[np.uint64], size: int, bits: int) -> NDArray[np.int64]:
    """Hash every n-gram of one size, by multiplying and shifting (mod 2**64)."""
    total = np.full(len(codes) - size + 1, np.uint64(size), np.uint64)
    for offset in range(size):
        total = (total ^ codes[offset : offset + len(total)]) * _PRIME
        total ^= total >> np.uint64(29)
    return (total >> np.uint64(64 - bits)).astype(np.int64)
