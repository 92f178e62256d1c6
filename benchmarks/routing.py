"""How many queries are decided without a model call, and how many of those rightly.

Every method chooses the nearest or likeliest route or none; they differ in when. Each
is tuned on one half of the queries for a precision, and measured on the other half;
that is done for `--resamples` random halves. A cell is `coverage / precision (kept)`,
in %: the mean share that is decided, the mean share of these that is right (to decide a
query that no route fits is wrong), and the share of the resamples whose precision is at
least the one asked for less half a point.

- `nearest, always`: no bar.
- `threshold alone`, `margin alone`: the bar with the most coverage at the precision on
  the tuning half, as one finds it by hand.
- `ours, not fitted`: the default threshold and margin of `ToolRouter`.
- `ours, fitted`: after `ToolRouter.fit` on the tuning half. `held out`: the certificate
  is on a half of it that nothing was learned from.
- `semantic-router`: with its default thresholds, and after its own `fit` (`--peers`).

CLINC150 (with out-of-scope queries) and BANKING77 have 10 examples a route and its name
as the description; MetaTool 5 examples and the tool's own description. `unseen` is
BANKING77 without every fourth route: near topics that nothing fits. The model is
all-MiniLM-L6-v2. The measures, features and penalties behind `fit` were chosen on
utterances of the sets' example files that are no route's examples here; that nothing is
held out by default, and the default confidence of 90%, on resamples of these queries.
The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from routing_data import SETS, Problem, embed, read, read_problem
from routing_learning import show_learning
from routing_methods import METHODS, Result, Results, recall
from routing_peers import PeerError, add_peers
from routing_speed import show_fit, show_latency
from shared_data import SHARED

from langchain_prodpatterns.demo.embedding import find_local_embeddings
from langchain_prodpatterns.routing import ToolRouter

TABLE = (0.95, 0.99)
GOALS = {
    ("clinc150", 0.95): 75,
    ("banking77", 0.95): 65,
    ("unseen", 0.95): 40,
    ("metatool", 0.95): 40,
    ("clinc150", 0.99): 35,
}
SLACK = 0.005
PEER_RESAMPLES = 1

Found = dict[str, dict[str, list[Results]]]
"""Of a method and a set: the results of each resample."""


def cell(results: Sequence[Result], asked: float) -> str:
    """Sum up the resamples."""
    coverage = np.mean([each.coverage for each in results])
    precision = np.mean([each.precision for each in results])
    kept = np.mean([each.precision >= asked - SLACK for each in results])
    return f"{100 * coverage:.1f} / {100 * precision:.1f} ({100 * kept:.0f})"


def show_table(found: Found, sets: Sequence[str], asked: float) -> None:
    """Print one row a method."""
    print(f"\nat {100 * asked:g}% precision")
    print(f"{'':<26}" + "".join(f"{name:>24}" for name in sets))
    for method, by_set in found.items():
        cells = [
            cell([each[asked] for each in by_set[name]], asked)
            if by_set.get(name)
            else "-"
            for name in sets
        ]
        print(f"{method:<26}" + "".join(f"{each:>24}" for each in cells))
    goals = [GOALS.get((name, asked)) for name in sets]
    shown = [
        f">= {goal} / {100 * asked - 0.5:g} (95)" if goal else "-" for goal in goals
    ]
    print(f"{'goal':<26}" + "".join(f"{each:>24}" for each in shown))


def measure(
    problems: Mapping[str, Problem], resamples: int, peers: Path | None
) -> Found:
    """Run every method on every resample."""
    methods = dict(METHODS)
    slow = set()
    if peers is not None:
        try:
            slow = add_peers(methods, peers)
        except PeerError as error:
            print(f"left out: {error}")
    found: Found = {}
    for method, run in methods.items():
        times = min(resamples, PEER_RESAMPLES) if method in slow else resamples
        for name, problem in problems.items():
            try:
                results = [run(problem, *problem.halves(seed)) for seed in range(times)]
            except PeerError as error:
                print(f"left out: {error} on {name}")
                continue
            found.setdefault(method, {})[name] = results
            print(
                f"  {method}, {name}: {cell([r[0.95] for r in results], 0.95)}",
                flush=True,
            )
    return found


def show_subset(problem: Problem) -> None:
    """Print how many of the needed tools are among the five selected."""
    rows = read("metatool", "multi")
    multi = [(row["query"].strip(), row["tool"]) for row in rows]
    local = find_local_embeddings(SHARED)
    assert local is not None  # noqa: S101 - it was found before
    table = embed(local, [query for query, _ in multi]).table
    problem.embeddings.table.update(table)
    tuning, reported = problem.halves(0)
    plain = ToolRouter(problem.routes, problem.embeddings)
    taught = ToolRouter(problem.routes, problem.embeddings)
    taught.fit(tuning)
    single = [(query, [tool]) for query, tool in reported if tool is not None]
    print("\nMetaTool, needed tools among the 5 selected (goal >= 90%):")
    for name, router in (("not fitted", plain), ("fitted", taught)):
        shares = [100 * recall(router, queries) for queries in (single, multi)]
        print(f"  {name:<12} one tool {shares[0]:.1f}%, two tools {shares[1]:.1f}%")


def main() -> None:
    """Print the tables, the subset, learning and speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=20)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="for environments")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    args = parser.parse_args()
    if not (SHARED / "data" / "routing").is_dir():
        sys.exit(f"no data in {SHARED / 'data' / 'routing'}: set PRODPATTERNS_SHARED")
    embeddings = find_local_embeddings(SHARED)
    if embeddings is None:
        sys.exit("no embeddings: install fastembed and set PRODPATTERNS_SHARED")
    problems = {name: read_problem(name, embeddings) for name in args.sets}
    print("embedded", flush=True)
    found = measure(problems, args.resamples, args.peers)
    print("\ncoverage / precision (resamples that kept the precision), in %")
    for asked in TABLE:
        show_table(found, args.sets, asked)
    if "metatool" in problems:
        show_subset(problems["metatool"])
    if "banking77" in problems:
        show_learning(problems["banking77"])
    show_latency()
    show_fit()
    if args.plot is not None:
        from routing_plot import draw

        draw(found, args.plot)


if __name__ == "__main__":
    main()
