"""Finding entries: by their request, by an alias, or by their vectors.

What a vector store says of nearness is not believed: one gives a distance, another a
similarity, of L2, of inner products or of cosines, exact or about. What it finds are
candidates. Their entries are read, and their vectors compared with the question's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from langchain_core.documents import Document

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Entry, Found, Neighbor, Vector
from langchain_prodpatterns.cache.stores.vector_store import embedder
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Questions,
    Read,
    Search,
    slot_of,
)
from langchain_prodpatterns.cache.stores.vector_store.records import unseal_note
from langchain_prodpatterns.cache.stores.vector_store.shelf import Shelf, entry_name
from langchain_prodpatterns.cache.stores.vector_store.verdicts import (
    alias_name,
    by_key,
    rejected_name,
)
from langchain_prodpatterns.errors import StoreError

_WIDER = 4
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Query:
    """What is near to what."""

    partition: str
    """The partition to look in."""
    vector: Vector
    """The question's vector."""
    exact: str
    """The request: entries that were rejected for it are no neighbors."""
    limit: int
    """How many neighbors, at most."""
    count: int
    """How many candidates to begin with."""


def find(shelf: Shelf, exact: str) -> Questions[Found | None]:
    """Return the entry of a request, or of its alias."""
    slot = digest(exact)
    alias = alias_name(slot)
    own, other = yield Read([entry_name(slot), alias])
    kept = shelf.lasting((yield from shelf.sound({slot: own})))
    if slot in kept:
        return Found(kept[slot].entry, "exact")
    note = unseal_note(alias, other)
    if note is None:
        return None
    place, key = note["slot"], note["key"]
    answer = (yield from shelf.live([place])).get(place)
    if answer is None or answer.entry.key != key:
        return None
    return Found(answer.entry, "alias", note["nearness"])


def get(shelf: Shelf, key: str) -> Questions[Entry | None]:
    """Return an entry by its key."""
    found = yield from by_key(shelf, key)
    return None if found is None else found[1].entry


def nearest(shelf: Shelf, query: Query) -> Questions[list[Neighbor]]:
    """Return the nearest entries, the nearest first.

    As long as too few candidates are neighbors, more of them are looked at.
    """
    known = shelf.embedder or (yield from embedder.known())
    shelf.embedder = known
    if known is None or known.dimensions != query.vector.size:
        return []
    partition, count = digest(query.partition), query.count
    seen: set[str] = set()
    found: list[Neighbor] = []
    while True:
        documents = yield from _search(Search(partition, query.vector, count))
        slots = [slot_of(document, partition) for document in documents]
        fresh = [slot for slot in dict.fromkeys(slots) if slot and slot not in seen]
        found += yield from _checked(shelf, query, fresh)
        if len(found) >= query.limit or len(documents) < count or count >= _MOST:
            break
        seen |= set(fresh)
        count = min(count * _WIDER, max(_MOST, query.limit))
    found.sort(key=lambda neighbor: -neighbor.similarity)
    return found[: query.limit]


def _search(search: Search) -> Questions[list[Document]]:
    """Search, and once more where that failed.

    Chroma fails to find an id that it has just removed itself, in the background.
    """
    try:
        documents: list[Document] = yield search
    except StoreError:
        documents = yield search
    return documents


def _checked(
    shelf: Shelf, query: Query, slots: Sequence[str]
) -> Questions[list[Neighbor]]:
    """Read candidates, and keep those that are neighbors."""
    pairs = [rejected_name(query.exact, slot) for slot in slots]
    raws = yield Read([*map(entry_name, slots), *pairs])
    entries = dict(zip(slots, raws[: len(slots)], strict=True))
    kept = shelf.lasting((yield from shelf.sound(entries)))
    notes = {
        slot: unseal_note(pair, raw)
        for slot, pair, raw in zip(slots, pairs, raws[len(slots) :], strict=True)
    }
    neighbors = []
    for slot, one in kept.items():
        note = notes[slot]
        is_rejected = note is not None and note["key"] == one.entry.key
        # The entry says whose it is: its place may have a new one by now.
        if is_rejected or one.entry.partition != query.partition:
            continue
        if one.vector is not None and one.vector.size == query.vector.size:
            neighbors.append(Neighbor(one.entry, _cosine(query.vector, one.vector)))
    return neighbors


def _cosine(one: Vector, other: Vector) -> float:
    return min(float(np.dot(one, other)), 1.0)
