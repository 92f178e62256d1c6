"""What the cache of a model and the cache of a chain have in common."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.costs import Costs
from langchain_prodpatterns.cache.decision import Band
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.policy import Policy
from langchain_prodpatterns.cache.steps import BareHands, Call, Steps, of_store
from langchain_prodpatterns.cache.stores import Entry, LocalStore, Selection
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.conftest import CountingEmbeddings


@pytest.fixture
def store() -> Iterator[LocalStore]:
    opened = LocalStore()
    yield opened
    opened.close()


def core_of(store: LocalStore, embeddings: CountingEmbeddings) -> Core:
    policy = Policy(Band(0.5, 0.9), Learning(store, 0.02), Costs(None), judged=False)
    return Core(embeddings, store, policy, None)


@pytest.fixture
def core(store: LocalStore, embeddings: CountingEmbeddings) -> Core:
    return core_of(store, embeddings)


def test_a_store_of_other_embeddings_is_refused_and_closed(
    store: LocalStore, embeddings: CountingEmbeddings
) -> None:
    with store._database.write() as db:
        db.execute("INSERT INTO embedder VALUES ('another', 3)")

    with pytest.raises(StoreError, match="holds vectors of another"):
        core_of(store, embeddings)
    with pytest.raises(StoreError, match="is closed"):
        store.find("x")


def test_embeddings_that_are_down_are_no_reason_to_refuse(
    store: LocalStore, embeddings: CountingEmbeddings
) -> None:
    name = core_of(store, embeddings).scope("n").embedder
    with store._database.write() as db:
        db.execute("INSERT INTO embedder VALUES (?, 128)", (name,))
    embeddings.error = ConnectionError()

    core = core_of(store, embeddings)

    assert store.fingerprint == Fingerprint(name, 128)
    assert core.counters._counts["error"] == 1


async def test_it_is_active_in_its_own_steps_only(
    core: Core, embeddings: CountingEmbeddings
) -> None:
    hands = BareHands(embeddings, {})

    def steps() -> Steps[Any]:
        return (yield Call(lambda: core.is_active))

    assert core.take(steps(), hands)
    assert await core.atake(steps(), hands)
    assert not core.is_active


async def test_a_store_s_own_coroutine_is_awaited_where_it_has_one(
    core: Core, embeddings: CountingEmbeddings, store: LocalStore
) -> None:
    class Native:
        def find(self, exact: str) -> tuple[str, str, str]:
            return "blocked", exact, threading.current_thread().name

        async def afind(self, exact: str) -> tuple[str, str, str]:
            return "awaited", exact, threading.current_thread().name

    def steps(one: Any, *args: str) -> Steps[Any]:
        return (yield of_store(one, "find", *args))

    here = threading.current_thread().name
    hands = BareHands(embeddings, {})
    native: Any = Native()
    assert core.take(steps(native, "x"), hands) == ("blocked", "x", here)
    assert await core.atake(steps(native, "x"), hands) == ("awaited", "x", here)
    assert await core.atake(steps(store, "x"), hands) is None


def test_what_other_processes_invalidate_is_not_stored(
    store: LocalStore, embeddings: CountingEmbeddings
) -> None:
    class Announced(LocalStore):
        listener: Callable[[Selection], None]

        def on_recall(self, listener: Callable[[Selection], None]) -> None:
            self.listener = listener

    with closing(Announced()) as announced:
        core = core_of(announced, embeddings)
        entry = Entry("k", "p", "x", None, "v", "mine")
        began = time.perf_counter()
        announced.listener(Selection(namespace="mine"))

        assert core.recalls.cover(entry, began)
        assert not core.recalls.cover(replace(entry, namespace="other"), began)


def test_it_is_not_active_after_steps_that_fail(
    core: Core, embeddings: CountingEmbeddings
) -> None:
    def steps() -> Steps[Any]:
        yield Call(dict[str, Any]().popitem)

    with pytest.raises(KeyError):
        core.take(steps(), BareHands(embeddings, {}))
    assert not core.is_active
