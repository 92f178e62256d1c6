"""What is stored with an answer: how long it lives, and what to find it by."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.cache.mistakes import MistakeError

TimeToLive: TypeAlias = float | Callable[[Any], float | None]
"""Seconds that an answer lives, or a function of the answer that tells them."""

MetadataFunction: TypeAlias = Callable[[Any], Mapping[str, Any]]
"""Names what an answer is made of, such as the documents that went into it."""

_NOT_THE_USERS = ("__", "langgraph_", "ls_", "lc_", "prodpatterns.")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a caller wants to be stored with an answer."""

    ttl: TimeToLive | None = None
    """Seconds that it lives, or what tells them; `None` for the cache's own."""
    run: Mapping[str, Any] | None = None
    """The metadata of the run that gave the answer."""
    function: MetadataFunction | None = None
    """Names more of it."""
    since: float | None = None
    """When the call began that gave the answer, by `time.perf_counter`."""

    def metadata_of(self, answer: Any) -> dict[str, Any]:
        """Return the metadata of an answer that JSON can hold.

        Raises:
            MistakeError: When the function gives no mapping.
        """
        named = self.function(answer) if self.function else {}
        if not (named is None or isinstance(named, Mapping)):
            msg = f"metadata must give a mapping, got {type(named).__name__}"
            raise MistakeError(msg)
        return {**plain_metadata(self.run), **plain_metadata(named)}


NO_LABELS = Labels()
"""Nothing besides."""


def plain_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the part of metadata that a user gave and JSON can hold.

    Args:
        metadata: Of a run's config; LangChain, LangGraph and this package write there,
            too.
    """
    kept = {}
    for name, value in (metadata or {}).items():
        if not isinstance(name, str) or name.startswith(_NOT_THE_USERS):
            continue
        try:
            kept[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            continue
    return kept


def seconds_to_live(ttl: TimeToLive | None, answer: Any) -> float | None:
    """Return how long an answer lives.

    Args:
        ttl: Seconds, or a function of the answer.
        answer: The answer.

    Returns:
        The seconds; `None` is for ever.

    Raises:
        MistakeError: When the function gives no number above 0.
    """
    seconds = ttl(answer) if callable(ttl) else ttl
    if seconds is None or (is_number(seconds) and seconds > 0):
        return seconds
    msg = f"ttl must give seconds above 0 or None, got {type(seconds).__name__}"
    raise MistakeError(msg)
