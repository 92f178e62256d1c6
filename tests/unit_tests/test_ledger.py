"""The ledger equals the model's own records, whichever way the model is called."""

import asyncio
import contextlib
import contextvars
import copy
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel

from langchain_prodpatterns import ledger as ledger_module
from langchain_prodpatterns.ledger import (
    Decision,
    Ledger,
    LedgerRecord,
    LedgerSummary,
    areport,
    report,
    track,
)
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable
from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    ScriptedChatModel,
    ScriptedRequest,
)
from langchain_prodpatterns.usage import (
    AROUND_KEY,
    NO_USAGE,
    PATTERN_KEY,
    RUN_KEY,
    ModelCall,
    Usage,
)
from tests.unit_tests.patience import PATIENCE, until

FAILURES = Exception
"""What a scripted fault may raise."""


def scripted(**more: Any) -> ScriptedChatModel:
    """A model that fails on "fault" and, once for each text, on "flaky"."""
    seen: set[str] = set()

    def respond(request: ScriptedRequest) -> Reply | Fault:
        text = request.user_text
        if "fault" in text or ("flaky" in text and text not in seen):
            seen.add(text)
            return Fault.server_error()
        if "cut" in text:
            return Fault.disconnect("one two three four")
        return Reply(f"answer to {text}")

    return ScriptedChatModel(respond=respond, **more)


def assert_equal(ledger: Ledger, *models: ScriptedChatModel) -> None:
    """The ledger's sums are those of the models, and of its own records."""
    summary, records = ledger.summary(), ledger.to_records()
    expected = (
        sum(model.calls for model in models),
        sum(model.input_tokens for model in models),
        sum(model.output_tokens for model in models),
    )
    assert (summary.calls, summary.input_tokens, summary.output_tokens) == expected
    assert expected == (
        sum(record.calls for record in records),
        sum(record.input_tokens for record in records),
        sum(record.output_tokens for record in records),
    )
    assert summary.decisions == len(records)
    groups = summary.by_pattern.values()
    assert summary.calls == sum(group.calls for group in groups)
    assert summary.failed_calls == sum(group.failed_calls for group in groups)


