"""Embed, compare, decide; ask only where it is not clear."""

import asyncio
import copy
import json
import logging
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import (
    ConfigurableField,
    RunnableBranch,
    RunnablePassthrough,
)
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import ValidationError

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.routing import (
    Route,
    RouteDecision,
    RouteRequest,
    ToolRouter,
)
from langchain_prodpatterns.testing import Fault, LexicalEmbeddings, ScriptedChatModel
from tests.unit_tests.routing.doubles import (
    ROUTES,
    WAYS,
    TableEmbeddings,
    choosing,
    near,
)

TABLE = {
    "clear": near(a=0.9, b=0.1),
    "far": near(a=0.4),
    "torn": near(a=0.7, b=0.69),
    "zero": [0.0] * 4,
    "broken": [float("nan")] * 4,
    "short": [1.0],
}
SECRET = "4111 1111 1111 1111"

Run = Callable[..., RouteDecision]


def _router(
    model: Any = None, *, embeddings: TableEmbeddings | None = None, **kwargs: Any
) -> ToolRouter:
    kwargs = {"threshold": 0.5, "margin": 0.2, **kwargs}
    return ToolRouter(
        ROUTES, embeddings or TableEmbeddings(TABLE), fallback=model, **kwargs
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_clear_query_is_decided_without_a_call(way: Run) -> None:
    model = choosing(2)

    decision = way(_router(model), "clear")

    assert (decision.tool, decision.decided_by) == ("a", "distance")
    assert decision.confidence == pytest.approx(0.9)
    assert decision.runner_up == "b"
    assert decision.margin == pytest.approx(0.8)
    assert model.calls == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["far", "torn"])
def test_an_unclear_query_is_left_open_without_a_fallback(way: Run, query: str) -> None:
    decision = way(_router(), query)

    assert (decision.tool, decision.decided_by) == (None, "none")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["far", "torn"])
def test_an_unclear_query_is_put_before_the_fallback(way: Run, query: str) -> None:
    model = choosing(2)

    decision = way(_router(model), query)

    assert decision.decided_by == "llm"
    assert decision.tool == "b"
    assert model.calls == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_fallback_is_offered_the_nearest_only(way: Run) -> None:
    asked: list[RouteRequest] = []

    def choose(request: RouteRequest) -> int:
        asked.append(request)
        return 2

    decision = way(_router(choose, top_k=2), "torn")

    assert asked == [RouteRequest(question="torn", tools=("a: about a", "b: about b"))]
    assert decision.tool == "b"


@pytest.mark.parametrize("way", WAYS)
def test_an_offer_of_one_still_has_a_runner_up(way: Run) -> None:
    asked: list[tuple[str, ...]] = []

    def choose(request: RouteRequest) -> int:
        asked.append(request.tools)
        return 1

    decision = way(_router(choose, top_k=1), "torn")

    assert asked == [("a: about a",)]
    assert (decision.tool, decision.runner_up) == ("a", "b")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("choice", ["c", 3, "a tool of my own"])
def test_the_fallback_cannot_choose_what_is_not_on_offer(way: Run, choice: Any) -> None:
    decision = way(_router(choosing(choice), top_k=2), "torn")

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert "not on offer" in decision.reason


@pytest.mark.parametrize("way", WAYS)
def test_the_fallback_may_say_none(way: Run) -> None:
    decision = way(_router(choosing("none")), "torn")

    assert (decision.tool, decision.decided_by) == (None, "llm")
    assert decision.confidence == pytest.approx(0.7)
    assert decision.runner_up == "b"


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_that_fails_chooses_nothing(way: Run) -> None:
    decision = way(_router(choosing(Fault.server_error())), "torn")

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert decision.reason.endswith("the fallback failed: provider")


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_that_never_answers_chooses_nothing(way: Run) -> None:
    ended = threading.Event()

    def hang(_: RouteRequest) -> int:
        ended.wait(timeout=30)
        return 1

    async def ahang(_: RouteRequest) -> int:
        await asyncio.Event().wait()
        return 1

    fallback = ahang if way is WAYS[1] else hang
    decision = way(_router(fallback, fallback_timeout=0.05), "torn")
    ended.set()

    assert (decision.tool, decision.decided_by) == (None, "none")
    assert decision.reason.endswith("the fallback failed: timeout")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", ["", "  ", [], [AIMessage("hello")]])
