"""What a semantic cache serves, how much of that is wrong, and how fast it is.

One table. Beside `SemanticJudgeCache` ("ours") run LangChain's `InMemoryCache` (equal
prompts only), a cache as they are usually built ("JSON 0.9": the prompt's JSON is
embedded, and what is nearer than 0.9 is served) and bare FAISS as the limit of speed;
with `--peers` GPTCache and LangChain's `SQLiteCache`, too, each in an environment of
its own that pip makes. GPTCache is wired as LangChain's wrapper does it.

- `exact`, `semantic`: milliseconds of CPU a lookup, median / 99th percentile. Semantic
  lookups are half planted questions at cosine 0.9, half misses. `planted found`: the
  share of the planted ones that are served.
- `memory`: by how much a fresh process grows that opens the file and searches in it.
- `inserts`: answers a second. One by one: through `update`, each durable before the
  next. In bulk: through `warm`, likewise durable; GPTCache's `import_data` and one
  transaction of rows for SQLiteCache are not so before all of it is.
- `unrelated`: share of unrelated questions served under one 300-word system prompt.
  `flips`: of one-edit flips ("2019" for "2020", "not", A to B for B to A).
  `follow-ups`: of follow-up questions in another conversation's context. Ours has gone
  through a stream of questions before, so that what it learned can do harm.
- `stream`: Quora questions in random order. Precision: the share of served answers that
  are right (a pair without a label counts as wrong); recall: of the questions with an
  earlier duplicate, those served rightly; judged: lookups that asked the judge.
- `promise`: in how many shuffles at most `delta` of what was served is wrong, and the
  mean share served (every question is new: no hit is exact). `static`: what the best
  threshold without a judge, known only afterwards for each shuffle, would have served.
  A judge that errs is measured with `calibrate` on pairs of other questions.

What embedding takes is left out of all times. The judge is scripted: these are figures
of the cache, not of a judge. The model is all-MiniLM-L6-v2; the data is looked for in
`PRODPATTERNS_SHARED`, by default `../shared`. Without flags it takes some two minutes;
the promise in full is `--shuffles 20`, the whole stream `--rows all`, a partition of a
million entries `--million`. `--plot FOLDER` draws precision against the served share,
and the judged share over time.
"""

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cache_data import (
    PromptPairs,
    Remembering,
    Traffic,
    flips,
    follow_ups,
    intents,
    local_embeddings,
    question_pairs,
    unrelated,
)
from cache_peers import PEERS, Peer, PeerCache, made
from cache_plot import draw
from cache_promise import Kept, promises
from cache_speed import (
    DIMENSIONS,
    Drawn,
    Questions,
    bare,
    inserted,
    other,
    ours,
    plain,
    updating,
)
from cache_streams import Judge, NaiveCache, Outcomes, System, served_share, streamed
from cache_table import Figures
from langchain_core.caches import InMemoryCache

from langchain_prodpatterns.cache import SemanticJudgeCache

THRESHOLD = 0.9
BAND = (0.8, 0.98)
SIZES = (10_000, 100_000)
MILLION = 1_000_000
MEMORY_AT = 100_000
INSERTS = 2_000
PEER_INSERTS = 300
PROMISED_ROWS = 1_500
PARTITIONS = 50
HARMS = (
    "unrelated served under a 300-word prompt",
    "flips served",
    "follow-ups served in the wrong context",
)
HARM_GOALS = ("0%", "<= 1%", "0%")
OURS, BANDED, NAIVE, PLAIN, FAISS = (
    "ours",
    f"ours, band {BAND[0]}-{BAND[1]}",
    f"JSON {THRESHOLD:g}",
    "InMemoryCache",
    "FAISS FlatIP",
)
STATIC = "static in hindsight"
COLUMNS = (OURS, BANDED, NAIVE, "GPTCache", PLAIN, "SQLiteCache", FAISS, STATIC)
COMPARING = (OURS, "GPTCache")
SEMANTIC_GOALS = {10_000: "<= 0.6", 100_000: "<= 5", MILLION: "<= 10"}

Pythons = Sequence[tuple[Peer, Path]]


def progress(what: str) -> None:
    """Say what is measured now."""
    print(f"{what} ...", file=sys.stderr)


