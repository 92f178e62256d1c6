"""The base of the patterns: one run, children by config, one decision, ownership."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run
from langchain_core.tracers.stdout import FunctionCallbackHandler
from pydantic import ValidationError

from langchain_prodpatterns.ledger import DECISION_EVENT, Ledger, LedgerRecord, track
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable, pattern_config
from langchain_prodpatterns.testing import (
    Fault,
    LexicalEmbeddings,
    Reply,
    ScriptedChatModel,
)
from langchain_prodpatterns.usage import PATTERN_KEY, RUN_KEY

Step = Literal["own", "wrapped", "hidden"]


class Toy(PatternRunnable[str, str]):
    """Runs one inner runnable in one of the ways a pattern can, then decides."""

    pattern = "toy"
    inner: Runnable[Any, Any]
    step: Step = "own"
    fails: bool = False
    silent: bool = False

    def _config(self, run: PatternRun) -> RunnableConfig:
        if self.step == "wrapped":
            return run.wrapped("inner")
        return run.child("ask:1", hidden=self.step == "hidden")

    def _run(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        answer = self.inner.invoke(value, self._config(run))
        self._finish(kwargs)
        if not self.silent:
            run.decide("done", "because", saved_calls=2, rounds=3)
        return str(getattr(answer, "text", answer))

    async def _arun(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        answer = await self.inner.ainvoke(value, self._config(run))
        self._finish(kwargs)
        if not self.silent:
            await run.adecide("done", "because", saved_calls=2, rounds=3)
        return str(getattr(answer, "text", answer))

    def _finish(self, kwargs: dict[str, Any]) -> None:
        if self.fails or kwargs.get("fails"):
            msg = "the pattern failed"
            raise ValueError(msg)


class Shell(Toy):
    """Another pattern, to nest the toy in."""

    pattern = "shell"


class Guarded(Toy):
    """Hides its input from traces."""

    def _shown(self, value: str) -> Any:
        return "<hidden>"


class Heard(BaseCallbackHandler):
    """Notes custom events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


@pytest.fixture(params=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "async")


def call(runnable: Runnable[str, Any], *, is_async: bool, **config: Any) -> Any:
    known: Any = config

    async def run() -> Any:
        return await runnable.ainvoke("x", known)

    return asyncio.run(run()) if is_async else runnable.invoke("x", known)


def model(**more: Any) -> ScriptedChatModel:
    return ScriptedChatModel(default="fine", **more)


def traced(runnable: Runnable[str, Any], *, is_async: bool, **config: Any) -> Run:
    collector = RunCollectorCallbackHandler()
    call(runnable, is_async=is_async, callbacks=[collector], **config)
    (root,) = collector.traced_runs
    return root


def only(records: list[LedgerRecord]) -> LedgerRecord:
    (record,) = records
    return record


# Ownership


def test_own_calls_are_booked_to_the_pattern(is_async: bool) -> None:
    asked = model()
    with track() as ledger:
        call(Toy(inner=asked), is_async=is_async)
    record = only(ledger.to_records())
    assert (record.pattern, record.decision, record.reason) == (
        "toy",
        "done",
        "because",
    )
    assert (record.calls, record.input_tokens) == (1, asked.input_tokens)
    assert record.saved_calls == 2


def test_wrapped_calls_are_booked_to_nobody_where_nobody_is_around(
    is_async: bool,
) -> None:
    with track() as ledger:
        call(Toy(inner=model(), step="wrapped"), is_async=is_async)
    booked = {record.pattern: record.calls for record in ledger.to_records()}
    assert booked == {"toy": 0, "model": 1}


def test_each_of_two_nested_patterns_has_its_own_calls(is_async: bool) -> None:
    inner, outer = model(), model()
    chain = Toy(inner=inner) | (lambda _: "x") | outer
    with track() as ledger:
        call(Shell(inner=chain), is_async=is_async)
    booked = {record.pattern: record.calls for record in ledger.to_records()}
    assert booked == {"toy": 1, "shell": 1}


