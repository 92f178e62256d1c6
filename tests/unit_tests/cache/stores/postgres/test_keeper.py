"""What a process knows, and what it forgets."""

import gc
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores.base import Entry, Selection
from langchain_prodpatterns.cache.stores.eviction import Bounds
from langchain_prodpatterns.cache.stores.postgres.keeper import Keeper, Searching
from langchain_prodpatterns.cache.stores.postgres.migrations import State
from langchain_prodpatterns.cache.stores.postgres.recent import Recent
from langchain_prodpatterns.cache.stores.postgres.searching import Search
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Result,
    Work,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.stores.postgres.scripted import STATE

NOTHING = Result([], 0)
ENTRY = Entry("k", "p", "x", "text", '"v"', "n")


def _keeper(state: State | None = None, **given: Any) -> Keeper:
    recent = Recent(0, 1.0, lambda: False)
    return Keeper(Bounds(), Searching(None, 200, lambda: state), recent, **given)


def _run(
    work: Work[Any], answer: Callable[[Batch], Sequence[Result] | None] = lambda _: None
) -> tuple[Any, list[Batch]]:
    """Run work, and return its value and its batches.

    What `answer` gives nothing for has no rows.
    """
    batches = list[Batch]()
    try:
        batch = next(work)
        while True:
            batches.append(batch)
            none = [NOTHING for _ in batch.statements]
            batch = work.send(answer(batch) or none)
    except StopIteration as end:
        return end.value, batches


def _told(batches: Sequence[Batch]) -> str:
    return "\n".join(one.text for batch in batches for one in batch.statements)


