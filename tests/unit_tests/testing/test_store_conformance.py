"""The suite of a store finds what is wrong with one."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase

from langchain_prodpatterns.cache.stores import (
    CacheStore,
    Entry,
    Found,
    LocalStore,
    Neighbor,
    Selection,
    StoreCounts,
    notes,
    writing,
)
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.testing.store_conformance import StoreConformance
from langchain_prodpatterns.testing.store_conformance.closing import CALLS
from langchain_prodpatterns.testing.store_conformance.kit import ABROAD, MODEL
from langchain_prodpatterns.usage import NO_USAGE
from tests.unit_tests.cache.conftest import Clock

SKIPPED = pytest.skip.Exception
FAILED = (AssertionError, pytest.fail.Exception)


class Suite(StoreConformance):
    """The suite as an author has it, called without pytest."""

    tallied_partitions = 8
    phases = (Phase.generate,)  # What is found need not be shortened.

    def __init__(self) -> None:
        self.clock = Clock()

    def age(self, store: CacheStore, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self, store: CacheStore, key: str) -> None:
        assert isinstance(store, LocalStore)
        with store._database.write() as db:
            db.execute("UPDATE entries SET value = '\"wrong\"' WHERE key = ?", (key,))

    def make_newer(self, store: CacheStore) -> None:
        assert isinstance(store, LocalStore)
        with store._database.read() as db:
            db.execute("PRAGMA user_version = 1000")


class Run:
    """Calls a test of the suite with a kind of store."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store.db"

    def __call__(self, kind: type[LocalStore], test: str, /, **given: Any) -> None:
        suite, opened = Suite(), list[LocalStore]()
        wanted = inspect.signature(getattr(suite, test)).parameters
        path = self._path if {"store", "other"} <= {*wanted} else None
        path = self._path if {"store", "opening"} <= {*wanted} else path

        def opening(*, embedder: Fingerprint = MODEL, **options: Any) -> LocalStore:
            store = kind(path, clock=suite.clock, **options)
            opened.append(store)
            store.bind(embedder)
            return store

        sources: dict[str, Callable[[], Any]] = {
            "store": opening,
            "other": opening,
            "opening": lambda: opening,
        }
        given |= {name: sources[name]() for name in wanted if name in sources}
        try:
            getattr(suite, test)(**given)
        finally:
            for store in opened:
                store.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(notes, "MAX_TALLIED", Suite.tallied_partitions)
    return Run(tmp_path)


class CrossesPartitions(LocalStore):
    def nearest(self, partition: str, *args: Any, **kw: Any) -> Sequence[Neighbor]:
        own = super().nearest(partition, *args, **kw)
        return [*own, *super().nearest(ABROAD, *args, **kw)]


class FiltersAfterwards(LocalStore):
    """Searches all partitions and drops what is of others, as an index may."""

    def nearest(
        self, partition: str, vector: Vector, *, exact: str, limit: int = 1
    ) -> Sequence[Neighbor]:
        partitions = {item.partition for item, _ in self.scan()}
        ask = partial(super().nearest, vector=vector, exact=exact, limit=limit + 3)
        found = [one for name in partitions for one in ask(name)]
        found.sort(key=lambda n: -n.similarity)
        return [n for n in found[: limit + 3] if n.entry.partition == partition][:limit]


class GivesDistances(LocalStore):
    def nearest(self, *args: Any, **kw: Any) -> Sequence[Neighbor]:
        found = super().nearest(*args, **kw)
        return [replace(n, similarity=1 - n.similarity) for n in found]


class GivesTheFarthestFirst(LocalStore):
    def nearest(self, *args: Any, **kw: Any) -> Sequence[Neighbor]:
        return super().nearest(*args, **kw)[::-1]


class KnowsNoLimit(LocalStore):
    def nearest(self, *args: Any, **kw: Any) -> Sequence[Neighbor]:
        return super().nearest(*args, **kw | {"limit": 100})


class ForgetsRejections(LocalStore):
    def nearest(self, *args: Any, **kw: Any) -> Sequence[Neighbor]:
        return super().nearest(*args, **kw | {"exact": ""})


class TakesAnyEmbedder(LocalStore):
    def bind(self, fingerprint: Fingerprint) -> None:
        with suppress(StoreError):
            super().bind(fingerprint)


class SwallowsMisfits(LocalStore):
    def add(self, entry: Entry, vector: Vector | None) -> bool:
        with suppress(StoreError):
            return super().add(entry, vector)
        return False


class NeverReplaces(LocalStore):
    def add(self, entry: Entry, vector: Vector | None) -> bool:
        return self.find(entry.exact) is not None or super().add(entry, vector)


