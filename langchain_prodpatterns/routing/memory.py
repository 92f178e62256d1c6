"""What the fallback decided: kept to serve again, and to learn from, within bounds."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.labels import Label, Lesson, normal

Floats = npt.NDArray[np.float32]

LEARN_EVERY = 50
"""Learned queries after which the router is fitted again."""


class Memory:
    """Decisions of the fallback by query, and the queries learned from them.

    Safe to share between threads. A copy by `pickle` or `deepcopy` is on its own.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._decisions: OrderedDict[str, RouteDecision] = OrderedDict()
        self._learned: OrderedDict[str, tuple[Label, Floats]] = OrderedDict()
        self._pending = 0

    def correction(self, query: str) -> RouteDecision | None:
        """Return what feedback said of a query."""
        with self._lock:
            found = self._decisions.get(normal(query))
            if found is None or found.decided_by != "cache":
                return None
            self._decisions.move_to_end(normal(query))
        return found

    def recall(self, query: str) -> RouteDecision | None:
        """Return what was decided for a query, as a decision of the cache."""
        key = normal(query)
        with self._lock:
            found = self._decisions.get(key)
            if found is not None:
                self._decisions.move_to_end(key)
        if found is None or found.decided_by == "cache":
            return found
        reason = f"decided before: {found.reason}"
        return found.model_copy(update={"decided_by": "cache", "reason": reason})

    def remember(self, query: str, decision: RouteDecision, most: int) -> None:
        """Keep a decision; beyond so many the one not used for longest goes."""
        key = normal(query)
        with self._lock:
            self._decisions[key] = decision
            self._decisions.move_to_end(key)
            while len(self._decisions) > most:
                self._decisions.popitem(last=False)

    def learn(self, label: Label, row: Floats, most: int) -> bool:
        """Keep a query as an example; beyond so many of its tool the oldest goes.

        Args:
            label: The query and its tool.
            row: Its vector, unit length.
            most: How many examples each tool may learn, and "no tool" too.

        Returns:
            Whether another label was there for this query.
        """
        key = normal(label.query)
        with self._lock:
            before = self._learned.pop(key, None)
            self._learned[key] = label, row
            same = [
                each
                for each, (old, _) in self._learned.items()
                if old.tool == label.tool
            ]
            for each in same[: max(0, len(same) - most)]:
                del self._learned[each]
            self._pending += 1
        return before is not None and before[0].tool != label.tool

    def lesson(self) -> Lesson | None:
        """Return what was learned so far, and begin to count anew."""
        with self._lock:
            self._pending = 0
        return self.learned()

    def learned(self, tools: Collection[str] | None = None) -> Lesson | None:
        """Return what was learned so far, or the part that is about some tools."""
        with self._lock:
            learned = [
                each
                for each in self._learned.values()
                if tools is None or each[0].tool is None or each[0].tool in tools
            ]
        if not learned:
            return None
        return Lesson(
            tuple(label for label, _ in learned), np.stack([row for _, row in learned])
        )

    @property
    def due(self) -> bool:
        """Whether enough was learned to fit again."""
        return self._pending >= LEARN_EVERY

    def decisions(self) -> dict[str, RouteDecision]:
        """Return the decisions by normalized query, the latest used last."""
        with self._lock:
            return dict(self._decisions)

    def corrections(self, tools: Collection[str]) -> dict[str, RouteDecision]:
        """Return what feedback said, of some tools or of none."""
        return {
            query: decision
            for query, decision in self.decisions().items()
            if decision.decided_by == "cache"
            and (decision.tool is None or decision.tool in tools)
        }

    def restore(
        self, decisions: dict[str, RouteDecision], lesson: Lesson | None
    ) -> None:
        """Take over what another memory kept."""
        with self._lock:
            self._decisions = OrderedDict(decisions)
            rows = (
                () if lesson is None else zip(lesson.labels, lesson.rows, strict=True)
            )
            self._learned = OrderedDict(
                (normal(label.query), (label, row)) for label, row in rows
            )

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {
                "_decisions": OrderedDict(self._decisions),
                "_learned": OrderedDict(self._learned),
                "_pending": self._pending,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
