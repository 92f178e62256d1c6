"""Locks that a fork leaves free.

A forked process has the locks of its parent, but not the threads that hold them: what
was locked at that moment would stay so for ever. So a fork waits until it holds the
locks itself, for a bounded time; what others still hold then is replaced in the child.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_SECONDS = 2.0
"""How long a fork waits for all locks together: whoever forks may hold up others."""


@dataclass(frozen=True, slots=True)
class _Guard:
    """What a fork has to do with an object."""

    locks: tuple[str, ...]
    in_child: Callable[[Any], None]
    lost: Callable[[Any], None]


_guards: dict["weakref.ref[Any]", _Guard] = {}
_held: dict[int, list[Any]] = {}
"""By the thread that forks: several may do so at once."""


def _nothing(_: Any) -> None:
    """Do nothing."""


def guard(
    owner: T,
    *locks: str,
    in_child: Callable[[T], None] = _nothing,
    lost: Callable[[T], None] = _nothing,
) -> None:
    """Have an object be usable in every process that is forked while it lives.

    Where processes cannot be forked, this does nothing.

    Args:
        owner: The object.
        locks: The attributes that hold its locks. In a child each is free: the same
            lock, or a new reentrant one where a thread held it for too long.
        in_child: Called in the child, without any other thread.
        lost: Called in the child before that if a lock was replaced: what it protects
            may be half done.
    """
    _guards[weakref.ref(owner, _forget)] = _Guard(locks, in_child, lost)


def _forget(owner: "weakref.ref[Any]") -> None:
    _guards.pop(owner, None)


def _alive() -> list[tuple[Any, _Guard]]:
    # At once: another thread may add one at any moment.
    known = list(_guards.items())
    found = ((reference(), guarded) for reference, guarded in known)
    return [(owner, guarded) for owner, guarded in found if owner is not None]


def _hold() -> None:
    """Take every lock, or as many as there is time for."""
    end = time.monotonic() + _SECONDS
    held = _held[threading.get_ident()] = []
    locks = (getattr(one, name) for one, known in _alive() for name in known.locks)
    held.extend(
        lock for lock in locks if lock.acquire(timeout=max(end - time.monotonic(), 0.0))
    )


def _let_go() -> None:
    for lock in reversed(_held.pop(threading.get_ident(), [])):
        lock.release()


def _begin_in_child() -> None:
    _let_go()
    # What other threads were about to fork with is not theirs here.
    _held.clear()
    for owner, guarded in _alive():
        if _replaced(owner, guarded.locks):
            guarded.lost(owner)
        guarded.in_child(owner)


def _replaced(owner: Any, names: tuple[str, ...]) -> list[str]:
    """Replace the locks that are still held, and name them."""
    stuck = [name for name in names if not _is_free(getattr(owner, name))]
    for name in stuck:
        setattr(owner, name, threading.RLock())
    return stuck


def _is_free(lock: Any) -> bool:
    free: bool = lock.acquire(blocking=False)
    if free:
        lock.release()
    return free


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold, after_in_parent=_let_go, after_in_child=_begin_in_child
    )
