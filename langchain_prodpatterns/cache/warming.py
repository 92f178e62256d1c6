"""Storing many answers at once: embedded and written in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.metadata import Labels
from langchain_prodpatterns.cache.steps import unit_vector
from langchain_prodpatterns.cache.stores import Entry
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.usage import NO_USAGE, Usage

T = TypeVar("T")

BATCH = 256
"""Answers that are embedded at once."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """An answer that is stored ahead of its question."""

    identity: Identity
    """The request that it answers."""
    value: dict[str, Any]
    """Its `output`."""
    saved: Usage = NO_USAGE
    """What it had cost."""


WriteDown = Callable[[Warmed, Labels], Entry | None]
"""Makes an entry of an answer, if it is worth storing."""


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in batches, of which none is empty."""
    left = iter(items)
    while batch := list(islice(left, BATCH)):
        yield batch


def entries_of(
    batch: Sequence[Warmed], labels: Labels, write_down: WriteDown
) -> list[Entry]:
    """Return the entries of the answers that are worth storing."""
    written = (write_down(one, labels) for one in batch)
    return [entry for entry in written if entry is not None]


def embedded(
    embeddings: Embeddings, entries: Sequence[Entry]
) -> list[tuple[Entry, Vector | None]]:
    """Give each entry the vector of its question, if it has one."""
    texts = _texts(entries)
    return _paired(entries, texts, embeddings.embed_documents(texts) if texts else [])


async def aembedded(
    embeddings: Embeddings, entries: Sequence[Entry]
) -> list[tuple[Entry, Vector | None]]:
    """Give each entry the vector of its question, natively async."""
    texts = _texts(entries)
    vectors = await embeddings.aembed_documents(texts) if texts else []
    return _paired(entries, texts, vectors)


def _texts(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(e.text for e in entries if e.text is not None))


def _paired(
    entries: Sequence[Entry], texts: list[str], vectors: list[list[float]]
) -> list[tuple[Entry, Vector | None]]:
    found = dict(zip(texts, map(unit_vector, vectors), strict=True))
    return [(e, None if e.text is None else found[e.text]) for e in entries]
