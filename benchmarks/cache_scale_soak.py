"""What long traffic leaves behind: memory, connections and failures at its ends."""

import time
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import partial

from cache_scale_crowd import Bench, asking
from cache_scale_figures import add_traffic, megabytes
from cache_scale_server import Host
from cache_scale_traffic import Outcome, Sample
from cache_table import Figures

COLUMNS = ("begin", "end")
ANSWER_SECONDS = 60.0
"""How long a new answer lives: after that, as many go as come."""
_SETTLED_SECONDS = 2 * ANSWER_SECONDS
_SAMPLE_SECONDS = 5.0


@dataclass(frozen=True)
class _Seen:
    """What the server was like at some time."""

    at: float
    memory: int
    connections: int
    entries: int
    size: int


def _look(host: Host, began: float) -> _Seen:
    return _Seen(
        time.perf_counter() - began,
        host.memory() or 0,
        host.connections(),
        int(host.value("SELECT count(*) FROM prodpatterns.entries")),
        host.size(),
    )


def add_soak(bench: Bench, figures: Figures, seconds: float) -> None:
    """Ask for long; add both ends, the first after answers have begun to go.

    Args:
        bench: With everything stored.
        figures: The table.
        seconds: How long to ask.
    """
    host, plan = bench.host, replace(bench.plan, seconds=seconds)
    futures = bench.crowd.begin(partial(asking, "ours", host.dsn, ANSWER_SECONDS, plan))
    began, seen = time.perf_counter(), list[_Seen]()
    while wait(futures, timeout=_SAMPLE_SECONDS).not_done:
        seen.append(_look(host, began))
    outcomes = [future.result() for future in futures]
    settled = min(_SETTLED_SECONDS, seconds / 4)
    # At the very end processes are closing already.
    ends = (next(one for one in seen if one.at >= settled), seen[-2])
    figures.add("seconds", _both([f"{one.at:,.0f}" for one in ends]))
    figures.add("server, MB", _both([megabytes(one.memory) for one in ends]))
    figures.add("connections", _both([str(one.connections) for one in ends]))
    figures.add("entries", _both([f"{one.entries:,}" for one in ends]))
    figures.add("on disk, MB", _both([megabytes(one.size) for one in ends]))
    _add_clients(figures, outcomes, settled)
    add_traffic(figures, {"end": outcomes})


def _add_clients(figures: Figures, outcomes: Sequence[Outcome], settled: float) -> None:
    ends: list[list[Sample]] = [
        [next(one for one in o.samples if one.at >= settled) for o in outcomes],
        [outcome.samples[-1] for outcome in outcomes],
    ]
    clients = [megabytes(max(one.memory for one in end)) for end in ends]
    failures = [str(sum(one.failures for one in end)) for end in ends]
    figures.add("largest client, MB", _both(clients))
    figures.add("failures", _both(failures), "0")


def _both(cells: Sequence[str]) -> dict[str, str]:
    return dict(zip(COLUMNS, cells, strict=True))
