"""What `fit` and `evaluate` say, as values that print as words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langchain_prodpatterns._figure import new_figure
from langchain_prodpatterns.bounds import CONFIDENCE
from langchain_prodpatterns.routing.certificate import BARS, Bar, measure
from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.labels import Label

_PLOT = "Evaluation.plot"
_PAIRS_SHOWN = 10
_EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)

EXCHANGEABLE = "the labeled queries are a fair sample of the traffic to come"
STABLE = (
    "a router that learned from all of them is no worse than the ones it is judged by, "
    "which learned from four fifths"
)
ALL_FIT = "no query comes that no tool fits: no label says None"


@dataclass(frozen=True, slots=True)
class FitReport:
    """What labels showed, and what they did not."""

    precision: float
    """The share of decisions by distance that was asked to be right."""
    confidence: float
    """How sure the certificate is to be of it."""
    bar: float | None
    """The confidence from which on the router decides alone; `None`: it does not."""
    coverage: float
    """The share of the labeled queries at or above the bar."""
    certified: float | None
    """The lower bound on the precision at the bar."""
    labels: int
    """How many labels were used."""
    none_labels: int
    """How many of them say that no tool fits."""
    needed: int | None
    """How many more labels like these a certificate is likely to need: 0 with a bar;
    `None` where more of them would not help, since the router errs too often."""
    fewest: int
    """How many decisions without a single error show the precision."""
    assumptions: tuple[str, ...]
    """What the certificate takes for granted."""

    @property
    def obstacle(self) -> str:
        """Why the router does not decide alone; empty where it does."""
        if self.bar is not None:
            return ""
        shortage = (
            f"{self.labels} labels do not show a precision of {self.precision:g} with "
            f"{100 * self.confidence:.6g}% confidence ({self.fewest} decisions without "
            "an error are the least that would)"
        )
        if self.needed is None:
            return f"{shortage}, and more of the same would not: give better examples"
        return f"{shortage}: about {self.needed} more are needed"

    def __str__(self) -> str:
        lines = [f"{self.labels} labels, {self.none_labels} of them none"]
        if self.bar is None:
            lines.append(f"does not decide alone: {self.obstacle}")
        else:
            lines.append(
                f"decides alone from a confidence of {self.bar:.4g}, "
                f"{self.coverage:.1%} of queries like these; at least "
                f"{self.certified:.1%} of that is right, with "
                f"{100 * self.confidence:.6g}% confidence "
                f"(asked: {self.precision:.1%})"
            )
        lines.append(f"assumed: {'; '.join(self.assumptions)}")
        return "\n".join(lines)


def report(
    bar: Bar | None,
    *,
    precision: float,
    confidence: float,
    labels: Sequence[Label],
    proving: int,
    needed: int | None,
    fewest: int,
    held_out: float,
) -> FitReport:
    """Write down what came of fitting."""
    nones = sum(label.tool is None for label in labels)
    assumptions = [EXCHANGEABLE]
    if not held_out:
        assumptions.append(STABLE)
    if not nones:
        assumptions.append(ALL_FIT)
    return FitReport(
        precision=precision,
        confidence=confidence,
        bar=bar.confidence if bar else None,
        coverage=bar.decided / proving if bar else 0.0,
        certified=bar.certified if bar else None,
        labels=len(labels),
        none_labels=nones,
        needed=0 if bar else needed,
        fewest=fewest,
        assumptions=tuple(assumptions),
    )


@dataclass(frozen=True, slots=True)
class Confusion:
    """A tool that was chosen in place of another."""

    truth: str | None
    """Where the queries belong; `None` is nowhere."""
    chosen: str
    """Where they were sent."""
    count: int
    """How often."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Queries of like confidence."""

    low: float
    """The least confidence."""
    high: float
    """The confidence below which they are."""
    count: int
    """How many there are."""
    confidence: float
    """Their mean confidence in the best tool."""
    right: float
    """The share whose best tool is the right one."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a router does on labeled queries, without its fallback."""

    labels: int
    """How many queries there were."""
    coverage: float
    """The share that was decided by distance."""
    precision: float | None
    """The share of these that was decided rightly; `None` if there are none."""
    confusions: tuple[Confusion, ...]
    """Every wrong decision by pair, the most frequent first."""
    reliability: tuple[ReliabilityBin, ...]
    """Confidence against truth, over all queries, decided or not."""
    curve: tuple[Bar, ...] = ()
    """What would come of deciding alone from a confidence on, from high bars to low
    ones, each with its own bound; empty before a fit."""

    def __str__(self) -> str:
        from langchain_prodpatterns._table import plain_table

        right = "-" if self.precision is None else f"{self.precision:.1%}"
        summary = (
            f"{self.labels} labeled queries: {self.coverage:.1%} decided by distance, "
            f"{right} of these rightly"
        )
        lines = [summary]
        if self.confusions:
            shown = [
                (str(each.truth), each.chosen, str(each.count))
                for each in self.confusions[:_PAIRS_SHOWN]
            ]
            lines.append(plain_table(("right", "chosen", "times"), shown))
        bins = [
            (
                f"{each.low:g}-{each.high:g}",
                str(each.count),
                f"{each.confidence:.1%}",
                f"{each.right:.1%}",
            )
            for each in self.reliability
        ]
        lines.append(plain_table(("confidence", "queries", "mean", "right"), bins))
        return "\n".join(lines)

    def plot(self, path: str | Path) -> None:
        """Draw how often the best tool is right over the confidence in it.

        Args:
            path: The image file to write.

        Raises:
            MissingExtraError: When matplotlib is not installed.
        """
        figure = new_figure(_PLOT, 5, 4.5)
        axes = figure.add_subplot(
            xlabel="confidence",
            ylabel="share that is right",
            title=f"{self.labels} labeled queries",
        )
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
        axes.plot(
            [each.confidence for each in self.reliability],
            [each.right for each in self.reliability],
            marker="o",
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        figure.savefig(path)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A labeled query, its best tool and what was decided."""

    truth: str | None
    """Where it belongs."""
    best: str | None
    """The best tool, chosen or not."""
    decision: RouteDecision
    """What was decided without the fallback."""


def evaluate(outcomes: Sequence[Outcome]) -> Evaluation:
    """Sum up outcomes.

    Args:
        outcomes: At least one.

    Returns:
        The evaluation.
    """
    decided = [each for each in outcomes if each.decision.tool is not None]
    right = sum(each.decision.tool == each.truth for each in decided)
    wrong = Counter(
        (each.truth, each.decision.tool)
        for each in decided
        if each.decision.tool != each.truth
    )
    return Evaluation(
        labels=len(outcomes),
        coverage=len(decided) / len(outcomes),
        precision=right / len(decided) if decided else None,
        confusions=tuple(
            Confusion(truth, str(chosen), count)
            for (truth, chosen), count in wrong.most_common()
        ),
        reliability=_reliability(outcomes),
        curve=_curve(outcomes),
    )


def _curve(outcomes: Sequence[Outcome]) -> tuple[Bar, ...]:
    known = [each for each in outcomes if each.decision.confidence is not None]
    if not known:
        return ()
    sure = np.array([each.decision.confidence for each in known], dtype=float)
    right = np.array([each.best == each.truth for each in known], dtype=bool)
    return tuple(measure(sure, right, bar, CONFIDENCE) for bar in BARS.tolist())


def _reliability(outcomes: Sequence[Outcome]) -> tuple[ReliabilityBin, ...]:
    known = [each for each in outcomes if each.decision.confidence is not None]
    sure = np.array([each.decision.confidence for each in known], dtype=float)
    right = np.array([each.best == each.truth for each in known], dtype=bool)
    places = np.clip(np.digitize(sure, _EDGES[1:-1]), 0, len(_EDGES) - 2)
    return tuple(
        ReliabilityBin(
            _EDGES[place],
            _EDGES[place + 1],
            int((places == place).sum()),
            float(sure[places == place].mean()),
            float(right[places == place].mean()),
        )
        for place in np.unique(places).tolist()
    )