class TrimsTexts(LocalStore):
    def add(self, entry: Entry, vector: Vector | None) -> bool:
        text = None if entry.text is None else entry.text.strip().replace("\x00", "")
        return super().add(replace(entry, text=text), vector)


class ForgetsPrices(LocalStore):
    def add(self, entry: Entry, vector: Vector | None) -> bool:
        return super().add(replace(entry, saved=NO_USAGE), vector)


class NeverExpires(LocalStore):
    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        return super().add_many((replace(item, ttl=None), v) for item, v in items)


class BelievesTheCaller(LocalStore):
    def find(self, exact: str) -> Found | None:
        found = super().find(exact)
        return found and replace(found, entry=replace(found.entry, created=-5.0))

    def get(self, key: str) -> Entry | None:
        found = super().get(key)
        return found and replace(found, created=-5.0)


class ForgetsNearness(LocalStore):
    def add_alias(
        self, exact: str, asked: str | None, key: str, nearness: str = ""
    ) -> None:
        super().add_alias(exact, None, key)


class AlwaysNews(LocalStore):
    def reject(self, exact: str, key: str) -> bool:
        super().reject(exact, key)
        return True


class SweepsAll(LocalStore):
    def sweep(self, limit: int = 10_000) -> int:
        return super().sweep()


class SweepsInSilence(LocalStore):
    def sweep(self, limit: int = 10_000) -> int:
        super().sweep(limit)
        return 0


class SweepsForEver(LocalStore):
    def sweep(self, limit: int = 10_000) -> int:
        super().sweep(limit)
        return 1


class HasNoRoom(LocalStore):
    def __init__(self, path: Path | None, *, clock: Clock, **bounds: int) -> None:
        super().__init__(path, clock=clock)


class CountsNoHits(LocalStore):
    def touch(self, key: str) -> None:
        pass


class RemovesTooMuch(LocalStore):
    def remove(self, selection: Selection) -> int:
        return super().remove(replace(selection, namespace=None, where=None))


class RemovesAnyAge(LocalStore):
    def remove(self, selection: Selection) -> int:
        return super().remove(replace(selection, older_than=None))


class RemovesByHalves(LocalStore):
    """Removes one after another, up to the one that a predicate raises on."""

    def remove(self, selection: Selection) -> int:
        where, count = selection.where, 0
        if where is None:
            return super().remove(selection)
        for item, _ in self.scan(replace(selection, where=None)):
            if where(item.metadata):
                count += super().remove(Selection(key=item.key))
        return count


class ScansTwice(LocalStore):
    def scan(self, *args: Any, **kw: Any) -> Iterator[tuple[Entry, Vector | None]]:
        for item in super().scan(*args, **kw):
            yield item
            yield item


class ScansWithoutVectors(LocalStore):
    def scan(self, *args: Any, **kw: Any) -> Iterator[tuple[Entry, Vector | None]]:
        yield from ((item, None) for item, _ in super().scan(*args, **kw))


class GivesToAll(LocalStore):
    def claim(self, name: str, holder: str, seconds: float) -> bool:
        super().claim(name, holder, seconds)
        return True


class NeverRenews(LocalStore):
    def claim(self, name: str, holder: str, seconds: float) -> bool:
        super().claim(name, holder, min(seconds, 1_000.0))
        return super().claim(name, holder, 0.001) and super().claim(
            name, holder, min(seconds, 1_000.0)
        )


class FreesForAll(LocalStore):
    def release(self, name: str, holder: str) -> None:
        for other in ("a", "b"):
            super().release(name, other)


class OnlyAdds(LocalStore):
    def tally(self, partition: str, cell: str, right: int = 0, wrong: int = 0) -> None:
        super().tally(partition, cell, max(right, 0), max(wrong, 0))


class AdoptsByHalves(LocalStore):
    """Looks and adds, one step after another."""

    def adopt_tallies(
        self, partition: str, tallies: Mapping[str, tuple[int, int]]
    ) -> bool:
        for cell, (right, wrong) in tallies.items():
            self.tally(partition, cell, right, wrong)
        return True


class KeepsTheSums(LocalStore):
    def reset_tallies(self, partition: str | None) -> None:
        before = self.tallies(None)
        super().reset_tallies(partition)
        for cell, (right, wrong) in before.items():
            old = self.tallies(None).get(cell, (0, 0))
            self.tally("sums", cell, right - old[0], wrong - old[1])


class AddsAllOrNone(LocalStore):
    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        return super().add_many(list(items))


