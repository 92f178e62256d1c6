"""The vector of a query that was left open serves once more, and no longer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from langchain_prodpatterns.routing import ToolRouter
from langchain_prodpatterns.routing.undecided import MOST, Undecided
from tests.unit_tests.cache.conftest import CLONES
from tests.unit_tests.routing.doubles import ROUTES, TableEmbeddings, choosing, near

TABLE = {"clear": near(a=0.9, b=0.1), "torn": near(a=0.7, b=0.69, c=0.1)}


def _sync(router: ToolRouter, query: str) -> None:
    router.invoke(query)
    router.select(query, 2)


def _async(router: ToolRouter, query: str) -> None:
    async def ask() -> None:
        await router.ainvoke(query)
        await router.aselect(query, 2)

    asyncio.run(ask())


@pytest.mark.parametrize("ask", [_sync, _async])
@pytest.mark.parametrize(
    ("query", "fallback", "times"),
    [
        ("torn", None, 1),
        ("torn", choosing("none"), 1),
        ("torn", choosing("b"), 2),
        ("clear", None, 2),
    ],
)
def test_a_query_that_is_left_open_is_embedded_once(
    ask: Any, query: str, fallback: Any, times: int
) -> None:
    embeddings = TableEmbeddings(TABLE)
    router = ToolRouter(
        ROUTES, embeddings, threshold=0.5, margin=0.2, fallback=fallback
    )
    ask(router, query)
    assert embeddings.queries == times

    router.select(query, 2)
    assert embeddings.queries == times + 1


def test_a_vector_is_taken_once() -> None:
    undecided = Undecided()
    undecided.keep("a", [1.0])

    assert undecided.take("b") is None
    assert undecided.take("a") == [1.0]
    assert undecided.take("a") is None


def test_the_oldest_goes() -> None:
    undecided = Undecided()
    for number in range(MOST + 1):
        undecided.keep(str(number), [1.0])
    undecided.keep("1", [2.0])
    undecided.keep("more", [1.0])

    kept = {str(n) for n in range(MOST + 1) if undecided.take(str(n)) is not None}
    assert kept == {str(n) for n in range(MOST + 1)} - {"0", "2"}


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_begins_with_none(clone: Callable[[Any], Any]) -> None:
    undecided = Undecided()
    undecided.keep("a", [1.0])

    copy = clone(undecided)

    assert copy.take("a") is None
    assert undecided.take("a") == [1.0]
