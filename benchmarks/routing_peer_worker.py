"""semantic-router, driven by JSON lines; run by the Python of its own environment.

The first line on standard input holds routes with their utterances and the vectors of
all texts; each further line asks for something, and is answered by one line.
"""

import json
import sys
from importlib import import_module
from typing import Any

VECTORS: dict[str, list[float]] = {}
ITERATIONS = 100
"""Of its random search; 500 by default, which takes minutes and finds no more here."""

THRESHOLD = 0.5
"""The default of its `FastEmbedEncoder` and `HuggingFaceEncoder`."""


def encoder() -> Any:
    """Make an encoder that looks vectors up, like the library's own of this model."""
    base = import_module("semantic_router.encoders").DenseEncoder

    class Looking(base):  # type: ignore[misc, valid-type] # unknown here
        def __call__(self, docs: list[str]) -> list[list[float]]:
            # To learn the dimensions it embeds a word of its own.
            probe = [1.0, *([0.0] * (len(next(iter(VECTORS.values()))) - 1))]
            return [VECTORS.get(text, probe) for text in docs]

    return Looking(name="looking", score_threshold=THRESHOLD)


def router(routes: list[tuple[str, list[str]]]) -> Any:
    """Set the router up as its documentation does."""
    route = import_module("semantic_router").Route
    kind = import_module("semantic_router.routers").SemanticRouter
    listed = [route(name=name, utterances=texts) for name, texts in routes]
    return kind(encoder=encoder(), routes=listed, auto_sync="local")


def chosen(routing: Any, queries: list[str]) -> list[str | None]:
    """Route queries."""
    return [routing(text=query).name for query in queries]


def main() -> None:
    """Answer requests until there are no more."""
    opening = json.loads(sys.stdin.readline())
    VECTORS.update(opening["vectors"])
    routing = router(opening["routes"])
    before = dict(routing.get_thresholds())
    print(json.dumps({"ready": True}), file=RESULTS, flush=True)
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "fit" in request:
            queries = [query for query, _ in request["fit"]]
            names = [name for _, name in request["fit"]]
            routing.fit(X=queries, y=names, max_iter=ITERATIONS)
            changed = dict(routing.get_thresholds()) != before
            result: dict[str, Any] = {"changed": changed}
        else:
            result = {"chosen": chosen(routing, request["route"])}
        print(json.dumps(result), file=RESULTS, flush=True)


# Whatever a library prints must not stand between the results.
RESULTS, sys.stdout = sys.stdout, sys.stderr

if __name__ == "__main__":
    main()
