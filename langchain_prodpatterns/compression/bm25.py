"""Okapi BM25 over the passages of one question, in numpy."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import regex

Scores = npt.NDArray[np.float64]

# Scripts written without blanks: pairs of characters stand for words.
_UNSPACED = (
    r"[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}"
    r"\p{scx=Thai}\p{scx=Lao}\p{scx=Myanmar}\p{scx=Khmer}&&\w]"
)
_WORDS = regex.compile(rf"(?V1)[[\w--_]--{_UNSPACED}]++|(?P<unspaced>{_UNSPACED}++)")
_ASCII_WORDS = re.compile(r"[a-z0-9]++")

_SATURATION = 1.5
_LENGTH_WEIGHT = 0.75
_SHORTEST_PLURAL = 4


def words(text: str) -> list[str]:
    """Return the words of a text for comparing: no case, no plural s.

    A run of a script without blanks becomes its pairs of neighbouring characters.
    """
    if text.isascii():
        # Most text, many times as fast.
        plain = _ASCII_WORDS.findall(text.lower())
        return [_singular(word) if word[-1] == "s" else word for word in plain]
    found: list[str] = []
    for match in _WORDS.finditer(text.casefold()):
        word = match[0]
        if match["unspaced"]:
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        else:
            found.append(_singular(word))
    return found


def _singular(word: str) -> str:
    if word[-1] == "s" and len(word) >= _SHORTEST_PLURAL and word[-2] != "s":
        return word[:-1]
    return word


def bm25(query: Sequence[str], passages: Iterable[Sequence[str]]) -> Scores:
    """Score passages by the words they share with a query.

    Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and
    Beyond", with k1 = 1.5, b = 0.75 and the inverse document frequency of Lucene, which
    is never negative.

    Args:
        query: The words of the query.
        passages: The words of each passage, read once.

    Returns:
        One score a passage, 0 where no word is shared.
    """
    # Postings instead of a matrix: a long question shares few words with a passage.
    found: dict[str, list[tuple[int, int]]] = {word: [] for word in query}
    sizes: list[int] = []
    for row, passage in enumerate(passages):
        sizes.append(len(passage))
        for word, count in Counter(filter(found.__contains__, passage)).items():
            found[word].append((row, count))
    if not sizes:
        return np.zeros(0)
    lengths = np.array(sizes, dtype=float)
    relative = lengths / max(float(lengths.mean()), 1.0)
    damping = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * relative)
    scores: Scores = np.zeros(len(sizes))
    for postings in filter(None, found.values()):
        rows, counts = np.array(postings).T
        rarity = np.log1p((len(sizes) - len(rows) + 0.5) / (len(rows) + 0.5))
        scores[rows] += rarity * counts * (_SATURATION + 1) / (counts + damping[rows])
    return scores
