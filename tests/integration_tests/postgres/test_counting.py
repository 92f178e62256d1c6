"""What is told of a store, as the commands show it."""

from contextlib import closing

from langchain_prodpatterns.cache.stores import LocalStore, PostgresStore
from langchain_prodpatterns.cache.stores.census import take_census
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    MODEL,
    entry,
    key_of,
)


def test_a_census_is_as_that_of_a_file(dsn: str) -> None:
    with closing(PostgresStore(dsn)) as shared, closing(LocalStore()) as local:
        for store in (shared, local):
            store.bind(MODEL)
            for name in ("a", "b", "c"):
                store.add(entry(name), EAST)
            store.add(entry("mine", namespace="mine", partition="other"), None)
            store.touch(key_of("a"))
            store.quarantine(key_of("c"), "by hand")
            store.add(entry("d"), EAST)

        told, expected = take_census(shared), take_census(local)

    assert told.oldest is not None
    assert told.newest is not None
    assert told.oldest <= told.newest
    assert told.quarantined == expected.quarantined == 1
    assert told.partitions == expected.partitions == 2
    shown = [(g.namespace, g.entries, g.hits) for g in told.namespaces]
    assert shown == [(g.namespace, g.entries, g.hits) for g in expected.namespaces]
    assert [g.partition for g in told.largest] == [
        g.partition for g in expected.largest
    ]
