"""Which documents a question or a passage names by their title. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from langchain_prodpatterns.compression.bm25 import Scores, words

_PARENTHESIS = re.compile(r"\s*\([^()]*\)\s*$")
_SHORTEST_NAME = 4


class Titles:
    """The titles of the documents of one question, as a text would name them.

    A title that several documents have, such as the chunks of one book, tells little
    of each: it counts as its share of one.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        """Read titles.

        Args:
            titles: The title of each document; "" without one.
        """
        read = [name_words(title) for title in titles]
        holders = Counter(filter(None, read))
        self._shares = {
            document: (name, 1 / holders[name])
            for document, name in enumerate(read)
            if name
        }
        self._count = len(read)

    def named_in(self, text: Sequence[str], *, but: int | None = None) -> Scores:
        """Find the documents that a text names.

        Args:
            text: The words of the text.
            but: A document that does not count: the one that the text is from.

        Returns:
            A number of 0 to 1 for each document.
        """
        found = np.zeros(self._count)
        if self._shares:
            said = f" {' '.join(text)} "
            for document, (name, share) in self._shares.items():
                if document != but and name in said:
                    found[document] = share
        return found


def name_words(title: str) -> str:
    """Return the words of a title between blanks, as a text would name it.

    `Inferno (1980 film)` is named `Inferno`. What is too short to be a name is "".
    """
    name = " ".join(words(_PARENTHESIS.sub("", title)))
    return f" {name} " if len(name) >= _SHORTEST_NAME else ""
