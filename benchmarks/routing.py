"""How many queries are decided by distance, and how many of those rightly.

Every method chooses the nearest route or none; they differ in when. A cell is
`coverage / precision`: the share of queries that are decided without a model call, and
the share of the decided ones that are right (deciding a query that no route fits is
wrong).

- `nearest, always`: no bar.
- `ours, defaults`: `ToolRouter`'s own threshold and margin.
- `ours, tuned`: threshold and margin; `similarity alone`, `margin alone`: one of them.

The last three take the bars that decide most at the precision asked for (`--precision`)
on one half of the queries; every figure is measured on the other half. That is an
estimate, not a promise: on new queries such a bar misses its precision about as often
as not. The defaults were chosen on the tuning half, all rows of it.

CLINC150 (with out-of-scope queries) and BANKING77 have 10 examples a route and its name
as the description; MetaTool 5 examples and the tool's own description. `unseen` is
BANKING77 without every fourth route: near topics that nothing fits. The model is
all-MiniLM-L6-v2. The data is looked for in `PRODPATTERNS_SHARED`, by default
`../shared`.
"""

import argparse
import gzip
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from shared_data import SHARED

from langchain_prodpatterns.demo.embedding import find_local_embeddings
from langchain_prodpatterns.routing import Route
from langchain_prodpatterns.routing.decision import Policy, Standing, decide
from langchain_prodpatterns.routing.index import RouteMatrix
from langchain_prodpatterns.routing.tool_router import MARGIN, THRESHOLD

SETS = ("clinc150", "banking77", "unseen", "metatool")
EXAMPLES = {"clinc150": 10, "banking77": 10, "metatool": 5}
THRESHOLDS = [-1.0, *np.arange(0.3, 0.96, 0.01).round(2).tolist()]
MARGINS = np.arange(0.0, 0.5, 0.01).round(2).tolist()
FEWEST = 20
SOURCES = {"unseen": "banking77"}
NO_BAR = Policy(-1.0, 0.0)
NEVER = Policy(1.0, 2.0)

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Half:
    """One half of the queries, compared with the routes."""

    standings: list[Standing]
    truths: list[str | None]

    def measure(self, policy: Policy) -> tuple[float, float]:
        """Decide as `ToolRouter` does, and return coverage and precision."""
        tools = [decide(standing, policy).tool for standing in self.standings]
        right = [
            tool == truth
            for tool, truth in zip(tools, self.truths, strict=True)
            if tool is not None
        ]
        return len(right) / len(tools), sum(right) / max(1, len(right))

    def tune(
        self, precision: float, thresholds: list[float], margins: list[float]
    ) -> Policy:
        """Return the bars with the highest coverage at a precision."""
        best, lead, right = self._columns()
        found, covered = NEVER, 0
        for threshold in thresholds:
            for margin in margins:
                decided = (best >= threshold) & (lead >= margin)
                count = int(decided.sum())
                # A bar that few queries pass has no precision to speak of.
                enough = count > max(covered, FEWEST)
                if enough and right[decided].mean() >= precision:
                    found, covered = Policy(threshold, margin), count
        return found

    def _columns(self) -> tuple[Floats, Floats, Bools]:
        pairs = [standing.nearest for standing in self.standings]
        best = np.array([first.similarity for first, _ in pairs])
        lead = np.array([first.similarity - next_.similarity for first, next_ in pairs])
        named = [first.name for first, _ in pairs]
        right = [name == truth for name, truth in zip(named, self.truths, strict=True)]
        return best, lead, np.array(right)


Chooser = Callable[[Half, float], Policy]

METHODS: dict[str, Chooser] = {
    "nearest, always": lambda _half, _precision: NO_BAR,
    "ours, defaults": lambda _half, _precision: Policy(THRESHOLD, MARGIN),
    "similarity alone, tuned": lambda half, p: half.tune(p, THRESHOLDS, [0.0]),
    "margin alone, tuned": lambda half, p: half.tune(p, [-1.0], MARGINS),
    "ours, tuned": lambda half, p: half.tune(p, THRESHOLDS, MARGINS),
}


