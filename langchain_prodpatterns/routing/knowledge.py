"""What a router knows beyond its tools: labels, and what it learned from its fallback.

Shared by the copies of a router. What decides is one immutable `View`, swapped whole,
so that a query is never judged by half of a change.
"""

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.routing.certificate import Bar, fewest, more_needed
from langchain_prodpatterns.routing.decision import DIGITS, Promise, Ranked, Standing
from langchain_prodpatterns.routing.fitting import Fitted, fit
from langchain_prodpatterns.routing.labels import Lesson, normal
from langchain_prodpatterns.routing.memory import Memory
from langchain_prodpatterns.routing.reports import FitReport, report
from langchain_prodpatterns.routing.scores import Scorer, Scores
from langchain_prodpatterns.routing.selector import WEIGHTS, Choice, choose

if TYPE_CHECKING:
    from langchain_prodpatterns.routing.index import RouteMatrix

Floats = npt.NDArray[np.float32]

ADDED = "a tool was added, which no label can name: fit again to have the promise back"


@dataclass(frozen=True)
class Course:
    """What `fit` was given."""

    lesson: Lesson
    """The labels, in random order."""
    confidence: float
    """How sure the certificate is to be."""
    held_out: float
    """The share of the labels that is only for the certificate."""


@dataclass(frozen=True)
class View:
    """What decides: the texts of the tools, what was learned, and the fit."""

    base: "RouteMatrix"
    """The tools' own texts."""
    learned: Lesson | None = None
    """What was learned from the fallback."""
    course: Course | None = None
    """What it was fitted on."""
    fitted: Fitted | None = None
    """What came of it."""
    suspended: str = ""
    """Why what came of it does not count."""
    _bars: dict[float, Bar | None] = field(default_factory=dict)

    @cached_property
    def matrix(self) -> "RouteMatrix":
        """The tools' own texts, and what was learned."""
        if self.learned is None:
            return self.base
        learned = self.learned.numbered(self.base.names)
        return self.base.with_more(learned.texts, learned.owners, learned.rows)

    @cached_property
    def scorer(self) -> Scorer:
        """Compares a query with the tools by every measure."""
        if self.fitted is not None:
            return self.fitted.scorer
        return Scorer(self.matrix.known, len(self.matrix.names))

    def standing(self, vector: list[float], text: str, count: int) -> Standing:
        """Compare a query with the tools.

        Args:
            vector: Its vector.
            text: Its text.
            count: How many tools to name.

        Returns:
            The nearest tools; after a fit the likeliest, and how likely the first is.

        Raises:
            ValueError: When the vector cannot be compared.
        """
        if self.fitted is None:
            return Standing(self.matrix.rank(vector, count))
        judged = self.fitted.judge(self.matrix.unit(vector), text)
        scores, choice, confidence = judged
        return Standing(self._ranked(scores, choice, count), confidence=confidence)

    def rank(self, vector: list[float], text: str, count: int) -> tuple[Ranked, ...]:
        """Return the likeliest tools by all measures, however unlikely."""
        scores = self.scorer.score(self.matrix.unit(vector), text)
        weights = np.array(WEIGHTS) if self.fitted is None else self.fitted.weights
        return self._ranked(scores, choose(scores, weights), count)

    def promise(self, precision: float) -> Promise | None:
        """Return the rule that decides; `None` before a fit: threshold and margin."""
        if self.suspended:
            return Promise(precision, None, self.suspended)
        if self.fitted is None:
            return None
        bar = self._bar(precision)
        if bar is None:
            return Promise(precision, None, self.report(precision).obstacle)
        return Promise(precision, bar.confidence)

    def report(self, precision: float) -> FitReport:
        """Say what the labels showed. Only after a fit."""
        assert self.fitted is not None  # noqa: S101 - the caller has fitted
        assert self.course is not None  # noqa: S101 - as above
        proof, sure = self.fitted.proof, self.course.confidence
        bar = self._bar(precision)
        shown = proof.scores, proof.right, precision, sure
        return report(
            bar,
            precision=precision,
            confidence=sure,
            labels=self.course.lesson.labels,
            proving=len(proof.scores),
            needed=0 if bar else more_needed(*shown),
            fewest=fewest(precision, sure),
            held_out=self.course.held_out,
        )

    def _bar(self, precision: float) -> Bar | None:
        # Copies of a router may promise other precisions by the same labels.
        if precision not in self._bars:
            assert self.fitted is not None  # noqa: S101 - only asked after a fit
            assert self.course is not None  # noqa: S101 - as above
            bar = self.fitted.proof.bar(precision, self.course.confidence)
            self._bars[precision] = bar
        return self._bars[precision]

    def _ranked(self, scores: Scores, choice: Choice, count: int) -> tuple[Ranked, ...]:
        return tuple(
            Ranked(
                self.matrix.names[scores.routes[at]],
                round(float(scores.measures[at, 0]), DIGITS),
            )
            for at in choice.ranking[:count]
        )


