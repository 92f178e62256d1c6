"""What a model call costs, from a plain table or from genai-prices.

A price that is not known is `None`, never zero: a sum with an unknown part is
unknown too.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec

from langchain_prodpatterns.errors import ConfigurationError

PriceTable = Mapping[str, tuple[float, float]]
"""Model name to (input, output) price in usd per million tokens."""

ambient_prices: ContextVar[PriceTable | None] = ContextVar(
    "prodpatterns_prices", default=None
)
"""The table of the `track()` block around, for probes that have none of their own."""

_PER_MILLION = 1_000_000


def price_of(
    model: str | None,
    input_tokens: int,
    output_tokens: int,
    prices: PriceTable | None = None,
) -> float | None:
    """Return what a call cost in usd, or `None` where no price is known.

    The table wins over genai-prices. A name in the table also covers its dated
    versions: `gpt-4o-mini` prices `gpt-4o-mini-2024-07-18`, not `gpt-4o-mini-tts`.

    Args:
        model: The name the provider answered with.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, reasoning included.
        prices: The user's own table.

    Returns:
        The price in usd, or `None`.
    """
    if not model:
        return None
    row = _row(model, prices or {})
    if row is None:
        return _genai_price(model, input_tokens, output_tokens)
    return (input_tokens * row[0] + output_tokens * row[1]) / _PER_MILLION


def check_prices(prices: PriceTable | None) -> None:
    """Refuse a table that could not price a call.

    Args:
        prices: The user's own table.

    Raises:
        ConfigurationError: When a row is not two numbers of usd, at least 0.
    """
    if not isinstance(prices, Mapping | None):
        msg = (
            "prices must map model names to (input, output) in usd per million tokens, "
            f"got {type(prices).__name__}"
        )
        raise ConfigurationError(msg)
    for model, row in (prices or {}).items():
        try:
            price_in, price_out = row
            fine = price_in >= 0 and price_out >= 0
        except (TypeError, ValueError):
            fine = False
        if not fine:
            msg = (
                f"prices[{model!r}] must be (input, output) in usd per million tokens, "
                f"got {row!r}"
            )
            raise ConfigurationError(msg)


def _row(model: str, prices: PriceTable) -> tuple[float, float] | None:
    """Find the row of a model or of the model it is a dated version of."""
    if model in prices:
        return prices[model]
    dated = [
        name
        for name in prices
        if model.startswith(f"{name}-") and model[len(name) + 1 :][:1].isdigit()
    ]
    return prices[max(dated, key=len)] if dated else None


@lru_cache(maxsize=1)
def _has_genai_prices() -> bool:
    return find_spec("genai_prices") is not None


def _genai_price(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """Ask the optional price library; an unknown model has no price."""
    if not _has_genai_prices():
        return None
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return float(calc_price(usage, model_ref=model).total_price)
    except LookupError:
        return None
