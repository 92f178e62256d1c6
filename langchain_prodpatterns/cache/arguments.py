"""Refusing arguments that cannot work, before anything is opened."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation

from langchain_prodpatterns.arguments import (
    check_count,
    check_range,
    check_seconds,
    is_number,
)
from langchain_prodpatterns.cache.lookups import parse_hit_id
from langchain_prodpatterns.cache.metadata import TimeToLive
from langchain_prodpatterns.cache.mistakes import MistakeError
from langchain_prodpatterns.cache.policy import JUDGE_MODES
from langchain_prodpatterns.cache.promise import MOST_DELTA
from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.errors import ConfigurationError, StoreUnavailable
from langchain_prodpatterns.fingerprints import check_embeddings

_OF_A_STORE = tuple(name for name in vars(CacheStore) if not name.startswith("_"))


def check_arguments(
    embeddings: Embeddings,
    *,
    delta: float,
    path: str | Path | None,
    store: CacheStore | None,
    ttl: TimeToLive | None,
    max_entries: int | None,
    max_bytes: int | None,
    namespace: str,
    key: Callable[..., Any] | None,
    judge_mode: str,
    judge_timeout: float | None,
    single_flight: float | None,
) -> None:
    """Check what a `SemanticJudgeCache` is opened with.

    Raises:
        ConfigurationError: When an argument cannot work.
    """
    check_embeddings(embeddings)
    if path is not None and not isinstance(path, str | Path):
        msg = f"path must be the path of a file or None, got {path!r}"
        raise ConfigurationError(msg)
    check_range("delta", delta, 0, MOST_DELTA)
    check_ttl("ttl", ttl)
    check_seconds("judge_timeout", judge_timeout)
    check_seconds("single_flight", single_flight)
    check_count("max_entries", max_entries)
    check_count("max_bytes", max_bytes)
    if store is not None:
        _check_store(store, path=path, max_entries=max_entries, max_bytes=max_bytes)
    if judge_mode not in JUDGE_MODES:
        modes = ", ".join(map(repr, JUDGE_MODES))
        msg = f"judge_mode must be one of {modes}, got {judge_mode!r}"
        raise ConfigurationError(msg)
    if not isinstance(namespace, str) or not namespace:
        msg = f"namespace must be a text that is not empty, got {namespace!r}"
        raise ConfigurationError(msg)
    check_function("key", key, of="messages")


def check_function(argument: str, given: object, *, of: str) -> None:
    """Check an argument that is a function or not given.

    Args:
        argument: Its name, for the message.
        given: What was given.
        of: What it is called with, for the message.

    Raises:
        ConfigurationError: When it cannot be called.
    """
    if given is not None and not callable(given):
        msg = f"{argument} must be a function of the {of}, got {type(given).__name__}"
        raise ConfigurationError(msg)


def check_correct(correct: object) -> None:
    """Check what a user said of an answer.

    Raises:
        ConfigurationError: When it is neither yes nor no.
    """
    # A "no" from a form would be true, and an empty field would remove the answer.
    if correct not in (True, False):
        msg = f"correct must be True or False, got {correct!r}"
        raise ConfigurationError(msg)


def _check_store(store: CacheStore, **own: Any) -> None:
    """Refuse what is no store, and what a store has been opened with itself."""
    missing = next((name for name in _OF_A_STORE if not _has(store, name)), None)
    if missing is not None:
        msg = f"store must be a CacheStore; {type(store).__name__} has no {missing!r}"
        raise ConfigurationError(msg)
    given = next((name for name, value in own.items() if value is not None), None)
    if given is not None:
        msg = f"{given} is for the cache's own store: give it to {type(store).__name__}"
        raise ConfigurationError(msg)


def _has(store: CacheStore, name: str) -> bool:
    """Whether a store has something, be it a property that cannot be asked now."""
    try:
        return hasattr(store, name)
    except StoreUnavailable:
        return True


def check_ttl(argument: str, ttl: TimeToLive | None) -> None:
    """Check a time to live, or what tells it of an answer.

    Raises:
        ConfigurationError: When it is neither.
    """
    if not callable(ttl):
        check_seconds(argument, ttl)


def check_generations(argument: str, given: Any) -> list[Generation]:
    """Return a model's generations, if they are some.

    Raises:
        MistakeError: When they are anything else.
    """
    kind = type(given).__name__
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        strange = [type(one).__name__ for one in given if not _is_generation(one)]
        if not strange:
            return list(given)
        kind = f"a {strange[0]} among them"
    msg = f"{argument} must be a list of Generation or ChatGeneration, got {kind}"
    raise MistakeError(msg)


def _is_generation(given: object) -> bool:
    return isinstance(given, Generation)


def selection_of(
    *,
    hit_id: str | None,
    query: str | None,
    partition: str | None,
    namespace: str | None,
    older_than: float | timedelta | None,
    where: Callable[[Mapping[str, Any]], bool] | None,
) -> Selection:
    """Return what `invalidate` is to remove.

    Raises:
        ConfigurationError: When a criterion cannot work, and without one.
    """
    criteria = (hit_id, query, partition, namespace, older_than, where)
    if all(given is None for given in criteria):
        msg = "invalidate needs a criterion; clear() removes every answer"
        raise ConfigurationError(msg)
    check_text("query", query)
    check_text("partition", partition)
    check_text("namespace", namespace)
    check_function("where", where, of="metadata")
    return Selection(
        key=None if hit_id is None else parse_hit_id(hit_id).key,
        text=query,
        partition=partition,
        namespace=namespace,
        older_than=age_in_seconds(older_than),
        where=where,
    )


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
