"""Every error this package raises on its own account.

```
ProdPatternsError
├── ConfigurationError (ValueError)       a constructor argument that cannot work
├── MissingExtraError (ImportError)       an optional dependency is not installed
├── BudgetSpent                           a `Budget` refuses the next call
├── JudgeError                            a judge gave no usable verdict
├── GuardBlocked                          a guard's policy blocked a text
├── StoreError                            a cache's store cannot be opened
│   └── StoreUnavailable                  it is away for now, and nothing was lost
└── StructuredOutputError (OutputParserException)
    ├── BudgetExceeded                    calls, tokens, usd or seconds ran out first
    ├── OutputTruncated                   the last word was an incomplete answer
    └── ModelRefused                      every model asked refused
```

No message here holds a private value, a model's raw text or a user's input: those
are kept in fields, which loggers do not print.
"""

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException

__all__ = [
    "BudgetExceeded",
    "BudgetSpent",
    "ConfigurationError",
    "GuardBlocked",
    "JudgeError",
    "JudgeFailureKind",
    "MissingExtraError",
    "ModelRefused",
    "OutputTruncated",
    "ProdPatternsError",
    "StoreError",
    "StoreUnavailable",
    "StructuredOutputError",
]

JudgeFailureKind = Literal["timeout", "unparseable", "nonce", "quote", "provider"]
"""Why a judge gave no verdict."""


class ProdPatternsError(Exception):
    """Base of every error this package raises on its own account."""


class ConfigurationError(ProdPatternsError, ValueError):
    """Raised when a component is constructed with arguments that cannot work."""


class MissingExtraError(ProdPatternsError, ImportError):
    """Raised when a feature is used whose optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        """Name the feature and the extra that brings it.

        Args:
            feature: What the user asked for, as the subject of a sentence.
            extra: The name of the extra in this package's metadata.
        """
        self.feature = feature
        self.extra = extra
        super().__init__(
            f"{feature} needs the extra '{extra}': "
            f'pip install "langchain-prodpatterns[{extra}]"'
        )

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class BudgetSpent(ProdPatternsError):
    """Raised by `BudgetMeter` instead of admitting a call that is over the limit."""

    def __init__(self, limit: str, detail: str) -> None:
        """Name the limit that is reached.

        Args:
            limit: `attempts`, `calls`, `tokens`, `usd` or `seconds`.
            detail: What was used of what was allowed, in words.
        """
        self.limit = limit
        self.detail = detail
        super().__init__(f"budget spent: {detail}")

    def __reduce__(self) -> tuple[type["BudgetSpent"], tuple[str, str]]:
        return type(self), (self.limit, self.detail)


class JudgeError(ProdPatternsError):
    """Raised by a `Judge` whose fail policy is to raise."""

    def __init__(self, kind: JudgeFailureKind, detail: str) -> None:
        """Say how the judge failed.

        Args:
            kind: The kind of failure.
            detail: What happened, without any judged text.
        """
        self.kind: JudgeFailureKind = kind
        self.detail = detail
        super().__init__(f"no verdict ({kind}): {detail}")

    def __reduce__(self) -> tuple[type["JudgeError"], tuple[JudgeFailureKind, str]]:
        return type(self), (self.kind, self.detail)


class GuardBlocked(ProdPatternsError):
    """Raised when a guard's policy blocks a text.

    It names the rule and where it matched, never what it matched.
    """

    def __init__(
        self,
        rule: str,
        *,
        direction: str,
        reason: str = "",
        offsets: Sequence[tuple[int, int]] = (),
        digests: Sequence[str] = (),
    ) -> None:
        """Describe the block without the value.

        Args:
            rule: The rule that blocked, such as `credit_card` or `injection`.
            direction: `input`, `output`, `document` or `tool`.
            reason: What the rule is about, in words.
            offsets: `(start, end)` of each match in the guarded text, in characters.
            digests: A keyed digest of each match, to correlate records.
        """
        self.rule = rule
        self.direction = direction
        self.reason = reason
        self.offsets: tuple[tuple[int, int], ...] = tuple(offsets)
        self.digests: tuple[str, ...] = tuple(digests)
        where = f" at {list(self.offsets)}" if self.offsets else ""
        why = f": {reason}" if reason else ""
        super().__init__(f"blocked by rule '{rule}' on {direction}{where}{why}")

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "direction": self.direction,
            "reason": self.reason,
            "offsets": self.offsets,
            "digests": self.digests,
        }
        return _rebuild, (type(self), (self.rule,), state)


class StoreError(ProdPatternsError):
    """Raised when a cache's store cannot be opened; the message says what to do."""


class StoreUnavailable(StoreError):
    """Raised by a store that is away for now: it is asked again after a while."""


class StructuredOutputError(ProdPatternsError, OutputParserException):
    """Raised when no attempt gave an answer that fits the response model.

    The message is a capped summary. The raw text of the models is only in
    `llm_output` and in `attempts`.
    """

    attempts: tuple[Any, ...]
    """Every `Attempt` that was made, in order."""

    def __init__(
        self, message: str, *, attempts: Sequence[Any] = (), llm_output: str = ""
    ) -> None:
        """Hold the whole story of the failure.

        Args:
            message: A summary without model text or input values.
            attempts: Every attempt, in order.
            llm_output: The raw text of the last attempt that had one.
        """
        OutputParserException.__init__(self, message, llm_output=llm_output)
        self.attempts = tuple(attempts)
        # core appends a troubleshooting link to the message; ours says what to do.
        self.args: tuple[Any, ...] = (message,)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"attempts": self.attempts, "llm_output": self.llm_output}
        return _rebuild, (type(self), self.args, state)


class BudgetExceeded(StructuredOutputError):
    """Raised when calls, tokens, usd or seconds ran out before a valid answer.

    Attempts that run out are the normal end of a ladder: what is raised then tells what
    the models answered.
    """


class OutputTruncated(StructuredOutputError):
    """Raised when the last word was an answer that is cut off or leaves things out."""


class ModelRefused(StructuredOutputError):
    """Raised when every model that was asked refused to answer."""


def _rebuild(
    kind: type[ProdPatternsError], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ProdPatternsError:
    """Unpickle an error whose constructor takes keyword arguments."""
    return kind(*args, **kwargs)
