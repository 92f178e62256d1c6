"""Removing entries: the entry first, then its vector.

An entry that is gone is served no more, whatever the vector store has. The vectors that
are to go are written down before, under `graves/`: a vector store that fails then, or a
process that dies, leaves to `sweep` what is left to do.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Selection, StoreCounts
from langchain_prodpatterns.cache.stores.vector_store import embedder
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Enumerate,
    Erase,
    Forget,
    Questions,
    Read,
    Write,
)
from langchain_prodpatterns.cache.stores.vector_store.records import (
    Kept,
    seal,
    unseal_note,
)
from langchain_prodpatterns.cache.stores.vector_store.shelf import (
    BATCH,
    Shelf,
    entry_name,
)
from langchain_prodpatterns.cache.stores.vector_store.verdicts import (
    asked_as,
    forget_all_of,
    key_name,
    place_of,
)
from langchain_prodpatterns.errors import StoreError

_KINDS = ("entries", "keys", "aliases", "rejected", "verdicts", "quarantine", "tallies")
_SAMPLE = 1000


def points_of(kept: Mapping[str, Kept]) -> dict[str, str]:
    """Return the vectors of some entries: id to place."""
    return {one.point: slot for slot, one in kept.items() if one.point is not None}


def dug(points: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return what to write before some vectors are to go."""
    names = {f"graves/{point}": slot for point, slot in points.items()}
    return [(name, seal(name, {"slot": slot})) for name, slot in names.items()]


def bury(points: Mapping[str, str]) -> Questions[None]:
    """Remove vectors that are written down to go, or leave it to `sweep`."""
    if not points:
        return
    with suppress(StoreError):
        yield Erase(list(points))
        yield Forget([f"graves/{point}" for point in points])


def drop(kept: Mapping[str, Kept]) -> Questions[None]:
    """Remove entries, with all that is known of them.

    Args:
        kept: Place to entry.
    """
    points = points_of(kept)
    yield Write(dug(points))
    keys = {slot: one.entry.key for slot, one in kept.items()}
    yield Forget([*map(entry_name, kept), *map(key_name, keys.values())])
    yield from forget_all_of(keys)
    yield from bury(points)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which entries a selection means, with what aliases tell of it."""

    selection: Selection
    """The criteria, but for the text."""
    text: str | None
    """The text that they are to answer."""
    by_alias: frozenset[tuple[str, str]]
    """Place and key of the entries that answer it by an alias."""

    def fits(self, slot: str, kept: Kept, now: float) -> bool:
        """Whether an entry is meant."""
        entry = kept.entry
        answers = (
            self.text is None
            or entry.text == self.text
            or (slot, entry.key) in self.by_alias
        )
        return answers and self.selection.fits(entry, now - entry.created)


def choose(selection: Selection) -> Questions[Chosen]:
    """Find out what aliases tell of a selection."""
    text = selection.text
    found = set() if text is None else (yield from asked_as(digest(text)))
    return Chosen(replace(selection, text=None), text, frozenset(found))


def places(selection: Selection) -> Questions[list[str]]:
    """Return the places to look for what a selection means: all of them, or one."""
    if selection.key is None:
        names: list[str] = yield Enumerate("entries")
        return names
    slot = yield from place_of(selection.key)
    return [] if slot is None else [slot]


def remove(shelf: Shelf, selection: Selection) -> Questions[int]:
    """Remove the entries that a selection means; return how many.

    All of them are found first: a criterion that raises removes nothing.
    """
    chosen = yield from choose(selection)
    found: dict[str, str] = {}
    for slots in batches((yield from places(selection))):
        kept = yield from shelf.kept(slots)
        now = shelf.clock()
        found |= {
            slot: one.entry.key
            for slot, one in kept.items()
            if chosen.fits(slot, one, now)
        }
    removed = 0
    for slots in batches(list(found)):
        kept = yield from shelf.kept(slots)
        # In its place there may be another by now, stored after it was looked at.
        same = {s: one for s, one in kept.items() if one.entry.key == found[s]}
        yield from drop(same)
        removed += len(same)
    return removed


def batches(slots: Sequence[str], size: int | None = None) -> list[Sequence[str]]:
    """Divide places into those that are read at once."""
    size = size or BATCH
    return [slots[start : start + size] for start in range(0, len(slots), size)]


def sweep(shelf: Shelf, limit: int) -> Questions[int]:
    """Remove entries whose time is over, and vectors that were left behind."""
    removed = 0
    for slots in batches((yield Enumerate("entries"))):
        kept = yield from shelf.kept(slots)
        lasting = shelf.lasting(kept)
        past = [slot for slot in kept if slot not in lasting][: limit - removed]
        yield from drop({slot: kept[slot] for slot in past})
        shelf.note(expired=len(past))
        removed += len(past)
        if removed >= limit:
            break
    yield from _sweep_graves(shelf, limit)
    return removed


def _sweep_graves(shelf: Shelf, limit: int) -> Questions[None]:
    points: Sequence[str] = (yield Enumerate("graves"))[:limit]
    for some in batches(points):
        names = [f"graves/{point}" for point in some]
        raws = yield Read(names)
        notes = [unseal_note(n, raw) for n, raw in zip(names, raws, strict=True)]
        slots = {p: n["slot"] for p, n in zip(some, notes, strict=True) if n}
        kept = yield from shelf.kept(sorted(set(slots.values())))
        # A process that died before it removed the entry has removed nothing.
        alive = [p for p, slot in slots.items() if _is_of(p, kept.get(slot))]
        yield Forget([f"graves/{point}" for point in alive])
        yield from bury({p: slot for p, slot in slots.items() if p not in alive})


def _is_of(point: str, kept: Kept | None) -> bool:
    return kept is not None and kept.point == point


def clear(shelf: Shelf) -> Questions[None]:
    """Remove everything, and forget the embedding model."""
    for slots in batches((yield Enumerate("entries"))):
        yield from drop((yield from shelf.kept(slots)))
    for kind in _KINDS:
        for names in batches((yield Enumerate(kind))):
            yield Forget([f"{kind}/{name}" for name in names])
    yield Write([embedder.written(None)])
    shelf.embedder = None


def count(shelf: Shelf) -> Questions[StoreCounts]:
    """Count what there is. Of many entries, some tell how much all of them hold."""
    slots: list[str] = yield Enumerate("entries")
    aliases: list[str] = yield Enumerate("aliases")
    rejected: list[str] = yield Enumerate("rejected")
    sizes: list[int] = []
    for some in batches(slots[:_SAMPLE]):
        raws = yield Read([entry_name(slot) for slot in some])
        kept, _ = shelf.opened(dict(zip(some, raws, strict=True)))
        sizes += [one.size for one in kept.values()]
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    return StoreCounts(
        entries=len(slots),
        evicted=0,
        quarantined=shelf.quarantined,
        aliases=len(aliases),
        rejected=len(rejected),
        bytes=round(mean * len(slots)),
        expired=shelf.expired,
    )


def quarantine(shelf: Shelf, key: str, reason: str) -> Questions[None]:
    """Put the entry of a key aside, with its vector removed."""
    slot = yield from place_of(key)
    if slot is None:
        return
    (raw,) = yield Read([entry_name(slot)])
    one = (yield from shelf.sound({slot: raw})).get(slot)
    if one is not None and one.entry.key == key:
        yield from shelf.put_aside({slot: (reason, raw)})
        yield from drop({slot: one})
