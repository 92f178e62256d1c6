"""Refusing arguments that cannot work, before anything is opened."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.arguments import check_count, check_seconds, is_number
from langchain_prodpatterns.errors import ConfigurationError


def check_arguments(
    embeddings: Embeddings,
    *,
    path: str | Path | None,
    ttl: float | None,
    max_entries: int | None,
    namespace: str,
    key: Callable[..., Any] | None,
    judge_timeout: float | None,
) -> None:
    """Check what a `SemanticJudgeCache` is opened with.

    Raises:
        ConfigurationError: When an argument cannot work.
    """
    if not isinstance(embeddings, Embeddings):
        msg = f"embeddings must be an Embeddings, got {type(embeddings).__name__}"
        raise ConfigurationError(msg)
    if path is not None and not isinstance(path, str | Path):
        msg = f"path must be the path of a file or None, got {path!r}"
        raise ConfigurationError(msg)
    check_seconds("ttl", ttl)
    check_seconds("judge_timeout", judge_timeout)
    check_count("max_entries", max_entries)
    if not isinstance(namespace, str) or not namespace:
        msg = f"namespace must be a text that is not empty, got {namespace!r}"
        raise ConfigurationError(msg)
    if key is not None and not callable(key):
        msg = f"key must be a function of the messages, got {type(key).__name__}"
        raise ConfigurationError(msg)


def check_text(argument: str, value: str | None) -> None:
    """Check an argument that is a text or not given.

    Raises:
        ConfigurationError: When it is anything else.
    """
    if value is not None and not isinstance(value, str):
        msg = f"{argument} must be a text or None, got {type(value).__name__}"
        raise ConfigurationError(msg)


def age_in_seconds(older_than: float | timedelta | None) -> float | None:
    """Return an age as seconds.

    Raises:
        ConfigurationError: When it is no age.
    """
    seconds = older_than
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds is None or (is_number(seconds) and seconds >= 0):
        return seconds
    msg = f"older_than must be seconds, 0 or more, or a timedelta, got {older_than!r}"
    raise ConfigurationError(msg)
