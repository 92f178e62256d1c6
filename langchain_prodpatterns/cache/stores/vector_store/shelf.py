"""Reading entries that may be past or damaged: such a one is as good as none."""

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Enumerate,
    Forget,
    Questions,
    Read,
    Write,
)
from langchain_prodpatterns.cache.stores.vector_store.records import (
    DamagedRecord,
    Kept,
    NewerRecord,
    kept_in,
    seal,
    unseal,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.forking import guard

BATCH = 500
"""Entries that are read or written at once."""

_MAX_QUARANTINED = 100
_MAX_HITS = 10_000


def entry_name(slot: str) -> str:
    """Return what the entry of a place is kept under."""
    return f"entries/{slot}"


class Shelf:
    """Where entries are read, and what this process counts on the way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin to count.

        Args:
            clock: Seconds since the epoch.
        """
        self.clock = clock
        """Seconds since the epoch."""
        self.embedder: Fingerprint | None = None
        """Which embedding model the vectors are of, once that was read."""
        self.quarantined = 0
        """Damaged entries put aside."""
        self.expired = 0
        """Entries removed since their time was over."""
        self._hits: dict[str, int] = {}
        self._lock = threading.Lock()
        guard(self, "_lock")

    def note_hit(self, key: str) -> None:
        """Count that an entry was served.

        In memory only, for as long as others are not served more lately: to write it
        down, an entry that another process removes meanwhile would be written again.
        """
        with self._lock:
            self._hits[key] = self._hits.pop(key, 0) + 1
            if len(self._hits) > _MAX_HITS:
                del self._hits[next(iter(self._hits))]

    def note(self, *, expired: int = 0, quarantined: int = 0) -> None:
        """Count entries that went."""
        with self._lock:
            self.expired += expired
            self.quarantined += quarantined

    def live(self, slots: Sequence[str]) -> Questions[dict[str, Kept]]:
        """Read the entries of some places, and put damaged ones aside."""
        kept = yield from self.kept(slots)
        return self.lasting(kept)

    def lasting(self, kept: Mapping[str, Kept]) -> dict[str, Kept]:
        """Leave out the entries whose time is over."""
        now = self.clock()
        return {slot: one for slot, one in kept.items() if not one.is_past(now)}

    def kept(self, slots: Sequence[str]) -> Questions[dict[str, Kept]]:
        """Read the entries of some places, past ones included."""
        raws = yield Read([entry_name(slot) for slot in slots])
        return (yield from self.sound(dict(zip(slots, raws, strict=True))))

    def sound(self, raws: Mapping[str, bytes | None]) -> Questions[dict[str, Kept]]:
        """Return the entries that were read, and put damaged ones aside.

        Args:
            raws: Place to what is kept there.
        """
        kept, damaged = self.opened(raws)
        if damaged:
            # What is served does not wait for a store that cannot be written to.
            with suppress(StoreError):
                yield from self._put_damaged_aside(damaged)
        return kept

    def opened(
        self, raws: Mapping[str, bytes | None]
    ) -> tuple[dict[str, Kept], dict[str, str]]:
        """Return the entries that were read, and why the others are damaged."""
        kept: dict[str, Kept] = {}
        damaged: dict[str, str] = {}
        for slot, raw in raws.items():
            if raw is None:
                continue
            # A newer release's entry is none, and not damaged.
            with suppress(NewerRecord):
                try:
                    kept[slot] = kept_in(unseal(entry_name(slot), raw), self._hits)
                except DamagedRecord as error:
                    damaged[slot] = str(error)
        return kept, damaged

    def _put_damaged_aside(self, damaged: Mapping[str, str]) -> Questions[None]:
        """Put aside what is damaged, and not what was read while it was written."""
        raws = yield Read([entry_name(slot) for slot in damaged])
        again = dict(zip(damaged, raws, strict=True))
        _, still = self.opened(again)
        yield from self.put_aside({slot: (still[slot], again[slot]) for slot in still})

    def put_aside(
        self, records: Mapping[str, tuple[str, bytes | None]]
    ) -> Questions[None]:
        """Keep what is at some places where it is never served, the last 100 of it.

        Args:
            records: Place to the reason, and what is kept there.
        """
        stamp = f"{round(1000 * self.clock()):015d}"
        aside = []
        for slot, (reason, raw) in records.items():
            name = f"quarantine/{stamp}-{slot}"
            body = {"reason": reason, "record": base64.b64encode(raw or b"").decode()}
            aside.append((name, seal(name, body)))
        yield Write(aside)
        yield Forget([entry_name(slot) for slot in records])
        self.note(quarantined=len(records))
        names = yield Enumerate("quarantine")
        surplus = sorted(names)[:-_MAX_QUARANTINED]
        yield Forget([f"quarantine/{name}" for name in surplus])
