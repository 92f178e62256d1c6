"""Embeddings by table, so that every similarity is known, and a scripted fallback."""

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.routing import Route, RouteDecision, ToolRouter
from langchain_prodpatterns.testing import Fault, ScriptedChatModel, ScriptedRequest

Vector = list[float]

AXES: dict[str, Vector] = {
    "about a": [1.0, 0.0, 0.0, 0.0],
    "about b": [0.0, 1.0, 0.0, 0.0],
    "about c": [0.0, 0.0, 1.0, 0.0],
}
ROUTES = [Route("a", "about a"), Route("b", "about b"), Route("c", "about c")]

_NONCE = re.compile(r'"nonce" set to "(\w+)"')


def near(a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Vector:
    """The unit vector with these similarities to the three routes."""
    return [a, b, c, (1.0 - a * a - b * b - c * c) ** 0.5]


class TableEmbeddings(Embeddings):
    """Looks vectors up; notices every call, and a sync one on an event loop."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = {**AXES, **table}
        self.documents = 0
        self.queries = 0
        self.error: BaseException | None = None
        self.entered = threading.Event()
        self.gate: threading.Event | None = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        _off_the_loop()
        return self._documents(texts)

    def embed_query(self, text: str) -> list[float]:
        _off_the_loop()
        return self._query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._query, text)

    def _documents(self, texts: list[str]) -> list[list[float]]:
        self.documents += 1
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(timeout=30)
        return [self._find(text) for text in texts]

    def _query(self, text: str) -> list[float]:
        self.queries += 1
        return self._find(text)

    def _find(self, text: str) -> list[float]:
        if self.error is not None:
            raise self.error
        vector: list[float] = self.table[text]
        return vector

    def __reduce__(self) -> Any:
        return TableEmbeddings, (self.table,)


def _off_the_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    msg = "embeddings called sync on the event loop"
    raise AssertionError(msg)


def choosing(*choices: Any) -> ScriptedChatModel:
    """A model that answers successive questions with these choices."""
    left = list(choices)

    def respond(request: ScriptedRequest) -> str | Fault:
        choice = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(choice, Fault):
            return choice
        found = _NONCE.search(request.prompt_text)
        assert found is not None
        return json.dumps({"choice": choice, "nonce": found.group(1)})

    return ScriptedChatModel(respond=respond)


Way = Callable[[ToolRouter, Any], RouteDecision]


def invoke(router: ToolRouter, value: Any, **kwargs: Any) -> RouteDecision:
    return router.invoke(value, **kwargs)


def ainvoke(router: ToolRouter, value: Any, **kwargs: Any) -> RouteDecision:
    call: Coroutine[Any, Any, RouteDecision] = router.ainvoke(value, **kwargs)
    return asyncio.run(call)


WAYS: list[Callable[..., RouteDecision]] = [invoke, ainvoke]


class ClusterEmbeddings(Embeddings):
    """Embeds `a 12` near the middle of `a`, and `? 12` near nothing in particular."""

    model = "clusters"

    def __init__(self, spread: float = 0.08) -> None:
        self.spread = spread
        self.documents: list[str] = []
        self.queries = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        _off_the_loop()
        self.documents.extend(texts)
        return [self._find(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        _off_the_loop()
        self.queries += 1
        return self._find(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        return await asyncio.to_thread(self.embed_query, text)

    def _find(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        vector = np.random.default_rng(seed).normal(size=32)
        found = vector * (self.spread if text[0] in NAMES else 0.2)
        if text[0] in NAMES:
            found[NAMES.index(text[0])] += 1
        else:
            found += 0.2
        return [float(value) for value in found]


NAMES = "abcdef"
CLUSTERS = [
    Route(name, f"{name} is its purpose", [f"{name} {at}" for at in range(3)])
    for name in NAMES
]


def cluster_labels(count: int, start: int = 100) -> list[tuple[str, str | None]]:
    """Labeled queries, by turns of each cluster and of none."""
    turns: list[str | None] = [*NAMES, None]
    return [
        (f"{turns[at % 7] or '?'} {start + at}", turns[at % 7]) for at in range(count)
    ]
