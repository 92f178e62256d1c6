"""The words of the routes: BM25, for names that no embedder knows."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_WORD = re.compile(r"\w+")
# The usual constants of BM25 (Robertson and Zaragoza, 2009), lengths counted by half:
# that a route has many examples is no reason to trust its words less.
_SATURATION = 1.2
_LENGTH = 0.5


def words(text: str) -> list[str]:
    """Return the words of a text, without case."""
    return _WORD.findall(text.casefold())


class Lexicon:
    """BM25 over the routes, each one document of all its texts. Never changes."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        """Count the words.

        Args:
            texts: The texts of each route.
        """
        counts = [
            Counter(word for text in each for word in words(text)) for each in texts
        ]
        self._routes = len(counts)
        lengths = np.array([max(1, count.total()) for count in counts], dtype=float)
        saturation = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / lengths.mean())
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for route, count in enumerate(counts):
            for word, times in count.items():
                found[word].append((route, times))
        self._postings = {
            word: self._weigh(np.array(listed), saturation)
            for word, listed in found.items()
        }
        self._unknown = self._rarity(0)

    def scores(self, text: str) -> Floats:
        """Compare a text with every route.

        Args:
            text: The query.

        Returns:
            For each route how much of the query's weight it has, from 0 to 1.
        """
        scores = np.zeros(self._routes, dtype=np.float32)
        highest = 0.0
        for word in dict.fromkeys(words(text)):
            posting = self._postings.get(word)
            if posting is None:
                highest += self._unknown
                continue
            rarity, routes, weights = posting
            scores[routes] += weights
            highest += rarity
        ceiling = np.float32(max(highest, 1e-9) * (1 + _SATURATION))
        share: Floats = scores / ceiling
        return share

    def _weigh(
        self, listed: npt.NDArray[np.int64], saturation: npt.NDArray[np.float64]
    ) -> tuple[float, npt.NDArray[np.int64], Floats]:
        routes, times = listed[:, 0], listed[:, 1]
        rarity = self._rarity(len(routes))
        weights = rarity * times * (1 + _SATURATION) / (times + saturation[routes])
        return rarity, routes, weights.astype(np.float32)

    def _rarity(self, holding: int) -> float:
        """Return how much a word says that so many routes have."""
        return float(np.log1p((self._routes - holding + 0.5) / (holding + 0.5)))
