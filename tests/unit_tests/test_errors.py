"""The errors: one tree, they survive pickling, and no message holds a private value."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException

from langchain_prodpatterns import errors
from langchain_prodpatterns.errors import (
    BudgetExceeded,
    BudgetSpent,
    ConfigurationError,
    GuardBlocked,
    JudgeError,
    MissingExtraError,
    ModelRefused,
    OutputTruncated,
    ProdPatternsError,
    StoreError,
    StoreUnavailable,
    StructuredOutputError,
)

CARD = "4111 1111 1111 1111"

EXAMPLES: list[ProdPatternsError] = [
    ProdPatternsError("what happened"),
    ConfigurationError("top_k must be at least 1, got 0"),
    MissingExtraError("PostgresStore", "postgres"),
    BudgetSpent("calls", "3 of 3 calls"),
    JudgeError("timeout", "no verdict within 5 seconds"),
    GuardBlocked(
        "credit_card",
        direction="input",
        reason="a card number",
        offsets=[(3, 22)],
        digests=["9f86d081"],
    ),
    GuardBlocked("injection", direction="document"),
    StoreError("cannot open the store: give another path"),
    StoreUnavailable("not asked: it was away a moment ago"),
    *(
        kind(
            "no valid answer", attempts=["first", "second"], llm_output=f"it is {CARD}"
        )
        for kind in (
            StructuredOutputError,
            BudgetExceeded,
            OutputTruncated,
            ModelRefused,
        )
    ),
]


def _descendants(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _pickled(error: ProdPatternsError) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes


def test_every_error_has_an_example_here() -> None:
    ours = {
        kind
        for kind in _descendants(ProdPatternsError)
        if kind.__module__ == errors.__name__
    }

    assert ours < {type(error) for error in EXAMPLES}


def test_the_tree_in_the_docstring_names_every_error() -> None:
    for kind in {type(error) for error in EXAMPLES}:
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize("clone", [_pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_copies_hold_everything(
    error: ProdPatternsError, clone: Callable[[ProdPatternsError], Any]
) -> None:
    copied = clone(error)

    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_one_except_clause_catches_all(error: ProdPatternsError) -> None:
    with pytest.raises(ProdPatternsError):
        raise error


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConfigurationError, ValueError),
        (MissingExtraError, ImportError),
        (StructuredOutputError, OutputParserException),
        (BudgetExceeded, StructuredOutputError),
        (OutputTruncated, StructuredOutputError),
        (ModelRefused, StructuredOutputError),
    ],
)
def test_errors_are_what_callers_already_catch(
    kind: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


def test_a_missing_extra_says_what_to_install() -> None:
    message = str(MissingExtraError("PostgresStore", "postgres"))

    assert message == (
        "PostgresStore needs the extra 'postgres': "
        'pip install "langchain-prodpatterns[postgres]"'
    )


def test_a_spent_budget_names_its_limit() -> None:
    error = BudgetSpent("usd", "0.02 of 0.01 usd")

    assert (error.limit, str(error)) == ("usd", "budget spent: 0.02 of 0.01 usd")


def test_a_failed_judge_names_the_kind() -> None:
    error = JudgeError("nonce", "the reply does not echo the nonce")

    assert error.kind == "nonce"
    assert str(error) == "no verdict (nonce): the reply does not echo the nonce"


def test_a_block_says_which_rule_and_where() -> None:
    error = GuardBlocked(
        "credit_card", direction="input", reason="a card number", offsets=[(3, 22)]
    )

    assert str(error) == (
        "blocked by rule 'credit_card' on input at [(3, 22)]: a card number"
    )
    assert str(GuardBlocked("email", direction="output")) == (
        "blocked by rule 'email' on output"
    )


def test_a_block_keeps_digests_out_of_its_message() -> None:
    error = GuardBlocked("email", direction="input", digests=["9f86d081"])

    assert error.digests == ("9f86d081",)
    assert "9f86d081" not in str(error)
    assert "9f86d081" not in repr(error)


@pytest.mark.parametrize(
    "kind", [StructuredOutputError, BudgetExceeded, OutputTruncated, ModelRefused]
)
def test_the_models_text_is_in_fields_only(kind: type[StructuredOutputError]) -> None:
    error = kind("no valid answer", attempts=[CARD], llm_output=CARD)

    assert (error.attempts, error.llm_output) == ((CARD,), CARD)
    for shown in (str(error), repr(error), str(error.args)):
        assert CARD not in shown
        assert "no valid answer" in shown


def test_the_message_has_no_link_of_langchains() -> None:
    assert str(StructuredOutputError("no valid answer")) == "no valid answer"


def test_sequences_that_are_given_are_not_shared() -> None:
    attempts, offsets = ["first"], [(0, 1)]
    structured = StructuredOutputError("x", attempts=attempts)
    blocked = GuardBlocked("email", direction="input", offsets=offsets)

    attempts.append("later")
    offsets.append((2, 3))

    assert structured.attempts == ("first",)
    assert blocked.offsets == ((0, 1),)