def test_an_empty_query_embeds_nothing_and_asks_nobody(way: Run, value: Any) -> None:
    model, embeddings = choosing(1), TableEmbeddings(TABLE)

    decision = way(_router(model, embeddings=embeddings), value)

    assert decision == RouteDecision(
        tool=None, decided_by="none", reason="the query is empty"
    )
    assert (model.calls, embeddings.documents, embeddings.queries) == (0, 0, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value",
    [
        "clear",
        StringPromptValue(text="clear"),
        [HumanMessage("torn"), AIMessage("so?"), HumanMessage("clear")],
    ],
)
def test_texts_prompts_and_messages_are_queries(way: Run, value: Any) -> None:
    assert way(_router(), value).tool == "a"


@pytest.mark.parametrize("way", WAYS)
def test_other_inputs_are_refused(way: Run) -> None:
    with pytest.raises(TypeError, match="itemgetter"):
        way(_router(), {"question": "clear"})


@pytest.mark.parametrize("way", WAYS)
def test_a_call_takes_no_arguments(way: Run) -> None:
    with pytest.raises(TypeError, match="no argument 'threshold'"):
        way(_router(), "clear", threshold=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_examples_count_as_much_as_the_description(way: Run) -> None:
    embeddings = TableEmbeddings({"like c": near(a=0.6, b=0.6), **TABLE})
    examples = {"c": ["like c"]}
    router = ToolRouter(ROUTES, embeddings, examples=examples)

    assert way(router, "like c").tool == "c"


# Where the embeddings fail.


@pytest.mark.parametrize("way", WAYS)
def test_embeddings_that_are_down_leave_the_choice_of_all_to_the_fallback(
    way: Run, caplog: pytest.LogCaptureFixture
) -> None:
    embeddings = TableEmbeddings(TABLE)
    embeddings.error = ConnectionError(f"cannot embed {SECRET}")
    asked: list[int] = []

    def choose(request: RouteRequest) -> str:
        asked.append(len(request.tools))
        return "c"

    with caplog.at_level(logging.DEBUG):
        decision = way(_router(choose, embeddings=embeddings, top_k=1), SECRET)

    assert asked == [3]
    assert decision == RouteDecision(
        tool="c",
        decided_by="llm",
        reason="the query could not be compared (ConnectionError); "
        "the fallback chose 'c' of 3",
    )
    assert "ConnectionError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["zero", "broken"])
def test_a_query_without_direction_is_put_before_the_fallback(
    way: Run, query: str
) -> None:
    decision = way(_router(choosing(3)), query)

    assert (decision.tool, decision.decided_by) == ("c", "llm")
    assert decision.confidence is None


@pytest.mark.parametrize("way", WAYS)
def test_without_a_fallback_the_error_is_raised_and_reported(way: Run) -> None:
    embeddings = TableEmbeddings(TABLE)
    embeddings.error = ConnectionError("down")

    with track() as ledger, pytest.raises(ConnectionError, match="down"):
        way(_router(embeddings=embeddings), "clear")

    assert [entry.decision for entry in ledger.to_records()] == ["failed"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["zero", "broken"])
def test_without_a_fallback_a_query_without_direction_is_an_error(
    way: Run, query: str
) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        way(_router(), query)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "table",
    [
        {"about b": [0.0] * 4},
        {"about b": [1.0]},
        {"about b": None},
        {"clear": [1.0]},
        {"clear": ["x"]},
    ],
)
def test_embeddings_that_never_work_are_an_error_even_with_a_fallback(
    way: Run, table: dict[str, Any]
) -> None:
    embeddings = TableEmbeddings({**TABLE, **table})

    with pytest.raises(ConfigurationError, match="the embeddings gave"):
        way(_router(choosing(1), embeddings=embeddings), "clear")


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_passes(way: Run) -> None:
    def interrupt(_: RouteRequest) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        way(_router(interrupt), "torn")


