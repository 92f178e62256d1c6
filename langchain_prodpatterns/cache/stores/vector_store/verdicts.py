"""Requests that have the answer of another, and pairs that have not.

An alias is kept by its request, a rejected pair by the digest of both. Which of them
are of an entry is kept with it, to bound them and to remove them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Enumerate,
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
from langchain_prodpatterns.cache.stores.vector_store.shelf import BATCH, Shelf

_AN_ENTRY = 64


def alias_name(slot: str) -> str:
    """Return what an alias is kept under, by the place of its request."""
    return f"aliases/{slot}"


def rejected_name(exact: str, slot: str) -> str:
    """Return what a rejected pair is kept under."""
    return f"rejected/{digest(exact, slot)}"


def key_name(key: str) -> str:
    """Return what the place of a key is kept under."""
    return f"keys/{digest(key)}"


def place_of(key: str) -> Questions[str | None]:
    """Return the place of a key."""
    name = key_name(key)
    (raw,) = yield Read([name])
    note = unseal_note(name, raw)
    return None if note is None else str(note["slot"])


def by_key(shelf: Shelf, key: str) -> Questions[tuple[str, Kept] | None]:
    """Return the entry of a key with its place, unless it is past or damaged."""
    slot = yield from place_of(key)
    if slot is None:
        return None
    kept = (yield from shelf.live([slot])).get(slot)
    return None if kept is None or kept.entry.key != key else (slot, kept)


def approve(
    shelf: Shelf, exact: str, asked: str | None, key: str, nearness: str
) -> Questions[None]:
    """Write down that an entry answers a request, too."""
    found = yield from by_key(shelf, key)
    # Not of an entry that was just removed.
    if found is None:
        return
    slot = found[0]
    pair, alias = rejected_name(exact, slot), alias_name(digest(exact))
    lists = yield from _lists(slot, key)
    note = {"key": key, "slot": slot, "asked": asked, "nearness": nearness}
    _move(lists, "aliases", alias, to="aliases")
    _move(lists, "rejected", pair, to=None)
    yield from _keep(slot, lists, (alias, note))
    yield Forget([pair])


def reject(shelf: Shelf, exact: str, key: str) -> Questions[bool]:
    """Write down that an entry does not answer a request; return if it is news."""
    found = yield from by_key(shelf, key)
    if found is None:
        return False
    slot = found[0]
    pair, alias = rejected_name(exact, slot), alias_name(digest(exact))
    raws = yield Read([pair, alias])
    known, approved = unseal_note(pair, raws[0]), unseal_note(alias, raws[1])
    is_news = known is None or known["key"] != key
    lists = yield from _lists(slot, key)
    _move(lists, "rejected", pair, to="rejected")
    if approved is not None and approved["key"] == key:
        _move(lists, "aliases", alias, to=None)
        yield Forget([alias])
    yield from _keep(slot, lists, (pair, {"key": key}))
    return is_news


def _lists(slot: str, key: str) -> Questions[dict[str, Any]]:
    """Read what is known of an entry; nothing of one that was there before it."""
    name = f"verdicts/{slot}"
    (raw,) = yield Read([name])
    note = unseal_note(name, raw)
    if note is None or note["key"] != key:
        return {"key": key, "aliases": [], "rejected": []}
    return note


def _move(lists: dict[str, Any], kind: str, name: str, *, to: str | None) -> None:
    """Make a name the latest of a list, or of none."""
    rest = [one for one in lists[kind] if one != name]
    lists[kind] = rest if to is None else [*rest, name]


def _keep(
    slot: str, lists: dict[str, Any], note: tuple[str, Mapping[str, Any]]
) -> Questions[None]:
    """Write a verdict and the bounded lists: who asks for the first again is judged."""
    surplus: list[str] = []
    for kind in ("aliases", "rejected"):
        surplus += lists[kind][:-_AN_ENTRY]
        lists[kind] = lists[kind][-_AN_ENTRY:]
    name, body = note
    pairs = [(name, seal(name, body))]
    pairs.append((f"verdicts/{slot}", seal(f"verdicts/{slot}", lists)))
    yield Write(pairs)
    yield from _forget_own({lists["key"]: surplus})


def forget_all_of(entries: Mapping[str, str]) -> Questions[None]:
    """Forget every verdict on some entries.

    Args:
        entries: Place to key.
    """
    names = [f"verdicts/{slot}" for slot in entries]
    raws = yield Read(names)
    found = zip(entries.values(), names, raws, strict=True)
    notes = [(key, unseal_note(name, raw)) for key, name, raw in found]
    own = {
        key: [*note["aliases"], *note["rejected"]]
        for key, note in notes
        if note is not None and note["key"] == key
    }
    yield from _forget_own(own)
    present = [name for name, raw in zip(names, raws, strict=True) if raw is not None]
    yield Forget(present)


def _forget_own(verdicts: Mapping[str, Sequence[str]]) -> Questions[None]:
    """Forget verdicts, but not one that meanwhile is on another entry.

    Args:
        verdicts: Key of an entry to the names of the verdicts on it.
    """
    owners = {name: key for key, names in verdicts.items() for name in names}
    raws = yield Read(list(owners))
    notes = {
        name: unseal_note(name, raw) for name, raw in zip(owners, raws, strict=True)
    }
    yield Forget(
        [name for name, note in notes.items() if note and note["key"] == owners[name]]
    )


def asked_as(asked: str) -> Questions[set[tuple[str, str]]]:
    """Return place and key of the entries that answer a text by an alias.

    Every alias is read for it.

    Args:
        asked: The digest of the text.
    """
    names = [alias_name(slot) for slot in (yield Enumerate("aliases"))]
    found: set[tuple[str, str]] = set()
    for start in range(0, len(names), BATCH):
        some = names[start : start + BATCH]
        raws = yield Read(some)
        notes = [unseal_note(n, raw) for n, raw in zip(some, raws, strict=True)]
        found |= {(n["slot"], n["key"]) for n in notes if n and n["asked"] == asked}
    return found
