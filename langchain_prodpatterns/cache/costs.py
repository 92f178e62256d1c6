"""When a verdict is worth its price: what it costs beside the answer it may save."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.forking import guard
from langchain_prodpatterns.usage import Usage

logger = logging.getLogger(__name__)

Cost: TypeAlias = tuple[float, float] | Callable[[Usage], float | None]
"""What an answer and a verdict cost, in one unit; or what some usage costs."""

NEEDED_UNPRICED = 0.33
"""The chance of a yes from which the judge is asked where nothing is known of costs.

As if an answer cost three verdicts. A small judge beside a large model costs far less,
and asking it more often finds more hits: give `cost`, or a price table.
"""

_LEAST_NEEDED = 0.02
"""Not even a judge that costs nothing is asked about what is hardly ever accepted: it
takes its time."""
_REMEMBERED = 100.0


def price_in_usd(usage: Usage) -> float | None:
    """Return what calls cost, where there were any and their price is known."""
    return usage.usd if usage.calls else None


class Costs:
    """Weighs an answer's cost against the average of the verdicts so far.

    Safe to use from many threads.
    """

    def __init__(self, cost: Cost | None) -> None:
        """Weigh by prices, or by a user's own costs.

        Args:
            cost: As for `SemanticJudgeCache`.

        Raises:
            ConfigurationError: When it is neither two costs nor a function.
        """
        self._fixed = _ratio(cost) if isinstance(cost, tuple) else None
        self._price = cost if callable(cost) else price_in_usd
        if not (cost is None or callable(cost) or isinstance(cost, tuple)):
            raise _no_cost(cost)
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._told = False
        self._verdict: float | None = None
        self._verdicts = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {name: v for name, v in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()
        guard(self, "_lock")

    def note_verdict(self, usage: Usage) -> None:
        """Take note of what a verdict used; where its price is unknown, of nothing."""
        price = self._priced(usage)
        if price is None:
            return
        with self._lock:
            # The last hundred or so count: judges and their prices change.
            self._verdicts = min(self._verdicts + 1, _REMEMBERED)
            last = price if self._verdict is None else self._verdict
            self._verdict = last + (price - last) / self._verdicts

    def needed(self, answer: Usage | None) -> float | None:
        """Return the chance of a yes from which it pays to ask the judge.

        Args:
            answer: What the stored answer had cost; `None` for no answer in particular.

        Returns:
            The chance; above 1 where it never pays, `None` where costs are unknown.
        """
        if self._fixed is not None:
            return max(self._fixed, _LEAST_NEEDED)
        verdict = self._verdict
        price = None if answer is None else self._priced(answer)
        if answer is None or price is None or verdict is None:
            return None
        if price <= 0:
            return self._needed_for_nothing(answer, verdict)
        return max(verdict / price, _LEAST_NEEDED)

    def _needed_for_nothing(self, answer: Usage, verdict: float) -> float | None:
        """Return the chance for an answer of no price.

        No answer takes no time: where no time is noted, as with an answer that was
        stored ahead, a user's own function may have priced what it did not know.
        """
        if self._price is not price_in_usd and answer.seconds <= 0:
            return None
        # There is nothing to save.
        return 2.0 if verdict > 0 else _LEAST_NEEDED

    def _priced(self, usage: Usage) -> float | None:
        """Return a price; a function that gives none must not fail the lookup."""
        wrong = ""
        try:
            price = self._price(usage)
        except Exception as error:  # noqa: BLE001 - of the user's function, anything
            price, wrong = None, f"raised {type(error).__name__}"
        if price is not None and not (is_number(price) and price >= 0):
            price, wrong = None, f"gave {price!r}, which is no number from 0 on"
        if wrong and not self._told:
            self._told = True
            logger.warning("cost %s: taken for unknown (told once)", wrong)
        return price


def _ratio(cost: tuple[Any, ...]) -> float:
    match cost:
        case (answer, verdict) if is_number(answer) and is_number(verdict):
            if answer > 0 and verdict >= 0:
                return float(verdict / answer)
    raise _no_cost(cost)


def _no_cost(cost: object) -> ConfigurationError:
    msg = (
        "cost must be (what an answer costs, what a verdict costs) in one unit, a "
        f"function from a `Usage` to a number, or None, got {cost!r}"
    )
    return ConfigurationError(msg)
