"""Cut off, refused, retryable: as providers say it."""

from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)
from langchain_core.messages import AIMessage

from langchain_prodpatterns.structured.answers import (
    is_cut_off,
    is_refused,
    is_retryable,
    names_temperature,
    text_of,
)


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelRateLimitError("slow down"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ModelAuthenticationError("who?"), False),
        (ValueError("bug"), False),
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