class AddsUnderALock(LocalStore):
    def add_many(self, items: Iterable[tuple[Entry, Vector | None]]) -> int:
        held = list[Any]()
        self._busy = True
        try:
            held += items
        finally:
            self._busy = False
        return super().add_many(held)

    def find(self, exact: str) -> Found | None:
        assert not getattr(self, "_busy", False), "it would wait for ever"
        return super().find(exact)


class TearsEntries(LocalStore):
    """Reads the parts of an entry one after another."""

    def find(self, exact: str) -> Found | None:
        found, torn = super().find(exact), super().find(exact)
        if found is None or torn is None:
            return found
        return replace(found, entry=replace(found.entry, metadata={"mark": "old"}))


class CountsNoDamage(LocalStore):
    def counts(self) -> StoreCounts:
        return replace(super().counts(), quarantined=0)


class KeepsTheTallies(LocalStore):
    def clear(self) -> None:
        kept = self.tallies("p" * 32) or {"cell": (1, 0)}
        super().clear()
        for cell, (right, wrong) in kept.items():
            self.tally("p" * 32, cell, right, wrong)


class AnswersWhenClosed(LocalStore):
    def find(self, exact: str) -> Found | None:
        with suppress(StoreError):
            return super().find(exact)
        return None


class BreaksWhenClosed(LocalStore):
    def counts(self) -> StoreCounts:
        try:
            return super().counts()
        except StoreError as error:
            raise RuntimeError from error


class RemembersForItself(LocalStore):
    """Keeps what it found, and never hears that it went."""

    def find(self, exact: str) -> Found | None:
        kept: dict[str, Found] = self.__dict__.setdefault("_kept", {})
        found = kept.get(exact) or super().find(exact)
        if found is not None:
            kept[exact] = found
        return found


class ClosesForAll(LocalStore):
    def close(self) -> None:
        with suppress(StoreError):
            super().clear()
        super().close()


