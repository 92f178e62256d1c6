"""Refusing the arguments that a constructor does not have."""

from collections.abc import Mapping
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
