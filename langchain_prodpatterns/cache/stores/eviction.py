"""Which entries make room: the least worth a byte, by what a hit saves and how often.

GreedyDual-Size-Frequency (Cherkasova, "Improving WWW proxies performance with
Greedy-Dual-Size-Frequency caching policy", HP Labs HPL-98-69R1, 1998). An entry's rank
is `inflation + (1 + hits) * cost / size`. The lowest rank goes, and `inflation` rises
to it: what is asked no more is overtaken by all that is stored or asked after it.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from langchain_prodpatterns.usage import Usage

_USD_A_TOKEN = 1e-6
_USD_A_SECOND = 1e-4
_USD_A_CALL = 1e-4


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a store holds at most; `None` is no bound."""

    entries: int | None = None
    """Entries."""
    bytes: int | None = None
    """Bytes that the entries hold."""

    def __bool__(self) -> bool:
        return self.entries is not None or self.bytes is not None

    def allow(self, entries: int, size: int) -> bool:
        """Return whether so much is within the bounds."""
        return (self.entries is None or entries <= self.entries) and (
            self.bytes is None or size <= self.bytes
        )


def index_ranks(db: sqlite3.Connection) -> None:
    """Prepare for `make_room`: a store without bounds has no use for the index."""
    db.execute("CREATE INDEX IF NOT EXISTS entries_rank ON entries (rank)")


def cost_of(saved: Usage) -> float:
    """Return what an answer had cost, in usd or what stands for it.

    Where no price is known, a token counts as 1 usd a million; without tokens a second
    counts as 0.0001 usd, and without a time a call does. So answers of models with and
    without a price can be compared, if roughly.
    """
    known = (
        saved.usd or 0.0,
        saved.total_tokens * _USD_A_TOKEN,
        saved.seconds * _USD_A_SECOND,
        saved.calls * _USD_A_CALL,
    )
    # Not nothing, or the hits of what cost nothing would not count.
    return next((cost for cost in known if cost > 0), _USD_A_TOKEN)


def make_room(db: sqlite3.Connection, bounds: Bounds, size: int) -> int:
    """Remove entries until one more of a size fits, or none is left.

    Returns:
        How many were removed.
    """
    evicted = 0
    while True:
        entries, held = db.execute("SELECT entries, bytes FROM totals").fetchone()
        if not entries or bounds.allow(entries + 1, held + size):
            return evicted
        lowest, rank = db.execute(
            "SELECT id, rank FROM entries ORDER BY rank, id LIMIT 1"
        ).fetchone()
        db.execute("DELETE FROM entries WHERE id = ?", (lowest,))
        db.execute("UPDATE totals SET inflation = max(inflation, ?)", (rank,))
        evicted += 1


def note_hits(db: sqlite3.Connection, hits: Mapping[str, int]) -> None:
    """Raise the hits and the ranks of entries that were served.

    Args:
        db: The database.
        hits: Key to how often it was.
    """
    if hits:
        db.executemany(
            "UPDATE entries SET hits = hits + :count, "
            "rank = (SELECT inflation FROM totals) + (1 + hits + :count) * cost / size "
            "WHERE key = :key",
            [{"key": key, "count": count} for key, count in hits.items()],
        )
