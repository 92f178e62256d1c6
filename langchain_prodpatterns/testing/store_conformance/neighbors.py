"""The nearest are those of the partition, by the cosine, of one embedding model."""

import pytest

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.testing.store_conformance.kit import (
    ABROAD,
    COSINE_ERROR,
    EAST,
    HOME,
    MODEL,
    NORTH,
    Opener,
    StoreKit,
    answer,
    entry,
    exact_of,
    near,
    partition_of,
    texts,
    unit,
)

_LONGER = unit(1, 0, 0, 0, 0)


class NeighborTests(StoreKit):
    """Searching by similarity."""

    def test_the_nearest_come_first_with_their_cosines(self, store: CacheStore) -> None:
        """`similarity` is the cosine, whatever the engine calls a distance.

        The cache compares it with thresholds that were learned as cosines.
        """
        for name, vector in {
            "opposite": unit(-1, 0, 0, 0),
            "far": NORTH,
            "near": unit(1, 1, 0, 0),
            "same": EAST,
        }.items():
            store.add(entry(name), vector)

        found = store.nearest(HOME, EAST, exact=exact_of("q"), limit=4)

        assert texts(found) == ["same", "near", "far", "opposite"]
        cosines = [neighbor.similarity for neighbor in found]
        expected = pytest.approx([1.0, 0.5**0.5, 0.0, -1.0], abs=COSINE_ERROR)
        assert cosines == expected, "`similarity` must be the cosine"
        assert max(cosines) <= 1.0, "a cosine is at most 1: rounding must be cut off"

    def test_a_neighbor_is_a_whole_entry(self, store: CacheStore) -> None:
        """What is served from `nearest` is what `get` returns."""
        given = entry("a", metadata={"doc": 7})
        store.add(given, EAST)

        (found,) = store.nearest(HOME, EAST, exact=exact_of("q"))

        assert found.entry == store.get(given.key)
        assert found.entry.metadata == {"doc": 7}

    @pytest.mark.parametrize("limit", [1, 2, 5, 50])
    def test_no_more_than_the_limit(self, store: CacheStore, limit: int) -> None:
        """`limit` bounds what is returned; where there are fewer, all are."""
        for number in range(5):
            store.add(entry(f"e{number}"), unit(1, number / 10, 0, 0))

        found = near(store, limit=limit)

        assert found == [f"e{number}" for number in range(min(limit, 5))]

    def test_one_is_returned_by_default(self, store: CacheStore) -> None:
        """Without a limit it is the nearest alone."""
        store.add(entry("near"), EAST)
        store.add(entry("far"), NORTH)

        assert texts(store.nearest(HOME, EAST, exact=exact_of("q"))) == ["near"]

    def test_none_is_of_another_partition(self, store: CacheStore) -> None:
        """Not even where text and vector are equal: it may be another user's."""
        store.add(entry("theirs", text="hello", partition=ABROAD), EAST)

        assert near(store) == []

        store.add(entry("ours", text="farther"), unit(1, 1, 0, 0))

        assert near(store) == ["farther"]
        assert near(store, partition=ABROAD) == ["hello"]
        assert near(store, partition=partition_of("never used")) == []

    def test_a_small_partition_is_found_among_many(self, store: CacheStore) -> None:
        """Nearer ones of other partitions must not crowd out those of this one.

        An index over all partitions that is filtered afterwards fails here.
        """
        crowd = [
            (entry(f"{n}", partition=partition_of(f"{n % 3}")), EAST)
            for n in range(300)
        ]
        store.add_many(crowd)
        store.add(entry("planted"), unit(1, 0.5, 0, 0))

        assert near(store, limit=1) == ["planted"]

    def test_removed_ones_are_no_neighbors(self, store: CacheStore) -> None:
        """An index that is derived from the entries follows them at once."""
        store.add(entry("a"), EAST)
        assert near(store) == ["a"]

        store.clear()
        assert near(store) == []

        store.add(entry("b"), EAST)
        assert near(store) == ["b"]

    def test_the_embedder_is_remembered(self, store: CacheStore) -> None:
        """`fingerprint` is the model of the vectors, once there is one."""
        store.add(entry("a"), EAST)

        assert store.fingerprint == MODEL

    def test_the_embedder_is_remembered_by_the_storage(
        self, store: CacheStore, other: CacheStore
    ) -> None:
        """Who opens the storage again learns which model made its vectors."""
        store.add(entry("a"), EAST)

        assert other.fingerprint == MODEL

    @pytest.mark.parametrize(
        "embedder",
        [Fingerprint("another model", MODEL.dimensions), Fingerprint(MODEL.name, 5)],
        ids=["name", "dimensions"],
    )
    def test_another_embedder_is_refused(
        self, store: CacheStore, embedder: Fingerprint
    ) -> None:
        """`bind` raises `StoreError`: cosines of two models mean nothing."""
        store.add(entry("a"), EAST)

        with pytest.raises(StoreError):
            store.bind(embedder)

        assert store.fingerprint == MODEL
        assert near(store) == ["a"]

    def test_the_same_embedder_is_accepted(self, store: CacheStore) -> None:
        """`bind` may be called again, also while the length is not known yet."""
        store.add(entry("a"), EAST)

        store.bind(MODEL)
        store.bind(Fingerprint(MODEL.name))
        store.add(entry("b"), NORTH)

        assert store.fingerprint == MODEL
        assert near(store) == ["a", "b"]

    def test_the_length_may_show_with_the_first_vector(self, opening: Opener) -> None:
        """Embeddings seldom say how long their vectors are before they embed."""
        store = opening(embedder=Fingerprint(MODEL.name))
        store.add(entry("a"), EAST)

        assert store.fingerprint == MODEL

    def test_a_cleared_store_takes_another_embedder(self, store: CacheStore) -> None:
        """It holds no vectors any more that the new ones could be mixed with."""
        store.add(entry("a"), EAST)
        store.clear()
        store.bind(Fingerprint("another model", _LONGER.size))
        store.add(entry("b"), _LONGER)

        assert near(store, _LONGER) == ["b"]

    def test_a_vector_of_another_length_is_refused(self, store: CacheStore) -> None:
        """`add` raises `StoreError` and stores nothing of it."""
        store.add(entry("a"), EAST)

        with pytest.raises(StoreError):
            store.add(entry("b"), _LONGER)

        assert store.find(exact_of("b")) is None
        assert answer(store, "a") == "a"
        assert near(store) == ["a"]

    def test_a_question_of_another_length_has_no_neighbor(
        self, store: CacheStore
    ) -> None:
        """It is an empty result or a `StoreError`, never any other error."""
        store.add(entry("a"), EAST)

        try:
            found = near(store, _LONGER)
        except StoreError:
            found = []

        assert found == []
