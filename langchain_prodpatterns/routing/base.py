"""What every part of a router stands on: its fields, and its view of the tools."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import LanguageModelInput
from pydantic import Field

from langchain_prodpatterns.routing.decision import Policy, RouteDecision
from langchain_prodpatterns.routing.fallback import FallbackJudge, bind_fallback
from langchain_prodpatterns.routing.index import RouteIndex
from langchain_prodpatterns.routing.knowledge import View
from langchain_prodpatterns.routing.routes import Tool
from langchain_prodpatterns.runnable import PatternRunnable

THRESHOLD = 0.65
"""The default bar for the nearest tool: a cosine."""
MARGIN = 0.15
"""The default lead over the next tool: a difference of cosines."""


class Embedded(NamedTuple):
    """A query that can be compared."""

    view: View
    """What to compare it with."""
    vector: list[float]
    """Its vector."""

    @property
    def row(self) -> npt.NDArray[np.float32]:
        """Its vector, unit length."""
        return self.view.matrix.unit(self.vector)


class BaseRouter(PatternRunnable[LanguageModelInput, RouteDecision]):
    """Fields and embedding of `ToolRouter`."""

    pattern: ClassVar[str] = "routing"

    tools: Sequence[Any] = Field(repr=False)
    """LangChain tools, functions and `Route`s, as they were given."""
    embeddings: Embeddings
    """What embeds the tools and the queries."""
    precision: float = 0.95
    """The share of decisions by distance that is right, promised by `fit`."""
    threshold: float = THRESHOLD
    """Before `fit`: the least cosine of the query to a tool that is chosen."""
    margin: float = MARGIN
    """Before `fit`: the least lead of its cosine over that of any other tool."""
    fallback: Any | None = None
    """Who chooses where the distance does not."""
    examples: Mapping[str, Sequence[str]] | None = Field(default=None, repr=False)
    """More utterances, by the name of the tool."""
    top_k: int = 5
    """How many tools the fallback chooses from."""
    fallback_timeout: float | None = 5.0
    """Seconds that the fallback has."""
    learn: bool = False
    """Whether the fallback's decisions become examples."""
    max_learned: int = 50
    """How many examples each tool learns at most."""
    max_cached: int = 1_000
    """How many decisions of the fallback are kept to serve again."""
    index: RouteIndex = Field(repr=False, exclude=True)
    """The vectors of the tools and what was learned, shared by copies."""

    @cached_property
    def tools_by_name(self) -> Mapping[str, Tool]:
        """The tools as they were given, by the name that a decision gives."""
        names = (route.name for route in self.index.routes)
        return dict(zip(names, self.tools, strict=True))

    @cached_property
    def judge(self) -> FallbackJudge | None:
        """The fallback, bound once."""
        if self.fallback is None:
            return None
        return bind_fallback(self.fallback, self.fallback_timeout)

    @property
    def _policy(self) -> Policy:
        return Policy(self.threshold, self.margin)

    def _view(self) -> View:
        """Return what decides now; embed the tools where that was not done yet."""
        matrix = self.index.matrix(self.embeddings.embed_documents)
        return self.index.knowledge.view(matrix)

    async def _aview(self) -> View:
        matrix = await self.index.amatrix(self.embeddings.aembed_documents)
        return self.index.knowledge.view(matrix)

    def _embedded(self, text: str) -> Embedded:
        view, vector = self._view(), self.index.undecided.take(text)
        if vector is None:
            vector = self.embeddings.embed_query(text)
        return Embedded(view, vector)

    async def _aembedded(self, text: str) -> Embedded:
        view, vector = await self._aview(), self.index.undecided.take(text)
        if vector is None:
            vector = await self.embeddings.aembed_query(text)
        return Embedded(view, vector)
