"""Cut off, refused, retryable: as providers say it."""

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import (
    invalid_tool_call,
    tool_call,
    tool_call_chunk,
)

from langchain_prodpatterns.structured.answers import (
    answer_in,
    is_cut_off,
    is_refused,
    is_retryable,
    is_rewritten,
    names_form,
    names_temperature,
    text_of,
)
from langchain_prodpatterns.structured.assessing import assess
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import Ticket


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"finish_reason": "MAX_TOKENS"},
        {"finish_reason": "FinishReason.MAX_TOKENS"},
        {"stop_reason": "max_tokens"},
        {"done_reason": "length"},
        {"incomplete_details": {"reason": "max_output_tokens"}},
    ],
)
def test_cut_off(metadata: dict[str, Any]) -> None:
    assert is_cut_off(AIMessage("x", response_metadata=metadata))


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", additional_kwargs={"refusal": "no"}),
        AIMessage("", response_metadata={"refusal": "no"}),
        AIMessage("", response_metadata={"finish_reason": "content_filter"}),
        AIMessage("", response_metadata={"finish_reason": "SAFETY"}),
        AIMessage("", response_metadata={"stop_reason": "refusal"}),
        AIMessage([{"type": "refusal", "refusal": "no"}]),
    ],
)
def test_refused(message: AIMessage) -> None:
    assert is_refused(message)


@pytest.mark.parametrize(
    "answer",
    [
        "plain text",
        AIMessage("x"),
        AIMessage("x", response_metadata={"finish_reason": "stop"}),
        AIMessage(
            "x", response_metadata={"incomplete_details": None, "finish_reason": None}
        ),
        AIMessage("x", additional_kwargs={"refusal": None}),
        AIMessage([{"type": "text", "text": "x"}]),
    ],
)
def test_neither(answer: Any) -> None:
    assert not is_cut_off(answer)
    assert not is_refused(answer)


def test_text() -> None:
    assert text_of("a") == "a"
    assert (
        text_of(
            AIMessage([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
        )
        == "ab"
    )


class Failed(Exception):
    """As SDKs raise it that LangChain does not translate."""

    def __init__(self, status_code: int) -> None:
        super().__init__("failed")
        self.status_code = status_code


class Wrapped(Exception):
    """As `httpx.HTTPStatusError`, which holds the response."""

    def __init__(self, response: object) -> None:
        super().__init__("failed")
        self.response = response


class APIConnectionError(Exception):
    """As SDKs call it that are made by the same generator as OpenAI's."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelRateLimitError("slow down"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ModelAuthenticationError("who?"), False),
        (ValueError("bug"), False),
        (Failed(429), True),
        (Failed(503), True),
        (Failed(529), True),
        (Failed(400), False),
        (Failed(401), False),
        (Wrapped(Failed(503)), True),
        (Wrapped(Failed(404)), False),
        (APIConnectionError("no route"), True),
        (httpx.ReadError("reset"), True),
    ],
)
def test_retryable(error: Exception, expected: bool) -> None:
    assert is_retryable(error) is expected


class Rejected(Exception):
    status_code = 400

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelInvalidRequestError("Unsupported value: 'temperature'"), True),
        (Rejected("`Temperature` is deprecated for this model"), True),
        (Rejected("Unsupported value", "temperature"), True),
        (Rejected("Invalid 'messages': no \"temperature\" there", "messages"), False),
        (Rejected("The prompt about temperature is too long"), False),
        (ModelInvalidRequestError("no question of temperature, please"), False),
        (ModelInvalidRequestError("context too long"), False),
        (ModelRateLimitError("temperature rising"), False),
        (ValueError("temperature"), False),
    ],
)
def test_a_rejected_temperature(error: Exception, expected: bool) -> None:
    assert names_temperature(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Rejected("Invalid parameter", "response_format"), True),
        (Rejected("Invalid schema", "tools[0].function.parameters"), True),
        (Rejected("Invalid schema", "response_format.json_schema"), True),
        (Rejected("gemma does not support tools"), True),
        (Rejected("This model doesn't support tool calling yet"), True),
        (ModelInvalidRequestError("'response_format' is not supported"), True),
        (ModelInvalidRequestError("thinking cannot go with a tool_choice"), True),
        (Rejected("Invalid 'messages': no \"tools\" there", "messages"), False),
        (Rejected("a prompt about tools"), False),
        (ModelRateLimitError("too many response_format requests"), False),
        (ValueError("response_format"), False),
    ],
)
def test_a_rejected_form(error: Exception, expected: bool) -> None:
    assert names_form(error) is expected


def test_a_refusal_that_langchain_raises_is_one() -> None:
    class ModelRefusalError(Exception):
        """As in langchain-core from 1.7.5 on."""

    answer = answer_in(ModelRefusalError("it refused"))

    assert answer is not None
    assert is_refused(answer)


def test_the_arguments_of_tool_calls_follow_on_the_text() -> None:
    message = AIMessage(
        "Here:",
        tool_calls=[tool_call(name="Ticket", args={"a": 1}, id="1")],
        invalid_tool_calls=[
            invalid_tool_call(name="Ticket", args='{"a": ', id="2", error=None),
            invalid_tool_call(name="Ticket", args=None, id="3", error=None),
        ],
    )

    assert text_of(message) == 'Here:\n{"a": 1}\n{"a": '
    assert text_of(HumanMessage("x")) == "x"


def test_the_arguments_of_a_chunk_are_not_closed() -> None:
    call = tool_call_chunk(name="Ticket", args='{"a": "b', id="1", index=0)
    chunk = AIMessageChunk(content="", tool_call_chunks=[call])

    assert chunk.tool_calls[0]["args"] == {"a": "b"}
    assert text_of(chunk) == '{"a": "b'
    assert not is_rewritten(chunk)
    assert is_rewritten(AIMessage("", tool_calls=chunk.tool_calls))
    assert not is_rewritten(AIMessage("{}"))
    assert not is_rewritten("{}")


def test_a_tool_call_that_was_cut_off_and_closed_is_truncated() -> None:
    args = {"title": "bro", "priority": "low"}
    message = AIMessage(
        "",
        tool_calls=[tool_call(name="Ticket", args=args, id="1")],
        response_metadata={"finish_reason": "length"},
    )

    assert assess(message, make_target(Ticket)).kind == "truncated"
    assert assess(AIMessage(json.dumps(args)), make_target(Ticket)).kind == "ok"


def test_an_answer_that_a_client_raised_in_its_place() -> None:
    class LengthFinishReasonError(Exception):
        completion: Any = None

    class ContentFilterFinishReasonError(Exception):
        pass

    error = LengthFinishReasonError()
    assert answer_in(error) is None
    message = SimpleNamespace(content='{"a": ')
    error.completion = SimpleNamespace(choices=[SimpleNamespace(message=message)])
    answer = answer_in(error)
    assert answer is not None
    assert (answer.text, is_cut_off(answer)) == ('{"a": ', True)
    filtered = answer_in(ContentFilterFinishReasonError())
    assert is_refused(filtered)
    assert answer_in(ValueError()) is None
