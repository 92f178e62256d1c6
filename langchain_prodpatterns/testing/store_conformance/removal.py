"""What a selection means goes, with all that hangs on it, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    EAST,
    HOME,
    StoreKit,
    answer,
    entry,
    exact_of,
    key_of,
    near,
    partition_of,
)


def _is_seven(metadata: Mapping[str, Any]) -> bool:
    return metadata.get("doc") == 7


_SELECTIONS: dict[str, tuple[Selection, str]] = {
    "all": (Selection(), "abc"),
    "key": (Selection(key=key_of("a")), "a"),
    "unknown key": (Selection(key=key_of("z")), ""),
    "its own text": (Selection(text="a"), "a"),
    "the text of an alias": (Selection(text="said"), "b"),
    "unknown text": (Selection(text="z"), ""),
    "namespace": (Selection(namespace="mine"), "c"),
    "unknown namespace": (Selection(namespace=""), ""),
    "partition": (Selection(partition=ABROAD), "b"),
    "unknown partition": (Selection(partition=partition_of("z")), ""),
    "metadata": (Selection(where=_is_seven), "bc"),
    "metadata and namespace": (Selection(where=_is_seven, namespace="default"), "b"),
    "criteria of two": (Selection(key=key_of("a"), namespace="mine"), ""),
    "an age that none has": (Selection(older_than=1e9), ""),
    "any age": (Selection(older_than=0.0), "abc"),
}


class RemovalTests(StoreKit):
    """Invalidation, and clearing."""

    def _left(self, store: CacheStore, names: str = "abc") -> str:
        return "".join(name for name in names if answer(store, name) is not None)

    @pytest.mark.parametrize("which", _SELECTIONS)
    def test_a_selection_means_what_all_its_criteria_fit(
        self, store: CacheStore, which: str
    ) -> None:
        """`remove` removes just that and returns how many: users are told so."""
        store.add(entry("a"), EAST)
        store.add(entry("b", partition=ABROAD, metadata={"doc": 7}), EAST)
        store.add(entry("c", namespace="mine", metadata={"doc": 7}), EAST)
        store.add_alias(exact_of("q"), digest("said"), key_of("b"))
        selection, gone = _SELECTIONS[which]
        # Asked before: what is kept in memory must go, too.
        assert self._left(store) == "abc"

        removed = store.remove(selection)

        expected = "".join(name for name in "abc" if name not in gone)
        assert self._left(store) == expected
        assert removed == len(gone)
        assert store.counts().entries == len(expected)
        found = near(store) + near(store, partition=ABROAD)
        assert sorted(filter(None, found)) == list(expected), "not out of the index"

    def test_the_old_go(self, store: CacheStore) -> None:
        """`older_than` is an age in seconds, by the store's clock."""
        store.add(entry("a"), EAST)
        self.age(store, self.life)

        assert store.remove(Selection(older_than=self.life)) == 1
        assert self._left(store) == ""

    def test_the_young_stay(self, store: CacheStore) -> None:
        """What was stored since is not older than that."""
        self.need_held_time()
        store.add(entry("a"), EAST)
        self.age(store, self.life)
        store.add(entry("b"), EAST)

        assert store.remove(Selection(older_than=self.life)) == 1
        assert self._left(store) == "b"

    def test_all_criteria_together(self, store: CacheStore) -> None:
        """Of entries that miss one criterion each, none goes."""
        fitting = entry("a", namespace="mine", metadata={"doc": 7})
        store.add(fitting, EAST)
        missing: dict[str, dict[str, Any]] = {
            "b": {"text": "another"},
            "c": {"namespace": "default"},
            "d": {"partition": ABROAD},
            "e": {"metadata": {"doc": 8}},
            "f": {},
        }
        for name, changed in missing.items():
            own = replace(fitting, key=key_of(name), exact=exact_of(name))
            store.add(replace(own, **changed), EAST)
        self.age(store, self.life)
        selection = Selection(
            key=key_of("a"),
            text="a",
            namespace="mine",
            older_than=self.life,
            partition=HOME,
            where=_is_seven,
        )

        assert store.remove(selection) == 1
        assert self._left(store, "abcdef") == "bcdef"
        assert store.remove(replace(selection, key=None)) == 1
        assert self._left(store, "abcdef") == "bcde", "only `f` misses the key alone"

    def test_a_predicate_sees_every_entry(self, store: CacheStore) -> None:
        """However they are read, in pages or not, each is looked at."""
        store.add_many((entry(f"{n}", metadata={"n": n}), EAST) for n in range(600))

        assert store.remove(Selection(where=lambda m: m["n"] % 2 == 0)) == 300
        assert store.counts().entries == 300

    def test_a_predicate_that_raises_removes_nothing(self, store: CacheStore) -> None:
        """What it raises reaches the caller: half a removal is none to rely on."""
        store.add_many((entry(f"{n}", metadata={"n": n}), EAST) for n in range(20))

        def breaks(metadata: Mapping[str, Any]) -> bool:
            return bool(1 / (metadata["n"] - 19))

        with pytest.raises(ZeroDivisionError):
            store.remove(Selection(where=breaks))

        assert store.counts().entries == 20

    def test_a_predicate_may_ask_the_store(self, store: CacheStore) -> None:
        """It is the user's code: it must not run while others wait for a lock."""
        store.add(entry("a"), EAST)
        store.add(entry("b"), EAST)

        def asks(_: Mapping[str, Any]) -> bool:
            return answer(store, "b") == "b"

        assert store.remove(Selection(where=asks, key=key_of("a"))) == 1

    def test_to_remove_twice_removes_once(self, store: CacheStore) -> None:
        """The second time there is nothing."""
        store.add(entry("a"), EAST)

        assert store.remove(Selection(key=key_of("a"))) == 1
        assert store.remove(Selection(key=key_of("a"))) == 0

    def test_a_removed_request_is_stored_anew(self, store: CacheStore) -> None:
        """A removal is of the answer, not of the question."""
        store.add(entry("a"), EAST)
        store.remove(Selection(key=key_of("a")))
        store.add(entry("a"), EAST)

        assert answer(store, "a") == "a"
        assert near(store) == ["a"]

    def test_a_namespace_is_cleared_alone(self, store: CacheStore) -> None:
        """A tenant that leaves takes all that is theirs along, and nothing else."""
        for namespace in ("theirs", "ours"):
            for number in range(3):
                name = f"{namespace} {number}"
                store.add(entry(name, namespace=namespace), EAST)
                store.add_alias(exact_of(f"alias of {name}"), None, key_of(name))
                store.reject(exact_of(f"not {name}"), key_of(name))
        store.tally(HOME, "cell", right=1)

        assert store.remove(Selection(namespace="theirs")) == 3

        counts = store.counts()
        assert (counts.entries, counts.aliases, counts.rejected) == (3, 3, 3)
        assert answer(store, "theirs 0") is None
        assert answer(store, "alias of theirs 0") is None
        assert answer(store, "alias of ours 0") == "ours 0"
        assert store.tallies(HOME) == {"cell": (1, 0)}, "evidence is not an answer"

    def test_clear_forgets_all(self, store: CacheStore) -> None:
        """Every entry, alias, rejected pair and tally; and the store goes on."""
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        store.reject(exact_of("r"), key_of("a"))
        store.tally(HOME, "cell", right=1)
        assert answer(store, "a") == answer(store, "q") == "a"

        store.clear()

        counts = store.counts()
        assert (counts.entries, counts.aliases, counts.rejected) == (0, 0, 0)
        assert counts.bytes == 0
        assert answer(store, "a") is None
        assert answer(store, "q") is None
        assert store.get(key_of("a")) is None
        assert near(store) == []
        assert store.tallies(HOME) == {}
        assert store.tallies(None) == {}

        store.add(entry("a"), EAST)
        assert near(store, asked="r") == ["a"], "a rejected pair was not forgotten"
