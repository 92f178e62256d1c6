"""Where to begin on a ladder: at the rung that usually answers, for what it costs.

The choice is a pure function of what was counted; `LearnedStart` keeps the counts.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_prodpatterns.models import model_name
from langchain_prodpatterns.structured.attempts import Attempt
from langchain_prodpatterns.structured.ladder import Rung
from langchain_prodpatterns.usage import NO_USAGE

Start = Literal["first", "learned"]
"""Where a request begins on the ladder: on the first rung, or where it usually ends."""

ENOUGH = 5
"""Requests after which the counts of a rung say something."""
WINDOW = 64
"""Requests of a rung after which its counts are halved: the latest weigh more."""
EXPLORE_EVERY = 10
"""One request in so many begins on a rung below the best start, since models change."""
MAX_TASKS = 256
"""Schemas, each on its ladder, that are remembered; the longest unused is forgotten."""


@dataclass(frozen=True, slots=True)
class RungRecord:
    """What one rung did for one schema, where the latest requests weigh most."""

    asked: float = 0.0
    """Requests on which it was asked and the provider answered."""
    answered: float = 0.0
    """Requests to which it gave a valid answer."""
    tokens: float = 0.0
    """Tokens that all its attempts took."""
    usd: float = 0.0
    """Money that all its attempts took, as far as their price is known."""
    priced: float = 0.0
    """Requests of which the price is known."""

    @property
    def success(self) -> float:
        """The share of requests that it answers, drawn to a half while it has few."""
        return (self.answered + 1) / (self.asked + 2)

    @property
    def usd_each(self) -> float | None:
        """What a request costs on this rung; `None` where no price is known."""
        return self.usd / self.priced if self.priced else None


def best_start(records: Sequence[RungRecord]) -> int:
    """Choose the rung to begin on.

    Where the prices are known, it is the one from which a request is expected to cost
    least until it is answered; else the lowest that answers at least half of them. A
    rung is skipped only where enough is known of it and of the one that is chosen.

    Args:
        records: What each rung did, cheapest rung first.

    Returns:
        The number of the rung, from 0.
    """
    known = 0
    while known < len(records) and records[known].asked >= ENOUGH:
        known += 1
    candidates = range(known)
    seen = [record for record in records if record.asked]
    costs = [record.usd_each for record in seen]
    priced = [cost for cost in costs if cost is not None]
    if len(priced) == len(costs):
        expected = _expected_costs(seen, priced)
        return min(candidates, key=expected.__getitem__, default=0)
    usual = (at for at in candidates if records[at].success >= 1 / 2)
    return next(usual, 0)


def _expected_costs(
    records: Sequence[RungRecord], costs: Sequence[float]
) -> list[float]:
    """Return what a request is expected to cost that begins on a rung and climbs."""
    expected: list[float] = []
    above = 0.0
    for record, cost in zip(reversed(records), reversed(costs), strict=True):
        above = cost + (1 - record.success) * above
        expected.append(above)
    return expected[::-1]


def counted(
    record: RungRecord, attempts: Sequence[Attempt], *, answered: bool
) -> RungRecord:
    """Add one request to what a rung did.

    Args:
        record: What it did before.
        attempts: Its attempts at the request.
        answered: Whether the last of them is valid.

    Returns:
        What it did; the same where the provider only failed, which tells nothing of
        how well the model does.
    """
    if all(attempt.kind == "provider" for attempt in attempts):
        return record
    weight = 0.5 if record.asked >= WINDOW else 1.0
    usage = sum((attempt.usage for attempt in attempts), NO_USAGE)
    return RungRecord(
        asked=record.asked * weight + 1,
        answered=record.answered * weight + answered,
        tokens=record.tokens * weight + usage.total_tokens,
        usd=record.usd * weight + (usage.usd or 0.0),
        priced=record.priced * weight + (usage.usd is not None),
    )


@dataclass(slots=True)
class _Task:
    """One schema on one ladder."""

    records: list[RungRecord]
    requests: int = 0


class LearnedStart:
    """Remembers, for each schema on its ladder, which rung usually answers.

    Every parser with `start="learned"` has one of its own, as its `learned`. To share
    what is learned between parsers, give them all the same: `start=LearnedStart()`.
    It is safe to use from many threads, and a copy has its own counts.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, _Task] = OrderedDict()

    def begin(self, task: str, rungs: int) -> int:
        """Choose where a request begins.

        Args:
            task: The schema and its ladder, from `task_key`.
            rungs: How many rungs there are.

        Returns:
            The number of the rung, from 0.
        """
        with self._lock:
            known = self._task(task, rungs)
            known.requests += 1
            best = best_start(known.records)
            turn, rest = divmod(known.requests, EXPLORE_EVERY)
            return turn % best if best and rest == 0 else best

    def note(self, task: str, rungs: int, attempts: Sequence[Attempt]) -> None:
        """Count what came of a request.

        Args:
            task: The schema and its ladder.
            rungs: How many rungs there are.
            attempts: All attempts, in order.
        """
        with self._lock:
            records = self._task(task, rungs).records
            for rung in {one.rung for one in attempts if one.rung is not None}:
                own = [attempt for attempt in attempts if attempt.rung == rung]
                answered = own[-1].kind == "ok"
                records[rung] = counted(records[rung], own, answered=answered)

    def records(self, task: str) -> tuple[RungRecord, ...]:
        """Return what each rung did; nothing for what is not known.

        Args:
            task: The schema and its ladder.
        """
        with self._lock:
            known = self._tasks.get(task)
            return () if known is None else tuple(known.records)

    def _task(self, task: str, rungs: int) -> _Task:
        if task not in self._tasks:
            self._tasks[task] = _Task([RungRecord()] * rungs)
            if len(self._tasks) > MAX_TASKS:
                self._tasks.popitem(last=False)
        self._tasks.move_to_end(task)
        return self._tasks[task]

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            tasks = [
                (key, list(task.records), task.requests)
                for key, task in self._tasks.items()
            ]
        return {"tasks": tasks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = threading.Lock()
        self._tasks = OrderedDict(
            (key, _Task(records, requests)) for key, records, requests in state["tasks"]
        )


def task_key(schema: Any, rungs: Sequence[Rung]) -> str:
    """Name a schema on a ladder.

    Args:
        schema: The JSON Schema.
        rungs: The ladder.

    Returns:
        A digest, equal for equal schemas and models of the same names.
    """
    ladder = [
        (type(rung.model).__name__, model_name(rung.model), rung.temperatures)
        for rung in rungs
    ]
    text = json.dumps([schema, ladder], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Starter:
    """What is learned of one schema on one ladder."""

    learned: LearnedStart
    """Where it is kept."""
    task: str
    """The schema and the ladder."""
    rungs: int
    """How many rungs there are."""

    def first(self) -> int:
        """Choose the rung to begin on."""
        return self.learned.begin(self.task, self.rungs)

    def note(self, attempts: Sequence[Attempt]) -> None:
        """Count what came of a request."""
        self.learned.note(self.task, self.rungs, attempts)

    @property
    def records(self) -> tuple[RungRecord, ...]:
        """What each rung did."""
        return self.learned.records(self.task)


def make_starter(
    start: Start | LearnedStart, schema: Any, rungs: Sequence[Rung]
) -> Starter | None:
    """Make what a parser learns with.

    Args:
        start: What the developer wants.
        schema: The JSON Schema.
        rungs: The ladder.

    Returns:
        A starter, or `None` where every request begins on the first rung.
    """
    if start == "first":
        return None
    learned = start if isinstance(start, LearnedStart) else LearnedStart()
    return Starter(learned, task_key(schema, rungs), len(rungs))
