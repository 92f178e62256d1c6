"""Refusing arguments that cannot work, each with its name, its value and what would."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from langchain_prodpatterns.errors import ConfigurationError


def refuse_unknown(owner: str, kwargs: Mapping[str, Any], *known: str) -> None:
    """Refuse keyword arguments that pydantic would drop without a word.

    Args:
        owner: The name of the class, for the message.
        kwargs: What was given beyond the named parameters.
        *known: The names that are taken.

    Raises:
        ConfigurationError: When there is any other name.
    """
    unknown = kwargs.keys() - set(known)
    if unknown:
        msg = f"{owner} has no argument {min(unknown)!r}"
        raise ConfigurationError(msg)


def is_number(value: object) -> bool:
    """Whether it is a number that is neither infinite nor NaN; `True` is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is too large to be a float
        return False


def check_count(
    argument: str, value: int | None, *, optional: bool = True, least: int = 1
) -> None:
    """Check an argument that counts something.

    Args:
        argument: Its name, for the message.
        value: What was given.
        optional: Whether it may be `None`.
        least: The least that makes sense.

    Raises:
        ConfigurationError: When it is no whole number, or less than that.
    """
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        allowed = f"a whole number, at least {least}" + (
            ", or None" if optional else ""
        )
        msg = f"{argument} must be {allowed}, got {value!r}"
        raise ConfigurationError(msg)


def check_seconds(argument: str, value: float | None) -> None:
    """Check an argument that is a time to live or to wait; `None` is for ever.

    Args:
        argument: Its name, for the message.
        value: What was given.

    Raises:
        ConfigurationError: When it is no number of seconds above 0, nor `None`.
    """
    if value is not None and not (is_number(value) and value > 0):
        msg = f"{argument} must be a number of seconds above 0 or None, got {value!r}"
        raise ConfigurationError(msg)


def check_range(argument: str, value: float, low: float, high: float) -> None:
    """Check an argument that is a number between two others, both included.

    Args:
        argument: Its name, for the message.
        value: What was given.
        low: The least that is allowed.
        high: The most.

    Raises:
        ConfigurationError: When it is no such number.
    """
    if not is_number(value) or not low <= value <= high:
        msg = f"{argument} must be a number from {low:g} to {high:g}, got {value!r}"
        raise ConfigurationError(msg)