class Toy(PatternRunnable[str, str]):
    """Asks a model a number of times, then decides; or raises before it decides."""

    pattern = "toy"
    model: Any
    times: int = 1
    fails: bool = False

    def _run(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        for number in range(self.times):
            self.model.invoke(value, run.child(f"ask:{number}"))
        if self.fails:
            msg = "no decision"
            raise ValueError(msg)
        run.decide("done")
        return value

    async def _arun(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        for number in range(self.times):
            await self.model.ainvoke(value, run.child(f"ask:{number}"))
        if self.fails:
            msg = "no decision"
            raise ValueError(msg)
        await run.adecide("done")
        return value


# Every way to call a model. Each takes a model and a text that is new.


def call_invoke(model: ScriptedChatModel, text: str) -> None:
    model.invoke(text)


def call_ainvoke(model: ScriptedChatModel, text: str) -> None:
    asyncio.run(_ainvoke(model, text))


async def _ainvoke(model: ScriptedChatModel, text: str) -> None:
    await model.ainvoke(text)


def call_stream(model: ScriptedChatModel, text: str) -> None:
    list(model.stream(text))


def call_astream(model: ScriptedChatModel, text: str) -> None:
    async def read() -> None:
        async for _ in model.astream(text):
            pass

    asyncio.run(read())


def call_n(model: ScriptedChatModel, text: str) -> None:
    model.bind(n=3).invoke(text)


def call_generate(model: ScriptedChatModel, text: str) -> None:
    model.generate([[HumanMessage(text)], [HumanMessage(text + "!")]])


def call_batch(model: ScriptedChatModel, text: str) -> None:
    model.batch([text, f"fault {text}", f"{text}!"], return_exceptions=True)


def call_abatch(model: ScriptedChatModel, text: str) -> None:
    async def run() -> None:
        await model.abatch([text, f"fault {text}", f"{text}!"], return_exceptions=True)

    asyncio.run(run())


def call_failing(model: ScriptedChatModel, text: str) -> None:
    with contextlib.suppress(FAILURES):
        model.invoke(f"fault {text}")


def call_cut_stream(model: ScriptedChatModel, text: str) -> None:
    with contextlib.suppress(FAILURES):
        list(model.stream(f"cut {text}"))


def call_retry(model: ScriptedChatModel, text: str) -> None:
    retrying = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    retrying.invoke(f"flaky {text}")


def call_fallback(model: ScriptedChatModel, text: str) -> None:
    model.bind(stop=["never"]).with_fallbacks([model]).invoke(f"flaky {text}")


def call_abandoned(model: ScriptedChatModel, text: str) -> None:
    stream = model.stream(text)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # core's stream is a generator


def call_abandoned_async(model: ScriptedChatModel, text: str) -> None:
    async def run() -> None:
        stream = model.astream(text)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    asyncio.run(run())


def call_cached(model: ScriptedChatModel, text: str) -> None:
    cached = model.model_copy(update={"cache": InMemoryCache()})
    for _ in range(3):
        cached.invoke(text)


def call_thread(model: ScriptedChatModel, text: str) -> None:
    thread = threading.Thread(target=call_invoke, args=(model, text))
    thread.start()
    thread.join(PATIENCE)


def call_parallel(model: ScriptedChatModel, text: str) -> None:
    RunnableParallel(a=model, b=model).invoke(text)


def call_pattern(model: ScriptedChatModel, text: str) -> None:
    Toy(model=model, times=2).invoke(text)


def call_nested(model: ScriptedChatModel, text: str) -> None:
    asyncio.run(_ainvoke(model, text))
    Toy(model=Toy(model=model)).invoke(text)


def call_nested_async(model: ScriptedChatModel, text: str) -> None:
    async def run() -> None:
        await Toy(model=Toy(model=model, times=2), times=2).ainvoke(text)

    asyncio.run(run())


def call_failing_pattern(model: ScriptedChatModel, text: str) -> None:
    with contextlib.suppress(ValueError):
        Toy(model=model, fails=True).invoke(text)


WAYS: list[Callable[[ScriptedChatModel, str], None]] = [
    call_invoke,
    call_ainvoke,
    call_stream,
    call_astream,
    call_n,
    call_generate,
    call_batch,
    call_abatch,
    call_failing,
    call_cut_stream,
    call_retry,
    call_fallback,
    call_abandoned,
    call_abandoned_async,
    call_cached,
    call_thread,
    call_parallel,
    call_pattern,
    call_nested,
    call_nested_async,
    call_failing_pattern,
]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_calling_is_booked_exactly(
    way: Callable[[ScriptedChatModel, str], None],
) -> None:
    model = scripted()
    with track() as ledger:
        way(model, "text")
    assert model.requests
    assert_equal(ledger, model)


@settings(max_examples=40, deadline=None)
@given(ways=st.lists(st.sampled_from(WAYS), max_size=8))
def test_any_mix_of_ways_is_booked_exactly(
    ways: list[Callable[[ScriptedChatModel, str], None]],
) -> None:
    model = scripted()
    with track() as outer:
        for number, way in enumerate(ways):
            with track() as inner:
                before = model.calls
                way(model, f"text {number}")
                assert inner.summary().calls == model.calls - before
    assert_equal(outer, model)
    made_by = [record.run_id for record in outer.to_records()]
    assert len(made_by) == len(set(made_by))


# Cache hits: the known trap


def test_one_call_and_two_hits_are_one_call() -> None:
    reply = Reply("x", input_tokens=100, output_tokens=10)
    model = ScriptedChatModel(default=reply, cache=InMemoryCache())
    with track(prices={"scripted": (1.0, 1.0)}) as ledger:
        for _ in range(3):
            model.invoke("the same")
    summary = ledger.summary()
    assert (summary.calls, summary.input_tokens, summary.output_tokens) == (1, 100, 10)
    assert (summary.saved_calls, summary.saved_tokens) == (2, 220)
    assert summary.usd == pytest.approx(110e-6)
    assert summary.saved_usd == pytest.approx(220e-6)
    decisions = [record.decision for record in ledger.to_records()]
    assert decisions == ["call", "cache hit", "cache hit"]
    assert_equal(ledger, model)


def test_hits_of_a_plain_language_model_are_no_calls() -> None:
    llm = FakeListLLM(responses=["x", "y"], cache=InMemoryCache())
    with track() as ledger:
        for _ in range(3):
            llm.invoke("the same")
    assert ledger.summary().calls == 1


# Whose ledger it is


def test_an_explicit_handler_books_like_a_block() -> None:
    model, ledger = scripted(), Ledger()
    model.invoke("x", {"callbacks": [ledger]})
    assert_equal(ledger, model)


def test_handler_and_block_together_book_once() -> None:
    model = scripted()
    with track() as ledger:
        config = RunnableConfig(callbacks=[ledger])
        Toy(model=model).invoke("x", config)
        model.invoke("y", config)
        model.batch(["a", "b"], config)
    assert_equal(ledger, model)
    assert ledger.summary().decisions == 4


def test_two_handlers_both_book() -> None:
    model, one, two = scripted(), Ledger(), Ledger()
    with track() as three:
        model.invoke("x", {"callbacks": [one, two]})
    for ledger in (one, two, three):
        assert_equal(ledger, model)


def test_what_an_inner_block_books_the_outer_one_books_too() -> None:
    model = scripted()
    with track() as outer:
        model.invoke("a")
        with track() as inner:
            Toy(model=model).invoke("b")
        model.invoke("c")
    assert (inner.summary().calls, outer.summary().calls) == (1, 3)
    assert [record.pattern for record in inner.to_records()] == ["toy"]
    assert_equal(outer, model)


def test_each_block_has_its_prices_or_those_of_the_block_around() -> None:
    reply = Reply("x", input_tokens=1_000_000, output_tokens=0)
    model = ScriptedChatModel(default=reply)
    with (
        track(prices={"scripted": (2.0, 0.0)}) as outer,
        track(prices={"scripted": (1.0, 0.0)}) as inner,
        track() as innermost,
    ):
        model.invoke("x")
    assert (outer.summary().usd, inner.summary().usd) == (2.0, 1.0)
    assert innermost.summary().usd == 1.0


def test_after_the_block_nothing_is_booked() -> None:
    model = scripted()
    with track() as ledger:
        model.invoke("x")
    model.invoke("y")
    thread = threading.Thread(target=model.invoke, args=("z",))
    thread.start()
    thread.join(PATIENCE)
    assert ledger.summary().calls == 1


def test_a_block_that_raises_keeps_what_it_booked() -> None:
    model = scripted()
    with contextlib.suppress(KeyError), track() as ledger:
        model.invoke("x")
        raise KeyError
    model.invoke("y")
    assert ledger.summary().calls == 1


def test_32_plain_threads_started_inside_the_block_are_booked() -> None:
    model, barrier = scripted(), threading.Barrier(32)

    def work(number: int) -> None:
        barrier.wait(PATIENCE)
        for turn in range(5):
            model.invoke(f"{number} {turn}")

    with track() as ledger:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert model.calls == 160
    assert_equal(ledger, model)


def test_a_thread_pool_started_inside_the_block_is_booked() -> None:
    model = scripted()
    with track() as ledger, ThreadPoolExecutor(8) as pool:
        list(pool.map(model.invoke, [str(number) for number in range(64)]))
    assert_equal(ledger, model)


def test_threads_inside_a_nested_block_are_the_innermost_ones() -> None:
    model = scripted()
    with track() as outer, track() as inner:
        call_thread(model, "x")
    assert_equal(inner, model)
    assert_equal(outer, model)


def test_a_thread_from_before_the_block_is_not_booked() -> None:
    model, go = scripted(), threading.Event()

    def work() -> None:
        go.wait(PATIENCE)
        model.invoke("x")

    thread = threading.Thread(target=work)
    thread.start()
    with track() as ledger:
        go.set()
        thread.join(PATIENCE)
    assert model.calls == 1
    assert ledger.summary().calls == 0


def test_a_thread_from_before_the_block_is_booked_with_the_context() -> None:
    model, go, box = scripted(), threading.Event(), list[contextvars.Context]()

    def work() -> None:
        go.wait(PATIENCE)
        box[0].run(model.invoke, "x")

    thread = threading.Thread(target=work)
    thread.start()
    with track() as ledger:
        box.append(contextvars.copy_context())
        go.set()
        thread.join(PATIENCE)
    assert_equal(ledger, model)


def test_blocks_in_two_threads_do_not_mix() -> None:
    barrier = threading.Barrier(2)
    models = [scripted(), scripted()]
    ledgers: list[Ledger | None] = [None, None]

    def work(number: int) -> None:
        barrier.wait(PATIENCE)
        with track() as ledger:
            ledgers[number] = ledger
            barrier.wait(PATIENCE)  # both blocks are open
            for turn in range(number + 3):
                models[number].invoke(str(turn))
            models[number].batch(["a", "b"])
            barrier.wait(PATIENCE)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for ledger, model in zip(ledgers, models, strict=True):
        assert ledger is not None
        assert_equal(ledger, model)
    assert [model.calls for model in models] == [5, 6]


def test_of_two_unrelated_blocks_neither_claims_a_strange_thread() -> None:
    model, opened, leave = scripted(), threading.Event(), threading.Event()
    others: list[Ledger] = []

    def open_another() -> None:
        with track() as other:
            others.append(other)
            opened.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=open_another)
    with track() as ledger:
        thread.start()
        opened.wait(PATIENCE)
        call_thread(model, "x")
        leave.set()
        thread.join(PATIENCE)
        assert (ledger.summary().calls, others[0].summary().calls) == (0, 0)
        call_thread(model, "y")
    assert ledger.summary().calls == 1


async def test_tasks_of_one_gather_do_not_mix() -> None:
    async def work(times: int) -> tuple[Ledger, ScriptedChatModel]:
        model = scripted()
        with track() as ledger:
            for turn in range(times):
                await asyncio.gather(model.ainvoke(f"a{turn}"), model.ainvoke("b"))
        return ledger, model

    with track() as around:
        pairs = await asyncio.gather(*(work(times) for times in range(1, 5)))
    for ledger, model in pairs:
        assert_equal(ledger, model)
    assert_equal(around, *(model for _, model in pairs))


async def test_to_thread_and_executors_started_inside_are_booked() -> None:
    model = scripted()
    with track() as ledger, ThreadPoolExecutor(2) as pool:
        await asyncio.to_thread(model.invoke, "x")
        await asyncio.get_running_loop().run_in_executor(pool, model.invoke, "y")
    assert_equal(ledger, model)


async def test_a_block_in_an_async_generator_ends_in_any_context() -> None:
    model = scripted()

    async def numbers() -> AsyncIterator[int]:
        with track():
            yield 1
            yield 2

    generator = numbers()
    assert await asyncio.create_task(_first(generator)) == 1
    await generator.aclose()  # type: ignore[attr-defined]  # it is a generator
    with track() as ledger:
        await model.ainvoke("x")
    assert_equal(ledger, model)


async def _first(generator: AsyncIterator[int]) -> int:
    return await anext(generator)


def test_a_block_that_ends_while_langchain_asks_breaks_no_call() -> None:
    """Core asks twice for the handler of a run; the second time there is none."""
    model, asked = scripted(), list[int]()
    with track() as ledger:
        thread_calls: list[str] = []

        def get() -> Ledger | None:
            asked.append(1)
            return ledger if len(asked) % 2 else None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger_module._ledgers, "get", get)
            thread_calls.append(str(model.invoke("x").text))
    assert asked
    assert thread_calls == ["answer to x"]


