"""What the ledger is told of a walk."""

import pytest

from langchain_prodpatterns.structured.attempts import Attempt, AttemptKind
from langchain_prodpatterns.structured.endings import Walked, decision, facts


def walked(*kinds: AttemptKind, rung: int | None = 1) -> Walked:
    return Walked(tuple(Attempt(rung, None, None, kind) for kind in kinds))


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (walked("ok"), ("valid first", "rung 1 answered at attempt 1")),
        (
            walked("ok", rung=None),
            ("valid first", "the given completion answered at attempt 1"),
        ),
        (
            walked("schema", "ok"),
            ("valid after retry", "rung 1 answered at attempt 2"),
        ),
        (
            walked("schema", "refused"),
            ("failed", "none of 2 attempts was valid (schema, refused)"),
        ),
        (walked(), ("failed", "none of 0 attempts was valid (none made)")),
    ],
)
def test_the_decision_and_why(ending: Walked, expected: tuple[str, str]) -> None:
    assert decision(ending) == expected


def test_the_facts() -> None:
    assert facts(walked("schema", "ok")) == {
        "rung": 1,
        "attempts": 2,
        "counts": {"rung 1": 2},
    }
    assert facts(walked()) == {"rung": None, "attempts": 0, "counts": {}}


def test_attempts_are_counted_by_rung() -> None:
    attempts = (*walked("schema", rung=None).attempts, *walked("schema", "ok").attempts)

    assert facts(Walked(attempts))["counts"] == {"given": 1, "rung 1": 2}