async def test_a_cancellation_passes() -> None:
    asked = asyncio.Event()

    async def hang(_: RouteRequest) -> int:
        asked.set()
        await asyncio.Event().wait()
        return 1

    task = asyncio.ensure_future(_router(hang).ainvoke("torn"))
    await asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


# Once for all calls.


def test_the_tools_are_embedded_at_the_first_call_and_never_again() -> None:
    embeddings = TableEmbeddings(TABLE)
    router = _router(embeddings=embeddings)
    assert embeddings.documents == 0

    router.batch(["clear", "far", "torn"] * 4)
    asyncio.run(router.abatch(["clear", "far"]))

    assert embeddings.documents == 1
    assert embeddings.queries == 14


def test_many_threads_get_the_same_answers() -> None:
    router = _router(choosing("none"))
    queries = ["clear", "far", "torn", ""] * 16
    router.batch([*queries])
    expected = [router.invoke(query) for query in queries]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(router.invoke, queries)) == expected


def test_a_configured_copy_shares_the_vectors() -> None:
    embeddings = TableEmbeddings(TABLE)
    router = _router(embeddings=embeddings).configurable_fields(
        threshold=ConfigurableField(id="threshold")
    )

    assert router.invoke("far").tool is None
    assert router.invoke("far", {"configurable": {"threshold": 0.3}}).tool == "a"
    assert embeddings.documents == 1


def test_a_copy_with_other_tools_has_its_own_vectors() -> None:
    embeddings = TableEmbeddings(TABLE)
    router = _router(embeddings=embeddings).configurable_fields(
        tools=ConfigurableField(id="tools")
    )
    other = [Route("z", "about a"), Route("y", "about b")]

    assert router.invoke("clear").tool == "a"
    assert router.invoke("clear", {"configurable": {"tools": other}}).tool == "z"
    assert router.invoke("clear").tool == "a"


def _pickled(router: ToolRouter) -> ToolRouter:
    clone = pickle.loads(pickle.dumps(router))  # noqa: S301 - our own bytes
    assert isinstance(clone, ToolRouter)
    return clone


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("clone", [copy.deepcopy, _pickled])
def test_copies_decide_alike(
    clone: Callable[[ToolRouter], ToolRouter], *, used: bool
) -> None:
    router = _router(ScriptedChatModel(replies=["?"]))
    if used:
        router.invoke("clear")

    copied = clone(router)

    assert copied.invoke("clear") == router.invoke("clear")
    assert copied.tools_by_name == router.tools_by_name


def test_a_used_copy_still_shares_its_vectors_when_configured() -> None:
    router = _router()
    router.invoke("clear")
    copied = _pickled(router)
    embeddings = copied.embeddings
    assert isinstance(embeddings, TableEmbeddings)

    configurable = copied.configurable_fields(margin=ConfigurableField(id="margin"))
    configurable.invoke("torn", {"configurable": {"margin": 0.0}})

    assert embeddings.documents == 0


def test_a_changed_copy_is_a_new_router_with_the_same_vectors() -> None:
    router = _router(choosing(1))
    assert router.invoke("far").decided_by == "llm"
    embeddings = router.embeddings
    assert isinstance(embeddings, TableEmbeddings)

    assert router.model_copy(update={"fallback": None}).invoke("far").tool is None
    lower = router.model_copy(update={"threshold": 0.3})
    assert lower.invoke("far").decided_by == "distance"
    assert router.model_copy().invoke("far").decided_by == "cache"
    assert embeddings.documents == 1
    with pytest.raises(ConfigurationError, match="threshold"):
        router.model_copy(update={"threshold": 3})


def test_a_router_cannot_be_changed_in_place() -> None:
    router: Any = _router()
    with pytest.raises(ValidationError, match="frozen"):
        router.fallback = choosing(0)


# What is reported.


