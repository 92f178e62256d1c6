"""Refusing numbers that cannot work."""

import math
from numbers import Integral, Real

from langchain_prodpatterns.errors import ConfigurationError


def check_count(argument: str, value: int | None) -> None:
    """Check an argument that counts something; `None` is one that was not given.

    Raises:
        ConfigurationError: When it is no whole number, or less than 1.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"{argument} must be a whole number, got {value!r}"
        raise ConfigurationError(msg)
    if value < 1:
        msg = f"{argument} must be at least 1, got {value}"
        raise ConfigurationError(msg)


def is_finite(value: object) -> bool:
    """Whether it is a number, and neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return math.isfinite(value)
