"""What one process removes, the others know at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.postgres import entries, housekeeping
from tests.integration_tests.postgres.cases import OpenStore, ask, entry, one, stores
from tests.unit_tests.cache.conftest import (
    LLM,
    CountingEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

PATIENCE = 60
NEVER = 10_000.0
QUESTION = "When does the office open?"
MARK = Selection(key="mark")


@pytest.fixture
def open_store(dsn: str) -> Iterator[OpenStore]:
    with stores(dsn) as make:
        yield make


@pytest.fixture
def open_cache() -> Iterator[Callable[..., SemanticJudgeCache]]:
    """Open caches, each as in a process of its own."""
    opened: list[SemanticJudgeCache] = []

    def make(store: PostgresStore) -> SemanticJudgeCache:
        cache = SemanticJudgeCache(CountingEmbeddings(), ScriptedJudge(), store=store)
        opened.append(cache)
        return cache

    yield make
    for cache in opened:
        cache.close()


class Heard:
    """Notes what a store is told, and waits for it."""

    def __init__(self, store: PostgresStore) -> None:
        self.told: list[Selection] = []
        self._changed = threading.Condition()
        store.on_recall(self._note)

    def _note(self, selection: Selection) -> None:
        with self._changed:
            self.told.append(selection)
            self._changed.notify_all()

    def wait_for(self, selection: Selection) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: selection in self.told, PATIENCE)


def _begin_to_hear(mine: PostgresStore, other: PostgresStore) -> Heard:
    """Return what another hears from now on."""
    heard = Heard(other)
    other.find("xa")
    mine.remove(MARK)
    heard.wait_for(MARK)
    heard.told.clear()
    return heard


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(key="ka"), Selection(key="ka")),
        (Selection(namespace="n"), Selection(namespace="n")),
        (Selection(partition="p"), Selection(partition="p")),
        (Selection(older_than=0.0), Selection(older_than=0.0)),
        (Selection(text="question a"), Selection()),
        (Selection(where=lambda _: True), Selection()),
        (Selection(), Selection()),
    ],
    ids=["key", "namespace", "partition", "age", "text", "predicate", "all"],
)
def test_a_removal_is_told_to_the_others_by_a_notification(
    open_store: OpenStore, selection: Selection, told: Selection
) -> None:
    mine, other = open_store(), open_store(hear_seconds=NEVER)
    mine.add(entry(), None)
    heard = _begin_to_hear(mine, other)

    mine.remove(selection)

    heard.wait_for(told)
    assert other.find("xa") is None


def test_a_clear_is_told(open_store: OpenStore) -> None:
    mine, other = open_store(), open_store(hear_seconds=NEVER)
    heard = _begin_to_hear(mine, other)

    mine.clear()

    heard.wait_for(Selection())


def test_a_removal_is_told_without_notifications(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler, which hands none on."""
    monkeypatch.setattr(housekeeping, "CHANNEL", "nobody_notifies")
    mine, other = open_store(), open_store(hear_seconds=0.01)
    heard = _begin_to_hear(mine, other)

    mine.remove(Selection(key="ka"))

    heard.wait_for(Selection(key="ka"))


def _restore(dsn: str) -> None:
    """Go back to a backup of before all announcements."""
    ask(dsn, "DELETE FROM prodpatterns.recalls")
    ask(dsn, "ALTER TABLE prodpatterns.recalls ALTER COLUMN id RESTART WITH 1")


def test_a_removal_is_told_by_a_database_that_has_gone_back(
    open_store: OpenStore, dsn: str
) -> None:
    mine = open_store()
    for _ in range(3):
        mine.remove(MARK)
    ask(dsn, "UPDATE prodpatterns.recalls SET at = at - interval '2 minutes'")
    heard = _begin_to_hear(mine, open_store(hear_seconds=NEVER))
    _restore(dsn)

    mine.remove(Selection(key="ka"))
    heard.wait_for(Selection())
    mine.remove(Selection(key="kb"))
    heard.wait_for(Selection(key="kb"))


def test_it_is_told_when_the_numbers_have_passed_those_of_before(
    open_store: OpenStore, dsn: str
) -> None:
    mine = open_store()
    mine.remove(MARK)
    ask(dsn, "UPDATE prodpatterns.recalls SET at = at - interval '2 minutes'")
    # Nothing wakes it, as behind a pooler.
    other = open_store(hear_seconds=NEVER)
    heard = Heard(other)
    other._hear()
    _restore(dsn)

    mine.remove(Selection(key="ka"))
    other._hear()

    assert heard.told[-1:] == [Selection()]


