"""How long an answer lives, and what it is found by."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.metadata import (
    Labels,
    plain_metadata,
    seconds_to_live,
)
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.cache.conftest import LLM, Clock, answer_of, prompt_of

Open = Callable[..., SemanticJudgeCache]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), JSON))
def test_what_json_can_hold_is_kept_as_it_is(metadata: dict[str, Any]) -> None:
    own = ("__", "langgraph_", "ls_", "lc_", "prodpatterns.")
    expected = {k: v for k, v in metadata.items() if not k.startswith(own)}

    assert plain_metadata(metadata) == expected


def test_what_is_not_the_user_s_or_no_json_is_left_out() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    metadata = {
        "doc": "a",
        "langgraph_step": 1,
        "ls_provider": "x",
        "lc_versions": {},
        "prodpatterns.run": "x",
        "__pregel_task_id": "x",
        "object": object(),
        "nan": math.nan,
        "loop": loop,
        "deep": deep,
        3: "no name",
    }

    assert plain_metadata(metadata) == {"doc": "a"}  # type: ignore[arg-type]  # what is left out
    assert plain_metadata(None) == {}
    # Otherwise the interpreter would take it apart too deeply.
    while deep:
        deep = deep[0]


def test_what_is_kept_is_a_copy() -> None:
    documents = ["a"]
    kept = plain_metadata({"documents": documents})
    documents.append("b")

    assert kept == {"documents": ["a"]}


def test_the_function_has_the_last_word() -> None:
    labels = Labels(run={"a": 1, "b": 1}, function=lambda answer: {"b": answer})

    assert labels.metadata_of(2) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(None, None), (5, 5), (0.5, 0.5), (lambda a: a, 7), (lambda _: None, None)],
)
def test_seconds_to_live(ttl: Any, seconds: float | None) -> None:
    assert seconds_to_live(ttl, 7) == seconds


@pytest.mark.parametrize("given_", [0, -1, math.nan, math.inf, "secret", True, [1]])
def test_a_function_that_gives_no_time_is_told_so_without_what_it_gave(
    given_: Any,
) -> None:
    with pytest.raises(ConfigurationError, match="ttl must give seconds") as caught:
        seconds_to_live(lambda _: given_, "answer")
    assert "secret" not in str(caught.value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def call(chain: Any, text: str, config: Any = None, *, by_async: bool) -> Any:
    return await chain.ainvoke(text, config) if by_async else chain.invoke(text, config)


async def test_an_answer_is_over_at_the_very_moment(
    open_cache: Open, clock: Clock, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: True, store=LocalStore(clock=clock))
    chain = cache.wrap(RunnableLambda(str.upper), ttl=10)
    await call(chain, "how do I pay by card", by_async=by_async)
    clock.now += 9.999
    await call(chain, "how do I pay by card", by_async=by_async)
    assert cache.stats().exact == 1
    clock.now += 0.001

    for text in ("how do I pay by card", "how can I pay by card"):
        await call(chain, text, by_async=by_async)
    assert (cache.stats().exact, cache.stats().hits) == (1, 2)
    # The second was near to the one that the first had stored anew.
    assert cache.stats().judged_hits == 1


async def test_a_time_to_live_of_the_chain_wins_over_the_cache_s(
    open_cache: Open, clock: Clock, by_async: bool
) -> None:
    cache = open_cache(judge=bool, ttl=10, store=LocalStore(clock=clock))
    told = {"short": 5.0, "ever": None}
    chain = cache.wrap(RunnableLambda(lambda text: text), ttl=told.__getitem__)
    plain: Runnable[str, str] = cache.wrap(
        RunnableLambda(lambda text: text * 2), scope="plain"
    )
    for text in told:
        await call(chain, text, by_async=by_async)
    await call(plain, "short", by_async=by_async)
    clock.now += 7
    assert cache.stats().stored == 3
    await call(chain, "short", by_async=by_async)
    await call(plain, "short", by_async=by_async)
    assert (cache.stats().stored, cache.stats().exact) == (4, 1)
    clock.now += 10**9
    await call(chain, "ever", by_async=by_async)
    assert cache.stats().exact == 2


@pytest.mark.parametrize("ttl", [0, math.nan, "1", LookupError()])
async def test_a_time_to_live_that_fails_leaves_the_answer_unstored(
    open_cache: Open, ttl: Any, by_async: bool
) -> None:
    def tell(_: Any) -> Any:
        if isinstance(ttl, Exception):
            raise ttl
        return ttl

    cache = open_cache(judge=bool, ttl=tell)
    chain = cache.wrap(RunnableLambda(str.upper))

    assert await call(chain, "why", by_async=by_async) == "WHY"
    assert (cache.stats().stored, cache.stats().errors) == (0, 1)


async def test_the_run_s_metadata_is_stored_and_what_the_output_is_made_of(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=bool)
    chain: Runnable[str, Any] = cache.wrap(
        RunnableLambda(lambda text: {"text": text, "documents": ["a.md"]}),
        metadata=lambda output: {"documents": output["documents"]},
    )
    await call(chain, "one", {"metadata": {"user": "u"}}, by_async=by_async)
    await call(chain, "two", by_async=by_async)
    seen: list[Mapping[str, Any]] = []

    def look(found: Mapping[str, Any]) -> bool:
        seen.append(found)
        return found.get("user") == "u"

    assert cache.invalidate(where=look) == 1
    assert sorted(map(dict, seen), key=len) == [
        {"documents": ["a.md"]},
        {"documents": ["a.md"], "user": "u"},
    ]
    assert cache.invalidate(where=lambda found: "a.md" in found["documents"]) == 1


async def test_a_model_s_run_is_found_by_its_metadata(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=bool)
    model = ScriptedChatModel(respond=lambda _: "yes", cache=cache)

    async def ask(text: str) -> str:
        return (await model.ainvoke(text)).text

    chain: Any = RunnableLambda(lambda text: model.invoke(text).text, ask)
    await call(chain, "one", {"metadata": {"doc": "a"}}, by_async=by_async)
    await call(chain, "two", {"metadata": {"doc": "b"}}, by_async=by_async)

    assert cache.invalidate(where=lambda found: found.get("doc") == "a") == 1
    assert cache.stats().entries == 1


@pytest.mark.parametrize("metadata", [lambda _: [1], lambda _: 3, {}.__getitem__])
async def test_a_metadata_function_that_fails_leaves_the_answer_unstored(
    open_cache: Open, metadata: Any, by_async: bool
) -> None:
    cache = open_cache(judge=bool)
    chain = cache.wrap(RunnableLambda(str.upper), metadata=metadata)

    assert await call(chain, "why", by_async=by_async) == "WHY"
    assert (cache.stats().stored, cache.stats().errors) == (0, 1)


def test_a_predicate_that_raises_removes_nothing(cache: SemanticJudgeCache) -> None:
    for text in ("one", "two"):
        cache.update(prompt_of(HumanMessage(text)), LLM, answer_of(AIMessage("a")))

    with pytest.raises(KeyError):
        cache.invalidate(where=lambda found: bool(found["doc"]))
    assert cache.stats().entries == 2


def test_criteria_add_up(cache: SemanticJudgeCache) -> None:
    prompt = prompt_of(HumanMessage("one"))
    cache.update(prompt, LLM, answer_of(AIMessage("a")))
    partition = cache.explain(prompt, LLM).partition

    assert cache.invalidate(partition="another") == 0
    assert cache.invalidate(partition=partition, where=lambda _: False) == 0
    assert cache.invalidate(partition=partition, namespace="another") == 0
    assert cache.invalidate(partition=partition, where=lambda _: True) == 1


async def test_tenants_of_a_wrapped_chain_are_apart(
    open_cache: Open, by_async: bool
) -> None:
    cache = open_cache(judge=lambda _: True)
    chain = cache.wrap(RunnableLambda(str.upper))
    for tenant in ("a", "b", None):
        config = {"configurable": {"tenant": tenant}} if tenant else None
        await call(chain, "how do I pay by card", config, by_async=by_async)
    assert (cache.stats().stored, cache.stats().hits) == (3, 0)

    assert cache.invalidate(namespace="a") == 1
    config = {"configurable": {"tenant": "b"}}
    await call(chain, "how can I pay by card", config, by_async=by_async)
    assert cache.stats().judged_hits == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ttl": lambda _: "1h"}, "ttl must give seconds above 0 or None, got str"),
        ({"metadata": lambda _: "doc 7"}, "metadata must give a mapping, got str"),
    ],
)
def test_a_function_that_gives_what_it_cannot_is_told_of(
    open_cache: Open,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    told: str,
) -> None:
    cache = open_cache(judge=lambda _: True)
    chain = cache.wrap(RunnableLambda(str.upper), **options)
    assert chain.invoke("my secret") == "MY SECRET"
    assert f"update failed: {told}" in caplog.text
    assert "secret" not in caplog.text.lower()
    assert (cache.stats().stored, cache.stats().errors) == (0, 1)


def test_a_function_may_name_nothing(open_cache: Open) -> None:
    cache = open_cache(judge=lambda _: True)
    chain: Any = cache.wrap(RunnableLambda(str.upper), metadata=lambda _: None)  # type: ignore[arg-type, return-value]  # who forgets to return
    chain.invoke("a question")
    assert cache.stats().stored == 1
