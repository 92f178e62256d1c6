"""The vectors of the routes: embedded once, when first needed, by one caller."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.decision import DIGITS, Ranked
from langchain_prodpatterns.routing.routes import Route
from langchain_prodpatterns.turns import Turn

Floats = npt.NDArray[np.float32]


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
        if len(vectors) != sum(counts):
            msg = (
                f"the embeddings gave {len(vectors)} vectors for {sum(counts)} texts "
                "of tools"
            )
            raise ConfigurationError(msg)
        self._names = [route.name for route in routes]
        # A route's texts stand together: its first row is where the ones before end.
        self._starts = np.cumsum([0, *counts[:-1]])
        self._rows = _unit_rows(vectors, np.repeat(self._names, counts).tolist())

    def similarities(self, query: Sequence[float]) -> Floats:
        """Compare a query with every route.

        Args:
            query: The vector of the query, of any length but zero.

        Returns:
            A cosine a route: the highest over its texts.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        vector = _unit_query(query, self._rows.shape[1])
        # Not `@`: BLAS starts threads for this, which takes milliseconds on a machine
        # whose cores are busy. `einsum` stays in this thread.
        nearness = np.einsum("ij,j->i", self._rows, vector)
        best: Floats = np.maximum.reduceat(nearness, self._starts)
        return best

    def rank(self, query: Sequence[float], count: int) -> tuple[Ranked, ...]:
        """Return the nearest routes.

        Args:
            query: The vector of the query.
            count: How many, at most.

        Returns:
            The routes, the nearest first; equals in the order they were given.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        nearness = np.round(self.similarities(query).astype(float), DIGITS)
        order = np.argsort(-nearness, kind="stable")[:count]
        return tuple(Ranked(self._names[at], float(nearness[at])) for at in order)


class RouteIndex:
    """Embeds the routes once. Safe to share between threads and event loops.

    The first caller embeds, the others wait for it; a failure is not remembered. A copy
    by `pickle` or `deepcopy` takes the vectors along.
    """

    def __init__(self, routes: Sequence[Route], embeddings: Embeddings) -> None:
        """Begin without vectors.

        Args:
            routes: The routes.
            embeddings: What embeds them.
        """
        self.routes = tuple(routes)
        self.embeddings = embeddings
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
            self._matrix = RouteMatrix(self.routes, embed(self._texts()))
            return self._matrix
        self._turn.acquire()
        try:
            if self._matrix is None:
                self._matrix = RouteMatrix(self.routes, embed(self._texts()))
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
                self._matrix = RouteMatrix(self.routes, await embed(self._texts()))
            return self._matrix
        finally:
            self._turn.release()

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


def _unit_rows(vectors: Sequence[Sequence[float]], owners: list[str]) -> Floats:
    """Scale vectors to unit length; an error names the route."""
    for owner, vector in zip(owners, vectors, strict=True):
        if len(vector) != len(vectors[0]) or not len(vector):
            msg = (
                f"the embeddings gave a text of {owner!r} {len(vector)} dimensions, "
                f"and one of {owners[0]!r} {len(vectors[0])}"
            )
            raise ConfigurationError(msg)
    rows = np.asarray(vectors, dtype=np.float64)
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
    query = np.asarray(vector, dtype=np.float64)
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