def test_who_removes_is_not_told(open_store: OpenStore) -> None:
    mine = open_store()
    heard = Heard(mine)
    mine._hear()
    heard.told.clear()

    mine.remove(Selection(key="ka"))
    mine._hear()

    assert heard.told == []


def test_what_is_on_its_way_when_one_begins_to_hear_is_heard(
    open_store: OpenStore, dsn: str
) -> None:
    """A number is drawn before it can be seen: a greater one may come before it."""
    import psycopg

    mine, other = open_store(), open_store()
    heard = Heard(other)
    row = "INSERT INTO prodpatterns.recalls (origin, selection) VALUES ('o', %s)"
    with psycopg.connect(dsn) as early:
        early.execute(row, ('{"key": "early"}',))
        mine.remove(Selection(key="late"))
        # The first time, and then again.
        other._keeper._hearing.low = None
        other._db.run(other._keeper.hear())
        other._db.run(other._keeper.hear())
        assert Selection(key="early") not in heard.told
    other._db.run(other._keeper.hear())

    assert Selection(key="early") in heard.told


def _update(cache: SemanticJudgeCache) -> None:
    prompt = prompt_of(HumanMessage(QUESTION))
    cache.update(prompt, LLM, answer_of(AIMessage("at nine")))


def _is_hit(cache: SemanticJudgeCache) -> bool:
    return cache.lookup(prompt_of(HumanMessage(QUESTION)), LLM) is not None


def test_one_cache_serves_what_another_has_stored_until_it_is_invalidated(
    open_store: OpenStore, open_cache: Callable[..., SemanticJudgeCache]
) -> None:
    one, other = open_cache(open_store()), open_cache(open_store())
    _update(one)
    assert _is_hit(other)

    assert other.invalidate(namespace="default") == 1

    assert not _is_hit(one)


POINTS = ["before it is stored", "after it is stored", "before others are heard"]


