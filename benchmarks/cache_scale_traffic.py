"""What a process of the load benchmark does: it asks, one question after the other."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cache_peer_worker import resident
from cache_scale_data import FARTHEST, TOLERANCE, Layout, Reflected, Zipf, worded

Kind = Literal["exact", "near", "new"]

EXACT, NEAR = 0.3, 0.5
"""The shares of questions that were asked before and of paraphrases; others are new."""
SLACK = 0.02
"""By how much what is served may be farther away than a paraphrase."""
_SAMPLE_SECONDS = 5.0


@dataclass(frozen=True)
class Asked:
    """One question."""

    kind: Kind
    """What it is to the entries."""
    partition: int
    """Its partition."""
    number: int
    """The number of its question."""
    text: str
    """Its text."""


class Client(Protocol):
    """A cache, or what is measured in its place."""

    def ask(self, asked: Asked) -> int | None:
        """Return the number of the question that is found."""
        ...

    def store(self, asked: Asked) -> None:
        """Store the answer to a question."""
        ...

    def failures(self) -> int:
        """Return how often something failed."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class Plan:
    """What one process is to do."""

    layout: Layout
    """What is stored."""
    axes: Path
    """The real questions."""
    seed: int
    """What the traffic of all processes is drawn by."""
    seconds: float
    """How long to ask."""
    worker: int = 0
    """Which process it is."""
    workers: int = 1
    """Of how many."""
    stores: bool = True
    """Whether there are new questions, which are stored."""


@dataclass
class Sample:
    """What a process is like at some time."""

    at: float
    """Seconds since it began."""
    memory: int
    """Bytes."""
    failures: int
    """How often something failed, until then."""


@dataclass
class Outcome:
    """What one process has seen."""

    seconds: dict[Kind, list[float]] = field(
        default_factory=lambda: {"exact": [], "near": [], "new": []}
    )
    """How long lookups took."""
    stored: list[float] = field(default_factory=list)
    """How long storing took."""
    found: dict[Kind, int] = field(
        default_factory=lambda: {"exact": 0, "near": 0, "new": 0}
    )
    """How many found what they should; new ones, nothing that is not near."""
    wall: float = 0.0
    """Seconds in all."""
    samples: list[Sample] = field(default_factory=list)
    """What it was like, now and then."""


def questions(plan: Plan, reflected: Reflected) -> Iterator[Asked]:
    """Yield questions without end: popular ones often, in popular partitions."""
    rng = random.Random(plan.seed * 1_000 + plan.worker)
    partitions, ranks = Zipf(plan.layout.partitions), Zipf(plan.layout.size)
    fresh = reflected.first_new + plan.worker
    while True:
        partition, chance = partitions.draw(rng.random()), rng.random()
        number = plan.layout.number(partition, ranks.draw(rng.random()))
        if chance < EXACT:
            yield Asked("exact", partition, number, worded(number))
        elif chance < EXACT + NEAR or not plan.stores:
            text = worded(number, rng.randrange(1_000_000))
            yield Asked("near", partition, number, text)
        else:
            yield Asked("new", partition, fresh, worded(fresh))
            fresh += plan.workers


def run(
    plan: Plan, opened: Callable[[Reflected], Client], start: Callable[[], object]
) -> Outcome:
    """Ask for some time.

    Args:
        plan: What to do.
        opened: Opens what is asked.
        start: Returns when every process is ready.
    """
    reflected, outcome = Reflected(plan.axes, plan.seed), Outcome()
    client = opened(reflected)
    asked = questions(plan, reflected)
    for _ in range(20):
        # What the first lookups load is not every lookup's.
        client.ask(next(asked))
    start()
    began = time.perf_counter()
    sampled = -_SAMPLE_SECONDS
    while (now := time.perf_counter() - began) < plan.seconds:
        if now >= sampled + _SAMPLE_SECONDS:
            sampled = now
            outcome.samples.append(Sample(now, resident(), client.failures()))
        _ask(client, next(asked), reflected, outcome)
    outcome.wall = time.perf_counter() - began
    outcome.samples.append(Sample(outcome.wall, resident(), client.failures()))
    client.close()
    return outcome


def _ask(client: Client, asked: Asked, reflected: Reflected, outcome: Outcome) -> None:
    started = time.perf_counter()
    found = client.ask(asked)
    outcome.seconds[asked.kind].append(time.perf_counter() - started)
    if asked.kind == "new":
        far = FARTHEST - SLACK - TOLERANCE
        outcome.found["new"] += (
            found is None or reflected.cosine(asked.text, found) >= far
        )
        started = time.perf_counter()
        client.store(asked)
        outcome.stored.append(time.perf_counter() - started)
    elif found is not None:
        right = reflected.is_found(asked.text, asked.number, found)
        outcome.found[asked.kind] += right


def inserted(
    plan: Plan, opened: Callable[[Reflected], Client], start: Callable[[], object]
) -> float:
    """Store answers one by one; return how many a second.

    Args:
        plan: Which process of how many, and for how long.
        opened: Opens where they are stored.
        start: Returns when every process is ready.
    """
    reflected = Reflected(plan.axes, plan.seed)
    client = opened(reflected)
    partitions = Zipf(plan.layout.partitions)
    rng = random.Random(plan.seed * 1_000 + plan.worker)
    # Far from those that the traffic stores.
    number = 2 * reflected.first_new - plan.worker - 1
    start()
    began, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < plan.seconds:
        partition = partitions.draw(rng.random())
        client.store(Asked("new", partition, number, worded(number)))
        number, count = number - plan.workers, count + 1
    client.close()
    return count / spent
