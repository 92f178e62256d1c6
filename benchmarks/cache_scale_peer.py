"""GPTCache under the traffic of the load benchmark, in one process of its own."""

from pathlib import Path

from cache_data import answer
from cache_peers import PEERS, PeerCache, made
from cache_scale_clients import llm, prompt
from cache_scale_data import Reflected, worded
from cache_scale_figures import add_traffic, megabytes
from cache_scale_traffic import Asked, Plan, run
from cache_table import Figures

NAME = "GPTCache"
MOST = 100_000
_PEER = next(peer for peer in PEERS if peer.name == NAME)


class PeerClient:
    """Asks it."""

    def __init__(self, cache: PeerCache) -> None:
        """Take it.

        Args:
            cache: What is asked.
        """
        self._cache = cache

    def ask(self, asked: Asked) -> int | None:
        """Look a question up."""
        hit = self._cache.lookup(prompt(asked.text), llm(asked.partition))
        return None if hit is None else int(hit[0].text)

    def store(self, asked: Asked) -> None:
        """Store its answer."""
        value = answer(str(asked.number))
        self._cache.update(prompt(asked.text), llm(asked.partition), value)

    def failures(self) -> int:
        """Return 0: a failure ends it."""
        return 0

    def close(self) -> None:
        """Leave it to who has started it."""


def add_peer(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure it, if it can hold so much in one cache."""
    layout, reflected = plan.layout, Reflected(plan.axes, plan.seed)
    if layout.entries > MOST or layout.partitions > 1:
        remark = f"{NAME} is measured with one partition of up to {MOST:,} entries"
        figures.remarks.append(remark)
        return
    numbers = range(layout.entries)
    items = ((prompt(worded(n)), llm(0), answer(str(n))) for n in numbers)
    with figures.remarking():
        python = made(_PEER, folder)
        with PeerCache(_PEER, python, reflected) as cache:
            before = cache.memory()
            rate = layout.entries / cache.warm(items)
            figures.add("inserts in bulk, a second", {NAME: f"{rate:,.0f}"})
            grown = megabytes(cache.memory() - before)
            figures.add("memory of the cache, MB", {NAME: grown})
            outcome = run(plan, lambda _: PeerClient(cache), lambda: None)
            add_traffic(figures, {NAME: [outcome]})
    figures.remarks.append(f"{NAME} is asked by one process: it can have no other")
