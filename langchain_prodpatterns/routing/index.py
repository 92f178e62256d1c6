"""The vectors of the routes: embedded once, when first needed, by one caller."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.decision import DIGITS, Ranked
from langchain_prodpatterns.routing.knowledge import Knowledge
from langchain_prodpatterns.routing.routes import Route
from langchain_prodpatterns.routing.scores import Known
from langchain_prodpatterns.routing.undecided import Undecided
from langchain_prodpatterns.turns import Turn

Floats = npt.NDArray[np.float32]

_EXACT_ROWS = 8_192
"""Up to so many vectors each is compared; beyond, those of the nearest routes."""
_NEAR_ROUTES = 128


class RouteMatrix:
    """The unit vectors of every text of every route. Never changes."""

    def __init__(
        self, routes: Sequence[Route], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Check and keep the vectors.

        Args:
            routes: The routes.
            vectors: A vector for each text of each route, in order.

        Raises:
            ConfigurationError: When these are not as many finite vectors of one
                length, none of them zero.
        """
        counts = [len(route.texts) for route in routes]
        _check_one_each(vectors, sum(counts))
        names = [route.name for route in routes]
        texts = [text for route in routes for text in route.texts]
        rows = _unit_rows(vectors, np.repeat(names, counts).tolist())
        owners = np.repeat(np.arange(len(counts)), counts)
        self._set(names, Known(texts, owners, rows, rows[:0]))

    @classmethod
    def restored(cls, routes: Sequence[Route], rows: Floats) -> "RouteMatrix":
        """Take over unit vectors as they are, to the last bit.

        Args:
            routes: The routes.
            rows: What `known.rows` of another matrix was.

        Returns:
            The same matrix.

        Raises:
            ConfigurationError: When they do not fit.
        """
        matrix = cls(routes, rows.tolist())
        matrix._set(matrix.names, replace(matrix.known, rows=rows))
        return matrix

    def with_more(
        self, texts: Sequence[str], owners: Any, rows: Floats
    ) -> "RouteMatrix":
        """Return a matrix with more texts; those of no route are only kept.

        Args:
            texts: The texts.
            owners: The number of the route of each, -1 for none.
            rows: The unit vectors.

        Returns:
            The larger matrix.
        """
        larger = object.__new__(RouteMatrix)
        larger._set(self.names, self.known.with_more(texts, owners, rows))
        return larger

    def _set(self, names: list[str], known: Known) -> None:
        self.names = names
        """The names of the routes, in order."""
        self.known = known
        """The texts and their vectors."""
        # A route's texts stand together: its first row is where the ones before end.
        order = np.argsort(known.owners, kind="stable")
        self._rows = known.rows[order]
        self._starts = np.searchsorted(known.owners[order], np.arange(len(names)))
        sums = np.add.reduceat(self._rows, self._starts)
        self._centroids = sums / np.maximum(
            np.linalg.norm(sums, axis=1, keepdims=True), 1e-6
        )

    def unit(self, query: Sequence[float]) -> Floats:
        """Check the vector of a query, and scale it to unit length.

        Args:
            query: The vector.

        Returns:
            The unit vector.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        return _unit_query(query, self._rows.shape[1])

    def similarities(self, query: Sequence[float]) -> Floats:
        """Compare a query with every route.

        Args:
            query: The vector of the query, of any length but zero.

        Returns:
            A cosine a route: the highest over its texts.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        # Not `@`: BLAS starts threads for this, which takes milliseconds on a machine
        # whose cores are busy. `einsum` stays in this thread.
        nearness = np.einsum("ij,j->i", self._rows, self.unit(query))
        best: Floats = np.maximum.reduceat(nearness, self._starts)
        return best

    def rank(self, query: Sequence[float], count: int) -> tuple[Ranked, ...]:
        """Return the nearest routes.

        Args:
            query: The vector of the query.
            count: How many, at most.

        Returns:
            The routes, the nearest first; equals in the order they were given. Of very
            many vectors only those of the routes with the nearest middle are compared.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        if len(self._rows) <= _EXACT_ROWS or len(self.names) <= _NEAR_ROUTES:
            found = self.similarities(query)
            routes = np.arange(len(found))
        else:
            routes, found = self._near(self.unit(query), max(_NEAR_ROUTES, count))
        nearness = np.round(found.astype(float), DIGITS)
        order = np.argsort(-nearness, kind="stable")[:count]
        return tuple(
            Ranked(self.names[routes[at]], float(nearness[at])) for at in order
        )

    def _near(self, vector: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
        middle = np.einsum("ij,j->i", self._centroids, vector)
        routes = np.sort(np.argpartition(-middle, min(count, len(middle) - 1))[:count])
        ends = np.append(self._starts[1:], len(self._rows))
        best = [
            np.einsum("ij,j->i", self._rows[self._starts[at] : ends[at]], vector).max()
            for at in routes
        ]
        return routes, np.array(best, dtype=np.float32)


class RouteIndex:
    """Embeds the routes once. Safe to share between threads and event loops.

    The first caller embeds, the others wait for it; a failure is not remembered. A copy
    by `pickle` or `deepcopy` takes the vectors along.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        embeddings: Embeddings,
        vectors: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Begin without vectors, or with some.

        Args:
            routes: The routes.
            embeddings: What embeds them.
            vectors: The vectors of texts that need not be embedded again.
        """
        self.routes: tuple[Route, ...] = tuple(routes)
        self.embeddings = embeddings
        self.knowledge: Knowledge = Knowledge()
        """What was learned beyond the texts of the routes."""
        self.undecided: Undecided = Undecided()
        """Vectors of queries whose nearest tools may be asked for next."""
        self._vectors = dict(vectors or {})
        self._matrix: RouteMatrix | None = None
        self._turn = Turn()

    def fits(self, routes: Sequence[Route], embeddings: Embeddings) -> bool:
        """Whether these are the vectors of these routes by these embeddings."""
        return self.routes == tuple(routes) and self.embeddings is embeddings

    def matrix(
        self, embed: Callable[[list[str]], Sequence[Sequence[float]]]
    ) -> RouteMatrix:
        """Return the vectors; embed first where that was not done yet.

        Called on an event loop's thread it embeds at once, whoever else does.

        Args:
            embed: What embeds the texts.

        Returns:
            The vectors.

        Raises:
            ConfigurationError: When the vectors cannot be used.
        """
        if self._matrix is not None:
            return self._matrix
        if _is_event_loop_thread():
            # To wait here for a task of this very loop would be to wait for ever.
            missing = self._missing()
            return self._complete(missing, embed(missing) if missing else ())
        self._turn.acquire()
        try:
            if self._matrix is None:
                missing = self._missing()
                return self._complete(missing, embed(missing) if missing else ())
            return self._matrix
        finally:
            self._turn.release()

    async def amatrix(
        self, embed: Callable[[list[str]], Awaitable[Sequence[Sequence[float]]]]
    ) -> RouteMatrix:
        """Return the vectors, like `matrix`, without blocking the event loop.

        Args:
            embed: What embeds the texts.

        Returns:
            The vectors.

        Raises:
            ConfigurationError: When the vectors cannot be used.
        """
        if self._matrix is not None:
            return self._matrix
        await self._turn.aacquire()
        try:
            if self._matrix is None:
                missing = self._missing()
                return self._complete(missing, await embed(missing) if missing else ())
            return self._matrix
        finally:
            self._turn.release()

    def vectors(self) -> dict[str, Sequence[float]]:
        """Return the vectors of the texts that are embedded, by text."""
        if self._matrix is None:
            return dict(self._vectors)
        known = self._matrix.known
        return dict(zip(known.texts, known.rows, strict=True))

    def restore(self, matrix: RouteMatrix) -> None:
        """Take over vectors that were saved."""
        self._matrix = matrix

    def _missing(self) -> list[str]:
        return [text for text in self._texts() if text not in self._vectors]

    def _complete(
        self, missing: list[str], found: Sequence[Sequence[float]]
    ) -> RouteMatrix:
        if not self._vectors:
            self._matrix = RouteMatrix(self.routes, found)
        else:
            _check_one_each(found, len(missing))
            vectors = {**self._vectors, **dict(zip(missing, found, strict=True))}
            rows = [vectors[text] for text in self._texts()]
            self._matrix = RouteMatrix(self.routes, rows)
        return self._matrix

    def _texts(self) -> list[str]:
        return [text for route in self.routes for text in route.texts]

    def __getstate__(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in self.__dict__ if key != "_turn"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._turn = Turn()


def _is_event_loop_thread() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _check_one_each(vectors: Sequence[Sequence[float]], texts: int) -> None:
    """Refuse other than a vector for each text."""
    if not isinstance(vectors, Sequence | np.ndarray):
        kind = type(vectors).__name__
        msg = f"the embeddings gave {kind}, not a vector for each of {texts} texts"
        raise ConfigurationError(msg)
    if len(vectors) != texts:
        msg = f"the embeddings gave {len(vectors)} vectors for {texts} texts of tools"
        raise ConfigurationError(msg)


def _numbers(vector: Sequence[float], text: str) -> npt.NDArray[np.float64]:
    """Read a vector; an error names the text that it was given for."""
    try:
        return np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError):
        kind = type(vector).__name__
        msg = f"the embeddings gave {text} no vector of numbers, but a {kind}"
        raise ConfigurationError(msg) from None


def _unit_rows(vectors: Sequence[Sequence[float]], owners: list[str]) -> Floats:
    """Scale vectors to unit length; an error names the route."""
    read: list[npt.NDArray[np.float64]] = []
    for owner, vector in zip(owners, vectors, strict=True):
        numbers = _numbers(vector, f"a text of {owner!r}")
        if numbers.ndim != 1:
            kind = type(vector).__name__
            msg = (
                f"the embeddings gave a text of {owner!r} no vector of numbers, but a "
                f"{kind} of shape {numbers.shape}"
            )
            raise ConfigurationError(msg)
        read.append(numbers)
        if numbers.size != read[0].size or not numbers.size:
            msg = (
                f"the embeddings gave a text of {owner!r} {numbers.size} dimensions, "
                f"and one of {owners[0]!r} {read[0].size}"
            )
            raise ConfigurationError(msg)
    rows = np.stack(read)
    lengths = np.linalg.norm(rows, axis=1)
    for owner, length in zip(owners, lengths, strict=True):
        if not np.isfinite(length) or not length:
            msg = (
                f"the embeddings gave a text of {owner!r} a vector that is zero or not "
                "finite: it cannot be compared with anything"
            )
            raise ConfigurationError(msg)
    unit: Floats = (rows / lengths[:, np.newaxis]).astype(np.float32)
    return unit


def _unit_query(vector: Sequence[float], dimensions: int) -> Floats:
    query = _numbers(vector, "the query")
    if query.shape != (dimensions,):
        msg = (
            f"the embeddings gave the query a vector of shape {query.shape}, and tools "
            f"{dimensions} dimensions"
        )
        raise ConfigurationError(msg)
    length = np.linalg.norm(query)
    if not np.isfinite(length) or not length:
        msg = (
            "the embeddings gave the query a vector that is zero or not finite: it "
            "cannot be compared with anything"
        )
        raise ValueError(msg)
    unit: Floats = (query / length).astype(np.float32)
    return unit
