"""One error tells the whole story, and leaks nothing."""

import pickle
from typing import Any

import pytest

from langchain_prodpatterns.errors import (
    BudgetExceeded,
    BudgetSpent,
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.structured.attempts import Attempt, AttemptKind, FieldError
from langchain_prodpatterns.structured.failures import MAX_MESSAGE, failure

ERROR = FieldError(
    "secret.path", "secret message", '"secret value"', "count: too small"
)


def attempt(
    kind: AttemptKind, rung: int | None = 0, text: str = "secret text"
) -> Attempt:
    return Attempt(rung, "small", 0.5, kind, errors=(ERROR,), text=text)


@pytest.mark.parametrize(
    ("kinds", "cause", "expected"),
    [
        (["schema", "syntax"], None, StructuredOutputError),
        (["schema"], BudgetSpent("attempts", "1 of 1"), StructuredOutputError),
        (["schema"], BudgetSpent("tokens", "9 of 9"), BudgetExceeded),
        (["truncated"], BudgetSpent("seconds", "9 of 9"), BudgetExceeded),
        ([], BudgetSpent("seconds", "9 of 9"), BudgetExceeded),
        (["schema", "truncated"], None, OutputTruncated),
        (["truncated"], BudgetSpent("attempts", "1 of 1"), OutputTruncated),
        (["truncated", "schema"], None, StructuredOutputError),
        (["refused", "refused"], None, ModelRefused),
        (["schema", "refused"], None, StructuredOutputError),
        (["provider"], ValueError("x"), StructuredOutputError),
    ],
)
def test_the_kind_of_the_error(
    kinds: list[AttemptKind], cause: Exception | None, expected: type[Exception]
) -> None:
    assert type(failure("Ticket", [attempt(kind) for kind in kinds], cause)) is expected


def test_the_message_tells_the_story_without_any_text_of_the_model() -> None:
    error = failure("Ticket", [attempt("syntax", None), attempt("schema", 1)])

    assert str(error) == (
        "no valid Ticket after 2 attempts\n"
        "1. given, syntax: count: too small\n"
        "2. rung 1, schema: count: too small"
    )
    assert "secret" not in repr(error)
    assert "secret" not in repr(error.attempts)


def test_the_limit_that_ended_it_is_named() -> None:
    error = failure("Ticket", [attempt("schema")], BudgetSpent("usd", "$1 of $1 spent"))

    assert "no valid Ticket after 1 attempt (budget spent: $1 of $1 spent)" in str(
        error
    )


def test_many_errors_are_counted() -> None:
    many = Attempt(0, None, None, "schema", errors=(ERROR,) * 7)

    assert "4 more" in str(failure("Ticket", [many]))


def test_the_message_is_capped() -> None:
    assert len(str(failure("Ticket", [attempt("schema")] * 200))) == MAX_MESSAGE


def test_the_raw_text_is_that_of_the_last_attempt_that_has_one() -> None:
    attempts = [attempt("schema", text="first"), attempt("schema", text="last")]

    assert failure("T", [*attempts, attempt("provider", text="")]).llm_output == "last"
    assert failure("T", []).llm_output == ""


@pytest.mark.parametrize("kind", ["schema", "truncated", "refused"])
def test_errors_pickle(kind: Any) -> None:
    error = failure("Ticket", [attempt(kind)])

    clone = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(clone) is type(error)
    assert (str(clone), clone.attempts, clone.llm_output) == (
        str(error),
        error.attempts,
        "secret text",
    )
