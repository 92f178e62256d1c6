"""What is logged holds no text that the developer's redaction takes out."""

from typing import Any

import pytest

from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.structured.attempts import Attempt, FieldError
from langchain_prodpatterns.structured.redacting import (
    check_redact,
    loggable_cause,
    redacted,
)

ERROR = FieldError(
    "people.ann", "ann is no name", '"ann"', "people.*: refused", ("people", "ann")
)
ATTEMPT = Attempt(0, "small", 0.5, "schema", errors=(ERROR,), text="ann and bob")


def without_ann(text: str) -> str:
    return text.replace("ann", "[name]")


def test_every_text_is_redacted_and_nothing_else() -> None:
    (attempt,) = redacted([ATTEMPT], without_ann)

    (error,) = attempt.errors
    assert attempt.text == "[name] and bob"
    assert (error.path, error.message) == ("people.[name]", "[name] is no name")
    assert (error.value, error.safe, error.loc) == ('"[name]"', ERROR.safe, ())
    assert (attempt.rung, attempt.model, attempt.kind) == (0, "small", "schema")
    assert ATTEMPT.text == "ann and bob"


def test_without_a_redaction_nothing_changes() -> None:
    assert redacted([ATTEMPT], None) == (ATTEMPT,)


def test_a_redaction_that_fails_shows_nothing() -> None:
    def careless(text: str) -> str:
        raise LookupError(text)

    (attempt,) = redacted([ATTEMPT], careless)
    assert attempt.text == "[not shown: redact raised LookupError]"
    (attempt,) = redacted([ATTEMPT], len)  # type: ignore[arg-type]  # the mistake
    assert attempt.text == "[not shown: redact returned int]"
    assert "ann" not in str(attempt.errors[0].value)


def test_an_empty_text_stays_empty() -> None:
    (attempt,) = redacted([Attempt(0, None, None, "provider")], lambda text: "[gone]")

    assert attempt.text == ""


def test_only_a_spent_budget_is_a_cause_that_may_be_logged() -> None:
    provider = ValueError("the prompt was: ann")
    spent = BudgetSpent("calls", "2 of 2 calls made")
    spent.__cause__ = provider

    assert loggable_cause(provider, None) is provider
    assert loggable_cause(None, without_ann) is None
    assert loggable_cause(provider, without_ann) is None
    assert loggable_cause(spent, without_ann) is spent
    assert spent.__cause__ is None


@pytest.mark.parametrize("redact", ["*", 7, True])
def test_what_is_no_function_is_refused(redact: Any) -> None:
    with pytest.raises(ConfigurationError, match="redact must be a function"):
        check_redact(redact)


def test_an_async_redaction_is_refused() -> None:
    async def redact(text: str) -> str:
        return text

    with pytest.raises(ConfigurationError, match="not async"):
        check_redact(redact)


def test_a_redaction_takes_a_text_and_nothing_else() -> None:
    with pytest.raises(ConfigurationError, match="redact is called with one argument"):
        check_redact(lambda text, secrets: (text, secrets))
