"""A provider that fails in the middle of the work, in one clear line."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError

from langchain_prodpatterns.errors import GuardBlocked, StructuredOutputError
from langchain_prodpatterns.ledger import LedgerRecord

_REFUSED = 401

# As a guard's record counts them, one for each text that was not judged.
_JUDGE_FAILURE = re.compile(r"\bjudge \((\w+)\)")
_IN_WORDS = {
    "unparseable": "unparseable answer",
    "nonce": "answer without its nonce",
    "quote": "answer with a wrong quote",
    "timeout": "no answer in time",
    "provider": "failed call",
}


class ProviderTrouble(BaseCallbackHandler):
    """Notes every model call that failed.

    Patterns deal with failed calls: a judge that fails is a no, and a ladder climbs.
    What the provider said is only heard here.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        """What was raised, in order."""

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Note the error of a call."""
        self.note(error)

    def note(self, error: BaseException) -> None:
        """Note an error, once however often it is heard of."""
        if error not in self.errors:
            self.errors.append(error)

    @property
    def refused(self) -> bool:
        """Whether the provider refused the key."""
        return any(getattr(e, "status_code", None) == _REFUSED for e in self.errors)

    def reasons(self) -> tuple[str, ...]:
        """Describe each error."""
        return tuple(map(describe, self.errors))


def provider_errors() -> tuple[type[Exception], ...]:
    """Return what clients of a provider raise; embeddings raise openai's own."""
    import openai

    return ModelError, openai.OpenAIError


def describe(error: BaseException) -> str:
    """Name an error without its text, which may repeat a part of the key."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    return kind if status is None else f"HTTP {status} ({kind})"


def grouped(reasons: Iterable[str]) -> str:
    """List reasons, the most frequent first: `32 x HTTP 429 (RateLimitError)`."""
    counted = Counter(reasons).most_common()
    return ", ".join(
        reason if count == 1 else f"{count} x {reason}" for reason, count in counted
    )


def unjudged(records: Iterable[LedgerRecord]) -> tuple[str, ...]:
    """Say of each text that a guard's judge gave no verdict on what came instead.

    Args:
        records: What the guard reported.
    """
    return tuple(
        _IN_WORDS.get(kind, kind)
        for record in records
        if record.pattern == "guard"
        for kind in _JUDGE_FAILURE.findall(record.reason)
    )


def is_undecided(error: GuardBlocked | StructuredOutputError) -> bool:
    """Whether a pattern gave up for want of an answer, not because of what it saw.

    Args:
        error: What a pattern raised.
    """
    if isinstance(error, GuardBlocked):
        return error.rule == "error"
    return {attempt.kind for attempt in error.attempts} == {"provider"}