class Knowledge:
    """Holds the view and the memory. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with nothing learned."""
        self.memory: Memory = Memory()
        """What the fallback decided."""
        self._view: View | None = None
        self._set_locks()

    def view(self, base: "RouteMatrix") -> View:
        """Return what decides now."""
        with self._swap:
            if self._view is None:
                self._view = View(base)
            return self._view

    def teach(self, base: "RouteMatrix", course: Course) -> View:
        """Fit on labels, and on what was learned.

        Args:
            base: The tools' own texts.
            course: The labels.

        Returns:
            What decides from now on.
        """
        with self._fitting:
            view = _made(base, self.memory.lesson(), course)
            self.restore(view)
        return view

    def refresh(self) -> None:
        """Fit again with what was learned since, if nobody else is at it."""
        view = self._view
        if view is None or not self._fitting.acquire(blocking=False):
            return
        try:
            # Not the one from before: somebody may just have fitted.
            view, lesson = self._view or view, self.memory.lesson()
            if view.suspended:
                self.restore(View(view.base, lesson, suspended=view.suspended))
            else:
                self.restore(_made(view.base, lesson, view.course))
        finally:
            self._fitting.release()

    def suspend(self, base: "RouteMatrix", reason: str) -> None:
        """Decide nothing alone until the next fit."""
        self.restore(View(base, self.memory.lesson(), suspended=reason))

    def inherit(self, base: "RouteMatrix", other: "Knowledge") -> None:
        """Fit on the labels of another router, whose promise this one keeps.

        Args:
            base: The tools' own texts.
            other: What the other router knows.
        """
        view = other._view  # noqa: SLF001 - it is one
        if view is not None and view.course is not None:
            self.teach(base, view.course)
        elif view is not None:
            self.suspend(base, view.suspended)

    @property
    def promised(self) -> bool:
        """Whether labels decide, or did."""
        view = self._view
        return view is not None and bool(view.fitted or view.suspended)

    def restore(self, view: View) -> None:
        """Let a view decide from now on."""
        with self._swap:
            self._view = view

    def __getstate__(self) -> dict[str, Any]:
        return {"memory": self.memory, "_view": self._view}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_locks()

    def _set_locks(self) -> None:
        # One is held for as long as fitting takes, the other never for long.
        self._fitting = threading.Lock()
        self._swap = threading.Lock()


def _made(base: "RouteMatrix", lesson: Lesson | None, course: Course | None) -> View:
    if course is None:
        return View(base, lesson)
    if lesson is not None:
        # A label that was learned too would be judged by what it taught.
        lesson = lesson.without({normal(each.query) for each in course.lesson.labels})
    view = View(base, lesson)
    labeled = course.lesson.numbered(base.names)
    known, routes = view.matrix.known, len(base.names)
    fitted = fit(known, labeled, routes, held_out=course.held_out)
    return View(base, lesson, course, fitted)