def test_what_a_nested_pattern_wraps_is_the_outer_ones(is_async: bool) -> None:
    with track() as ledger:
        call(Shell(inner=Toy(inner=model(), step="wrapped")), is_async=is_async)
    booked = {record.pattern: record.calls for record in ledger.to_records()}
    assert booked == {"toy": 0, "shell": 1}


def test_the_same_pattern_in_itself_has_two_records(is_async: bool) -> None:
    with track() as ledger:
        call(Toy(inner=Toy(inner=model())), is_async=is_async)
    first, second = ledger.to_records()
    assert first.run_id != second.run_id
    assert (first.calls, second.calls) == (1, 0)


def test_a_pattern_that_fails_is_unfinished(is_async: bool) -> None:
    with track() as ledger, pytest.raises(ValueError, match="failed"):
        call(Toy(inner=model(), fails=True), is_async=is_async)
    record = only(ledger.to_records())
    assert (record.pattern, record.decision, record.calls) == ("toy", "unfinished", 1)


def test_a_pattern_whose_model_fails_is_unfinished_without_calls(
    is_async: bool,
) -> None:
    broken = ScriptedChatModel(default=Fault.server_error())
    with track() as ledger, pytest.raises(Exception, match="server error"):
        call(Toy(inner=broken), is_async=is_async)
    record = only(ledger.to_records())
    assert (record.decision, record.calls) == ("unfinished", 0)
    assert ledger.summary().failed_calls == 1


def test_calls_through_plain_functions_keep_their_owner(is_async: bool) -> None:
    """A function that calls a model without a config inherits it by context."""
    asked = model()

    def ask(text: str) -> Any:
        return asked.invoke(text)

    function: RunnableLambda[str, Any] = RunnableLambda(ask)
    with track() as ledger:
        call(Toy(inner=function), is_async=is_async)
    assert only(ledger.to_records()).calls == 1


def test_batches_have_one_record_each() -> None:
    with track() as ledger:
        Toy(inner=model()).batch(["a", "b", "c"], {"max_concurrency": 2})
    assert [record.calls for record in ledger.to_records()] == [1, 1, 1]


def seconds_of(ledger: Ledger) -> float:
    return sum(record.seconds for record in ledger.to_records())


@pytest.mark.parametrize("step", ["own", "wrapped"])
@pytest.mark.parametrize("nested", [False, True])
def test_no_second_is_counted_twice(step: Step, nested: bool, is_async: bool) -> None:
    slow = ScriptedChatModel(default=Reply("x", latency=0.05))
    inner: Runnable[Any, Any] = Toy(inner=slow, step=step) if nested else slow
    collector = RunCollectorCallbackHandler()
    with track() as ledger:
        call(Shell(inner=inner, step=step), is_async=is_async, callbacks=[collector])
    (root,) = collector.traced_runs
    assert root.end_time is not None
    whole = (root.end_time - root.start_time).total_seconds()
    # The whole is never exceeded, and the wait is in it once.
    assert 0.05 <= seconds_of(ledger) <= whole


# The run and its metadata


def test_one_run_of_its_own_that_names_the_pattern(is_async: bool) -> None:
    root = traced(Toy(inner=model()), is_async=is_async)
    assert (root.name, root.run_type) == ("Toy", "chain")
    assert root.metadata[PATTERN_KEY] == "toy"
    (child,) = root.child_runs
    assert child.name == "toy:ask:1"
    assert child.metadata[PATTERN_KEY] == "toy"
    assert child.metadata[RUN_KEY] == str(root.id)


def test_the_decision_is_in_the_runs_metadata(is_async: bool) -> None:
    asked = model()
    facts = traced(Toy(inner=asked), is_async=is_async).metadata
    told = {
        key.removeprefix("prodpatterns."): value
        for key, value in facts.items()
        if key.startswith("prodpatterns.")
    }
    assert told["decision"] == "done"
    assert told["reason"] == "because"
    assert told["calls"] == 1
    assert told["input_tokens"] == asked.input_tokens
    assert told["output_tokens"] == asked.output_tokens
    assert told["saved_calls"] == 2
    assert told["rounds"] == 3
    assert told["seconds"] > 0
    assert "usd" in told


