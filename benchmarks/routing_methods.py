"""Rules of when to decide: each is tuned on one half of the queries, and decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from routing_data import Labels, Problem

from langchain_prodpatterns.routing import ToolRouter
from langchain_prodpatterns.routing.decision import Policy, decide
from langchain_prodpatterns.routing.index import RouteMatrix

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PRECISIONS = (0.9, 0.925, 0.95, 0.97, 0.99)
"""What is asked for, for the plot; the table has two of these."""
THRESHOLDS: Floats = np.arange(0.3, 0.96, 0.01).round(2)
MARGINS: Floats = np.arange(0.0, 0.5, 0.01).round(2)
FEWEST = 20
NO_POLICY = Policy(1.0, 2.0)


@dataclass(frozen=True)
class Result:
    """What a method does with the half that it was not tuned on."""

    coverage: float
    """The share of queries that is decided."""
    precision: float
    """The share of these that is decided rightly; 1 without any."""


Results = dict[float, Result]
"""Results by the precision that was asked for."""
Method = Callable[[Problem, Labels, Labels], Results]


def of(decided: Bools, right: Bools) -> Result:
    """Count what is decided."""
    precision = float(right[decided].mean()) if decided.any() else 1.0
    return Result(float(decided.mean()), precision)


def fitted(*, held_out: float) -> Method:
    """Return our router after `fit`."""

    def run(problem: Problem, tuning: Labels, reported: Labels) -> Results:
        router = ToolRouter(problem.routes, problem.embeddings)
        router.fit(tuning, held_out=held_out)
        # Compared once, decided for each precision: what `evaluate` of copies does.
        view, table = router._view(), problem.embeddings.table  # noqa: SLF001 - as said
        standings = [view.standing(table[query], query, 2) for query, _ in reported]
        results = {}
        for asked in PRECISIONS:
            promise = view.promise(asked)
            tools = [decide(each, NO_POLICY, promise).tool for each in standings]
            pairs = list(zip(tools, reported, strict=True))
            decided = np.array([tool is not None for tool, _ in pairs])
            right = np.array([tool == truth for tool, (_, truth) in pairs])
            results[asked] = of(decided, right)
        return results

    return run


def unfitted(problem: Problem, tuning: Labels, reported: Labels) -> Results:
    """Run our router's default threshold and margin."""
    del tuning
    found = ToolRouter(problem.routes, problem.embeddings).evaluate(reported)
    result = Result(found.coverage, found.precision or 0.0)
    return dict.fromkeys(PRECISIONS, result)


def nearest(problem: Problem, tuning: Labels, reported: Labels) -> Results:
    """Choose the nearest route, however near."""
    del tuning
    best, _, right = _columns(problem, reported)
    return dict.fromkeys(PRECISIONS, of(best > -np.inf, right))


def tuned(thresholds: Floats, margins: Floats) -> Method:
    """Return bars with the most coverage at a precision on the tuning half.

    That is an estimate, not a promise.
    """

    def run(problem: Problem, tuning: Labels, reported: Labels) -> Results:
        seen, new = _columns(problem, tuning), _columns(problem, reported)
        results = {}
        for asked in PRECISIONS:
            threshold, margin = _bars(seen, asked, thresholds, margins)
            best, lead, right = new
            results[asked] = of((best >= threshold) & (lead >= margin), right)
        return results

    return run


def _bars(
    seen: tuple[Floats, Floats, Bools],
    precision: float,
    thresholds: Floats,
    margins: Floats,
) -> tuple[float, float]:
    best, lead, right = seen
    found, covered = (np.inf, np.inf), 0
    for threshold in thresholds.tolist():
        for margin in margins.tolist():
            decided = (best >= threshold) & (lead >= margin)
            count = int(decided.sum())
            # A bar that few queries pass has no precision to speak of.
            if count > max(covered, FEWEST) and right[decided].mean() >= precision:
                found, covered = (threshold, margin), count
    return found


def _columns(problem: Problem, labels: Labels) -> tuple[Floats, Floats, Bools]:
    """Return similarity, lead and truth of the nearest route, for each query."""
    table = problem.embeddings.table
    texts = [text for route in problem.routes for text in route.texts]
    matrix = RouteMatrix(problem.routes, [table[text] for text in texts])
    pairs = [matrix.rank(table[query], 2) for query, _ in labels]
    best = np.array([first.similarity for first, _ in pairs])
    lead = np.array([first.similarity - other.similarity for first, other in pairs])
    right = [
        first.name == truth
        for (first, _), (_, truth) in zip(pairs, labels, strict=True)
    ]
    return best, lead, np.array(right)


ALL: Floats = np.array([-1.0])
METHODS: dict[str, Method] = {
    "nearest, always": nearest,
    "threshold alone, tuned": tuned(THRESHOLDS, np.array([0.0])),
    "margin alone, tuned": tuned(ALL, MARGINS),
    "ours, not fitted": unfitted,
    "ours, fitted": fitted(held_out=0),
    "ours, held out": fitted(held_out=0.5),
}


def recall(
    router: ToolRouter, queries: Sequence[tuple[str, Sequence[str]]], k: int = 5
) -> float:
    """Return the share of the tools that a query needs among the `k` selected."""
    shares = []
    for query, needed in queries:
        found = {tool.name for tool in router.select(query, k)}  # type: ignore[union-attr] # routes
        shares.append(len(found & set(needed)) / len(set(needed)))
    return float(np.mean(shares))