@pytest.mark.parametrize("point", POINTS)
def test_an_answer_on_its_way_is_not_stored_beyond_an_invalidation(
    open_store: OpenStore,
    open_cache: Callable[..., SemanticJudgeCache],
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call begins, another process invalidates at some point, the answer comes."""
    store = open_store(hear_seconds=NEVER)
    mine, other = open_cache(store), open_cache(open_store(hear_seconds=NEVER))
    keeper = store._keeper
    # This cache hears when it stores, and not by the way.
    monkeypatch.setattr(store._house, "begin", lambda: None)
    store._hear()
    called = "entries.add" if point == POINTS[0] else "hear"
    done: list[int] = []

    def invalidate() -> None:
        if not done:
            done.append(1)
            other.invalidate(namespace="default")

    if called == "hear":
        hear = keeper.hear

        def late() -> Any:
            if point == POINTS[1]:
                invalidate()
            yield from hear()
            if point == POINTS[2]:
                invalidate()
                yield from hear()

        monkeypatch.setattr(keeper, "hear", late)
    else:
        add = entries.add

        def early(*given: Any) -> Any:
            invalidate()
            return (yield from add(*given))

        monkeypatch.setattr(entries, "add", early)

    prompt = prompt_of(HumanMessage(QUESTION))
    # As the call begins.
    assert mine.lookup(prompt, LLM) is None
    mine.update(prompt, LLM, answer_of(AIMessage("of the old document")))

    assert done
    assert not _is_hit(other)
    assert not _is_hit(mine)


def test_the_first_answer_of_a_process_is_stored(
    open_store: OpenStore, open_cache: Callable[..., SemanticJudgeCache]
) -> None:
    """It begins to hear in the middle of the call: what was before is no news."""
    open_store().remove(Selection())
    store, calls = open_store(), list[str]()

    def work(question: str) -> str:
        calls.append(question)
        store._hear()
        return "at nine"

    chain = open_cache(store).wrap(RunnableLambda(work), scope="hours")
    assert [chain.invoke(QUESTION), chain.invoke(QUESTION)] == ["at nine"] * 2

    assert calls == [QUESTION]


def _local(open_store: OpenStore, **given: Any) -> PostgresStore:
    return open_store(local_entries=10, local_seconds=1_000.0, **given)


def _until_trusted(store: PostgresStore) -> None:
    """Wait until a store hears of removals, and holds an answer."""
    done = threading.Event()
    for _ in range(3_000):
        store.find("xa")
        if store._house.hears and len(store._keeper.recent):
            return
        done.wait(0.02)
    pytest.fail("it did not begin to hear")


def _gone(store: PostgresStore) -> None:
    done = threading.Event()
    for _ in range(3_000):
        if store.find("xa") is None:
            return
        done.wait(0.02)
    pytest.fail("it is served for ever")


def test_the_local_tier_answers_without_the_database(
    open_store: OpenStore, dsn: str
) -> None:
    store = _local(open_store)
    store.add(entry(), None)
    _until_trusted(store)

    ask(dsn, "DELETE FROM prodpatterns.entries")

    assert store.find("xa") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda other: other.remove(Selection(key="ka")),
        lambda other: other.remove(Selection(text="question a")),
        lambda other: other.remove(Selection(namespace="n")),
        lambda other: other.clear(),
        lambda other: (
            other.quarantine("ka", "damaged") or other.remove(Selection(key="ka"))
        ),
    ],
    ids=["key", "text", "namespace", "clear", "aside"],
)
def test_the_local_tier_drops_what_another_process_removes(
    open_store: OpenStore, change: Callable[[PostgresStore], Any]
) -> None:
    store, other = _local(open_store, hear_seconds=1_000.0), open_store()
    store.add(entry(), None)
    _until_trusted(store)

    change(other)

    _gone(store)


def test_the_local_tier_does_not_hold_what_is_found_while_it_is_removed(
    open_store: OpenStore,
) -> None:
    """It hears that something will be gone, and finds it once more."""
    store, other = _local(open_store, hear_seconds=1_000.0), open_store()
    store.add(entry(), None)
    _until_trusted(store)

    def remove() -> Any:
        work = entries.remove(Selection(key="ka"), "other")
        results = yield next(work)
        store._hear()
        assert store.find("xa") is not None
        with suppress(StopIteration):
            while True:
                results = yield work.send(results)

    other._db.run(remove(), "bulk")

    _gone(store)


def test_the_local_tier_drops_an_alias_that_another_process_rejects(
    open_store: OpenStore,
) -> None:
    store, other = _local(open_store, hear_seconds=1_000.0), open_store()
    store.add(entry("b"), None)
    store.add_alias("xa", None, "kb")
    _until_trusted(store)

    other.reject("xa", "kb")

    _gone(store)


def test_the_local_tier_drops_what_this_process_changes(open_store: OpenStore) -> None:
    store = _local(open_store)
    store.add(entry("b"), None)
    store.add_alias("xa", None, "kb")
    _until_trusted(store)

    # The entry that the alias is of.
    store.add(entry("b", key="other"), None)

    assert store.find("xa") is None


def test_the_local_tier_holds_what_another_replaces_for_a_while(
    open_store: OpenStore,
) -> None:
    store, other = _local(open_store), open_store()
    store.add(entry(), None)
    _until_trusted(store)
    other.add(entry(key="new", value='"new"'), None)
    found = store.find("xa")
    assert found is not None
    assert found.entry.key == "ka"

    store._keeper.recent._clock = lambda: 1e12

    found = store.find("xa")
    assert found is not None
    assert found.entry.key == "new"


def test_the_local_tier_is_not_trusted_by_who_cannot_hear(
    open_store: OpenStore, dsn: str
) -> None:
    store = _local(open_store)
    store.add(entry(), None)
    _until_trusted(store)
    store._house.stop()
    store._house._clock = lambda: 1e12

    ask(dsn, "DELETE FROM prodpatterns.entries")

    assert store.find("xa") is None


def test_announcements_are_kept_for_a_while_only(
    open_store: OpenStore, dsn: str
) -> None:
    store = open_store()
    store.remove(Selection(key="old"))
    ask(dsn, "UPDATE prodpatterns.recalls SET at = at - interval '11 minutes'")
    store.remove(Selection(key="new"))

    store.sweep()

    kept = one(dsn, "SELECT string_agg(selection, '') FROM prodpatterns.recalls")
    assert "new" in kept
    assert "old" not in kept
