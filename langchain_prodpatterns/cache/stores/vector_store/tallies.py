"""What was right and wrong, counted in one record a partition."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import notes
from langchain_prodpatterns.cache.stores.base import LASTING
from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Enumerate,
    Forget,
    Questions,
    Read,
    Write,
)
from langchain_prodpatterns.cache.stores.vector_store.records import seal, unseal_note
from langchain_prodpatterns.cache.stores.vector_store.shelf import Shelf

_Cells: TypeAlias = Mapping[str, tuple[int, int]]
_ALL = ""
"""The partition that the sums over all are kept under."""


def _name(partition: str) -> str:
    return f"tallies/{digest(partition)}"


class Tallies:
    """Counters of cells. One caller at a time may change them."""

    def __init__(self, shelf: Shelf) -> None:
        """Count.

        Args:
            shelf: Whose clock to use.
        """
        self._shelf = shelf
        self._latest: dict[str, None] | None = None
        """The names of the partitions that can be forgotten, in order."""

    def add(self, partition: str, cell: str, right: int, wrong: int) -> Questions[None]:
        """Add to a cell of a partition, and to the same cell of the sums."""
        return self._add(partition, {cell: (right, wrong)})

    def adopt(self, partition: str, tallies: _Cells) -> Questions[bool]:
        """Add to the cells of a partition that has none; return whether."""
        if not tallies or (yield from read(partition)):
            return False
        yield from self._add(partition, tallies)
        return True

    def _add(self, partition: str, tallies: _Cells) -> Questions[None]:
        names = [_name(partition), _name(_ALL)]
        raws = yield Read(names)
        pairs = []
        for name, raw, of in zip(names, raws, (partition, _ALL), strict=True):
            note = unseal_note(name, raw) or {"partition": of, "cells": {}}
            for cell, (right, wrong) in tallies.items():
                rights, wrongs = note["cells"].get(cell, (0, 0))
                note["cells"][cell] = [rights + right, wrongs + wrong]
            note["updated"] = self._shelf.clock()
            pairs.append((name, seal(name, note)))
        yield Write(pairs)
        if not partition.startswith(LASTING):
            yield from self._keep_latest(names[0])

    def _keep_latest(self, name: str) -> Questions[None]:
        """Bound the partitions: each system prompt and conversation makes one more."""
        if self._latest is None:
            self._latest = yield from self._by_age()
        self._latest.pop(name, None)
        self._latest[name] = None
        oldest = list(self._latest)[: max(len(self._latest) - notes.MAX_TALLIED, 0)]
        yield Forget(oldest)
        for one in oldest:
            del self._latest[one]

    def _by_age(self) -> Questions[dict[str, None]]:
        kept = yield from _all_notes()
        known = [
            (note["updated"], name)
            for name, note in kept.items()
            if note["partition"] != _ALL and not note["partition"].startswith(LASTING)
        ]
        return {name: None for _, name in sorted(known)}

    def reset(self, partition: str | None) -> Questions[None]:
        """Forget a partition's cells and what the sums have of them, or everything."""
        if partition is None:
            yield Forget([f"tallies/{name}" for name in (yield Enumerate("tallies"))])
            self._latest = None
            return
        names = [_name(partition), _name(_ALL)]
        raws = yield Read(names)
        own, sums = (unseal_note(n, raw) for n, raw in zip(names, raws, strict=True))
        if own is not None and sums is not None:
            for cell, (right, wrong) in own["cells"].items():
                rights, wrongs = sums["cells"].get(cell, (0, 0))
                sums["cells"][cell] = [rights - right, wrongs - wrong]
            yield Write([(names[1], seal(names[1], sums))])
        yield Forget(names[:1])
        if self._latest is not None:
            self._latest.pop(names[0], None)


def read(partition: str | None) -> Questions[dict[str, tuple[int, int]]]:
    """Return the cells of a partition, or the sums of all."""
    name = _name(_ALL if partition is None else partition)
    (raw,) = yield Read([name])
    note = unseal_note(name, raw)
    cells = {} if note is None else note["cells"]
    return {cell: (right, wrong) for cell, (right, wrong) in cells.items()}


def _all_notes() -> Questions[dict[str, dict[str, Any]]]:
    names = [f"tallies/{name}" for name in (yield Enumerate("tallies"))]
    raws = yield Read(names)
    found = {n: unseal_note(n, raw) for n, raw in zip(names, raws, strict=True)}
    return {name: note for name, note in found.items() if note is not None}
