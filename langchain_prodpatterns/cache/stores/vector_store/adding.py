"""Storing entries: the entry first, then its vector."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.vector_store import embedder
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Forget,
    Insert,
    Point,
    Questions,
    Read,
    Write,
)
from langchain_prodpatterns.cache.stores.vector_store.records import (
    Kept,
    entry_body,
    seal,
)
from langchain_prodpatterns.cache.stores.vector_store.removing import (
    bury,
    dug,
    points_of,
)
from langchain_prodpatterns.cache.stores.vector_store.shelf import Shelf, entry_name
from langchain_prodpatterns.cache.stores.vector_store.verdicts import (
    alias_name,
    forget_all_of,
    key_name,
)
from langchain_prodpatterns.errors import StoreError


@dataclass(frozen=True, slots=True)
class Adding:
    """Entries to store, and how."""

    items: Sequence[tuple[Entry, Vector | None]]
    """The entries and their vectors."""
    model: str
    """The name of the embedding model."""
    by_text: bool
    """Whether the vector store embeds a text again, and so needs one."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """An entry to store in its place."""

    entry: Entry
    vector: Vector | None
    point: Point | None


def add(shelf: Shelf, adding: Adding) -> Questions[int]:
    """Store entries, each in place of one of the same request; return how many.

    Raises:
        StoreError: When a vector is not of the store's embedding model, or one of the
            two stores fails. None of the entries is there then.
    """
    drafts = _drafts(adding)
    aliases = [alias_name(slot) for slot in drafts]
    raws = yield Read([embedder.ABOUT, *map(entry_name, drafts), *aliases])
    about, raws = _about(adding, raws[0]), raws[1:]
    old = yield from shelf.sound(dict(zip(drafts, raws, strict=False)))
    stale = [n for n, r in zip(aliases, raws[len(drafts) :], strict=True) if r]
    dead = points_of(old)
    yield Write([*about, *_records(drafts, shelf.clock()), *dug(dead)])
    yield from _insert(drafts)
    yield Forget([*stale, *_former_keys(drafts, old)])
    yield from forget_all_of({slot: kept.entry.key for slot, kept in old.items()})
    yield from bury(dead)
    return len(adding.items)


def _drafts(adding: Adding) -> dict[str, _Draft]:
    """Return the entries by their places. Of one request, the last one stays."""
    drafts: dict[str, _Draft] = {}
    for entry, vector in adding.items:
        slot = digest(entry.exact)
        is_searched = vector is not None and (
            entry.text is not None or not adding.by_text
        )
        point = None
        if vector is not None and is_searched:
            # A new one each time: where one was left behind, no other is in its way.
            name = str(uuid4())
            partition = digest(entry.partition)
            point = Point(name, slot, partition, vector, entry.text or "")
        drafts[slot] = _Draft(entry, vector, point)
    return drafts


def _about(adding: Adding, raw: bytes | None) -> list[tuple[str, bytes]]:
    sizes = {vector.size for _, vector in adding.items if vector is not None}
    news = embedder.first(embedder.read(raw), adding.model, sizes)
    return [] if news is None else [embedder.written(news)]


def _records(drafts: Mapping[str, _Draft], now: float) -> list[tuple[str, bytes]]:
    records = []
    for slot, draft in drafts.items():
        point = None if draft.point is None else draft.point.id
        body = entry_body(draft.entry, draft.vector, point, now)
        name, place = entry_name(slot), key_name(draft.entry.key)
        records += [(name, seal(name, body)), (place, seal(place, {"slot": slot}))]
    return records


def _insert(drafts: Mapping[str, _Draft]) -> Questions[None]:
    points = [draft.point for draft in drafts.values() if draft.point is not None]
    if not points:
        return
    try:
        yield Insert(points)
    except StoreError:
        # Half stored, an entry would be served to equal requests only.
        with suppress(StoreError):
            yield Forget([entry_name(slot) for slot in drafts])
        raise


def _former_keys(drafts: Mapping[str, _Draft], old: Mapping[str, Kept]) -> list[str]:
    keys = {draft.entry.key for draft in drafts.values()}
    return [key_name(k.entry.key) for k in old.values() if k.entry.key not in keys]
