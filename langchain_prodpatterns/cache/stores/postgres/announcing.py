"""What one process removes, and the others have to know at once.

The table `recalls` is the truth, a notification only wakes who waits for it. So nothing
is missed by who was not connected, or is behind a pooler that hands none on.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Result,
    Statement,
)

CHANNEL = "prodpatterns"
"""The channel of the notifications; the payload says who sends one."""

KEPT_SECONDS = 600
"""How long a row of `recalls` is kept: who has not read it by then has read nothing."""

_LATE_SECONDS = 60.0
# The greatest number is always there, whether there is news or not.
_NEWS = """
SELECT r.id, extract(epoch FROM r.at)::float8, r.origin, r.selection,
    extract(epoch FROM clock_timestamp() - r.at)::float8,
    (SELECT extract(epoch FROM at)::float8 FROM {s}.recalls WHERE id = %(low)s),
    greatest.top
FROM (SELECT coalesce(max(id), 0) AS top FROM {s}.recalls) greatest
LEFT JOIN {s}.recalls r ON r.id > %(low)s
"""
# Not beyond the greatest: lower ones may be on their way.
_FIRST = """
SELECT r.id, extract(epoch FROM r.at)::float8, r.origin, r.selection,
    extract(epoch FROM clock_timestamp() - r.at)::float8,
    (SELECT extract(epoch FROM at)::float8 FROM {s}.recalls WHERE id = old.low),
    old.low
FROM (
    SELECT coalesce(max(id), 0) AS low FROM {s}.recalls
    WHERE at < now() - make_interval(secs => %(late)s::float8)
) old
LEFT JOIN {s}.recalls r ON r.id > old.low
"""
_FIELDS = ("key", "namespace", "older_than", "partition")


def announce(selection: Selection, origin: str) -> Batch:
    """Return the batch that tells other processes what is removed.

    What a text or a predicate would tell is left out: it is a user's text, and code.
    So more is announced than is removed.

    Args:
        selection: What is removed.
        origin: Who removes it.
    """
    told = {name: getattr(selection, name) for name in _FIELDS}
    text = json.dumps({name: one for name, one in told.items() if one is not None})
    return Batch(
        (
            Statement(
                "INSERT INTO {s}.recalls (origin, selection) "
                "VALUES (%(origin)s, %(selection)s)",
                {"origin": origin, "selection": text},
            ),
            Statement(
                "SELECT pg_notify(%(channel)s, %(origin)s)",
                {"channel": CHANNEL, "origin": origin},
            ),
        )
    )


def selection_of(text: str) -> Selection:
    """Return the selection that was announced; all, where it cannot be read."""
    try:
        told = json.loads(text)
        return replace(Selection(), **{name: told.get(name) for name in _FIELDS})
    except (ValueError, AttributeError):
        return Selection()


@dataclass(slots=True)
class Hearing:
    """What one process has heard of the others. Its caller holds a lock."""

    origin: str
    """This process: its own announcements are no news."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, from any point in time."""
    low: int | None = None
    """The number beyond which announcements are read; `None` before the first time."""
    _heard: dict[tuple[int, float], float] = field(default_factory=dict, init=False)
    """When the announcement of a number and a time was read."""
    _low_at: float | None = field(default=None, init=False)
    """The time of the announcement of the number `low`, where there was one."""
    _began_at: float = field(init=False)
    _asked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_at = self._asked_at = self.clock()

    @staticmethod
    def ask(low: int | None) -> Batch:
        """Return the batch that reads what is new.

        Args:
            low: What `low` is at this moment.
        """
        if low is None:
            return Batch.of(_FIRST, late=_LATE_SECONDS)
        return Batch.of(_NEWS, low=low)

    def news(self, low: int | None, result: Result) -> list[Selection]:
        """Return what others removed, of what the batch has read.

        What was removed before this process began is none: nothing that it has could
        be of before. What was removed while it could not ask for long is not known, nor
        is it where the database has gone back to a backup or to a standby that lacked
        the last: then it may be anything.

        Args:
            low: What it was asked with.
            result: What the database gave.
        """
        now = self.clock()
        kept = _LATE_SECONDS if low is None else KEPT_SECONDS / 2
        missed = now - self._asked_at > kept
        self._asked_at = now
        *_, low_at, bound = result.rows[0]
        if low is None and self.low is None:
            self.low, self._low_at = bound, low_at
        elif low is not None and (0 < bound < low or self._is_other(low, low_at)):
            # Numbers begin anew below those that were read: so does the hearing.
            self.low, self._low_at, self._heard = None, None, {}
            return [Selection()]
        fresh = [row for row in result.rows if self._is_new(row)]
        self._heard.update(((row[0], row[1]), now) for row in fresh)
        self._forget(now)
        if missed:
            return [Selection()]
        lived = now - self._began_at
        return [
            selection_of(selection)
            for _, _, origin, selection, age, *_ in fresh
            if origin != self.origin and age <= lived
        ]

    def _is_other(self, low: int, at: float | None) -> bool:
        """Tell whether the number has come again: numbers have passed it since."""
        is_known = low == self.low and None not in {at, self._low_at}
        return is_known and at != self._low_at

    def _is_new(self, row: Sequence[Any]) -> bool:
        # A number may come again, at another time, after the database has gone back.
        id_, at, *_ = row
        return id_ is not None and (id_, at) not in self._heard

    def _forget(self, now: float) -> None:
        """Read no more what was read long ago: until then a lower number may come.

        Numbers are drawn before a transaction is committed, so they come in any order.
        """
        old = [one for one, at in self._heard.items() if now - at > _LATE_SECONDS]
        low, self._low_at = max(
            [(self.low or 0, self._low_at), *old], key=lambda one: one[0]
        )
        self.low = low
        self._heard = {one: at for one, at in self._heard.items() if one[0] > low}
