"""The routes are embedded once, by one caller, and compared by cosine."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing import Route
from langchain_prodpatterns.routing.decision import Ranked
from langchain_prodpatterns.routing.index import RouteIndex, RouteMatrix
from tests.unit_tests.routing.doubles import AXES, ROUTES, TableEmbeddings, near

TWO = [Route("a", "one", ["two"]), Route("b", "three")]


def _matrix() -> RouteMatrix:
    return RouteMatrix(TWO, [[3.0, 0.0], [0.0, 0.5], [-1.0, 0.0]])


def test_a_route_is_as_near_as_its_nearest_text() -> None:
    assert _matrix().similarities([0.0, 7.0]).tolist() == [1.0, 0.0]
    assert _matrix().similarities([-2.0, 0.0]).tolist() == [0.0, 1.0]


def test_the_nearest_come_first_and_no_more_than_asked_for() -> None:
    matrix = _matrix()

    assert matrix.rank([-1.0, 0.0], 5) == (Ranked("b", 1.0), Ranked("a", 0.0))
    assert matrix.rank([-1.0, 0.0], 1) == (Ranked("b", 1.0),)


def test_equals_keep_the_order_they_were_given_in() -> None:
    routes = [Route(name, "x") for name in "zyx"]
    matrix = RouteMatrix(routes, [[1.0, 0.0]] * 3)

    assert [each.name for each in matrix.rank([1.0, 1.0], 3)] == ["z", "y", "x"]


def test_a_text_is_as_near_to_itself_as_can_be() -> None:
    vector = np.random.default_rng(0).normal(size=384).tolist()
    matrix = RouteMatrix([Route("a", "x")], [vector])

    assert matrix.rank(vector, 1) == (Ranked("a", 1.0),)


numbers = st.floats(0.02, 1) | st.floats(-1, -0.02)
vectors = st.lists(numbers, min_size=3, max_size=3)


@given(st.lists(st.lists(vectors, min_size=1, max_size=4), min_size=1), vectors)
def test_the_ranking_is_that_of_brute_force(
    texts: list[list[list[float]]], query: list[float]
) -> None:
    routes = [
        Route(f"r{at}", examples=[f"{at} {n}" for n in range(len(group))])
        for at, group in enumerate(texts)
    ]
    matrix = RouteMatrix(routes, [vector for group in texts for vector in group])

    ranked = matrix.rank(query, len(routes))

    expected = {
        f"r{at}": max(
            np.dot(vector, query) / np.linalg.norm(vector) / np.linalg.norm(query)
            for vector in group
        )
        for at, group in enumerate(texts)
    }
    assert {each.name: each.similarity for each in ranked} == pytest.approx(
        expected, abs=2e-6
    )
    similarities = [each.similarity for each in ranked]
    assert similarities == sorted(similarities, reverse=True)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given_vectors", "message"),
    [
        ([None, None, None], "text of 'a' no vector of numbers, but a NoneType"),
        ([1.0, 1.0, 1.0], "text of 'a' no vector of numbers, but a float"),
        ([["x"], ["y"], ["z"]], "text of 'a' no vector of numbers, but a list"),
        ([[[1.0, 0.0]]] * 3, "text of 'a' no vector of numbers, but a list"),
        (None, "NoneType, not a vector for each of 3 texts"),
        ([[1.0, 0.0]], "1 vectors for 3 texts"),
        ([], "0 vectors for 3 texts"),
        ([[1.0, 0.0], [1.0], [1.0, 0.0]], "'a' 1 dimensions, and one of 'a' 2"),
        ([[], [], []], "'a' 0 dimensions"),
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], "text of 'b' a vector that is zero"),
        ([[1.0, 0.0], [1.0, NAN], [1.0, 0.0]], "text of 'a' a vector that is zero"),
        ([[1.0, 0.0], [1.0, 0.0], [INF, 0.0]], "text of 'b' a vector that is zero"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(
    given_vectors: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RouteMatrix(TWO, given_vectors)


@pytest.mark.parametrize("query", [[0.0, 0.0], [NAN, 1.0], [INF, 1.0]])
def test_a_query_that_cannot_be_compared_is_a_value_error(query: list[float]) -> None:
    with pytest.raises(ValueError, match="zero or not finite") as caught:
        _matrix().similarities(query)
    assert not isinstance(caught.value, ConfigurationError)


@pytest.mark.parametrize(
    "query", [[1.0], [1.0, 0.0, 0.0], [[1.0, 0.0]], [], None, ["x"]]
)
def test_a_query_of_another_shape_means_the_embeddings_never_work(query: Any) -> None:
    with pytest.raises(ConfigurationError, match="the embeddings gave the query"):
        _matrix().similarities(query)


def _index(embeddings: TableEmbeddings | None = None) -> RouteIndex:
    return RouteIndex(ROUTES, embeddings or TableEmbeddings({}))


def test_the_routes_are_embedded_once() -> None:
    embeddings = TableEmbeddings({})
    index = _index(embeddings)

    assert index.matrix(embeddings.embed_documents) is index.matrix(
        embeddings.embed_documents
    )
    assert embeddings.documents == 1


async def test_sync_and_async_share_the_vectors() -> None:
    embeddings = TableEmbeddings({})
    index = _index(embeddings)

    matrix = await index.amatrix(embeddings.aembed_documents)

    assert await index.amatrix(embeddings.aembed_documents) is matrix
    assert index.matrix(embeddings.embed_documents) is matrix
    assert embeddings.documents == 1


def test_of_many_threads_one_embeds() -> None:
    embeddings = TableEmbeddings({})
    embeddings.gate = threading.Event()
    index = _index(embeddings)
    all_here = threading.Barrier(9)

    def get() -> RouteMatrix:
        all_here.wait(timeout=30)
        return index.matrix(embeddings.embed_documents)

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(get) for _ in range(8)]
        all_here.wait(timeout=30)
        assert embeddings.entered.wait(timeout=30)
        embeddings.gate.set()
        found = {id(future.result(timeout=30)) for future in futures}

    assert len(found) == 1
    assert embeddings.documents == 1


async def test_of_many_tasks_and_threads_one_embeds() -> None:
    embeddings = TableEmbeddings({})
    embeddings.gate = threading.Event()
    index = _index(embeddings)
    work = [index.amatrix(embeddings.aembed_documents) for _ in range(8)]
    threads = [
        asyncio.to_thread(index.matrix, embeddings.embed_documents) for _ in range(3)
    ]
    tasks = [asyncio.ensure_future(each) for each in (*work, *threads)]

    await asyncio.to_thread(embeddings.entered.wait, 30)
    embeddings.gate.set()
    found = await asyncio.gather(*tasks)

    assert len({id(matrix) for matrix in found}) == 1
    assert embeddings.documents == 1


def test_a_failure_is_not_remembered() -> None:
    embeddings = TableEmbeddings({})
    embeddings.error = ConnectionError("down")
    index = _index(embeddings)

    for _ in range(2):
        with pytest.raises(ConnectionError):
            index.matrix(embeddings.embed_documents)
    embeddings.error = None

    assert index.matrix(embeddings.embed_documents).rank(near(a=1), 1)[0].name == "a"
    assert embeddings.documents == 3


async def test_a_cancelled_caller_leaves_the_work_to_the_next() -> None:
    index = _index()
    begun = asyncio.Event()

    async def forever(texts: list[str]) -> list[list[float]]:
        begun.set()
        await asyncio.Event().wait()
        return []

    first = asyncio.ensure_future(index.amatrix(forever))
    await begun.wait()
    second = asyncio.ensure_future(index.amatrix(TableEmbeddings({}).aembed_documents))
    first.cancel()

    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).rank(near(b=1), 1)[0].name == "b"


async def test_a_sync_call_on_the_loop_does_not_wait_for_a_task_of_the_loop() -> None:
    index = _index()
    begun, may_end = asyncio.Event(), asyncio.Event()
    vectors = [AXES[text] for text in ("about a", "about b", "about c")]

    async def slowly(texts: list[str]) -> list[list[float]]:
        begun.set()
        await may_end.wait()
        return vectors

    task = asyncio.ensure_future(index.amatrix(slowly))
    await begun.wait()
    matrix = index.matrix(lambda texts: vectors)
    may_end.set()

    query = near(a=1)
    assert (await task).rank(query, 3) == matrix.rank(query, 3)


def _pickled(index: RouteIndex) -> RouteIndex:
    clone = pickle.loads(pickle.dumps(index))  # noqa: S301 - our own bytes
    assert isinstance(clone, RouteIndex)
    return clone


@pytest.mark.parametrize("clone", [copy.deepcopy, _pickled])
def test_copies_take_the_vectors_along(
    clone: Callable[[RouteIndex], RouteIndex],
) -> None:
    index = _index()
    index.matrix(TableEmbeddings({}).embed_documents)

    def refuse(texts: list[str]) -> list[list[float]]:
        raise AssertionError(texts)

    assert clone(index).matrix(refuse).rank(near(c=1), 1)[0].name == "c"


@pytest.mark.parametrize("clone", [copy.deepcopy, _pickled])
def test_unused_copies_embed_for_themselves(
    clone: Callable[[RouteIndex], RouteIndex],
) -> None:
    embeddings = TableEmbeddings({})

    clone(_index()).matrix(embeddings.embed_documents)

    assert embeddings.documents == 1


def test_an_index_fits_its_routes_and_its_embeddings_only() -> None:
    embeddings = TableEmbeddings({})
    index = _index(embeddings)

    assert index.fits(list(ROUTES), embeddings)
    assert not index.fits(ROUTES[:2], embeddings)
    assert not index.fits(ROUTES, TableEmbeddings({}))


def _many(count: int, each: int) -> tuple[RouteMatrix, np.ndarray[Any, Any]]:
    chance = np.random.default_rng(0)
    rows = np.repeat(chance.normal(size=(count, 16)), each, axis=0)
    rows += 0.2 * chance.normal(size=rows.shape)
    routes = [
        Route(f"r{at}", examples=[f"{at} {n}" for n in range(each)])
        for at in range(count)
    ]
    return RouteMatrix(routes, rows.tolist()), rows


def test_of_very_many_vectors_the_nearest_are_found_all_the_same() -> None:
    matrix, rows = _many(300, 30)
    chance = np.random.default_rng(1)

    for at in chance.integers(0, len(rows), 50).tolist():
        query = (rows[at] + 0.1 * chance.normal(size=16)).tolist()
        nearness = matrix.similarities(query)
        best = matrix.rank(query, 3)
        assert best[0].name == f"r{nearness.argmax()}"
        assert best[0].similarity == pytest.approx(float(nearness.max()), abs=1e-5)
    assert len(matrix.rank(rows[0].tolist(), 200)) == 200


def test_more_texts_stand_beside_those_of_their_route() -> None:
    matrix = RouteMatrix([Route("a", "x"), Route("b", "y")], [[1, 0, 0], [0, 1, 0]])
    rows = np.array([[0, 0, 1], [0, 1, 0]], dtype=np.float32)

    larger = matrix.with_more(["z", "nobody's"], np.array([0, -1]), rows)

    assert larger.rank([0, 0, 1], 1) == (Ranked("a", 1.0),)
    assert matrix.rank([0, 0, 1], 1)[0].similarity == 0
    assert larger.known.none_rows.tolist() == [[0, 1, 0]]
    assert larger.similarities([0, 1, 0]).tolist() == [0, 1]


async def test_vectors_that_are_there_are_not_embedded_again() -> None:
    asked: list[str] = []

    def embed(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[0.0, 2.0] for _ in texts]

    routes = [Route("a", "x"), Route("b", "y")]
    index = RouteIndex(routes, TableEmbeddings({}), {"x": [3.0, 0.0], "gone": [1.0]})
    matrix = await asyncio.to_thread(index.matrix, embed)

    assert asked == ["y"]
    assert matrix.rank([1, 0], 1) == (Ranked("a", 1.0),)
    assert set(index.vectors()) == {"x", "y"}


def test_too_few_new_vectors_are_refused() -> None:
    index = RouteIndex(
        [Route("a", "x"), Route("b", "y")], TableEmbeddings({}), {"x": [1.0]}
    )

    with pytest.raises(ConfigurationError, match="0 vectors for 1 texts of tools"):
        index.matrix(lambda _: [])
