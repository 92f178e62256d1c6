"""How a walk up the ladder ended, and what the ledger is told of it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from langchain_prodpatterns.structured.attempts import Attempt


@dataclass(frozen=True, slots=True)
class Walked:
    """How the walk ended."""

    attempts: tuple[Attempt, ...]
    """Every attempt, in order."""
    value: Any = None
    """The valid value, where the last attempt is `ok`."""
    cause: BaseException | None = None
    """The error that ended it, if it was one."""

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt is valid."""
        return bool(self.attempts) and self.attempts[-1].kind == "ok"


def decision(walked: Walked) -> tuple[str, str]:
    """Return what the ledger is told: the decision, and why."""
    count = len(walked.attempts)
    if not walked.succeeded:
        kinds = ", ".join(attempt.kind for attempt in walked.attempts)
        return "failed", f"none of {count} attempts was valid ({kinds or 'none made'})"
    rung = walked.attempts[-1].rung
    who = "the given completion" if rung is None else f"rung {rung}"
    decision = "valid first" if count == 1 else "valid after retry"
    return decision, f"{who} answered at attempt {count}"


def facts(walked: Walked) -> dict[str, Any]:
    """Return what the metadata of the run is told besides."""
    rungs = [attempt.rung for attempt in walked.attempts]
    names = ["given" if rung is None else f"rung {rung}" for rung in rungs]
    return {
        "rung": rungs[-1] if rungs else None,
        "attempts": len(rungs),
        "counts": dict(Counter(names)),
    }
