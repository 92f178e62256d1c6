"""Dividing a crowded partition into lists: spherical k-means, and moving the vectors.

Both take seconds, go on beside searches, and stop soon when they are told to.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from langchain_prodpatterns.cache.stores.vectors import (
    Divided,
    Flat,
    Matrix,
    Numbers,
    one_thread,
)

LISTS = 1024
"""Lists that a crowded partition is divided into."""

_ROUNDS = 6
_GATHERED_AT_ONCE = 512
# Not more: what larger copies leave behind in the heap is a tenth of all vectors.
_AT_ONCE = 128

Stopped: TypeAlias = Callable[[], bool]


class Move:
    """Moves the vectors of a flat partition into one with lists, bit by bit.

    The flat one goes on being searched and added to. First `take` and `put` until
    nothing is left, then `fill` each list, then `finish`. All but `put` must be called
    while nobody else uses the flat one.
    """

    def __init__(self, flat: Flat, centers: Matrix) -> None:
        """Begin.

        Args:
            flat: The crowded partition. It cannot be used flat any longer.
            centers: The centers of the lists.
        """
        self._flat = flat
        self._divided = Divided(centers)
        self._lists: list[Numbers] = []
        self._seen = 0
        flat.hold()

    def take(self) -> Matrix | None:
        """Return the next vectors to `put`, or `None` if few are left."""
        matrix = self._flat.piece(self._seen, _AT_ONCE)
        if len(matrix) < _AT_ONCE:
            return None
        self._seen += len(matrix)
        return matrix

    def put(self, matrix: Matrix) -> None:
        """Choose lists for vectors. Others may use the flat one meanwhile."""
        self._lists.append(self._divided.lists_of(matrix))

    def positions(self) -> list[tuple[int, Numbers]]:
        """Return each list's number, and where its vectors are in the flat one.

        The largest first: the memory that its copy took is enough for the next.
        """
        lists = np.concatenate([np.empty(0, np.int64), *self._lists])
        order = lists.argsort(kind="stable")
        groups, starts = np.unique(lists[order], return_index=True)
        where = np.split(order, starts[1:]) if len(groups) else []
        lists_with_places = zip(groups.tolist(), where, strict=True)
        return sorted(lists_with_places, key=lambda pair: -len(pair[1]))

    def fill(self, number: int, positions: Numbers) -> None:
        """Move one list."""
        self._divided.fill(number, *self._flat.halves(positions))

    def finish(self) -> Divided:
        """Move the rest, and return the one with lists, which takes its place."""
        count = len(self._flat) + len(self._flat.removed()) - self._seen
        rest = np.arange(self._seen, self._seen + count)
        if count:
            ids, _ = self._flat.halves(rest)
            self._divided.add(ids, self._flat.piece(self._seen, count))
        self._divided.remove(self._flat.removed())
        return self._divided


def centers_of(sample: Matrix, count: int, stopped: Stopped) -> Matrix | None:
    """Return centers on the unit sphere that the vectors gather around.

    Args:
        sample: The vectors, at least `count`.
        count: How many centers.
        stopped: Whether to give up.

    Returns:
        The centers, or `None` if stopped.
    """
    chosen = np.random.default_rng(0).choice(len(sample), count, replace=False)
    centers: Matrix = sample[np.sort(chosen)]
    for _ in range(_ROUNDS):
        sums = np.zeros_like(centers)
        for start in range(0, len(sample), _GATHERED_AT_ONCE):
            if stopped():
                return None
            _gather(sample[start : start + _GATHERED_AT_ONCE], centers, sums)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # A center that nothing is nearest to stays where it is.
        centers = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centers)
    return centers


def _gather(piece: Matrix, centers: Matrix, sums: Matrix) -> None:
    """Add each vector to the sum of its nearest center."""
    import faiss

    with one_thread():
        _, nearest = faiss.knn(piece, centers, 1, metric=faiss.METRIC_INNER_PRODUCT)
    order = nearest[:, 0].argsort(kind="stable")
    groups, starts = np.unique(nearest[order, 0], return_index=True)
    sums[groups] += np.add.reduceat(piece[order], starts, axis=0)