FAULTS: list[tuple[type[LocalStore], str, dict[str, Any]]] = [
    (CrossesPartitions, "test_none_is_of_another_partition", {}),
    (FiltersAfterwards, "test_a_small_partition_is_found_among_many", {}),
    (GivesDistances, "test_the_nearest_come_first_with_their_cosines", {}),
    (GivesTheFarthestFirst, "test_the_nearest_come_first_with_their_cosines", {}),
    (GivesTheFarthestFirst, "test_any_history_ends_as_in_the_model", {}),
    (KnowsNoLimit, "test_no_more_than_the_limit", {"limit": 2}),
    (KnowsNoLimit, "test_one_is_returned_by_default", {}),
    (ForgetsRejections, "test_a_rejected_pair_is_no_neighbor", {}),
    (ForgetsRejections, "test_any_history_ends_as_in_the_model", {}),
    (
        TakesAnyEmbedder,
        "test_another_embedder_is_refused",
        {"embedder": Fingerprint("other", 4)},
    ),
    (SwallowsMisfits, "test_a_vector_of_another_length_is_refused", {}),
    (NeverReplaces, "test_the_same_request_is_replaced", {}),
    (NeverReplaces, "test_any_history_ends_as_in_the_model", {}),
    (TrimsTexts, "test_an_entry_comes_back_whole", {"kind": "blanks"}),
    (TrimsTexts, "test_an_entry_comes_back_whole", {"kind": "a NUL"}),
    (ForgetsPrices, "test_an_entry_comes_back_whole", {"kind": "no known price"}),
    (ForgetsPrices, "test_what_costs_more_stays", {}),
    (NeverExpires, "test_the_time_to_live_comes_back", {}),
    (NeverExpires, "test_what_is_past_is_not_served", {}),
    (NeverExpires, "test_past_ones_do_not_hide_a_living_one", {}),
    (NeverExpires, "test_any_time_to_live_is_taken", {"ttl": 1e-6}),
    (BelievesTheCaller, "test_the_store_says_when_an_entry_was_created", {}),
    (ForgetsNearness, "test_an_alias_answers", {}),
    (
        ForgetsNearness,
        "test_a_selection_means_what_all_its_criteria_fit",
        {"which": "the text of an alias"},
    ),
    (AlwaysNews, "test_a_rejection_is_news_once", {}),
    (AlwaysNews, "test_verdicts_on_nothing_are_none", {}),
    (SweepsAll, "test_a_sweep_is_bounded", {}),
    (SweepsInSilence, "test_many_may_sweep_at_once", {}),
    (SweepsForEver, "test_a_sweep_removes_what_is_past_and_counts_it", {}),
    (SweepsForEver, "test_a_sweep_of_nothing_removes_nothing", {}),
    (HasNoRoom, "test_no_more_entries_than_there_is_room_for", {}),
    (HasNoRoom, "test_many_at_once_get_no_more_room", {}),
    (HasNoRoom, "test_no_more_bytes_than_there_is_room_for", {}),
    (HasNoRoom, "test_what_is_larger_than_all_room_is_not_stored", {}),
    (CountsNoHits, "test_what_is_served_often_stays", {}),
    (
        RemovesTooMuch,
        "test_a_selection_means_what_all_its_criteria_fit",
        {"which": "namespace"},
    ),
    (RemovesTooMuch, "test_all_criteria_together", {}),
    (RemovesTooMuch, "test_a_namespace_is_cleared_alone", {}),
    (RemovesAnyAge, "test_the_young_stay", {}),
    (RemovesByHalves, "test_a_predicate_that_raises_removes_nothing", {}),
    (ScansTwice, "test_each_entry_comes_once", {"batch": 2}),
    (ScansWithoutVectors, "test_what_comes_is_whole", {}),
    (ScansWithoutVectors, "test_a_store_is_copied_by_its_scan", {}),
    (GivesToAll, "test_one_of_many_threads_gets_it", {}),
    (GivesToAll, "test_one_of_many_gets_what_is_over", {}),
    (GivesToAll, "test_a_claim_is_common", {}),
    (NeverRenews, "test_the_holder_may_claim_again", {}),
    (FreesForAll, "test_only_its_holder_releases_it", {}),
    (OnlyAdds, "test_a_tally_may_be_taken_back", {}),
    (AdoptsByHalves, "test_they_are_taken_over_once", {}),
    (AdoptsByHalves, "test_of_many_threads_one_takes_them_over", {}),
    (KeepsTheSums, "test_a_partition_is_forgotten_in_the_sums_too", {}),
    (AddsAllOrNone, "test_what_was_stored_stays_when_the_rest_cannot_be_had", {}),
    (AddsUnderALock, "test_the_items_may_ask_the_store", {}),
    (TearsEntries, "test_readers_see_whole_entries_only", {}),
    (TearsEntries, "test_writers_of_one_request_leave_one_answer", {}),
    (CountsNoDamage, "test_a_damaged_entry_is_a_miss", {"way": "find"}),
    (CountsNoDamage, "test_what_is_not_there_is_not_put_aside", {}),
    (KeepsTheTallies, "test_clear_forgets_all", {}),
    (AnswersWhenClosed, "test_a_closed_store_says_so", {"method": "find"}),
    (RemembersForItself, "test_none_finds_what_the_other_removes", {}),
    (RemembersForItself, "test_clear_forgets_all", {}),
    (RemembersForItself, "test_the_same_request_is_replaced", {}),
    (RemembersForItself, "test_what_is_past_is_not_served", {}),
    (
        RemembersForItself,
        "test_a_selection_means_what_all_its_criteria_fit",
        {"which": "key"},
    ),
    (ClosesForAll, "test_one_may_close_while_others_stay", {}),
]


def shown(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else ""


@pytest.mark.parametrize(("kind", "test", "given"), FAULTS, ids=shown)
def test_a_fault_is_found(
    run: Run, kind: type[LocalStore], test: str, given: dict[str, Any]
) -> None:
    run(LocalStore, test, **given)  # The test is one that a right store passes.

    with pytest.raises(FAILED):
        run(kind, test, **given)


def test_an_error_of_the_engine_is_not_taken_for_a_refusal(run: Run) -> None:
    with pytest.raises(RuntimeError):
        run(BreaksWhenClosed, "test_a_closed_store_says_so", method="counts")


@pytest.mark.parametrize(
    ("test", "given"),
    [
        ("test_an_entry_keeps_its_latest_aliases", {}),
        ("test_an_entry_keeps_its_latest_rejections", {}),
    ],
)
def test_verdicts_without_a_bound_are_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, test: str, given: dict[str, Any]
) -> None:
    monkeypatch.setattr(writing, "VERDICTS_AN_ENTRY", 1_000)

    with pytest.raises(AssertionError):
        run(LocalStore, test, **given)


def test_tallies_that_do_not_last_are_found(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "LASTING", "never the beginning of a name")

    with pytest.raises(AssertionError):
        run(LocalStore, "test_partitions_beyond_the_bound_stay_in_the_sums")


