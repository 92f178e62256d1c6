"""What a model call costs, from a plain table or from genai-prices.

A price that is not known is `None`, never zero: a sum with an unknown part is
unknown too.
"""

import math
import re
from collections.abc import Mapping
from contextvars import ContextVar
from decimal import Decimal
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
_COLUMNS = 2
# `-2024-07-18`, `-20240718`, `@20240718`, `-0613`, `-2407`.
_DATE = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4})")


def price_of(
    model: str | None,
    input_tokens: int,
    output_tokens: int,
    prices: PriceTable | None = None,
    *,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> float | None:
    """Return what a call cost in usd, or `None` where no price is known.

    The table wins over genai-prices. A name in the table also covers its dated
    versions: `gpt-4` prices `gpt-4-0613`, not `gpt-4-32k`. The table has one price for
    the whole prompt; genai-prices knows what a provider's own prompt cache takes off.

    Args:
        model: The name the provider answered with.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, reasoning included.
        prices: The user's own table.
        cache_read_tokens: Tokens of the prompt that the provider had cached.
        cache_write_tokens: Tokens of the prompt that the provider cached now.

    Returns:
        The price in usd, or `None`.
    """
    if not model:
        return None
    row = _row(model, prices or {})
    if row is None:
        cached = (cache_read_tokens, cache_write_tokens)
        return _genai_price(model, input_tokens, output_tokens, cached)
    # Prices may be decimals; what adds up is a float.
    price_in, price_out = float(row[0]), float(row[1])
    return (input_tokens * price_in + output_tokens * price_out) / _PER_MILLION


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
        pair = isinstance(row, tuple | list) and len(row) == _COLUMNS
        if not (pair and all(_is_price(price) for price in row)):
            msg = (
                f"prices[{model!r}] must be (input, output) in usd per million tokens, "
                f"got {row!r}"
            )
            raise ConfigurationError(msg)


def _is_price(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return math.isfinite(value) and value >= 0


def _row(model: str, prices: PriceTable) -> tuple[float, float] | None:
    """Find the row of a model or of the model it is a dated version of."""
    if model in prices:
        return prices[model]
    dated = [
        name
        for name in prices
        if model.startswith(name) and _DATE.fullmatch(model, len(name))
    ]
    return prices[max(dated, key=len)] if dated else None


@lru_cache(maxsize=1)
def _has_genai_prices() -> bool:
    return find_spec("genai_prices") is not None


def _genai_price(
    model: str, input_tokens: int, output_tokens: int, cached: tuple[int, int]
) -> float | None:
    """Ask the optional price library; an unknown model has no price."""
    if not _has_genai_prices():
        return None
    from genai_prices import Usage, calc_price

    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cached[0],
        cache_write_tokens=cached[1],
    )
    try:
        return float(calc_price(usage, model_ref=model).total_price)
    except LookupError:
        return None
