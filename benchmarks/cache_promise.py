"""Whether the promise is kept: shuffled traffic, for each `delta` and each judge."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from multiprocessing import get_context
from random import Random

import numpy as np
from cache_data import Remembering, Traffic, Vectors
from cache_streams import Judge, Outcomes, streamed

from langchain_prodpatterns.cache import SemanticJudgeCache

DELTAS = (0.01, 0.02, 0.05)
ERRORS = (0.0, 0.05)
THRESHOLDS = tuple(n / 100 for n in (*range(60, 90, 2), *range(90, 100)))
_CALIBRATED_WITH = 1_000


@dataclass(frozen=True)
class Setting:
    """What is promised, and by whom it is judged."""

    traffic: Traffic
    """The questions."""
    delta: float
    """The promised share of wrong answers."""
    error: float
    """The share of the judge's verdicts that are wrong."""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        judge = f"{1 - self.error:.0%} judge" if self.error else "perfect judge"
        return f"{self.traffic.name}, {judge}, delta {self.delta:g}"


@dataclass(frozen=True)
class Point:
    """What a threshold without a judge serves."""

    served: float
    """The share of the questions that is served."""
    wrong: float
    """Of these, the share that is wrong."""


@dataclass(frozen=True)
class Kept:
    """What came of a setting, a shuffle each."""

    setting: Setting
    """The setting."""
    shuffles: Sequence[Outcomes]
    """What became of the questions."""
    statics: Sequence[Sequence[Point]]
    """What each of `THRESHOLDS` would have served."""

    @property
    def kept(self) -> int:
        """In how many shuffles the promise was kept."""
        return sum(one.wrong <= self.setting.delta for one in self.shuffles)

    @property
    def served(self) -> float:
        """The mean share that was served."""
        return float(np.mean([one.served for one in self.shuffles]))

    @property
    def wrong(self) -> float:
        """The mean share of what was served that is wrong."""
        return float(np.mean([one.wrong for one in self.shuffles]))

    @cached_property
    def static(self) -> float:
        """The mean share that the best threshold, known afterwards, would have served.

        A threshold for each shuffle that keeps `delta` in it.
        """
        best = [
            max((p.served for p in points if p.wrong <= self.setting.delta), default=0)
            for points in self.statics
        ]
        return float(np.mean(best))


def statics(vectors: Vectors, traffic: Traffic, order: Sequence[str]) -> list[Point]:
    """Return what each of `THRESHOLDS` serves, without a judge, of questions in order.

    Args:
        vectors: Of the questions, in their order.
        traffic: The questions.
        order: Their order.
    """
    similarities = vectors @ vectors.T
    groups = np.array([traffic.groups[text] for text in order])
    place = groups % traffic.partitions
    similarities[place[:, None] != place[None, :]] = -1.0
    thresholds = np.array(THRESHOLDS)
    # Each threshold has a cache of its own: a column is what they have stored.
    stored = np.zeros((len(thresholds), len(order)), bool)
    stored[:, 0] = True
    served, wrong = np.zeros((2, len(thresholds)))
    for number in range(1, len(order)):
        near = np.where(stored[:, :number], similarities[number, :number], -1.0)
        best = near.argmax(axis=1)
        hit = near[np.arange(len(thresholds)), best] >= thresholds
        served += hit
        wrong += hit & (groups[best] != groups[number])
        stored[:, number] = ~hit
    return [
        Point(float(count / len(order)), float(bad / max(count, 1)))
        for count, bad in zip(served, wrong, strict=True)
    ]


_vectors: dict[str, Remembering] = {}


def _receive(embeddings: Remembering) -> None:
    """Take the vectors into a process, once."""
    _vectors["all"] = embeddings


def stream_of(setting: Setting, seed: int) -> Outcomes:
    """Send the questions of one shuffle through a cache of its own."""
    traffic, error = setting.traffic, setting.error
    labeled = traffic.labeled[:_CALIBRATED_WITH]
    labels = {(p.new_question, p.stored_question): p.same_answer for p in labeled}
    judge = Judge(traffic.groups, error, seed, labels)
    # A scripted judge needs no deadline, and so no thread for each verdict.
    with SemanticJudgeCache(
        _vectors["all"], judge, delta=setting.delta, judge_timeout=None
    ) as cache:
        if error:
            cache.calibrate(labeled)
        return streamed(cache, judge, traffic, traffic.shuffled(Random(seed)))


def _statics_of(traffic: Traffic, seed: int) -> list[Point]:
    order = traffic.shuffled(Random(seed))
    return statics(_vectors["all"].matrix(order), traffic, order)


def promises(
    embeddings: Remembering, traffics: Iterable[Traffic], shuffles: int, seed: int
) -> Iterator[Kept]:
    """Measure every setting, in as many processes as there are processors.

    Args:
        embeddings: Holds the vectors.
        traffics: What is streamed.
        shuffles: How many orders each is streamed in.
        seed: Of the first order; the others follow.

    Yields:
        What came of each setting, those of the same traffic one after the other.
    """
    prepared = [_embedded(embeddings, traffic) for traffic in traffics]
    seeds = range(seed, seed + shuffles)
    # Not forked: a parent in which FAISS and ONNX have threads cannot be.
    with ProcessPoolExecutor(
        os.cpu_count(), get_context("spawn"), _receive, (embeddings,)
    ) as pool:
        pending = []
        for traffic in prepared:
            unjudged = [pool.submit(_statics_of, traffic, one) for one in seeds]
            for delta, error in product(DELTAS, ERRORS):
                setting = Setting(traffic, delta, error)
                runs = [pool.submit(stream_of, setting, one) for one in seeds]
                pending.append((setting, runs, unjudged))
        for setting, runs, unjudged in pending:
            yield Kept(
                setting, [r.result() for r in runs], [u.result() for u in unjudged]
            )


def _embedded(embeddings: Remembering, traffic: Traffic) -> Traffic:
    """Embed all that the processes will ask for; they have no model."""
    embeddings.matrix(list(traffic.groups))
    for pair in traffic.labeled[:_CALIBRATED_WITH]:
        embeddings.matrix([pair.new_question, pair.stored_question])
    return traffic