def test_a_silent_pattern_has_no_decision(is_async: bool) -> None:
    with track() as ledger:
        root = traced(Toy(inner=model(), silent=True), is_async=is_async)
    assert "prodpatterns.decision" not in root.metadata
    assert only(ledger.to_records()).decision == "unfinished"


def test_hidden_steps_are_marked(is_async: bool) -> None:
    (hidden,) = traced(Toy(inner=model(), step="hidden"), is_async=is_async).child_runs
    (shown,) = traced(Toy(inner=model()), is_async=is_async).child_runs
    assert hidden.metadata["ls_message_view_exclude"] is True
    assert "ls_message_view_exclude" not in shown.metadata


def test_a_wrapped_runnable_keeps_its_own_name(is_async: bool) -> None:
    root = traced(Toy(inner=model(), step="wrapped"), is_async=is_async)
    assert [run.name for run in root.child_runs] == ["ScriptedChatModel"]


def test_names_and_ids_stay_with_the_run_and_tags_go_down(is_async: bool) -> None:
    root = traced(
        Toy(inner=model()),
        is_async=is_async,
        run_name="mine",
        tags=["t"],
        metadata={"m": 1},
    )
    (child,) = root.child_runs
    assert (root.name, child.name) == ("mine", "toy:ask:1")
    assert child.id != root.id
    assert "t" in (child.tags or [])
    assert child.metadata["m"] == 1


def test_traces_show_what_the_pattern_shows(is_async: bool) -> None:
    root = traced(Guarded(inner=model()), is_async=is_async)
    assert root.inputs == {"input": "<hidden>"}


def test_the_callers_config_is_not_changed(is_async: bool) -> None:
    config = RunnableConfig(tags=["a"], metadata={"b": 1})
    before = copy.deepcopy(config)
    call(Toy(inner=model()), is_async=is_async, **config)
    pattern_config("toy", config)
    assert config == before


def test_a_config_of_none_is_fine() -> None:
    assert pattern_config("toy", None)["metadata"][PATTERN_KEY] == "toy"


# The event


def test_the_decision_is_a_custom_event(is_async: bool) -> None:
    heard = Heard()
    call(Toy(inner=model()), is_async=is_async, callbacks=[heard])
    ((name, data),) = heard.events
    assert name == DECISION_EVENT
    assert (data["pattern"], data["decision"], data["parent"]) == ("toy", "done", None)


def test_a_nested_decision_names_the_run_around(is_async: bool) -> None:
    heard = Heard()
    for step in ("own", "wrapped"):
        heard.events.clear()
        shell = Shell(inner=Toy(inner=model()), step=step)
        call(shell, is_async=is_async, callbacks=[heard])
        (_, inner), (_, outer) = heard.events
        assert inner["parent"] == outer["run_id"]


async def test_the_decision_is_among_the_stream_events() -> None:
    toy = Toy(inner=model())
    events = [event async for event in toy.astream_events("x", version="v2")]
    (found,) = [event for event in events if event["event"] == "on_custom_event"]
    assert found["name"] == DECISION_EVENT
    data: Any = found["data"]
    assert data["decision"] == "done"
    assert found["run_id"] == events[0]["run_id"]


# Usage within a run


