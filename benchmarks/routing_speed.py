"""What a decision takes beyond the embedding of the query, and what `fit` takes."""

import statistics
import time

import numpy as np
from routing_data import TableEmbeddings

from langchain_prodpatterns.routing import Route, ToolRouter
from langchain_prodpatterns.routing.base import MARGIN, THRESHOLD
from langchain_prodpatterns.routing.decision import Policy, decide

SIZES = {(300, 5): 1, (1_000, 50): 3}
"""Routes and texts of each, and the goal in ms."""
CALLS = 300
LABELS = 500
FIT = (150, 10, 1_500)
WORDS = [f"word{number}" for number in range(3_000)]


def made(
    routes: int, texts: int, labels: int
) -> tuple[ToolRouter, list[tuple[str, str | None]]]:
    """Return a router of made-up texts, and labeled queries near its routes."""
    chance = np.random.default_rng(0)
    table: dict[str, list[float]] = {}

    def text(center: np.ndarray) -> str:
        said = f"{len(table)} {' '.join(chance.choice(WORDS, 9))}"
        table[said] = (center + 0.6 * chance.normal(size=384)).tolist()
        return said

    centers = chance.normal(size=(routes, 384))
    listed = [
        Route(
            f"route {at}",
            text(centers[at]),
            [text(centers[at]) for _ in range(texts - 1)],
        )
        for at in range(routes)
    ]
    asked: list[tuple[str, str | None]] = [
        (text(centers[at]), f"route {at}")
        for at in chance.integers(0, routes, labels).tolist()
    ]
    return ToolRouter(listed, TableEmbeddings(table)), asked


def show_latency() -> None:
    """Print the time of a decision, before and after `fit`."""
    print("\nbeyond the embedding:")
    for (routes, texts), goal in SIZES.items():
        router, labels = made(routes, texts, LABELS)
        for state in ("not fitted", "fitted"):
            if state == "fitted":
                router.fit(labels)
            view = router._view()  # noqa: SLF001 - what it decides with
            promise = view.promise(router.precision)
            seconds = []
            for query, _ in (labels * CALLS)[:CALLS]:
                vector = router.embeddings.embed_query(query)
                started = time.perf_counter()
                standing = view.standing(vector, query, 5)
                decide(standing, Policy(THRESHOLD, MARGIN), promise)
                seconds.append(time.perf_counter() - started)
            median, late = (
                statistics.median(seconds),
                sorted(seconds)[int(0.99 * CALLS)],
            )
            print(
                f"{routes * texts:>7} vectors, {routes} routes, {state}: "
                f"{1000 * median:.2f} ms median, {1000 * late:.2f} ms at p99 "
                f"(goal <= {goal} ms)"
            )


def show_fit() -> None:
    """Print the time of `fit`."""
    routes, texts, labels = FIT
    router, asked = made(routes, texts, labels)
    started = time.perf_counter()
    router.fit(asked)
    seconds = time.perf_counter() - started
    print(f"fit on {labels} labels, {routes} routes: {seconds:.1f} s (goal <= 10 s)")
