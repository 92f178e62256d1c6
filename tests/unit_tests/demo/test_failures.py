from typing import Any

import openai

from langchain_prodpatterns.demo.failures import (
    ProviderTrouble,
    describe,
    grouped,
    is_undecided,
    unjudged,
)
from langchain_prodpatterns.errors import GuardBlocked, StructuredOutputError
from langchain_prodpatterns.ledger import LedgerRecord
from langchain_prodpatterns.structured.attempts import Attempt, AttemptKind


class RefusedError(Exception):
    status_code = 401


def _failed(*kinds: AttemptKind) -> StructuredOutputError:
    attempts = [Attempt(0, "small", None, kind) for kind in kinds]
    return StructuredOutputError("no valid answer", attempts=attempts)


def test_an_error_is_named_without_its_text() -> None:
    assert describe(openai.OpenAIError("sk-secret")) == "OpenAIError"
    assert describe(RefusedError("sk-secret")) == "HTTP 401 (RefusedError)"


def test_reasons_are_grouped_with_the_most_frequent_first() -> None:
    assert grouped(["a", "b", "b"]) == "2 x b, a"


def test_a_pattern_is_undecided_only_where_no_model_answered() -> None:
    assert is_undecided(GuardBlocked("error", direction="input"))
    assert not is_undecided(GuardBlocked("injection", direction="input"))
    assert is_undecided(_failed("provider", "provider"))
    assert not is_undecided(_failed("provider", "schema"))


def test_an_error_is_noted_once() -> None:
    trouble, error = ProviderTrouble(), RefusedError()

    trouble.on_llm_error(error)
    trouble.note(error)

    assert trouble.reasons() == ("HTTP 401 (RefusedError)",)
    assert trouble.refused
    assert not ProviderTrouble().refused


def test_only_a_guards_judges_without_a_verdict_count() -> None:
    def record(pattern: str, reason: str) -> LedgerRecord:
        known: dict[str, Any] = dict.fromkeys(
            LedgerRecord.__dataclass_fields__.keys() - {"pattern", "reason"}, 0
        )
        return LedgerRecord(pattern=pattern, reason=reason, **known)

    records = [
        record("guard", "dropped 3 of 9 documents; failed: judge (quote), judge (new)"),
        record("guard", "redacted 1 email; failed: detector email (ValueError)"),
        record("cache", "judge (timeout)"),
        record("guard", "failed: judge (timeout)"),
    ]

    assert unjudged(records) == (
        "answer with a wrong quote",
        "new",
        "no answer in time",
    )