class WithTwins(LocalStore):
    """Has an async twin of each method, and tells listeners of removals."""

    _listener: Callable[[Selection], None] | None = None
    heard_of = Selection(namespace="theirs")

    def __getattr__(self, name: str) -> Any:
        sync = name.removeprefix("a")
        if name == sync or sync not in {*CALLS, "close"}:
            raise AttributeError(name)
        return partial(self._twin, sync)

    async def _twin(self, sync: str, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(getattr(self, sync), *args, **kwargs)

    def on_recall(self, listener: Callable[[Selection], None]) -> None:
        listener(self.heard_of)


class WithDoubleTwins(WithTwins):
    """A twin that does it twice, and one that returns nothing."""

    async def _twin(self, sync: str, *args: Any, **kwargs: Any) -> Any:
        await super()._twin(sync, *args, **kwargs)
        if sync == "tally":
            await super()._twin(sync, *args, **kwargs)


class HearsOfOthers(WithTwins):
    heard_of = Selection(namespace="somebody else's")


class StaysOpen(WithTwins):
    async def _twin(self, sync: str, *args: Any, **kwargs: Any) -> Any:
        if sync != "close":
            return await super()._twin(sync, *args, **kwargs)
        return None


TWIN = "test_an_async_method_does_what_the_sync_one_does"


@pytest.mark.parametrize("method", CALLS)
def test_twins_that_agree_pass(run: Run, method: str) -> None:
    run(WithTwins, TWIN, method=method)


@pytest.mark.parametrize("method", ["find", "nearest", "tally", "sweep", "claim"])
def test_twins_that_differ_are_found(run: Run, method: str) -> None:
    with pytest.raises(AssertionError):
        run(WithDoubleTwins, TWIN, method=method)


def test_a_twin_that_does_not_close_is_found(run: Run) -> None:
    run(WithTwins, "test_it_is_closed_from_a_loop")

    with pytest.raises(FAILED):
        run(StaysOpen, "test_it_is_closed_from_a_loop")


def test_a_listener_that_hears_of_others_is_found(run: Run) -> None:
    run(WithTwins, "test_a_listener_hears_of_removals")

    with pytest.raises(AssertionError, match="does not mean that entry"):
        run(HearsOfOthers, "test_a_listener_hears_of_removals")


@pytest.mark.parametrize(
    ("test", "given", "reason"),
    [
        (TWIN, {"method": "find"}, "no afind"),
        ("test_it_is_closed_from_a_loop", {}, "no aclose"),
        ("test_a_listener_hears_of_removals", {}, "no on_recall"),
        ("test_one_of_many_processes_gets_it", {}, "process_opener"),
    ],
)
def test_what_a_store_may_lack_is_skipped_with_a_reason(
    run: Run, test: str, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SKIPPED, match=reason):
        run(LocalStore, test, **given)


def test_hooks_that_are_not_there_are_named() -> None:
    plain = StoreConformance()
    with LocalStoreOpened() as store:
        for hook, call in {
            r"damage\(store, key\)": lambda: plain.damage(store, "key"),
            r"make_newer\(store\)": lambda: plain.make_newer(store),
            "process_opener": plain.process_opener,
            r"age\(store, seconds\)": plain.need_held_time,
        }.items():
            with pytest.raises(SKIPPED, match=hook):
                call()


class LocalStoreOpened:
    """A store for a block."""

    def __enter__(self) -> LocalStore:
        self._store = LocalStore()
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


@pytest.mark.parametrize(
    ("bound", "test"),
    [
        ("has_max_entries", "test_no_more_entries_than_there_is_room_for"),
        ("has_max_bytes", "test_no_more_bytes_than_there_is_room_for"),
    ],
)
def test_a_bound_that_a_store_has_not_is_skipped(
    run: Run, monkeypatch: pytest.MonkeyPatch, bound: str, test: str
) -> None:
    monkeypatch.setattr(Suite, bound, False)

    with pytest.raises(SKIPPED, match=bound):
        run(LocalStore, test)


def test_where_age_sleeps_what_it_waits_for_is_short() -> None:
    assert not StoreConformance().holds_time
    assert StoreConformance().life < 1
    assert Suite().holds_time
    assert Suite().life > 100


class Overridden(Suite):
    def test_an_alias_answers(self, store: CacheStore) -> None:
        """Is not as the suite has it."""


class Excused(Suite):
    @pytest.mark.xfail(reason="there are no aliases")
    def test_an_alias_answers(self, store: CacheStore) -> None:
        """Is not as the suite has it, and says why."""


def test_a_test_is_not_overridden_in_silence() -> None:
    Suite().test_no_test_is_overridden()
    Excused().test_no_test_is_overridden()

    with pytest.raises(AssertionError, match=r"test_an_alias_answers.*xfail"):
        Overridden().test_no_test_is_overridden()


def test_every_module_is_one_whose_assertions_pytest_explains() -> None:
    from langchain_prodpatterns.testing import store_conformance

    folder = Path(store_conformance.__path__[0])
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert set(store_conformance._MODULES) == modules
