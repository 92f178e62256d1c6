"""What a router learns from its fallback: coverage before and after 450 decisions.

It begins with one example a route, and most labels are only for the certificate: where
labels teach as much as the fallback would, there is less left to learn (with all of 500
labels and two examples a route about 10 points, from 55%), and with 300 labels or fewer
chance decides whether a bar is certified at all.
"""

from collections.abc import Sequence

import numpy as np
from routing_data import Labels, Problem, read_routes

from langchain_prodpatterns.routing import Evaluation, Route, RouteRequest, ToolRouter

EXAMPLES = 1
LABELS = 700
HELD_OUT = 0.8
DECISIONS = 450
RIGHT = 0.97
GOAL = 20
SEEDS = 3


class Oracle:
    """A fallback that is right so often, and otherwise picks another tool."""

    def __init__(self, labels: Labels, seed: int) -> None:
        """Know the answers."""
        self.truth = dict(labels)
        self.calls = 0
        self._chance = np.random.default_rng(seed)

    def __call__(self, request: RouteRequest) -> str:
        """Choose among what is on offer, as a model would."""
        self.calls += 1
        offered = [line.split(":", 1)[0] for line in request.tools]
        truth = self.truth[request.question]
        if self._chance.random() >= RIGHT:
            return str(self._chance.choice([name for name in offered if name != truth]))
        return truth if truth in offered else "none"


def run(problem: Problem, routes: Sequence[Route], seed: int) -> list[Evaluation]:
    """Fit on few labels, send traffic, and evaluate before and after."""
    tuning, reported = problem.halves(seed)
    labels, traffic = tuning[:LABELS], tuning[LABELS:]
    kept = len(reported) // 2
    traffic, reported = [*traffic, *reported[:kept]], reported[kept:]
    oracle = Oracle(traffic, seed)
    router = ToolRouter(
        routes, problem.embeddings, fallback=oracle, learn=True, top_k=20
    )
    router.fit(labels, held_out=HELD_OUT)
    before = router.evaluate(reported)
    for query, _ in traffic:
        router.invoke(query)
        if oracle.calls >= DECISIONS:
            break
    return [before, router.evaluate(reported)]


def show_learning(problem: Problem) -> None:
    """Print coverage and precision before and after."""
    routes = read_routes("banking77", EXAMPLES)
    found = [run(problem, routes, seed) for seed in range(SEEDS)]
    print(
        f"\nBANKING77, {EXAMPLES} example a route and {LABELS} labels, {HELD_OUT:.0%} "
        "of them only for the certificate, learning from a fallback that is right in "
        f"{RIGHT:.0%} (mean of {SEEDS}):"
    )
    shown = []
    for at, when in enumerate(("before", f"after up to {DECISIONS} decisions")):
        coverage = np.mean([100 * each[at].coverage for each in found])
        precision = np.mean([100 * (each[at].precision or 1.0) for each in found])
        shown.append(coverage)
        print(f"  {when}: {coverage:.1f} / {precision:.1f}")
    print(f"  gained {shown[1] - shown[0]:.1f} points (goal >= {GOAL})")
