"""What the cache of a model and the cache of a chain have in common."""

from collections.abc import Iterator
from typing import Any

import pytest

from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.decision import Policy
from langchain_prodpatterns.cache.steps import BareHands, Call, Steps
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.conftest import CountingEmbeddings

POLICY = Policy(lo=0.5, hi=0.9, judged=False)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    opened = LocalStore()
    yield opened
    opened.close()


@pytest.fixture
def core(store: LocalStore, embeddings: CountingEmbeddings) -> Core:
    return Core(embeddings, store, POLICY, None)


def test_a_store_of_other_embeddings_is_refused_and_closed(
    store: LocalStore, embeddings: CountingEmbeddings
) -> None:
    with store._database.write() as db:
        db.execute("INSERT INTO embedder VALUES ('another', 3)")

    with pytest.raises(StoreError, match="holds vectors of another"):
        Core(embeddings, store, POLICY, None)
    with pytest.raises(StoreError, match="is closed"):
        store.find("x")


def test_embeddings_that_are_down_are_no_reason_to_refuse(
    store: LocalStore, embeddings: CountingEmbeddings
) -> None:
    name = Core(embeddings, store, POLICY, None).scope("n").embedder
    with store._database.write() as db:
        db.execute("INSERT INTO embedder VALUES (?, 128)", (name,))
    embeddings.error = ConnectionError()

    core = Core(embeddings, store, POLICY, None)

    assert store.fingerprint == Fingerprint(name, 128)
    assert core.counters.stats(store.counts()).errors == 1


async def test_it_is_active_in_its_own_steps_only(
    core: Core, embeddings: CountingEmbeddings
) -> None:
    hands = BareHands(embeddings, {})

    def steps() -> Steps[Any]:
        return (yield Call(lambda: core.is_active))

    assert core.take(steps(), hands)
    assert await core.atake(steps(), hands)
    assert not core.is_active


def test_it_is_not_active_after_steps_that_fail(
    core: Core, embeddings: CountingEmbeddings
) -> None:
    def steps() -> Steps[Any]:
        yield Call(dict[str, Any]().popitem)

    with pytest.raises(KeyError):
        core.take(steps(), BareHands(embeddings, {}))
    assert not core.is_active