@pytest.mark.parametrize("way", WAYS)
def test_a_decision_by_distance_saves_a_call_where_there_is_a_fallback(
    way: Run,
) -> None:
    with track() as ledger:
        way(_router(choosing(1)), "clear")
        way(_router(), "clear")
        way(_router(choosing(1)), "torn")

    with_fallback, without, asked = ledger.to_records()
    assert (with_fallback.decision, with_fallback.saved_calls) == ("distance", 1)
    assert with_fallback.saved_usd is None
    assert (without.decision, without.saved_calls, without.saved_usd) == (
        "distance",
        0,
        0.0,
    )
    assert (asked.decision, asked.saved_calls, asked.calls) == ("llm", 0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_has_the_models_own_count(way: Run) -> None:
    model = choosing(True, 1)

    with track() as ledger:
        way(_router(model), "torn")

    (entry,) = ledger.to_records()
    assert (entry.pattern, entry.calls) == ("routing", 2)
    assert entry.input_tokens == model.input_tokens
    assert entry.output_tokens == model.output_tokens


@pytest.mark.parametrize("way", WAYS)
def test_the_run_has_its_steps_below_it_and_says_why(way: Run) -> None:
    collector = RunCollectorCallbackHandler()

    way(_router(choosing(2)), "torn", config={"callbacks": [collector]})

    (root,) = collector.traced_runs
    assert [child.name for child in root.child_runs] == [
        "routing:embed_documents",
        "routing:embed_query",
        "routing:fallback",
    ]
    assert root.metadata["prodpatterns.decision"] == "llm"
    assert root.metadata["prodpatterns.tool"] == "b"
    assert root.metadata["prodpatterns.confidence"] == pytest.approx(0.69)
    assert root.metadata["prodpatterns.margin"] == pytest.approx(-0.01)
    assert all(run.metadata["ls_message_view_exclude"] for run in root.child_runs)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("choice", [1, "none", SECRET])
def test_the_query_is_in_no_record(way: Run, choice: Any) -> None:
    collector = RunCollectorCallbackHandler()
    embeddings = TableEmbeddings({SECRET: near(a=0.4)})

    with track() as ledger:
        way(
            _router(choosing(choice), embeddings=embeddings),
            SECRET,
            config={"callbacks": [collector]},
        )

    assert SECRET not in repr(ledger.to_records())
    assert SECRET not in repr(collector.traced_runs[0].metadata)


# As part of a chain.


@tool
def calculator(expression: str) -> str:
    """Calculate a percentage or a sum."""
    return f"calculated {expression}"


def test_a_chain_branches_on_the_decision() -> None:
    router = ToolRouter(
        [calculator, Route("handbook", "Rules of the shop.")],
        LexicalEmbeddings(),
        threshold=0.3,
        margin=0.1,
    )
    chain = {"question": RunnablePassthrough(), "route": router} | RunnableBranch(
        (
            lambda asked: asked["route"].tool == "calculator",
            itemgetter("question") | calculator,
        ),
        lambda asked: f"handbook on {asked['question']}",
    )

    assert chain.invoke("a percentage or a sum") == "calculated a percentage or a sum"
    assert chain.invoke("rules of the shop?") == "handbook on rules of the shop?"


def test_the_tools_are_found_by_name_as_they_were_given() -> None:
    def lookup(order: str) -> str:
        """Look an order up."""
        return order

    handbook = Route("handbook", "Rules of the shop.")
    router = ToolRouter([calculator, lookup, handbook], LexicalEmbeddings())

    assert router.tools_by_name["calculator"] is calculator
    assert router.tools_by_name["lookup"] is lookup
    assert router.tools_by_name["handbook"] == handbook


def test_schemas_name_the_types() -> None:
    router = _router()

    assert router.get_output_jsonschema()["title"] == "RouteDecision"
    assert {"type": "string"} in router.get_input_jsonschema()["anyOf"]


def test_neither_tools_nor_examples_are_in_the_repr() -> None:
    router = ToolRouter(
        ROUTES, LexicalEmbeddings(), examples={"a": [f"my card is {SECRET}"]}
    )

    assert SECRET not in repr(router)
    assert SECRET not in json.dumps(dumpd(router))


def test_a_fallbacks_configurable_fields_show() -> None:
    model = ScriptedChatModel(replies=["?"]).configurable_fields(
        temperature=ConfigurableField(id="heat")
    )

    assert [spec.id for spec in _router(model).config_specs] == ["heat"]
    assert _router().config_specs == []


# A subset.


@pytest.mark.parametrize("k", [1, 2, 3, 9])
async def test_select_returns_the_nearest_tools(k: int) -> None:
    router = _router()
    expected = [ROUTES[1], ROUTES[0], ROUTES[2]][:k]
    router.embeddings.table["to b"] = near(a=0.2, b=0.3)  # type: ignore[attr-defined]  # the table of the double

    assert await router.aselect("to b", k) == expected
    assert await asyncio.to_thread(router.select, "to b", k) == expected


def test_select_takes_top_k_by_default_and_asks_nobody() -> None:
    model = choosing(1)

    assert _router(model, top_k=2).select("torn") == ROUTES[:2]
    assert model.calls == 0


async def test_select_needs_a_query_and_a_number() -> None:
    router = _router()

    for query, k, message in (("", 2, "query is empty"), ("clear", 0, "k must be")):
        with pytest.raises(ValueError, match=message):
            router.select(query, k)
        with pytest.raises(ValueError, match=message):
            await router.aselect(query, k)


# Arguments that cannot work.


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"threshold": 1.1}, "threshold must be a number from -1 to 1, got 1.1"),
        ({"threshold": float("nan")}, "threshold must be"),
        ({"threshold": True}, "threshold must be"),
        ({"threshold": "0.5"}, "threshold must be"),
        ({"margin": -0.1}, "margin must be a number from 0 to 2"),
        ({"margin": None}, "margin must be"),
        ({"top_k": 0}, "top_k must be a whole number, at least 1, got 0"),
        ({"top_k": 2.0}, "top_k must be"),
        ({"top_k": True}, "top_k must be"),
        ({"model": "gpt-5"}, "fallback must be"),
        ({"model": len, "fallback_timeout": 0}, "timeout must be"),
        ({"fallback_timeout": "5"}, "fallback_timeout must be a number.*'5'"),
        ({"examples": {len: ["x"], max: ["y"]}}, "by the name of a tool, a text"),
        ({"examples": {"z": ["x"]}}, "examples are given for 'z'"),
        ({"precision": 1}, "precision must be a number from 0.5 to 0.999, got 1"),
        ({"max_learned": 0}, "max_learned must be a whole number"),
        ({"max_cached": None}, "max_cached must be a whole number"),
        ({"delta": 0.95}, "ToolRouter has no argument 'delta'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _router(**kwargs)


def test_embeddings_must_be_embeddings() -> None:
    with pytest.raises(ConfigurationError, match="LangChain Embeddings, got str"):
        ToolRouter(ROUTES, "text-embedding-3-small")  # type: ignore[arg-type]  # that is the test


def test_no_tools_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tools is empty"):
        ToolRouter([], LexicalEmbeddings())


def test_the_name_is_for_traces() -> None:
    assert _router(name="front desk").get_name() == "front desk"


@pytest.mark.parametrize("k", ["3", 1.5, True, 0])
async def test_select_refuses_what_is_no_number_of_tools(k: Any) -> None:
    router = _router()
    with pytest.raises(ValueError, match="k must be a whole number, at least 1, got"):
        router.select("clear", k)
    with pytest.raises(ValueError, match="k must be a whole number, at least 1, got"):
        await router.aselect("clear", k)


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_as_fallback_is_no_model_call_that_could_be_saved(way: Run) -> None:
    with track() as ledger:
        way(_router(lambda _: 1), "clear")

    (record,) = ledger.to_records()
    assert (record.decision, record.saved_calls, record.saved_usd) == (
        "distance",
        0,
        0.0,
    )