async def test_a_cancelled_call_is_not_booked_and_not_forgotten() -> None:
    gate = asyncio.Event()
    model = ScriptedChatModel(replies=[Reply("x", wait_for=gate), "y"])
    with track(prices={"scripted": (1.0, 1.0)}) as outer, track() as ledger:
        task = asyncio.create_task(model.ainvoke("?"))
        await until(lambda: bool(model.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await model.ainvoke("?")
    for each in (ledger, outer):
        assert_equal(each, model)
        summary = each.summary()
        assert (summary.open_calls, summary.by_pattern["model"].open_calls) == (1, 1)
        assert (summary.usd, summary.by_pattern["model"].usd) == (None, None)
        assert "1 call not ended" in each.table()
        each.clear()
        assert each.summary() == LedgerSummary()


def test_a_call_is_open_until_it_ends() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: ScriptedRequest) -> str:
        begun.set()
        go_on.wait(PATIENCE)
        return "done"

    ledger = Ledger(prices={"scripted": (1.0, 1.0)})
    model = ScriptedChatModel(respond=slow)
    thread = threading.Thread(
        target=model.invoke, args=("?", {"callbacks": [ledger]}), daemon=True
    )
    thread.start()
    assert begun.wait(PATIENCE)
    assert (ledger.summary().open_calls, ledger.summary().usd) == (1, None)
    go_on.set()
    thread.join(PATIENCE)
    assert ledger.summary().open_calls == 0
    assert ledger.summary().usd is not None


def test_a_stream_that_is_broken_off_has_an_unknown_price() -> None:
    model = ScriptedChatModel(default="one two three four")
    with track(prices={"scripted": (1.0, 1.0)}) as ledger:
        for _ in model.stream("?"):
            break
    summary = ledger.summary()
    assert (summary.calls, summary.failed_calls, summary.unmetered_calls) == (0, 1, 1)
    assert summary.usd is None
    assert only(ledger).decision == "failed"
    assert "1 call sent no usage or broke off" in ledger.table()


# What is not known


def test_money_is_unknown_where_a_part_of_it_is() -> None:
    known = ScriptedChatModel(default="x", model_name="known-model")
    other = ScriptedChatModel(default="x", model_name="nobody-sells-this")
    with track(prices={"known-model": (1.0, 1.0)}) as ledger:
        known.invoke("?")
        priced = ledger.summary().usd
        other.invoke("?")
    assert priced is not None
    assert priced > 0
    assert ledger.summary().usd is None
    assert "unknown" in ledger.table()


def test_a_call_without_usage_is_reported_and_not_guessed() -> None:
    with track(prices={"fake-list": (1.0, 1.0)}) as ledger:
        FakeListLLM(responses=["x"]).invoke("?")
    summary = ledger.summary()
    assert (summary.calls, summary.unmetered_calls, summary.usd) == (1, 1, None)
    assert summary.by_pattern["model"].unmetered_calls == 1
    assert "1 call sent no usage" in ledger.table()


def test_failed_calls_are_told_apart() -> None:
    model = scripted()
    with track() as ledger:
        call_failing(model, "x")
    summary = ledger.summary()
    assert (summary.calls, summary.failed_calls, summary.decisions) == (0, 1, 0)
    assert summary.by_pattern["model"].failed_calls == 1
    assert "1 call failed" in ledger.table()


def test_a_call_that_fails_after_it_was_paid_for_is_a_record() -> None:
    ledger = Ledger()
    used = Usage(calls=1, input_tokens=3, output_tokens=4)
    ledger.observe(ModelCall(uuid4(), None, None, "m", used, error="LengthError"))
    (record,) = ledger.to_records()
    assert (record.decision, record.calls, record.input_tokens) == ("failed", 1, 3)
    assert (ledger.summary().calls, ledger.summary().failed_calls) == (1, 1)


# Decisions


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with track() as ledger:
        yield ledger


def call(**more: Any) -> ModelCall:
    known: dict[str, Any] = {
        "run_id": uuid4(),
        "pattern": None,
        "owner": None,
        "model": "m",
        "usage": Usage(calls=1, input_tokens=2, output_tokens=1, seconds=1.0),
    }
    return ModelCall(**(known | more))


def only(ledger: Ledger) -> LedgerRecord:
    (record,) = ledger.to_records()
    return record


def test_a_decision_outside_every_run_goes_to_the_block() -> None:
    with track() as ledger:
        report(Decision("guard", "blocked", "a card"))
    assert only(ledger).decision == "blocked"
    report(Decision("guard", "blocked"))
    assert len(ledger.to_records()) == 1


async def test_a_decision_outside_every_run_goes_to_the_block_async() -> None:
    with track() as ledger:
        await areport(Decision("guard", "blocked"))
    assert only(ledger).pattern == "guard"
    await areport(Decision("guard", "blocked"))
    assert len(ledger.to_records()) == 1


def test_decisions_without_a_run_do_not_replace_each_other() -> None:
    with track() as ledger:
        for number in range(3):
            report(Decision("guard", f"passed {number}"))
    assert [r.decision for r in ledger.to_records()] == [
        f"passed {number}" for number in range(3)
    ]


def test_a_second_decision_of_a_run_replaces_the_first() -> None:
    with track() as ledger:
        report(Decision("cache", "miss", run_id="r"))
        report(Decision("cache", "hit", run_id="r"))
    assert only(ledger).decision == "hit"


def test_a_decision_inside_a_run_reaches_explicit_handlers_once() -> None:
    def decide(value: str) -> str:
        report(Decision("guard", "passed"))
        return value

    with track() as outer, track() as ledger:
        config = RunnableConfig(callbacks=[ledger, outer])
        RunnableLambda(decide).invoke("x", config)
    assert len(ledger.to_records()) == len(outer.to_records()) == 1


async def test_a_decision_inside_an_async_run_reaches_explicit_handlers() -> None:
    async def decide(value: str) -> str:
        await areport(Decision("guard", "passed"))
        return value

    ledger = Ledger()
    await RunnableLambda(decide).ainvoke("x", {"callbacks": [ledger]})
    assert only(ledger).decision == "passed"


def test_another_event_is_no_decision() -> None:
    ledger = Ledger()
    ledger.on_custom_event("progress", {"pattern": "x"}, run_id=uuid4())
    assert ledger.to_records() == []


def test_a_call_is_booked_to_the_decision_of_its_owner() -> None:
    ledger = Ledger()
    ledger.observe(call(pattern="refine", owner="r"))
    ledger.observe(call(pattern="refine", owner="r"))
    ledger.record(Decision("refine", "accepted", "good", run_id="r", saved_calls=2))
    record = only(ledger)
    assert (record.pattern, record.decision, record.reason) == (
        "refine",
        "accepted",
        "good",
    )
    assert (record.calls, record.input_tokens, record.saved_calls) == (2, 4, 2)


def test_what_another_cache_saved_a_pattern_is_in_its_record() -> None:
    ledger = Ledger(prices={"m": (62_500.0, 62_500.0)})
    saved = Usage(calls=1, input_tokens=5, output_tokens=3)
    ledger.record(Decision("structured", "valid", run_id="s", saved_usd=0.25))
    ledger.observe(call(owner="s", pattern="structured", usage=Usage(), saved=saved))
    record = only(ledger)
    assert (record.calls, record.saved_calls, record.saved_tokens) == (0, 1, 8)
    assert record.saved_usd == 0.75


def test_a_copied_chain_reports_to_the_same_ledger() -> None:
    ledger = Ledger()
    copied = copy.deepcopy(scripted().with_config(callbacks=[ledger]))
    copied.invoke("?")
    assert ledger.summary().calls == 1


def test_a_ledger_can_be_pickled() -> None:
    ledger = Ledger()
    ledger.observe(call())
    twin = pickle.loads(pickle.dumps(ledger))  # noqa: S301 - our own bytes
    twin.observe(call())
    assert (ledger.summary().calls, twin.summary().calls) == (1, 2)


def test_a_pattern_that_came_to_no_decision_is_unfinished() -> None:
    ledger = Ledger()
    ledger.observe(call(pattern="refine", owner="r"))
    record = only(ledger)
    assert (record.pattern, record.decision, record.run_id) == (
        "refine",
        "unfinished",
        "r",
    )
    assert (record.calls, record.seconds) == (1, 1.0)


def test_seconds_of_nested_patterns_are_not_counted_twice() -> None:
    ledger = Ledger()
    ledger.record(Decision("structured", "valid", run_id="b", parent="a", seconds=3))
    ledger.record(Decision("cache", "miss", run_id="a", seconds=5))
    ledger.record(Decision("guard", "passed", run_id="c", seconds=1))
    seconds = {record.run_id: record.seconds for record in ledger.to_records()}
    assert seconds == {"a": 2, "b": 3, "c": 1}
    assert ledger.summary().seconds == 6


def test_parallel_nested_patterns_leave_no_negative_time() -> None:
    ledger = Ledger()
    for name in ("b", "c"):
        ledger.record(Decision("guard", "ok", run_id=name, parent="a", seconds=3))
    ledger.record(Decision("refine", "accepted", run_id="a", seconds=4))
    assert min(record.seconds for record in ledger.to_records()) == 0.0


def test_seconds_of_calls_that_a_pattern_only_wraps_are_not_counted_twice() -> None:
    ledger = Ledger()
    ledger.record(Decision("cache", "miss", run_id="a", seconds=5))
    ledger.observe(call(around="a"))
    ledger.observe(call(around="a", pattern="cache", owner="a"))
    seconds = {record.pattern: record.seconds for record in ledger.to_records()}
    assert seconds == {"cache": 4.0, "model": 1.0}


def test_a_hit_of_a_global_cache_is_a_decision_of_the_cache() -> None:
    ledger = Ledger()
    served = {
        "run_id": "lookup",
        "decision": "near hit",
        "reason": "judged",
        "saved_tokens": 9,
        "saved_usd": 0.5,
        "saved_seconds": 2.0,
    }
    hit = call(usage=Usage(seconds=0.1), saved=NO_USAGE, served=served)
    ledger.observe(hit)
    record = only(ledger)
    assert (record.pattern, record.decision, record.reason) == (
        "cache",
        "near hit",
        "judged",
    )
    assert (record.saved_calls, record.saved_tokens, record.saved_usd) == (1, 9, 0.5)
    ledger.record(Decision("cache", "hit", run_id="lookup"))
    assert only(ledger).decision == "hit"


def test_a_served_answer_that_names_no_lookup_is_still_a_record() -> None:
    ledger = Ledger()
    ledger.observe(call(usage=NO_USAGE, saved=Usage(calls=1), served={"decision": "x"}))
    assert only(ledger).decision == "cache hit"


def test_clear_forgets() -> None:
    model = scripted()
    with track() as ledger:
        Toy(model=model).invoke("x")
        ledger.clear()
        assert ledger.to_records() == []
        model.invoke("y")
    assert ledger.summary().calls == 1


def test_records_come_in_the_order_of_the_decisions() -> None:
    model = scripted()
    with track() as ledger:
        model.invoke("direct")
        Toy(model=model).invoke("first")
        call_failing_pattern(model, "x")
        Toy(model=model).invoke("second")
    assert [record.decision for record in ledger.to_records()] == [
        *("done", "done", "unfinished", "call")
    ]


decisions = st.builds(
    Decision,
    pattern=st.sampled_from(["cache", "refine", "guard"]),
    decision=st.sampled_from(["hit", "miss"]),
    run_id=st.sampled_from("abcd"),
    parent=st.none() | st.sampled_from("abcd"),
    seconds=st.integers(0, 9).map(float),
    saved_usd=st.none() | st.integers(0, 9).map(float),
    saved_tokens=st.integers(0, 9),
)
calls = st.builds(
    call,
    pattern=st.just("refine"),
    owner=st.none() | st.sampled_from("abcdef"),
    around=st.none() | st.sampled_from("abcdef"),
    error=st.none() | st.just("ValueError"),
    usage=st.builds(
        Usage,
        calls=st.integers(0, 1),
        input_tokens=st.integers(0, 9),
        usd=st.none() | st.just(1.0),
    ),
)


@given(st.lists(decisions, max_size=8), st.lists(calls, max_size=12))
def test_any_books_balance(made: list[Decision], heard: list[ModelCall]) -> None:
    ledger = Ledger()
    for entry in heard:
        # A failed call that was not answered has no tokens.
        unpaid = entry.error is not None and not entry.usage.calls
        ledger.observe(call(usage=NO_USAGE, error="E") if unpaid else entry)
    for decision in made:
        ledger.record(decision)
    summary, records = ledger.summary(), ledger.to_records()
    booked = list(ledger._calls.values())
    assert summary.calls == sum(entry.usage.calls for entry in booked)
    assert summary.input_tokens == sum(entry.usage.input_tokens for entry in booked)
    assert summary.decisions == len(records)
    assert all(record.seconds >= 0 for record in records)
    assert (summary.usd is None) == any(record.usd is None for record in records)
    assert len({record.run_id for record in records}) == len(records)
    assert ledger.table().count("\n") >= len(summary.by_pattern)


def test_the_metadata_keys_are_the_ones_the_design_names() -> None:
    keys = (PATTERN_KEY, RUN_KEY, AROUND_KEY, ledger_module.DECISION_EVENT)
    assert all(key.startswith("prodpatterns.") for key in keys)
