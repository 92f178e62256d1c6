"""What labeled pairs of questions say of a cache's thresholds and of its judge."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns._figure import new_figure
from langchain_prodpatterns.bounds import clopper_pearson
from langchain_prodpatterns.cache.acceptance import shared_curve
from langchain_prodpatterns.cache.evidence import EDGES, Cell, Evidence
from langchain_prodpatterns.cache.promise import needed_for
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import Judgement, YesNoVerdict

_FIELDS = (3, 4)
_PLOT = "Calibration.plot"
_SHOWN_FROM = 0.7


@dataclass(frozen=True, slots=True)
class LabeledPair:
    """Two questions, and whether one answer is right for both."""

    new_question: str
    """A question as it might be asked."""
    stored_question: str
    """A question whose answer might be stored."""
    same_answer: bool
    """Whether the stored answer would be right."""
    stored_answer: str = ""
    """That answer, for the judge to see."""


PairLike: TypeAlias = LabeledPair | Sequence[Any] | Mapping[str, Any]
"""A pair, its fields in their order, or by their names."""


@dataclass(frozen=True, slots=True)
class JudgeRecord:
    """What a judge said to labeled pairs."""

    accepted_wrongly: int
    """Pairs with two answers that it took for one."""
    different: int
    """Pairs with two answers that it gave a verdict on."""
    refused_wrongly: int
    """Pairs with one answer that it took for two."""
    same: int
    """Pairs with one answer that it gave a verdict on."""
    failures: int
    """Pairs without a verdict."""

    @property
    def error_bound(self) -> float:
        """The upper bound, 95% sure, on the share of wrong answers it accepts."""
        return clopper_pearson(self.accepted_wrongly, self.different)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What would come of serving clean pairs unjudged from a cosine on."""

    similarity: float
    """The cosine."""
    served: float
    """The share of all pairs that would be served."""
    wrong: float
    """The share of these that are wrong; 0 if there are none."""
    bound: float
    """The upper bound, 95% sure, on that share (Clopper-Pearson, for this point alone);
    1 if there are none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What labeled pairs say."""

    pairs: int
    """How many there were."""
    same: int
    """How many of them have one answer."""
    delta: float
    """The share of wrong answers that the cache promises."""
    judge: JudgeRecord | None
    """What the judge said to them, if it was asked."""
    curve: tuple[CurvePoint, ...]
    """What would be served unjudged, from low cosines to high ones."""
    band: tuple[float, float] | None
    """Thresholds for traffic like these pairs: below the first a verdict is not worth
    its price, from the second on the pairs show with 95% confidence that at most
    `delta` is wrong. `None` if they do not show that for any cosine."""

    def __str__(self) -> str:
        rows = [
            (
                f"{point.similarity:.3f}",
                f"{point.served:.1%}",
                f"{point.wrong:.1%}",
                f"{point.bound:.1%}",
            )
            for point in self.curve
            if point.similarity >= _SHOWN_FROM
        ]
        from langchain_prodpatterns._table import plain_table

        table = plain_table(
            ("unjudged from", "of all pairs", "of them wrong", "at most"), rows
        )
        return f"{self._summary()}\n{table}"

    def _summary(self) -> str:
        lines = [f"{self.pairs} labeled pairs, {self.same} of them with one answer"]
        if self.judge is not None:
            lines.append(
                f"the judge accepts {self.judge.accepted_wrongly} of "
                f"{self.judge.different} wrong answers (at most "
                f"{self.judge.error_bound:.1%} with 95% confidence) and refuses "
                f"{self.judge.refused_wrongly} of {self.judge.same} right ones"
            )
        if self.band is not None:
            lines.append(
                f"band for delta {self.delta:g}: ({self.band[0]:.3g}, {self.band[1]:g})"
            )
        elif not self.delta:
            lines.append("nothing is served unjudged, since delta is 0")
        else:
            lines.append(
                f"no cosine keeps delta {self.delta:g} unjudged; that takes at least "
                f"{self.pairs_needed} near pairs, hardly any of them wrong"
            )
        return "\n".join(lines)

    @property
    def pairs_needed(self) -> int | None:
        """How many near pairs, none of them wrong, show `delta`, if any number does."""
        return math.ceil(needed_for(self.delta)) if self.delta else None

    def plot(self, path: str | Path) -> None:
        """Draw the share of wrong answers over the share of what is served unjudged.

        Args:
            path: The image file to write.

        Raises:
            MissingExtraError: When matplotlib is not installed.
        """
        figure = new_figure(_PLOT, 7, 4.5)
        points = [point for point in self.curve if point.served]
        served = [point.served for point in points]
        axes = figure.add_subplot(
            xlabel="share of the pairs that is served unjudged",
            ylabel="share of these that is wrong",
            title=f"{self.pairs} labeled pairs",
        )
        axes.plot(served, [point.wrong for point in points], label="measured")
        bounds = [point.bound for point in points]
        axes.plot(served, bounds, linestyle=":", label="at most, 95% sure")
        axes.axhline(
            self.delta, color="grey", linewidth=1, label=f"delta {self.delta:g}"
        )
        axes.set_ylim(0, 1.05 * max([0.1, *(point.wrong for point in points)]))
        axes.legend()
        figure.savefig(path)


