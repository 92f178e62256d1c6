"""What is remembered between a miss and the update that follows it."""

import asyncio
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.forking import guard

_Where: TypeAlias = "tuple[int, weakref.ref[asyncio.Task[Any]] | None]"
_MAX_PENDING = 1024


def whereabouts() -> _Where:
    """Return the thread and the task that this is called in."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # Not the task's id, which the next task may get when this one is done.
    return threading.get_ident(), None if task is None else weakref.ref(task)


@dataclass(frozen=True, slots=True)
class Miss:
    """A lookup that found nothing."""

    vector: Vector | None = None
    """The vector of its question, so that the update need not embed it again."""
    at: float = field(default_factory=time.perf_counter)
    """When it ended."""


class PendingMisses:
    """Pairs an update with its miss, by thread, task and request.

    The pairing is approximate: LangChain says nothing of a call that failed, so an old
    miss is forgotten when there are many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        guard(self, "_lock")
        self._misses: OrderedDict[tuple[_Where, str], Miss] = OrderedDict()

    def __reduce__(self) -> Any:
        # A copy has missed nothing yet.
        return PendingMisses, ()

    def note(self, exact: str, vector: Vector | None) -> None:
        """Remember a miss."""
        with self._lock:
            self._misses[whereabouts(), exact] = Miss(vector)
            while len(self._misses) > _MAX_PENDING:
                self._misses.popitem(last=False)

    def take(self, exact: str) -> Miss | None:
        """Return the miss that an update follows, and forget it."""
        with self._lock:
            return self._misses.pop((whereabouts(), exact), None)
