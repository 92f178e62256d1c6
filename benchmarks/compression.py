"""What is left of the evidence after compression, at the same number of tokens.

One table, each figure beside its goal. Every method gets the same documents, the same
token count and the same limit: the tokens of all documents divided by the ratio,
headings included. `answer`: the share of questions whose answer is still there;
`support`: of the supporting passages, the mean over questions; `all`: of the questions
whose supporting passages are all there (9 of 10 characters of each, or all of its
text in another document, as where retrieved documents overlap).

- `ours`: `ContextCompressor` with MiniLM; `ours, words`: without embeddings.
- `sentence cosine`, `sentence BM25`: one part of our score alone, packed by our packer,
  the title in the embedded text: a stronger baseline than sentences without it.
- `documents by cosine`: the documents nearest to the question, whole, as many as fit.
- `truncation`: documents in the order of BM25, cut off at the limit. `reranked`: in the
  order of their best sentence's cosine, cut off as well.
- With `--peers`, each with the largest setting that keeps to the limit: LangChain's
  `EmbeddingsFilter`, its pipeline (300 characters, redundant filter, `k`) and
  llama_index's `SentenceEmbeddingOptimizer` (`percentile_cutoff`, no window), in
  environments of their own that pip makes. Where no setting is small enough, as for
  documents of which llama_index keeps one sentence each, the context is empty.
- `window`: how many times the tokens a method needs for the support that ours has left
  in 500. `unanswerable`: questions dropped because no passage has a cosine above a
  threshold, chosen on even rows so that at most 5% of the answerable are lost.
- `p50`: milliseconds of CPU for 20 documents asked about before, embedding left out.

Every weight and threshold was chosen on the even rows of each set; this reports the odd
rows (`--tune` the even ones). The data is looked for in `PRODPATTERNS_SHARED`, by
default `../shared`. Embedding takes nearly all of the time: with `--vectors FILE` the
next run has it done. `--plot FILE` draws support against the ratio for every method.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from cache_peers import PeerError, made
from cache_table import Figures
from compression_data import (
    DATA,
    MODEL_FOLDER,
    Case,
    MiniLM,
    Recall,
    read_cases,
    read_unanswerable,
)
from compression_methods import (
    OURS,
    RERANKED,
    TRUNCATION,
    WORDS,
    Method,
    highest_cosine,
    methods,
    reranked,
)
from compression_peers import PEERS, PeerMethod
from compression_plot import draw
from compression_speed import many_seconds, question_milliseconds

GOALS: dict[str, dict[float, dict[str, float]]] = {
    "hotpotqa": {4: {"answer": 94, "all": 85}, 2: {"all": 94}},
    "musique": {3: {"support": 82, "all": 62}},
    "nq_pool20": {4: {"answer": 99, "all": 98}},
    "chroma_spans_pool20": {3: {"support": 94}},
    "clapnq_pool20": {6: {"all": 99}},
    "xquad_en_pool20": {6: {"all": 99}},
}
"""Of a set and a ratio: the percent to reach."""

WINDOW = 500
WINDOW_SETS = ("hotpotqa", "musique")
WINDOW_GOALS = {TRUNCATION: ">= 2.5", RERANKED: ">= 2.0"}
PLOTTED = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0)

Running = dict[str, Method]


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=60, help="questions a set")
    parser.add_argument("--sets", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--tune", action="store_true", help="report the even rows")
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="keep vectors")
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="run LangChain and llama_index, too: their environments are made with pip "
        "in a folder, by default a temporary one",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw")
    return parser.parse_args()


def add_peers(folder: str | None, embeddings: MiniLM, stack: ExitStack) -> Running:
    """Start the peers; say which cannot be."""
    if folder is None:
        return {}
    home = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
    found: Running = {}
    for peer, names in PEERS:
        try:
            python = made(peer, home)
        except PeerError as error:
            print(error, file=sys.stderr)
            continue
        for name in names:
            method = PeerMethod(name, python, embeddings)
            stack.callback(method.close)
            found[name] = method
    return found


def recalls(
    running: Running, cases: list[Case], ratios: list[float]
) -> Iterator[tuple[str, float, Recall]]:
    """Measure every method at every ratio."""
    for name, method in running.items():
        for ratio in ratios:
            kept = [method(case, int(case.tokens / ratio)) for case in cases]
            yield name, ratio, Recall.of(cases, kept)


def add_quality(
    figures: Figures, name: str, found: dict[str, dict[float, Recall]]
) -> None:
    """Add the rows of a set that have a goal."""
    for ratio, goals in GOALS[name].items():
        for kind, goal in goals.items():
            cells = {
                method: f"{getattr(at[ratio], kind):.1f}"
                for method, at in found.items()
            }
            figures.add(f"{name} {ratio:g}x, {kind} %", cells, f">= {goal:g}")
        empty = {method: str(at[ratio].empty) for method, at in found.items()}
        figures.add(f"{name} {ratio:g}x, empty contexts", empty)


def add_window(
    figures: Figures, name: str, cases: list[Case], running: Running
) -> None:
    """Add how many times the tokens others need for what ours keeps in a window."""

    def support(method: Method, limit: int) -> float:
        return Recall.of(cases, [method(case, limit) for case in cases]).support

    wanted = support(running[OURS], WINDOW)
    largest = max(case.tokens for case in cases)
    for method, goal in WINDOW_GOALS.items():
        limits = range(WINDOW // 2, largest + 50, 25)
        needed = next(
            (n for n in limits if support(running[method], n) >= wanted), None
        )
        times = "never" if needed is None else f"{needed / WINDOW:.2f}"
        title = f"{name} window, support {wanted:.1f}%, times the tokens"
        figures.add(title, {method: times}, goal)


def add_abstention(
    figures: Figures, rows: int, embeddings: MiniLM, *, tune: bool
) -> None:
    """Add the share of unanswerable questions that a threshold drops."""
    name = "clapnq_pool20"

    def cosines(*, even: bool) -> tuple[np.ndarray, np.ndarray]:
        return (
            highest_cosine(embeddings, read_cases(name, rows, tune=even)),
            highest_cosine(embeddings, read_unanswerable(name, rows, tune=even)),
        )

    threshold = float(np.quantile(cosines(even=True)[0], 0.05))
    answerable, others = cosines(even=tune)
    lost, dropped = np.mean(answerable < threshold), np.mean(others < threshold)
    cell = f"{100 * dropped:.0f} at {100 * lost:.1f}"
    figures.add(
        "unanswerable dropped % at answerable lost %", {OURS: cell}, ">= 60 at <= 5"
    )


def add_speed(figures: Figures, cases: list[Case], embeddings: MiniLM) -> None:
    """Add the rows on time."""
    cached, texts = question_milliseconds(cases, embeddings)
    lexical, _ = question_milliseconds(cases, None)
    cells = {OURS: f"{cached:.1f}", WORDS: f"{lexical:.1f}"}
    figures.add("p50 ms, 20 documents", cells, "<= 20")
    figures.add("texts embedded for a second question", {OURS: f"{texts:g}"}, "1")
    many = {WORDS: f"{many_seconds(cases):.2f}"}
    figures.add("seconds, 1,000 documents of 1,000 tokens", many, "<= 2")


def main() -> None:
    """Print one table."""
    args = options()
    if not DATA.is_dir() or not MODEL_FOLDER.is_dir():
        sys.exit(
            f"no data in {DATA} or no model in {MODEL_FOLDER}: set PRODPATTERNS_SHARED"
        )
    embeddings = MiniLM(args.vectors)
    with ExitStack() as stack:
        running = dict(methods(embeddings))
        running |= add_peers(args.peers, embeddings, stack)
        figures = Figures((*running, RERANKED))
        curves: dict[str, dict[str, dict[float, Recall]]] = {}
        cases: list[Case] = []
        for name in args.sets:
            cases = read_cases(name, args.rows, tune=args.tune)
            print(f"{name}: {len(cases)} questions", file=sys.stderr, flush=True)
            found = curves[name] = defaultdict(dict)
            ratios = sorted({*GOALS[name], *(PLOTTED if args.plot else ())})
            for method, ratio, recall in recalls(running, cases, ratios):
                found[method][ratio] = recall
            add_quality(figures, name, found)
            if name in WINDOW_SETS:
                others = {**running, RERANKED: reranked(embeddings)}
                add_window(figures, name, cases, others)
        add_abstention(figures, args.rows, embeddings, tune=args.tune)
        add_speed(figures, cases, embeddings)
    if args.plot:
        draw(curves, args.plot)
    print(figures.render())


if __name__ == "__main__":
    main()
