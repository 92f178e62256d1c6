import asyncio
import threading
from typing import Any

import pytest
from langchain_core.exceptions import ModelError, ModelRateLimitError
from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.testing import Fault, Reply, Rule, ScriptedRequest
from langchain_prodpatterns.testing.journal import CHAT_PATH, Journal
from langchain_prodpatterns.testing.replies import ToolCall
from langchain_prodpatterns.testing.scripting import Script
from langchain_prodpatterns.testing.turns import Turn, error_of, wait, wait_async


class CountingGate:
    """An event that is set after it was asked a number of times."""

    def __init__(self, asks: int) -> None:
        self.asks = asks

    def is_set(self) -> bool:
        self.asks -= 1
        return self.asks <= 0


def turn(*rules: Rule, **params: Any) -> Turn:
    journal = Journal()
    key, number = journal.open(CHAT_PATH)
    messages = ({"role": "user", "content": "one two"},)
    request = ScriptedRequest("m", messages, params, number)
    return Turn(Script(rules), journal, key, request)


def test_looking_up_names_the_rule_and_settles_nothing() -> None:
    asked = turn(Rule(reply="x", name="mine"))
    assert asked.answer() == Reply("x")
    (record,) = asked.journal.records()
    assert (record.rule, record.outcome) == ("mine", "pending")


def test_a_result_settles_the_record() -> None:
    asked = turn()
    result = asked.result(Reply("three words here"))
    (record,) = asked.journal.records()
    assert (record.outcome, record.status) == ("answered", 200)
    assert (record.input_tokens, record.output_tokens) == (2, 3)
    assert result.llm_output is not None
    assert result.llm_output["token_usage"]["total_tokens"] == 5


def test_a_fault_settles_the_record_with_its_status() -> None:
    asked = turn()
    with pytest.raises(ModelRateLimitError):
        asked.result(Fault.rate_limit())
    (record,) = asked.journal.records()
    assert (record.outcome, record.status, record.fault) == ("fault", 429, "429")
    assert record.input_tokens == 0


def test_only_the_last_chunk_settles_the_record() -> None:
    asked = turn()
    outcomes = []
    for _, chunk in asked.chunks(Reply("three words here")):
        asked.settle(chunk)
        outcomes.append(asked.journal.records()[0].outcome)
    assert outcomes == ["pending"] * 3 + ["answered"]
    assert asked.journal.tokens(CHAT_PATH) == (2, 3)


@pytest.mark.parametrize(
    ("hold_after", "held"),
    [(0, [0, 3]), (1, [1, 3]), (3, [3]), (99, [3])],
)
def test_the_gate_is_waited_for_where_it_is_asked_and_before_the_end(
    hold_after: int, held: list[int]
) -> None:
    gate = threading.Event()
    reply = Reply("one two three", wait_for=gate, hold_after=hold_after)
    gates = [found for found, _ in turn().chunks(reply)]
    assert [at for at, found in enumerate(gates) if found is gate] == held


def test_tool_calls_stream_with_their_name_first() -> None:
    reply = Reply(tool_calls=[ToolCall("find", {"q": "a long enough question"})])
    chunks = [chunk.message for _, chunk in turn().chunks(reply)]
    parts = [
        part
        for chunk in chunks
        if isinstance(chunk, AIMessageChunk)
        for part in chunk.tool_call_chunks
    ]
    assert [part["name"] for part in parts] == ["find", None, None]
    assert [part["id"] for part in parts] == ["call_1_0_0", None, None]


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        (Fault.rate_limit(), True),
        (Fault.server_error(), True),
        (Fault.timeout(), True),
        (Fault.disconnect(), True),
        (Fault.malformed_body(), True),
        (Fault.http(408), True),
        (Fault.http(400), False),
        (Fault.http(401), False),
        (Fault.http(403), False),
        (Fault.http(404), False),
        (Fault.context_overflow(), False),
    ],
)
def test_errors_know_whether_to_retry(fault: Fault, retryable: bool) -> None:
    error = error_of(fault)
    assert isinstance(error, ModelError)
    assert error.is_retryable is retryable
    assert fault.message in str(error)


def test_any_event_can_be_waited_for_in_a_thread() -> None:
    gate = CountingGate(3)
    wait(0, gate)
    assert gate.asks == 0
    wait(0, None)


async def test_any_event_can_be_waited_for_in_a_task() -> None:
    gate = CountingGate(3)
    await wait_async(0, gate)
    assert gate.asks == 0
    await wait_async(0, None)


async def test_an_event_of_a_thread_does_not_block_the_loop() -> None:
    gate = threading.Event()
    waiting = asyncio.ensure_future(wait_async(0, gate))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(gate.set)
    await waiting
