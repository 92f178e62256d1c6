"""How a cache in PostgreSQL bears load: many processes, many entries, many partitions.

One table for each number of entries and of partitions. Beside our cache ("ours") run
its store alone ("our store", asked for the nearest entry), the limit: bare pgvector on
a table of vectors with the same kind of index, asked by one statement, and, with
`--unfiltered`, the same over all partitions; and with `--peers` GPTCache, which only
one process can use.

- `near`, `exact`, `new`: milliseconds a lookup as its caller sees them, median / 99th
  percentile, while all processes ask as fast as they can. 70% of the questions are
  paraphrases of stored ones, 30% are stored ones; in "ours, storing" 20% are new, and
  are stored then. Popular ones are asked often (Zipf), in popular partitions (Zipf).
- `planted found`: the share of paraphrases that found a question at least as near as
  the one that they are made of; `new, served wrongly`: of
  new ones, those that got an answer to a question that is not near.
- `stored`: milliseconds to store an answer, between lookups. `inserts`: answers a
  second, one by one by all processes at once, durable. In bulk: through `warm`, before
  there is an index of vectors; `indexed in`: seconds to make it then.
- `work done twice`: of calls that every process asks for at the same time under single
  flight, those made more than once.
- `memory`: of a client process at the end, and of the server (shared buffers in it).

`--soak 1800` asks for half an hour instead, with answers that live a minute, and prints
memory, connections and failures near the beginning and at the end.

What is stored is told in `cache_scale_data`. Real embeddings are made for it: see
`PRODPATTERNS_SHARED`. The server is started here, or given by `--dsn`; then its memory
is not known. Server and clients share the cores of this machine.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from cache_scale_clients import System
from cache_scale_crowd import Bench, Crowd, asking, calling, filling, inserting
from cache_scale_data import Layout, Reflected, axes
from cache_scale_figures import add_traffic, megabytes
from cache_scale_flights import CALLS
from cache_scale_peer import NAME, add_peer
from cache_scale_server import cores, fill_bare, hosted, index, make_tables
from cache_scale_soak import COLUMNS as ENDS
from cache_scale_soak import add_soak
from cache_scale_traffic import Outcome, Plan
from cache_table import Figures

SYSTEMS: tuple[System, ...] = ("ours", "our store", "pgvector")
GLOBAL: System = "pgvector, no filter"
MIXED = "ours, storing"
COLUMNS = (SYSTEMS[0], MIXED, *SYSTEMS[1:], GLOBAL, NAME)
STORING: tuple[System, ...] = ("ours", "pgvector")
INSERT_SECONDS = 5.0


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[100])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each traffic")
    parser.add_argument("--workers", type=int, default=4, help="processes that ask")
    parser.add_argument(
        "--unfiltered",
        action="store_true",
        help="pgvector over all partitions, too, whose index takes minutes to make",
    )
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="ask for so long instead"
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="run GPTCache, too: its environment is made with pip in a folder, by "
        "default a temporary one",
    )
    parser.add_argument("--dsn", help="a server to use, in which databases can be made")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def progress(what: str) -> None:
    """Say what is done now."""
    print(f"{what} ...", file=sys.stderr, flush=True)


def store_all(bench: Bench, figures: Figures) -> None:
    """Fill our cache, and make its indexes."""
    host, layout = bench.host, bench.plan.layout
    progress(f"storing {layout.entries:,} entries in {layout.partitions:,} partitions")
    make_tables(host)
    before, started = host.size(), time.perf_counter()
    bench.crowd.do(partial(filling, host.dsn, bench.plan))
    rate = layout.entries / (time.perf_counter() - started)
    progress("indexing them")
    seconds = index(host.dsn)
    column = ENDS[0] if figures.columns == ENDS else SYSTEMS[0]
    size = (host.size() - before) / layout.entries
    figures.add("inserts in bulk, a second", {column: f"{rate:,.0f}"})
    figures.add("indexed in, s", {column: f"{seconds:.0f}"})
    figures.add("on disk, bytes an entry", {column: f"{size:,.0f}"})


def add_load(bench: Bench, figures: Figures, *, unfiltered: bool) -> None:
    """Have every system asked, and written to."""
    host, plan = bench.host, bench.plan
    progress("storing bare vectors")
    reflected = Reflected(plan.axes, plan.seed)
    fill_bare(host.dsn, plan.layout, reflected, everywhere=unfiltered)
    measured: dict[str, list[Outcome]] = {}
    for system in (*SYSTEMS, GLOBAL) if unfiltered else SYSTEMS:
        progress(f"asking {system}")
        measured[system] = bench.crowd.do(
            partial(asking, system, host.dsn, None, replace(plan, stores=False))
        )
    progress("asking ours, and storing what is new")
    measured[MIXED] = bench.crowd.do(partial(asking, SYSTEMS[0], host.dsn, None, plan))
    add_traffic(figures, measured)
    storing = replace(plan, seconds=INSERT_SECONDS)
    inserts: dict[str, str] = {}
    for system in STORING:
        progress(f"storing one by one in {system}")
        rates = bench.crowd.do(partial(inserting, system, host.dsn, storing))
        inserts[system] = f"{sum(rates):,.0f}"
    figures.add("inserts one by one, a second", inserts)
    progress("calling under single flight")
    calls = sum(bench.crowd.do(partial(calling, host.dsn, plan)))
    figures.add(f"work done twice, of {CALLS}", {SYSTEMS[0]: str(calls - CALLS)}, "0")
    memory = host.memory()
    if memory is not None:
        figures.add("memory of the server, MB", {SYSTEMS[0]: megabytes(memory)})


def measure(bench: Bench, chosen: argparse.Namespace, folder: Path) -> Figures:
    """Measure everything of one size."""
    figures = Figures(ENDS if chosen.soak else COLUMNS)
    store_all(bench, figures)
    if chosen.soak:
        progress(f"asking for {chosen.soak:,.0f} s")
        add_soak(bench, figures, chosen.soak)
        return figures
    add_load(bench, figures, unfiltered=chosen.unfiltered)
    if chosen.peers is not None:
        progress(f"asking {NAME}")
        add_peer(figures, bench.plan, Path(chosen.peers or folder))
    return figures


def main() -> None:
    """Measure every size that is asked for, a table each."""
    chosen = options()
    with tempfile.TemporaryDirectory() as folder, hosted(chosen.dsn) as host:
        progress("embedding real questions")
        path = Path(folder) / "axes.npy"
        np.save(path, axes())
        crowd = Crowd(chosen.workers)
        for entries in chosen.entries:
            for partitions in chosen.partitions:
                layout = Layout(entries, partitions)
                plan = Plan(
                    layout, path, chosen.seed, chosen.seconds, workers=chosen.workers
                )
                figures = measure(Bench(host, plan, crowd), chosen, Path(folder))
                print(
                    f"\n{entries:,} entries in {partitions:,} partitions, "
                    f"{chosen.workers} processes and the server on {cores()} cores\n"
                )
                print(figures.render(), flush=True)


if __name__ == "__main__":
    main()
