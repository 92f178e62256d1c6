"""The ledger equals the provider's own records: the real client over real HTTP."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.ledger import Ledger, track
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable
from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    Rule,
    ScriptedProvider,
    echo,
)

PATIENCE = 30
FAILURES = openai.OpenAIError


class Answer(BaseModel):
    """An answer."""

    text: str


RULES = [
    Rule("rate", replies=[Fault.rate_limit(), "now"], cycle=True),
    Rule("flaky", replies=[Fault.server_error(), "now"], cycle=True),
    Rule("broken", Fault.server_error()),
    Rule("body", Fault.malformed_body()),
    Rule("gone", Fault.disconnect("one two three four five", after=2)),
    Rule("cut", Reply.truncated('{"text": "too lo')),
    Rule("refuse", Reply.refused()),
]


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider(RULES, default=echo) as provider:
        yield provider


def client(provider: ScriptedProvider, **more: Any) -> ChatOpenAI:
    return provider.chat_model(**({"max_retries": 0} | more))


def assert_equal(
    ledger: Ledger, provider: ScriptedProvider, *, broken_off: int = 0
) -> None:
    """Calls and tokens of the ledger are the provider's, record by record too.

    What broke off in the middle of an answer is no call, but no nothing either.
    """
    assert provider.wait_idle()
    summary, records = ledger.summary(), ledger.to_records()
    expected = (provider.calls, provider.input_tokens, provider.output_tokens)
    assert (summary.calls, summary.input_tokens, summary.output_tokens) == expected
    assert expected == (
        sum(record.calls for record in records),
        sum(record.input_tokens for record in records),
        sum(record.output_tokens for record in records),
    )
    assert summary.unmetered_calls == broken_off


class Asking(PatternRunnable[str, str]):
    """Asks through a chain, then decides."""

    pattern = "asking"
    model: Any

    def _run(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        answer = self.model.invoke(value, run.child("ask"))
        run.decide("done")
        return str(answer.text)

    async def _arun(self, value: str, run: PatternRun, **kwargs: Any) -> str:
        answer = await self.model.ainvoke(value, run.child("ask"))
        await run.adecide("done")
        return str(answer.text)


# Sync


def call_invoke(model: ChatOpenAI) -> None:
    model.invoke("hello there")


def call_stream(model: ChatOpenAI) -> None:
    assert len(list(model.stream("one two three"))) > 2


def call_n(model: ChatOpenAI) -> None:
    model.bind(n=3).invoke("one two three")


def call_generate_n(model: ChatOpenAI) -> None:
    model.generate([[HumanMessage("a b")], [HumanMessage("c")]], n=2)


def call_batch(model: ChatOpenAI) -> None:
    model.batch(["a", "broken", "c d"], {"max_concurrency": 3}, return_exceptions=True)


def call_retry(model: ChatOpenAI) -> None:
    retrying = model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    retrying.invoke("flaky")
    retrying.invoke("rate")


def call_fallback(model: ChatOpenAI) -> None:
    model.bind(seed=1).with_fallbacks([model]).invoke("flaky")


def call_broken(model: ChatOpenAI) -> None:
    for text in ("broken", "gone", "body"):
        with contextlib.suppress(Exception):
            model.invoke(text)


def call_cut_stream(model: ChatOpenAI) -> None:
    with contextlib.suppress(Exception):
        list(model.stream("gone"))


def call_tools(model: ChatOpenAI) -> None:
    model.bind_tools([Answer]).invoke("hello")


def call_pattern(model: ChatOpenAI) -> None:
    Asking(model=model).invoke("hello")

    def ask(text: str) -> Any:
        return model.invoke(text)

    Asking(model=RunnableLambda(ask)).batch(["a", "b"])


def call_streaming_invoke(model: ChatOpenAI) -> None:
    model.model_copy(update={"streaming": True}).invoke("one two three")


WAYS: list[Callable[[ChatOpenAI], None]] = [
    call_invoke,
    call_stream,
    call_n,
    call_generate_n,
    call_batch,
    call_retry,
    call_fallback,
    call_broken,
    call_cut_stream,
    call_tools,
    call_pattern,
    call_streaming_invoke,
]


@pytest.mark.parametrize("way", WAYS)
def test_each_sync_way_is_booked_exactly(
    way: Callable[[ChatOpenAI], None], provider: ScriptedProvider
) -> None:
    with track() as ledger:
        way(client(provider))
    assert provider.requests
    assert_equal(ledger, provider, broken_off=1 if way is call_cut_stream else 0)


def test_retries_of_the_client_itself_are_one_call(provider: ScriptedProvider) -> None:
    with track() as ledger:
        client(provider, max_retries=2).invoke("rate")
    assert (provider.faults, provider.calls) == (1, 1)
    assert ledger.summary().failed_calls == 0
    assert_equal(ledger, provider)


def test_one_call_and_two_cache_hits_are_one_call(provider: ScriptedProvider) -> None:
    model = client(provider, cache=InMemoryCache())
    with track() as ledger:
        for _ in range(3):
            model.invoke("hello there")
    assert provider.calls == 1
    assert ledger.summary().saved_calls == 2
    assert_equal(ledger, provider)


def test_an_answer_that_the_client_refuses_to_parse_was_paid_for(
    provider: ScriptedProvider,
) -> None:
    """Cut off at the token limit: the client raises, the provider has answered."""
    structured = client(provider).with_structured_output(Answer, method="json_schema")
    with track() as ledger, pytest.raises(openai.LengthFinishReasonError):
        structured.invoke("cut")
    assert provider.calls == 1
    assert ledger.summary().failed_calls == 1
    assert [record.decision for record in ledger.to_records()] == ["failed"]
    assert_equal(ledger, provider)


def test_a_budget_is_charged_for_an_answer_that_cannot_be_parsed(
    provider: ScriptedProvider,
) -> None:
    structured = client(provider).with_structured_output(Answer, method="json_schema")
    meter = Budget(tokens=1).start()
    with pytest.raises(openai.LengthFinishReasonError), meter.call() as ticket:
        structured.invoke("cut", {"callbacks": [ticket.probe]})
    assert meter.usage.total_tokens == provider.input_tokens + provider.output_tokens
    with pytest.raises(BudgetSpent), meter.call():
        pass


def test_a_refusal_is_an_answer(provider: ScriptedProvider) -> None:
    structured = client(provider).with_structured_output(Answer, method="json_schema")
    with track() as ledger, contextlib.suppress(Exception):
        structured.invoke("refuse")
    assert provider.calls == 1
    assert_equal(ledger, provider)


def test_32_plain_threads_are_booked_exactly(provider: ScriptedProvider) -> None:
    model, barrier = client(provider), threading.Barrier(32)

    def work(number: int) -> None:
        barrier.wait(PATIENCE)
        for text in (f"hello {number}", "broken", f"{number} again"):
            with contextlib.suppress(FAILURES):
                model.invoke(text)

    with track() as ledger:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert (provider.calls, provider.faults) == (64, 32)
    assert ledger.summary().failed_calls == 32
    assert_equal(ledger, provider)


def test_a_pool_an_explicit_handler_and_nested_blocks(
    provider: ScriptedProvider,
) -> None:
    model, explicit = client(provider), Ledger()
    config: Any = {"callbacks": [explicit]}
    with track() as outer, track() as inner, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: model.invoke(f"text {n}", config), range(12)))
    for ledger in (outer, inner, explicit):
        assert_equal(ledger, provider)


def test_two_blocks_in_two_threads_do_not_mix() -> None:
    barrier = threading.Barrier(2)
    results: list[tuple[Ledger, int]] = []

    def work(times: int) -> None:
        with ScriptedProvider(default=echo) as own:
            model = client(own)
            barrier.wait(PATIENCE)
            with track() as ledger:
                barrier.wait(PATIENCE)
                model.batch([f"text {n}" for n in range(times)])
                barrier.wait(PATIENCE)
            assert_equal(ledger, own)
            results.append((ledger, own.calls))

    threads = [threading.Thread(target=work, args=(times,)) for times in (3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(calls for _, calls in results) == [3, 5]


def test_an_abandoned_stream_is_no_call() -> None:
    """Held back by the provider: else all of it may be sent before it is dropped."""
    gate = threading.Event()
    answer = Reply("a b c d", wait_for=gate, hold_after=1)
    with ScriptedProvider(default=answer) as slow, track() as ledger:
        stream = client(slow).stream("hello")
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # core's stream is a generator
        assert_equal(ledger, slow, broken_off=1)
        assert (slow.calls, slow.abandoned) == (0, 1)
    assert ledger.summary().failed_calls == 1
    assert ledger.summary().usd is None


# asyncio


async def test_async_calls_are_booked_exactly(provider: ScriptedProvider) -> None:
    model = client(provider)
    with track() as ledger:
        await model.ainvoke("hello")
        await model.bind(n=3).ainvoke("one two")
        await model.abatch(["a", "broken", "b c"], return_exceptions=True)
        assert len([chunk async for chunk in model.astream("one two three")]) > 2
        await asyncio.gather(*(model.ainvoke(f"text {n}") for n in range(20)))
        retrying = model.with_retry(wait_exponential_jitter=False)
        await retrying.ainvoke("flaky")
        await Asking(model=model).ainvoke("asked")
        with contextlib.suppress(Exception):
            _ = [chunk async for chunk in model.astream("gone")]
    assert provider.calls == 27
    assert_equal(ledger, provider, broken_off=1)


async def test_an_async_answer_that_cannot_be_parsed_was_paid_for(
    provider: ScriptedProvider,
) -> None:
    structured = client(provider).with_structured_output(Answer, method="json_schema")
    with track() as ledger, pytest.raises(openai.LengthFinishReasonError):
        await structured.ainvoke("cut")
    assert provider.calls == 1
    assert_equal(ledger, provider)


async def test_an_abandoned_async_stream_is_no_call(provider: ScriptedProvider) -> None:
    model = client(provider)
    gate = asyncio.Event()
    with (
        ScriptedProvider(default=Reply("a b c d", wait_for=gate, hold_after=1)) as slow,
        track() as ledger,
    ):
        stream = client(slow).astream("hello")
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert await asyncio.to_thread(slow.wait_idle)
        assert (slow.calls, slow.abandoned) == (0, 1)
        await model.ainvoke("hello")
    assert_equal(ledger, provider, broken_off=1)


async def test_tasks_with_their_own_blocks_do_not_mix(
    provider: ScriptedProvider,
) -> None:
    async def work(times: int) -> int:
        with track() as ledger:
            await asyncio.gather(
                *(client(provider).ainvoke(f"text {n}") for n in range(times))
            )
        return ledger.summary().calls

    with track() as around:
        counts = await asyncio.gather(*(work(times) for times in (1, 2, 3)))
    assert counts == [1, 2, 3]
    assert_equal(around, provider)


def test_without_stream_usage_a_stream_is_reported_as_unmetered(
    provider: ScriptedProvider,
) -> None:
    with track() as ledger:
        list(client(provider, stream_usage=False).stream("one two"))
    assert provider.calls == 1
    summary = ledger.summary()
    assert (summary.calls, summary.unmetered_calls, summary.usd) == (1, 1, None)
