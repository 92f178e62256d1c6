"""Watching the lookups of a cache from outside, such as for telemetry."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from langchain_prodpatterns.cache.lookups import Lookup

Note: TypeAlias = "Callable[[Lookup], None]"
"""Takes note of how a lookup ended."""

Watch: TypeAlias = Callable[[str], AbstractContextManager[Note]]
"""Opens a block around a lookup in a namespace. What is raised in it is the lookup's
own, and is to be let through."""


def _note_nothing(_: "Lookup") -> None:
    """Take no note."""


_NOBODY: AbstractContextManager[Note] = nullcontext(_note_nothing)


def unwatched(_: str) -> AbstractContextManager[Note]:
    """Watch nothing: what a lookup costs that nobody watches."""
    return _NOBODY