def read(name: str, file: str) -> list[dict[str, Any]]:
    """Read one file of a set."""
    path = SHARED / "data" / "routing" / name / f"{file}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_routes(name: str) -> list[Route]:
    """Read the routes of a set with some examples each."""
    examples: dict[str, list[str]] = defaultdict(list)
    for row in read(name, "examples"):
        examples[row["route"]].append(row["text"])
    described = {}
    if name == "metatool":
        described = {row["name"]: row["description"] for row in read(name, "tools")}
    chance = random.Random(0)
    routes = []
    for route in sorted(examples):
        chance.shuffle(examples[route])
        description = described.get(route, route.replace("_", " "))
        routes.append(Route(route, description, examples[route][: EXAMPLES[name]]))
    return routes


def read_halves(name: str, rows: int, embeddings: Embeddings) -> Iterator[Half]:
    """Embed a set, and yield the half to tune on and the half to report."""
    routes = read_routes(SOURCES.get(name, name))
    if name == "unseen":
        del routes[::4]
    vectors = embed(embeddings, [text for route in routes for text in route.texts])
    matrix = RouteMatrix(routes, vectors)
    known = {route.name for route in routes}
    queries = read(SOURCES.get(name, name), "queries")
    random.Random(1).shuffle(queries)
    for start in (0, 1):
        half = queries[start::2][:rows]
        found = embed(embeddings, [row["text"] for row in half])
        standings = [Standing(matrix.rank(vector, 2)) for vector in found]
        truths = [row["route"] if row["route"] in known else None for row in half]
        yield Half(standings, truths)


def embed(embeddings: Embeddings, texts: list[str]) -> list[list[float]]:
    """Embed texts, those of like length together, to pad little."""
    ordered = sorted(dict.fromkeys(texts), key=len)
    found: dict[str, list[float]] = {}
    for start in range(0, len(ordered), 32):
        batch = ordered[start : start + 32]
        found |= zip(batch, embeddings.embed_documents(batch), strict=True)
    return [found[text] for text in texts]


def show_latency(routes: int, calls: int = 300) -> None:
    """Print what a decision takes beyond the embedding of the query."""
    chance = np.random.default_rng(0)
    texts = [Route(f"route {n}", "a", ["b", "c", "d", "e"]) for n in range(routes)]
    matrix = RouteMatrix(texts, chance.normal(size=(5 * routes, 384)).tolist())
    policy = Policy(THRESHOLD, MARGIN)
    seconds = []
    for query in chance.normal(size=(calls, 384)).tolist():
        started = time.perf_counter()
        decide(Standing(matrix.rank(query, 5)), policy)
        seconds.append(time.perf_counter() - started)
    median, worst = statistics.median(seconds), sorted(seconds)[int(0.99 * calls)]
    print(
        f"{5 * routes:>6} vectors, {routes} routes: {1000 * median:.3f} ms median, "
        f"{1000 * worst:.3f} ms at p99"
    )


def main() -> None:
    """Print one table, and the latency of a decision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600, help="queries a half")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--precision", type=float, default=0.95)
    args = parser.parse_args()
    if not (SHARED / "data" / "routing").is_dir():
        sys.exit(f"no data in {SHARED / 'data' / 'routing'}: set PRODPATTERNS_SHARED")
    embeddings = find_local_embeddings(SHARED)
    if embeddings is None:
        sys.exit("no embeddings: install fastembed and set PRODPATTERNS_SHARED")
    halves = {}
    for name in args.sets:
        started = time.perf_counter()
        halves[name] = list(read_halves(name, args.rows, embeddings))
        seconds = time.perf_counter() - started
        print(f"{name}: embedded in {seconds:.0f} s", flush=True)
    print(f"\n{'':<26}" + "".join(f"{name:>28}" for name in halves))
    for method, choose in METHODS.items():
        cells = ""
        for tuning, reported in halves.values():
            policy = choose(tuning, args.precision)
            coverage, precision = reported.measure(policy)
            bars = f"({policy.threshold:.2f}, {policy.margin:.2f})"
            cells += f"{f'{100 * coverage:.1f} / {100 * precision:.1f} {bars}':>28}"
        print(f"{method:<26}{cells}")
    print("\ncoverage / precision in % (threshold, margin)\n\nbeyond the embedding:")
    for routes in (30, 300):
        show_latency(routes)


if __name__ == "__main__":
    main()