def rows(text: str) -> int:
    """Read how many pairs to stream."""
    return sys.maxsize if text == "all" else int(text)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=rows, default=400, help="Quora pairs to stream, or `all`"
    )
    parser.add_argument("--pairs", type=int, default=40, help="unrelated pairs")
    parser.add_argument("--shuffles", type=int, default=1, help="of the promise")
    parser.add_argument(
        "--partitions", action="store_true", help="the promise in 50 partitions, too"
    )
    parser.add_argument(
        "--million", action="store_true", help="a million entries, which takes minutes"
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="run GPTCache and SQLiteCache, too: their environments are made with pip "
        "in a folder, by default a temporary one",
    )
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="where to draw")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


@contextmanager
def environments(folder: str | None, figures: Figures) -> Iterator[Pythons]:
    """Make the peers' environments; remark on those that cannot be made."""
    if folder is None:
        figures.remarks.append("GPTCache and SQLiteCache run with --peers")
        yield []
        return
    with tempfile.TemporaryDirectory() as temporary:
        found = []
        for peer in PEERS:
            progress(f"environment of {peer.name}")
            with figures.remarking():
                found.append((peer, made(peer, Path(folder or temporary))))
        yield found


def add_speed(figures: Figures, size: int, peers: Pythons, seed: int) -> None:
    """Measure times and memory at a size."""
    progress(f"{size:,} entries")
    questions = Questions(size, seed)
    with tempfile.TemporaryDirectory() as folder:
        filled = {OURS: ours(Path(folder), questions)}
    if size == SIZES[0]:
        filled[PLAIN] = plain(questions)
    for peer, python in peers if size < MILLION else ():
        progress(f"{size:,} entries in {peer.name}")
        with figures.remarking():
            filled[peer.name] = other(peer, python, questions)
    limit = bare(questions)
    near = {name: f.lookups.semantic for name, f in filled.items() if name in COMPARING}
    exact = {name: str(one.lookups.exact) for name, one in filled.items()}
    semantic = {name: str(times) for name, times in near.items()}
    found = {name: f"{times.found:.1%}" for name, times in near.items()}
    stored = {name: f"{f.stored:,.0f}" for name, f in filled.items() if f.stored}
    held = {name: f"{f.bytes:,.0f}" for name, f in filled.items() if f.bytes}
    at = f"{size:,} entries"
    figures.add(f"exact, {at}, ms", exact, "<= 0.1")
    figures.add(
        f"semantic, {at}, ms", {**semantic, FAISS: str(limit)}, SEMANTIC_GOALS[size]
    )
    figures.add(
        f"planted found, {at}", {**found, FAISS: f"{limit.found:.1%}"}, ">= 98%"
    )
    if size >= MEMORY_AT:
        figures.add(
            f"memory an entry, {at}, bytes",
            {**held, FAISS: f"{4 * DIMENSIONS:,}"},
            "<= 1,000",
        )
    figures.add(f"inserts in bulk, {at}, a second", stored, ">= 10,000")


