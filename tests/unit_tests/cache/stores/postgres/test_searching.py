"""What is rejected, past or damaged hides nothing that comes after it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores.base import Entry
from langchain_prodpatterns.cache.stores.postgres.columns import GIVEN, given
from langchain_prodpatterns.cache.stores.postgres.searching import (
    Nearest,
    Search,
    nearest,
)
from langchain_prodpatterns.cache.stores.postgres.statements import Batch, Result

NONE = [None] * 15


def _search(limit: int = 1, dimensions: int = 2) -> Search:
    return Search("p", np.ones(dimensions, np.float32), "x", limit)


def _row(key: str, similarity: float, looked: int, **changes: Any) -> list[Any]:
    columns = given([(Entry(key, "p", f"x{key}", "t", '"v"', "n"), None)])
    sealed = {name: columns[name][0] for name in GIVEN[:10]} | changes
    return [looked, similarity, 7, *sealed.values(), 5.0, 0, None]


def _run(
    search: Search, answers: Sequence[list[list[Any]]], breadth: int | None = None
) -> tuple[Nearest, list[Batch]]:
    indexed = breadth is not None
    work, batches = nearest(search, breadth or 9, indexed=indexed), list[Batch]()
    try:
        batches.append(next(work))
        for rows in answers:
            batches.append(work.send([Result(rows, len(rows))]))
    except StopIteration as end:
        return end.value, batches
    pytest.fail("it asks for more than there is")


def test_the_nearest_come_first() -> None:
    rows = [_row("a", 0.9, 5), _row("b", 0.8, 5)]

    found, (batch,) = _run(_search(2), [rows])

    assert [(one.entry.key, one.similarity) for one in found.neighbors] == [
        ("a", 0.9),
        ("b", 0.8),
    ]
    assert (found.damaged, found.indexed) == ([], False)
    assert batch.statements[0].names == {"looked": 10, "limit": 2}


def test_a_similarity_is_a_cosine_whatever_was_rounded() -> None:
    found, _ = _run(_search(), [[_row("a", 1.0000001, 1)]])

    (neighbor,) = found.neighbors
    assert neighbor.similarity == 1.0


def test_a_damaged_one_is_named() -> None:
    rows = [_row("a", 0.9, 5, value=b"x"), _row("b", 0.8, 5)]

    found, _ = _run(_search(2), [rows])

    assert [one.entry.key for one in found.neighbors] == ["b"]
    assert found.damaged == ["a"]


def test_more_are_looked_at_where_the_nearest_do_not_count() -> None:
    answers = [[[9, *NONE]], [[72, *NONE]], [_row("a", 0.5, 576)]]

    found, batches = _run(_search(), answers)

    assert [one.entry.key for one in found.neighbors] == ["a"]
    looked = [batch.statements[0].names["looked"] for batch in batches]
    assert looked == [9, 72, 576]


def test_it_ends_where_there_are_no_more() -> None:
    found, _ = _run(_search(), [[[8, *NONE]]])

    assert found == Nearest([], [])


def test_it_ends_where_too_many_do_not_count() -> None:
    answers = [[[count, *NONE]] for count in (9, 72, 576, 4_096)]

    found, batches = _run(_search(), answers)

    assert found.neighbors == []
    assert len(batches) == 4


def test_what_is_in_the_index_is_found_there_by_who_does_not_know_of_it() -> None:
    answers = [[[-1, *NONE]], [_row("a", 0.5, 1)]]

    found, batches = _run(_search(), answers)

    assert [one.entry.key for one in found.neighbors] == ["a"]
    assert found.indexed
    assert ["UNION" in batch.statements[0].text for batch in batches] == [False, True]


@pytest.mark.parametrize(("dimensions", "short"), [(1_200, True), (1_201, False)])
def test_what_is_not_in_the_index_is_in_one_of_two(
    dimensions: int, short: bool
) -> None:
    for breadth in (None, 100):
        _, (batch,) = _run(_search(1, dimensions), [[[0, *NONE]]], breadth)
        text = batch.statements[0].text
        assert ("vector_dims(vector) <= {most}" in text) is short
        assert ("vector_dims(vector) > {most}" in text) is not short


def test_an_index_is_told_how_far_to_look() -> None:
    _, (batch,) = _run(_search(), [[[0, *NONE]]], 77)

    assert batch.statements[0].values["breadth"] == "77"
    assert batch.statements[0].names["dimensions"] == 2
