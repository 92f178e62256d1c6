"""What model calls used: calls, tokens, money and time, that add up."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from langchain_prodpatterns.pricing import PriceTable, price_of

PATTERN_KEY = "prodpatterns.pattern"
"""Metadata key: the pattern on whose behalf a run happens."""

RUN_KEY = "prodpatterns.run"
"""Metadata key: the id of that pattern's own run."""

AROUND_KEY = "prodpatterns.around"
"""Metadata key: the id of the pattern run that waits for this run. It differs from
`RUN_KEY` below a runnable that a pattern only wraps."""

CACHE_KEY = "prodpatterns.cache"
"""`response_metadata` key of a message that `SemanticJudgeCache` served."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, tokens, money and time, that add up."""

    calls: int = 0
    """Calls that the provider answered."""
    input_tokens: int = 0
    """Tokens of the prompts."""
    output_tokens: int = 0
    """Tokens of the answers."""
    usd: float | None = 0.0
    """Money, or `None` when a part of it has no known price."""
    seconds: float = 0.0
    """Seconds spent waiting for models."""
    unmetered_calls: int = 0
    """Calls whose provider sent no usage, or that broke off in the middle of an answer:
    their tokens are in no sum."""
    cache_read_tokens: int = 0
    """Of the tokens of the prompts: those that the provider had in its own cache."""
    cache_write_tokens: int = 0
    """Of the tokens of the prompts: those that the provider wrote to its own cache."""

    @property
    def total_tokens(self) -> int:
        """Tokens of prompts and answers together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        known = self.usd is not None and other.usd is not None
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=(self.usd or 0.0) + (other.usd or 0.0) if known else None,
            seconds=self.seconds + other.seconds,
            unmetered_calls=self.unmetered_calls + other.unmetered_calls,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


NO_USAGE = Usage()
"""Nothing used: zero calls, zero tokens, zero usd."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One finished call of a language model."""

    run_id: UUID
    """The id of the model's run."""
    pattern: str | None
    """The pattern on whose behalf it was made."""
    owner: str | None
    """The id of that pattern's own run."""
    model: str | None
    """The name the provider answered with, else the name that was asked for."""
    usage: Usage
    """What it used. Of a cache hit: nothing."""
    saved: Usage | None = None
    """Of a cache hit: what the stored answer had used, as far as it is recorded."""
    served: dict[str, Any] | None = None
    """Of a hit in `SemanticJudgeCache`: what the cache said of it."""
    error: str | None = None
    """Of a failed call: the type of the error."""
    around: str | None = None
    """The id of the pattern run that waited for it, also where it is not the owner."""
    name: str = ""
    """The name of the model's run, such as `cache:judge`."""
    prompt: str = ""
    """A keyed digest of what was asked: equal ones are the same prompt, and no text can
    be found by it. Empty where nobody wanted to know."""
    at: float = 0.0
    """When it ended, in seconds since the epoch."""


def priced(call: ModelCall, prices: PriceTable | None) -> ModelCall:
    """Return a call at the prices of another table.

    Args:
        call: The call.
        prices: Model name to (input, output) usd per million tokens.

    Returns:
        A copy in which only the money differs.
    """

    def price(used: Usage) -> Usage:
        if not used.calls or used.unmetered_calls:
            return used
        usd = price_of(
            call.model,
            used.input_tokens,
            used.output_tokens,
            prices,
            cache_read_tokens=used.cache_read_tokens,
            cache_write_tokens=used.cache_write_tokens,
        )
        return replace(used, usd=usd)

    saved = None if call.saved is None else price(call.saved)
    return replace(call, usage=price(call.usage), saved=saved)