def add_inserts(figures: Figures, peers: Pythons, seed: int) -> None:
    """Measure durable inserts, one by one."""
    progress("inserts one by one")
    drawn = Drawn(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.db"
        with SemanticJudgeCache(drawn, band=BAND, path=path) as cache:
            cells = {OURS: f"{inserted(updating(cache, drawn), INSERTS, seed):,.0f}"}
    for peer, python in peers:
        with figures.remarking(), PeerCache(peer, python, drawn) as other_cache:
            rate = inserted(updating(other_cache, drawn), PEER_INSERTS, seed)
            cells[peer.name] = f"{rate:,.0f}"
    figures.add("inserts one by one, a second", cells, ">= 2,000")


def apart(peer: Peer, python: Path, embeddings: Remembering, _: Judge) -> PeerCache:
    """Start a peer, which asks no judge."""
    return PeerCache(peer, python, embeddings)


def systems(embeddings: Remembering, peers: Pythons) -> list[System]:
    """Return the caches whose answers are looked at."""
    return [
        System(OURS, partial(SemanticJudgeCache, embeddings), judged=True),
        System(BANDED, partial(SemanticJudgeCache, embeddings, band=BAND), judged=True),
        System(NAIVE, lambda _: NaiveCache(embeddings, THRESHOLD), long=not peers),
        System(PLAIN, lambda _: InMemoryCache()),
        *(
            System(peer.name, partial(apart, peer, python, embeddings))
            for peer, python in peers
        ),
    ]


Answers = dict[str, Outcomes]
"""What became of a stream's questions, a system."""


def add_answers(
    figures: Figures,
    tested: Sequence[System],
    traffics: tuple[Traffic, Traffic],
    harms: dict[str, PromptPairs],
    rng: random.Random,
) -> None:
    """Send questions and intents through each cache, then what must not be served."""
    questions, utterances = traffics
    orders = [traffic.shuffled(rng) for traffic in traffics]
    streams: Answers = {}
    asked: Answers = {}
    harmed: dict[str, dict[str, str]] = {harm: {} for harm in harms}
    for system in tested:
        progress(system.name)
        with figures.remarking():
            with system.opened(questions.groups) as (cache, judge):
                streams[system.name] = streamed(cache, judge, questions, orders[0])
            with system.opened(utterances.groups) as (cache, judge):
                if not system.long:
                    asked[system.name] = streamed(cache, judge, utterances, orders[1])
                judge.groups = {}
                for harm, pairs in harms.items():
                    harmed[harm][system.name] = f"{served_share(cache, pairs):.1%}"
    for (harm, cells), goal in zip(harmed.items(), HARM_GOALS, strict=True):
        figures.add(harm, cells, goal)
    add_stream(figures, f"stream of {len(orders[0]):,}", streams, tested)
    add_intents(figures, f"{len(orders[1]):,} intents", asked, tested)


def add_stream(
    figures: Figures, name: str, found: Answers, tested: Sequence[System]
) -> None:
    """Add the rows of the stream of questions."""
    precision = {n: f"{1 - o.wrong:.3f}" for n, o in found.items() if o.served}
    figures.add(f"{name}: precision", precision, ">= .98")
    figures.add(
        f"{name}: recall", {n: f"{o.recall:.3f}" for n, o in found.items()}, ">= .77"
    )
    figures.add(f"{name}: judged", judged(found, tested), "<= 22%")


def add_intents(
    figures: Figures, name: str, found: Answers, tested: Sequence[System]
) -> None:
    """Add the rows of the intents."""
    served = {n: f"{o.served:.1%}" for n, o in found.items()}
    figures.add(f"{name}: served", served, ">= 60%")
    figures.add(
        f"{name}: of it wrong",
        {n: f"{o.wrong:.2%}" for n, o in found.items() if o.served},
        "<= 2%",
    )
    figures.add(f"{name}: judged", judged(found, tested))


def judged(found: Answers, tested: Sequence[System]) -> dict[str, str]:
    """Return the share of judged lookups of the systems that have a judge."""
    return {
        system.name: f"{found[system.name].judged:.1%}"
        for system in tested
        if system.judged and system.name in found
    }


def add_promise(figures: Figures, found: Sequence[Kept]) -> None:
    """Add a row for each traffic, judge and delta."""
    for one in found:
        shuffles = len(one.shuffles)
        figures.add(
            f"promise: {one.setting.name}",
            {
                OURS: f"{one.kept}/{shuffles}, {one.served:.1%}",
                STATIC: f"{one.static:.1%}",
            },
            f">= {math.ceil(0.95 * shuffles)}/{shuffles}",
        )


def main() -> None:
    """Print one table, and draw."""
    chosen = options()
    figures = Figures(COLUMNS)
    embeddings = local_embeddings()
    rng = random.Random(chosen.seed)
    utterances = intents(embeddings, rng)
    shuffled = [question_pairs(PROMISED_ROWS, rng), utterances]
    if chosen.partitions:
        shuffled.append(question_pairs(PROMISED_ROWS, rng, PARTITIONS))
    harms = (unrelated(chosen.pairs, rng), flips(), follow_ups())
    with environments(chosen.peers, figures) as peers:
        for size in (*SIZES, MILLION) if chosen.million else SIZES:
            add_speed(figures, size, peers, chosen.seed)
        add_inserts(figures, peers, chosen.seed)
        add_answers(
            figures,
            systems(embeddings, peers),
            (question_pairs(chosen.rows, rng), utterances),
            dict(zip(HARMS, harms, strict=True)),
            rng,
        )
    progress("the promise")
    kept = list(promises(embeddings, shuffled, chosen.shuffles, chosen.seed))
    add_promise(figures, kept)
    print(figures.render())
    if chosen.plot:
        for path in draw(kept, chosen.plot):
            print(f"drawn: {path}")


if __name__ == "__main__":
    main()
