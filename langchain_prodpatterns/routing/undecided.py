"""Queries that were left open, whose nearest tools are often asked for right after."""

import threading
from collections import OrderedDict
from typing import Any

from langchain_prodpatterns.forking import guard

MOST = 64
"""Queries that are kept; beyond that the oldest goes."""


class Undecided:
    """Keeps the vectors of some queries, each to be taken once.

    Safe to share between threads. A copy by `pickle` or `deepcopy` begins with none.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._vectors: OrderedDict[str, list[float]] = OrderedDict()

    def keep(self, query: str, vector: list[float]) -> None:
        """Keep the vector of a query.

        Args:
            query: The query, word for word.
            vector: What the embeddings gave for it.
        """
        with self._lock:
            self._vectors[query] = vector
            self._vectors.move_to_end(query)
            while len(self._vectors) > MOST:
                self._vectors.popitem(last=False)

    def take(self, query: str) -> list[float] | None:
        """Return the vector of a query and forget it; `None` where there is none.

        Args:
            query: The query.
        """
        with self._lock:
            return self._vectors.pop(query, None)

    def __reduce__(self) -> Any:
        return Undecided, ()