def _rows(batch: Batch, text: str, *rows: Sequence[Any]) -> list[Result] | None:
    """Return rows for the last statement of a batch that has a text in it."""
    if text not in batch.statements[-1].text:
        return None
    return [*[NOTHING for _ in batch.statements[1:]], Result(rows, len(rows))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_is_another_than_its_parent() -> None:
    keeper = _keeper()
    keeper.touch("k")
    was = keeper.origin
    gc.collect()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        # It hears what its parent removes, and does not write down its hits again.
        anew = keeper.origin != was and keeper._hearing.origin == keeper.origin
        _, batches = _run(keeper.write_hits())
        os._exit(0 if anew and not batches else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert keeper.origin == was
    assert _told(_run(keeper.write_hits())[1]).count("hits")


def test_hits_are_written_down_once() -> None:
    keeper = _keeper()
    for key in "aba":
        keeper.touch(key)

    _, ((batch),) = _run(keeper.write_hits())

    (statement,) = batch.statements
    assert statement.values == {"keys": ["a", "b"], "counts": [2, 1]}
    assert _run(keeper.write_hits())[1] == []


def test_hits_that_could_not_be_written_down_are_kept() -> None:
    keeper = _keeper()
    keeper.touch("a")
    work = keeper.write_hits()
    next(work)
    keeper.touch("a")

    # As it is where the database is away.
    work.close()

    _, (batch,) = _run(keeper.write_hits())
    assert batch.statements[0].values["counts"] == [2]


def test_a_bounded_number_of_hits_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "langchain_prodpatterns.cache.stores.postgres.keeper._NOTED_AT_MOST", 2
    )
    keeper = _keeper()
    for key in "abca":
        keeper.touch(key)

    _, (batch,) = _run(keeper.write_hits())

    assert batch.statements[0].values == {"keys": ["a", "b"], "counts": [2, 1]}


def test_vectors_of_several_lengths_are_refused() -> None:
    items = [(ENTRY, np.ones(size, np.float32)) for size in (3, 2)]

    with pytest.raises(StoreError, match=r"of one length are needed, got \[2, 3\]"):
        _run(_keeper().add(items))


def test_vectors_of_another_model_are_refused() -> None:
    keeper = _keeper()
    keeper.embedder = Fingerprint("mine")

    with pytest.raises(
        StoreError, match="holds vectors of theirs, dimension 2, not of"
    ):
        _run(
            keeper.add([(ENTRY, np.ones(2, np.float32))]),
            lambda batch: _rows(batch, "FROM {s}.embedder", ("theirs", 2)),
        )


def _searched(keeper: Keeper, dimensions: int = 2, *, indexed: bool) -> list[bool]:
    """Look for a neighbor; return of each statement if it looks into the index."""
    keeper.known = Fingerprint("m", dimensions)
    keeper.embedder = Fingerprint("m")

    def answer(batch: Batch) -> list[Result] | None:
        knows = "UNION ALL" in batch.statements[0].text
        return _rows(batch, "looked", (-1 if indexed and not knows else 0, None))

    search = Search("p", np.ones(dimensions, np.float32), "x", 1)
    _, batches = _run(keeper.nearest(search), answer)
    return ["UNION ALL" in _told([batch]) for batch in batches]


def test_who_has_seen_that_a_partition_is_in_the_index_looks_there_at_once() -> None:
    keeper = _keeper()

    assert _searched(keeper, indexed=False) == [False]
    assert _searched(keeper, indexed=True) == [False, True]
    assert _searched(keeper, indexed=True) == [True]
    # What was removed may be all of it.
    _run(keeper.remove(Selection(namespace="n")))
    assert _searched(keeper, indexed=False) == [False]


@pytest.mark.parametrize(
    ("dimensions", "rows"), [(384, 10_416), (1_200, 3_333), (1_201, 832)]
)
def test_what_was_searched_is_counted_and_given_to_the_index(
    dimensions: int, rows: int
) -> None:
    """Vectors that are too long to lie side by side are fewer."""
    indexed = replace(STATE, indexed=frozenset({dimensions}))
    keeper = _keeper(state=indexed)
    _searched(keeper, dimensions, indexed=False)

    moved, (counted, given) = _run(
        keeper.index_some(200),
        lambda batch: (
            [Result([("p",)], 1)]
            if "partitions" in batch.statements[0].values
            else [Result([], 200)]
        ),
    )

    assert moved == 200
    assert counted.statements[0].values == {"partitions": ["p"], "rows": rows}
    assert given.statements[0].values["partition"] == "p"
    assert given.statements[0].values["rows"] == rows // 16


def test_what_was_counted_and_is_small_is_given_to_no_index() -> None:
    keeper = _keeper(state=replace(STATE, indexed=frozenset({2})))
    _searched(keeper, indexed=False)

    assert _run(keeper.index_some(200))[0] == 0
    # Nor is it counted again at once.
    _searched(keeper, indexed=False)
    assert _run(keeper.index_some(200)) == (0, [])


@pytest.mark.parametrize("vector", [[1.0, 0.0, 0.0], [0.0, 0.0], [np.nan, 1.0]])
def test_a_vector_that_cannot_be_compared_finds_nothing(vector: list[float]) -> None:
    keeper = _keeper()
    keeper.known, keeper.embedder = Fingerprint("m", 2), Fingerprint("m")

    search = Search("p", np.array(vector, np.float32), "x", 1)
    assert _run(keeper.nearest(search)) == ([], [])


def test_vectors_of_another_model_are_not_compared() -> None:
    keeper = _keeper()
    keeper.known, keeper.embedder = Fingerprint("m", 2), Fingerprint("other")

    search = Search("p", np.ones(2, np.float32), "x", 1)
    assert _run(keeper.nearest(search)) == ([], [])


def test_one_tenant_forgets_nothing_of_the_others() -> None:
    alone, one_of_many = _keeper(), _keeper(namespace="tenant")

    all_gone, own_gone = (_told(_run(k.clear())[1]) for k in (alone, one_of_many))

    for table in ("tallies", "embedder"):
        gone = " ".join(("DELETE FROM", f"{{s}}.{table}"))
        assert gone in all_gone
        assert gone not in own_gone
    assert "DELETE FROM {s}.quarantine" in own_gone


def test_a_listener_is_told_of_what_others_removed() -> None:
    keeper = _keeper()
    told = list[Selection]()
    keeper.listeners.append(told.append)

    def answer(batch: Batch) -> list[Result] | None:
        if "low" in batch.statements[0].values:
            theirs = (6, 0.0, "other", '{"key": "k"}', 0.0, 7)
            return [Result([theirs, (7, 0.0, keeper.origin, "{}", 0.0, 7)], 2)]
        return [Result([(None, None, None, None, None, 5)], 1)]

    _run(keeper.hear(), answer)
    assert told == []
    _run(keeper.hear(), answer)
    assert told == [Selection(key="k")]
    _run(keeper.hear(), answer)
    assert len(told) == 1


def test_what_was_all_removed_may_be_of_another_model_now() -> None:
    keeper = _keeper()
    keeper.known = Fingerprint("m", 2)

    _run(keeper.hear(), lambda _: [Result([(6, 0.0, "other", "{}", 0.0, 5)], 1)])

    assert keeper.known is None