@dataclass(frozen=True, slots=True)
class Measured:
    """A labeled pair, with how near its questions are."""

    pair: LabeledPair
    """The pair."""
    similarity: float
    """The cosine of its questions."""
    guards: tuple[str, ...]
    """The guards that found a difference."""

    @property
    def cell(self) -> Cell:
        """Its cell of the evidence."""
        return Cell.of(self.similarity, guarded=bool(self.guards))

    def request(self) -> SameAnswerRequest:
        """Return what the judge is asked."""
        return SameAnswerRequest.of(
            new_question=self.pair.new_question,
            stored_question=self.pair.stored_question,
            stored_answer=self.pair.stored_answer,
            context="",
        )


def read_pairs(pairs: Iterable[PairLike]) -> list[LabeledPair]:
    """Read labeled pairs.

    Raises:
        ConfigurationError: When there is none, or one is none.
    """
    read = [_read(pair, number) for number, pair in enumerate(pairs)]
    if not read:
        msg = "calibrate needs labeled pairs, got none"
        raise ConfigurationError(msg)
    return read


def _read(pair: PairLike, number: int) -> LabeledPair:
    found: LabeledPair | None = None
    try:
        if isinstance(pair, LabeledPair):
            found = pair
        elif isinstance(pair, Mapping):
            found = LabeledPair(**pair)
        elif not isinstance(pair, str) and len(pair) in _FIELDS:
            found = LabeledPair(*pair)
    except TypeError:
        found = None
    if found is None or not _is_pair(found):
        # Not the pair itself: it may hold what a user wrote.
        msg = (
            f"pairs[{number}] must be (new question, stored question, whether they "
            "have one answer), or these by the names of LabeledPair"
        )
        raise ConfigurationError(msg)
    return found


def _is_pair(pair: LabeledPair) -> bool:
    texts = (pair.new_question, pair.stored_question, pair.stored_answer)
    label = pair.same_answer
    is_label = isinstance(label, bool | int | np.bool_) and label in {0, 1}
    return is_label and all(isinstance(text, str) for text in texts)


def record_of(
    measured: Sequence[Measured], judgements: Sequence[Judgement[YesNoVerdict]]
) -> JudgeRecord:
    """Compare what a judge said with the labels."""
    said = [
        (bool(one.pair.same_answer), judgement.yes)
        for one, judgement in zip(measured, judgements, strict=True)
        if judgement.failure is None
    ]
    return JudgeRecord(
        accepted_wrongly=said.count((False, True)),
        different=said.count((False, True)) + said.count((False, False)),
        refused_wrongly=said.count((True, False)),
        same=said.count((True, False)) + said.count((True, True)),
        failures=len(measured) - len(said),
    )


def calibrated(
    measured: Sequence[Measured],
    judge: JudgeRecord | None,
    *,
    delta: float,
    needed: float,
) -> Calibration:
    """Work out what labeled pairs say.

    Args:
        measured: The pairs.
        judge: What the judge said to them, if it was asked.
        delta: The share of wrong answers that the cache promises.
        needed: The chance of a yes from which a verdict is worth its price.

    Returns:
        What they say.
    """
    points = tuple(point_at(edge, measured) for edge in EDGES)
    hi = _unjudged_from(points, len(measured), delta)
    band = None
    if hi is not None:
        lo = shared_curve(tallied(measured)).similarity_at(needed)
        band = (min(round(lo, 3), hi), hi)
    same = sum(bool(one.pair.same_answer) for one in measured)
    return Calibration(len(measured), same, delta, judge, points, band)


def point_at(edge: float, measured: Sequence[Measured]) -> CurvePoint:
    """Say what would come of serving clean pairs unjudged from a cosine on.

    Args:
        edge: The cosine.
        measured: The pairs, at least one.
    """
    served = [
        bool(one.pair.same_answer)
        for one in measured
        if not one.guards and one.similarity >= edge
    ]
    wrong = served.count(False)
    return CurvePoint(
        similarity=round(edge, 3),
        served=len(served) / len(measured),
        wrong=wrong / len(served) if served else 0.0,
        bound=clopper_pearson(wrong, len(served)),
    )


def _unjudged_from(
    points: Sequence[CurvePoint], total: int, delta: float
) -> float | None:
    """Try the cosines from 1 downwards until one fails: a fixed-sequence test."""
    found, above = None, 0.0
    for point in reversed(points):
        # Where there is no pair, nothing is shown; of too few, nothing either way.
        shows = point.served > above and point.served * total >= needed_for(delta)
        if shows and point.bound > delta:
            break
        if shows:
            found = point.similarity
        above = point.served
    return found


def tallied(measured: Sequence[Measured]) -> Evidence:
    """Count pairs by how near they are."""
    tallies: dict[str, tuple[int, int]] = {}
    for one in measured:
        right, wrong = tallies.get(str(one.cell), (0, 0))
        same = bool(one.pair.same_answer)
        tallies[str(one.cell)] = (right + same, wrong + (not same))
    return Evidence.of(tallies)
