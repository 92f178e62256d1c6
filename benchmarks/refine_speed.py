"""What a round of `RefineChain` costs beyond the calls it makes."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.refine import Criteria, CriteriaRequest, RefineChain

CRITERIA = 6


def longer(request: Any) -> str:
    """Revise a text."""
    return f"{request.draft}!"


def marks(request: Any) -> dict[str, list[int]]:
    """Mark one step higher a character, over criteria that have four steps each."""
    steps = len(request.draft)
    return {"marks": [1 + min(4, max(0, steps - 4 * n)) for n in range(CRITERIA)]}


def overhead_ms(repeats: int) -> tuple[int, float]:
    """Time a round beyond its own calls: a revision, a check and a judged criterion.

    Args:
        repeats: How many runs to time.

    Returns:
        The rounds of a run, each of them accepted, and the milliseconds a round.
    """
    reviser: RunnableLambda[Any, str] = RunnableLambda(longer)
    check: RunnableLambda[str, bool] = RunnableLambda(bool)
    judge: RunnableLambda[Any, dict[str, list[int]]] = RunnableLambda(marks)
    texts = [f"criterion {n}" for n in range(CRITERIA)]
    chain = RefineChain(
        reviser=reviser,
        critics=[check, Criteria(*texts, judge=judge, timeout=None)],
        accept="verifier>score",
        max_rounds=99,
        include_rounds=True,
    )
    rounds = len(chain.invoke("x").rounds)
    request = CriteriaRequest(task="", draft="x")

    def bare() -> None:
        for _ in range(rounds):
            reviser.invoke(request)
            check.invoke("x")
            judge.invoke(request)

    extra = [seconds(lambda: chain.invoke("x")) - seconds(bare) for _ in range(repeats)]
    return rounds, statistics.median(extra) / rounds * 1000


def seconds(work: Callable[[], Any]) -> float:
    """Time a piece of work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
