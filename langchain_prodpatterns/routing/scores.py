"""How a query stands to every route, by five measures and to what is known at all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.routing.lexical import Lexicon

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEASURES = ("similarity", "centroid", "head", "words", "votes")
"""What routes are compared by, in the order of the columns of `Scores.measures`."""

_NEAREST = 10
"""Known texts that vote."""
_DENSE = 5
"""Known texts whose mean similarity is the density."""
_SHARPNESS = 10.0
"""How much more a vote counts that is nearer."""
_RIDGE = 1.0
"""How far the head is held back, in rows."""
_NONE_RIDGE = 3.0
_PRIOR = 3.0
"""Rows that a route's own nearness is mixed with, of all routes."""
_EXACT = 256
"""Up to so many routes all are compared by every measure."""
_NEAR = 64
"""Beyond that so many, the nearest by centroid and by words."""


@dataclass(frozen=True, slots=True)
class Known:
    """The texts of the routes, and the texts that belong to none."""

    texts: Sequence[str]
    """The texts of the routes."""
    owners: Ints
    """The route of each, by its number."""
    rows: Floats
    """Their vectors, unit length."""
    none_rows: Floats
    """The vectors of texts that no route fits, unit length."""

    def with_more(self, texts: Sequence[str], owners: Ints, rows: Floats) -> "Known":
        """Add texts; an owner of -1 is none."""
        fits = owners >= 0
        return Known(
            [
                *self.texts,
                *(text for text, fit in zip(texts, fits, strict=True) if fit),
            ],
            np.concatenate([self.owners, owners[fits]]),
            np.concatenate([self.rows, rows[fits]]),
            np.concatenate([self.none_rows, rows[~fits]]),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """How one query stands to the routes that come into question."""

    routes: Ints
    """Their numbers."""
    measures: Reals
    """A row for each, a column for each of `MEASURES`."""
    own: Reals
    """A row for each: how near its own texts are to it, by similarity and centroid."""
    density: float
    """The mean similarity of the nearest known texts, of whatever route."""
    none: tuple[float, float, float]
    """How near the query is to texts that no route fits: the highest similarity, the
    share of votes, and the head."""


class Scorer:
    """Compares queries with routes. Never changes, and knows no names."""

    def __init__(self, known: Known, routes: int) -> None:
        """Prepare what does not depend on a query.

        Args:
            known: The texts, at least one a route.
            routes: How many routes there are.
        """
        order = np.argsort(known.owners, kind="stable")
        self._owners = known.owners[order]
        self._rows = np.ascontiguousarray(known.rows[order])
        self._none_rows = known.none_rows
        self._starts = np.searchsorted(self._owners, np.arange(routes + 1))
        sums = np.add.reduceat(self._rows.astype(float), self._starts[:-1])
        # Texts may cancel each other out: then no query is near to their middle.
        lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        self._centroids = (sums / lengths).astype(np.float32)
        self._head, self._none_head, self._none_rate = self._solve(sums)
        self._own = self._own_nearness(sums)
        grouped: list[list[str]] = [[] for _ in range(routes)]
        for at in order:
            grouped[known.owners[at]].append(known.texts[at])
        self._lexicon = Lexicon(grouped)

    def score(self, vector: Floats, text: str) -> Scores:
        """Compare a query with the routes.

        Args:
            vector: Its vector, unit length.
            text: Its text.

        Returns:
            How it stands to every route; where there are very many, to the nearest.
        """
        centroid = np.einsum("ij,j->i", self._centroids, vector)
        said = self._lexicon.scores(text)
        routes = _candidates(centroid, said)
        rows, starts = self._texts_of(routes)
        nearness = np.einsum("ij,j->i", self._rows[rows], vector)
        similarity = np.maximum.reduceat(nearness, starts)
        head = np.einsum("ij,j->i", self._head[routes], vector)
        nearest = np.sort(
            np.partition(nearness, -min(_NEAREST, len(nearness)))[-_NEAREST:]
        )
        votes = self._votes(nearness, nearest[0], starts)
        measures = np.column_stack(
            [similarity, centroid[routes], head, said[routes], votes / votes.sum()]
        )
        return Scores(
            routes,
            measures.astype(float),
            self._own[routes],
            float(nearest[-_DENSE:].mean()),
            self._none(vector, float(votes.sum())),
        )

    def _texts_of(self, routes: Ints) -> tuple[Ints | slice, Ints]:
        """Return the rows of routes, and where each route's rows begin among them."""
        if len(routes) == len(self._starts) - 1:
            return slice(None), self._starts[:-1]
        counts = self._starts[routes + 1] - self._starts[routes]
        starts = np.cumsum(counts) - counts
        rows = np.arange(counts.sum()) + np.repeat(
            self._starts[routes] - starts, counts
        )
        return rows, starts

    def _votes(self, nearness: Floats, least: float, starts: Ints) -> Reals:
        weights = np.where(nearness >= least, np.exp(_SHARPNESS * (nearness - 1)), 0.0)
        votes: Reals = np.add.reduceat(weights, starts)
        return votes

    def _none(self, vector: Floats, votes: float) -> tuple[float, float, float]:
        if not len(self._none_rows):
            return 0.0, 0.0, 0.0
        nearness = np.sort(np.einsum("ij,j->i", self._none_rows, vector))[-_NEAREST:]
        against = float(np.exp(_SHARPNESS * (nearness - 1)).sum())
        head = float(self._none_head @ vector) + self._none_rate
        return float(nearness[-1]), against / (against + votes), head

    def _solve(self, sums: Reals) -> tuple[Floats, Floats, float]:
        """Fit the heads: ridge regression from a vector to its route, and to none.

        The right side of the normal equations is no more than the sums of each route.
        """
        rows = np.concatenate([self._rows, self._none_rows]).astype(float)
        gram, one = rows.T @ rows, np.eye(rows.shape[1])
        head = np.linalg.solve(gram + _RIDGE * one, sums.T).T
        rate = len(self._none_rows) / len(rows)
        target = self._none_rows.sum(axis=0, dtype=float) - rate * rows.sum(axis=0)
        none_head = np.linalg.solve(gram + _NONE_RIDGE * one, target)
        return head.astype(np.float32), none_head.astype(np.float32), rate

    def _own_nearness(self, sums: Reals) -> Reals:
        """Return how near a text of each route is to the others of it, on average.

        A route of utterances that are all alike may ask more of a query than one that
        is wide. Routes with few texts lean on the mean of all.
        """
        found = np.zeros((len(sums), 2))
        counts = np.diff(self._starts)
        for route, count in enumerate(counts):
            if count > 1:
                rows = self._rows[self._starts[route] : self._starts[route + 1]]
                others = sums[route] - rows
                lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-6)
                alike = rows @ rows.T
                np.fill_diagonal(alike, -1.0)
                centered = (rows * others).sum(axis=1) / lengths
                found[route] = alike.max(axis=1).mean(), centered.mean()
        many = counts > 1
        mean = found[many].mean(axis=0) if many.any() else np.zeros(2)
        trusted = np.where(many, counts, 0)[:, np.newaxis]
        own: Reals = (found * trusted + mean * _PRIOR) / (trusted + _PRIOR)
        return own


def _candidates(centroid: Floats, said: Floats) -> Ints:
    """Return the routes that come into question, in their order."""
    if len(centroid) <= _EXACT:
        return np.arange(len(centroid))
    near = np.argpartition(-centroid, _NEAR)[:_NEAR]
    named = np.argpartition(-said, _NEAR)[:_NEAR]
    return np.union1d(near, named)