class Asking(PatternRunnable[str, dict[str, Any]]):
    """Uses everything a run offers."""

    pattern = "asking"
    model: Any

    def _run(self, value: str, run: PatternRun, **kwargs: Any) -> dict[str, Any]:
        probe, embeddings = UsageProbe(), LexicalEmbeddings()
        self.model.invoke(value, run.child("one", probe))
        self.model.invoke(value, run.wrapped("two"))
        return {
            "query": run.embed_query(embeddings, value),
            "documents": run.embed_documents(embeddings, [value, "y"]),
            "usage": run.usage,
            "probe": probe.usage,
            "seconds": run.seconds,
        }

    async def _arun(self, value: str, run: PatternRun, **kwargs: Any) -> dict[str, Any]:
        probe, embeddings = UsageProbe(), LexicalEmbeddings()
        await self.model.ainvoke(value, run.child("one", probe))
        await self.model.ainvoke(value, run.wrapped("two"))
        return {
            "query": await run.aembed_query(embeddings, value),
            "documents": await run.aembed_documents(embeddings, [value, "y"]),
            "usage": run.usage,
            "probe": probe.usage,
            "seconds": run.seconds,
        }


def test_a_run_knows_its_own_usage_and_embeds_as_a_child(is_async: bool) -> None:
    collector = RunCollectorCallbackHandler()
    answer = call(Asking(model=model()), is_async=is_async, callbacks=[collector])
    embeddings = LexicalEmbeddings()
    assert answer["query"] == embeddings.embed_query("x")
    assert answer["documents"] == embeddings.embed_documents(["x", "y"])
    assert answer["usage"].calls == answer["probe"].calls == 1
    assert answer["seconds"] > 0
    (root,) = collector.traced_runs
    assert [run.name for run in root.child_runs] == [
        "asking:one",
        "ScriptedChatModel",
        "asking:embed_query",
        "asking:embed_documents",
    ]


# The Runnable


def test_invoke_stream_and_batch_agree(is_async: bool) -> None:
    toy = Toy(inner=model())

    async def run() -> list[Any]:
        streamed = [chunk async for chunk in toy.astream("x")]
        return [await toy.ainvoke("x"), *await toy.abatch(["x"]), *streamed]

    answers = (
        asyncio.run(run())
        if is_async
        else [toy.invoke("x"), *toy.batch(["x"]), *toy.stream("x")]
    )
    assert answers == ["fine"] * 3


def test_upstream_chunks_are_summed(is_async: bool) -> None:
    def letters(upstream: Iterator[str]) -> Iterator[str]:
        yield from "".join(upstream) + "y"

    async def aletters(upstream: AsyncIterator[str]) -> AsyncIterator[str]:
        async for text in upstream:
            yield text
        yield "y"

    words = RunnableGenerator(letters, aletters)
    echo: RunnableLambda[str, str] = RunnableLambda(lambda text: text)
    assert call(words | Toy(inner=echo), is_async=is_async) == "xy"


def test_bound_arguments_reach_the_pattern(is_async: bool) -> None:
    with pytest.raises(ValueError, match="failed"):
        call(Toy(inner=model()).bind(fails=True), is_async=is_async)


def test_unknown_configs_and_listeners_do_not_break_it(is_async: bool) -> None:
    lines: list[str] = []
    printer = FunctionCallbackHandler(lines.append)
    assert call(Toy(inner=model()), is_async=is_async, callbacks=[printer]) == "fine"
    assert lines


def test_the_base_is_abstract() -> None:
    class Half(PatternRunnable[str, str]):
        pattern = "half"

        def _run(self, value: str, run: PatternRun, **kwargs: Any) -> str:
            return value

    with pytest.raises(TypeError, match="_arun"):
        Half()  # type: ignore[abstract]  # that is the point


def test_a_pattern_cannot_be_changed_in_place() -> None:
    toy: Any = Toy(inner=model())
    with pytest.raises(ValidationError, match="frozen"):
        toy.fails = True


def test_a_changed_copy_is_set_up_anew() -> None:
    toy = Toy(inner=model(), name="mine")
    changed = toy.model_copy(update={"fails": True})
    assert (changed.fails, changed.name, changed.inner) == (True, "mine", toy.inner)
    assert not toy.model_copy().fails
    assert toy.model_copy(deep=True).inner is not toy.inner
    with pytest.raises(ValidationError):
        toy.model_copy(update={"step": "sideways"})
