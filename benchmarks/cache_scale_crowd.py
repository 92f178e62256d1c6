"""The processes of the load benchmark, and what each of them is told to do."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from cache_scale_clients import System, opened
from cache_scale_data import Reflected
from cache_scale_flights import works
from cache_scale_server import Host, fill
from cache_scale_traffic import Outcome, Plan, inserted, run

T = TypeVar("T")

_START: list[Callable[[], object]] = []
"""In a process of a `Crowd`: returns when all of them are ready."""


def _take(start: Callable[[], object]) -> None:
    _START.append(start)


class Crowd:
    """Processes that do the same at the same time."""

    def __init__(self, size: int) -> None:
        """Start them when they are needed.

        Args:
            size: How many.
        """
        self._size = size
        context = multiprocessing.get_context("spawn")
        start = context.Barrier(size).wait
        self._pool = ProcessPoolExecutor(size, context, _take, (start,))

    def begin(self, work: Callable[[int], T]) -> list[Future[T]]:
        """Have every process do something with its number."""
        return [self._pool.submit(work, number) for number in range(self._size)]

    def do(self, work: Callable[[int], T]) -> list[T]:
        """Have it done, and wait for it."""
        return [future.result() for future in self.begin(work)]


@dataclass(frozen=True)
class Bench:
    """What is measured upon."""

    host: Host
    """The server."""
    plan: Plan
    """What a process does."""
    crowd: Crowd
    """Those who do it."""


def asking(
    system: System, dsn: str, ttl: float | None, plan: Plan, worker: int
) -> Outcome:
    """Ask in one process of many."""
    client = partial(opened, system, dsn, plan.layout, ttl=ttl)
    return run(replace(plan, worker=worker), client, _START[0])


def inserting(system: System, dsn: str, plan: Plan, worker: int) -> float:
    """Return how many answers a second one process of many stores."""
    client = partial(opened, system, dsn, plan.layout, ttl=None)
    return inserted(replace(plan, worker=worker), client, _START[0])


def filling(dsn: str, plan: Plan, worker: int) -> None:
    """Store a part of the entries."""
    reflected = Reflected(plan.axes, plan.seed)
    fill(dsn, plan.layout, reflected, worker, plan.workers)


def calling(dsn: str, plan: Plan, _: int) -> int:
    """Return how many calls one process of many has made under single flight."""
    return works(dsn, Reflected(plan.axes, plan.seed), _START[0])
