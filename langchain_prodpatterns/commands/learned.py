"""What a cache has learned, in an export: the counters of verdicts of each partition.

```
{"partition": "...", "tallies": {"0.93": [12, 1], ...}}
```

They follow the entries. A store keeps the counters of so many partitions only, and the
sums over all: what only the sums still have is written under a name of its own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_prodpatterns.cache.learning import LASTING_PARTITIONS
from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.cache.stores.base import LASTING
from langchain_prodpatterns.commands.archive import check, is_name

_REST = f"{LASTING}imported"
_FIELD = "tallies"
# The sums of all partitions are in range, too.
_MOST = 2**40

Tallies = Mapping[str, tuple[int, int]]
"""What was right and wrong, a cell."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The counters of a partition."""

    partition: str
    """The partition, or the name of what is no partition's."""
    tallies: Tallies
    """What was right and wrong, a cell."""

    def line(self) -> str:
        """Write them as a line, without its end."""
        return json.dumps({"partition": self.partition, _FIELD: dict(self.tallies)})


class Taking:
    """Takes what was learned over into a store."""

    def __init__(self, store: CacheStore) -> None:
        """Take nothing yet.

        Args:
            store: The store.
        """
        self._store = store
        self._partitions = set(LASTING_PARTITIONS)

    def take(self, learned: Learned) -> bool:
        """Add the counters of a partition, unless something is learned of it already.

        What is of no partition might be of any: it is added if all that the store has
        learned is of the partitions whose counters came before.

        Returns:
            Whether they are added.
        """
        if learned.partition == _REST and self._has_learned_elsewhere():
            return False
        self._partitions.add(learned.partition)
        return self._store.adopt_tallies(learned.partition, learned.tallies)

    def _has_learned_elsewhere(self) -> bool:
        left: Tallies = self._store.tallies(None)
        for partition in self._partitions:
            left = _less(left, self._store.tallies(partition))
        return any(map(any, left.values()))


def learned_of(
    store: CacheStore, partitions: Iterable[str], *, whole: bool
) -> Iterator[Learned]:
    """Yield what a store has learned of each partition, where that is anything.

    Args:
        store: The store.
        partitions: The partitions, each once.
        whole: Whether these are all that have entries. Then what is of none of them
            follows, too.
    """
    left = dict(store.tallies(None)) if whole else {}
    lasting = [*LASTING_PARTITIONS, _REST] if whole else []
    for partition in (*partitions, *lasting):
        tallies = store.tallies(partition)
        left = _less(left, tallies)
        if partition == _REST:
            tallies = _more(tallies, left)
        if tallies:
            yield Learned(partition, tallies)


def read_learned(given: Mapping[str, Any]) -> Learned | None:
    """Return the counters that a line holds; `None` for a line of something else.

    Raises:
        BadLine: When they are none.
    """
    if _FIELD not in given:
        return None
    partition, tallies = given.get("partition"), given[_FIELD]
    check(_FIELD, is_name(partition) and isinstance(tallies, dict))
    check(_FIELD, all(is_name(cell) for cell in tallies))
    return Learned(str(partition), {cell: _pair(one) for cell, one in tallies.items()})


def _pair(given: Any) -> tuple[int, int]:
    counts = given if isinstance(given, list) else []
    check(_FIELD, len(counts) == len(("right", "wrong")))
    check(_FIELD, all(type(n) is int and abs(n) < _MOST for n in counts))
    return counts[0], counts[1]


def _less(all_of_them: Tallies, some: Tallies) -> dict[str, tuple[int, int]]:
    """Return what is left; not less than nothing, of what was counted meanwhile."""
    left = {}
    for cell, (right, wrong) in all_of_them.items():
        less, fewer = some.get(cell, (0, 0))
        left[cell] = max(right - less, 0), max(wrong - fewer, 0)
    return left


def _more(some: Tallies, others: Tallies) -> dict[str, tuple[int, int]]:
    """Return the sums of both, but for those of nothing."""
    sums = {}
    for cell in dict.fromkeys((*some, *others)):
        right, wrong = some.get(cell, (0, 0))
        more, also = others.get(cell, (0, 0))
        sums[cell] = right + more, wrong + also
    return {cell: pair for cell, pair in sums.items() if any(pair)}
