"""What a message says besides its text: cut off, refused, or a provider's error."""

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

_REASONS = ("finish_reason", "stop_reason", "done_reason")
_CUT_OFF = {"length", "max_tokens", "max_output_tokens", "model_length"}
_REFUSED = {
    "content_filter",
    "refusal",
    "safety",
    "prohibited_content",
    "blocklist",
    "recitation",
    "spii",
    "guardrail_intervened",
}
_BAD_REQUEST = 400
_PASSING = {408, 425, 429}
_SERVER_ERRORS = range(500, 600)
# What clients raise, also those of integrations that do not use core's own errors.
_UNREACHABLE = {"APIConnectionError", "TransportError"}
_TEMPERATURE = re.compile(r"""["'`]temperature["'`]""", re.IGNORECASE)
_FORM = {"response_format", "tools", "tool_choice", "functions", "function_call"}
_FORMS = re.compile(
    r"""\b(?:response_format|tool_choice|json_schema)\b|["'`](?:tools|functions)["'`]"""
    r"""|\bsupport(?:s|ed)? (?:tools?|tool calling|function calling|tool use)\b""",
    re.IGNORECASE,
)


def text_of(answer: Any) -> str:
    """Return the text of an answer: of a message, or of a plain language model.

    The arguments of tool calls follow on what a message says, each on a line of its
    own: a model that is asked to answer by a tool call answers by them.
    """
    if not isinstance(answer, BaseMessage):
        return str(answer)
    parts = [str(answer.text), *_arguments(answer)]
    return "\n".join(part for part in parts if part)


def answer_in(error: BaseException) -> AIMessage | None:
    """Return the answer in an error that a client raised in its place.

    OpenAI's client raises where an answer to a JSON Schema was cut off or filtered, and
    LangChain where a model refused that was asked for one.

    Args:
        error: What a model raised.

    Returns:
        The answer, or `None` where the error is one.
    """
    kind = type(error).__name__
    if kind == "ModelRefusalError":
        return AIMessage("", additional_kwargs={"refusal": str(error)})
    if kind == "ContentFilterFinishReasonError":
        return AIMessage("", response_metadata={"finish_reason": "content_filter"})
    choices = getattr(getattr(error, "completion", None), "choices", None)
    if kind != "LengthFinishReasonError" or not choices:
        return None
    text = getattr(choices[0].message, "content", None)
    return AIMessage(text or "", response_metadata={"finish_reason": "length"})


def is_rewritten(answer: Any) -> bool:
    """Whether the text of an answer was written from tool calls that were parsed.

    A call that broke off was closed by its parsing, and looks complete.
    """
    if isinstance(answer, AIMessageChunk) and answer.tool_call_chunks:
        return False
    return isinstance(answer, AIMessage) and bool(answer.tool_calls)


def is_cut_off(answer: Any) -> bool:
    """Whether the provider says that the token limit cut the answer off."""
    if not isinstance(answer, BaseMessage):
        return False
    details = answer.response_metadata.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    return bool(_CUT_OFF & {*_reasons(answer), str(reason).lower()})


def is_refused(answer: Any) -> bool:
    """Whether the model, or a filter of the provider, refused to answer."""
    if not isinstance(answer, BaseMessage):
        return False
    said = answer.additional_kwargs.get("refusal") or answer.response_metadata.get(
        "refusal"
    )
    blocks = answer.content if isinstance(answer.content, list) else []
    in_blocks = any(
        isinstance(block, Mapping) and block.get("type") == "refusal"
        for block in blocks
    )
    return bool(said) or in_blocks or bool(_REFUSED & _reasons(answer))


def is_retryable(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ModelError):
        return error.is_retryable
    status = _status(error)
    if status is not None:
        return status in _PASSING or status in _SERVER_ERRORS
    names = {kind.__name__ for kind in type(error).__mro__}
    is_ours = isinstance(error, ConnectionError | TimeoutError)
    return is_ours or bool(_UNREACHABLE & names)


def names_temperature(error: BaseException) -> bool:
    """Whether a provider rejects the request because of its temperature."""
    # A message that only mentions the word may be about the prompt.
    return _rejects(error, {"temperature"}, _TEMPERATURE)


def names_form(error: BaseException) -> bool:
    """Whether a provider rejects the request because of its tools or JSON Schema."""
    return _rejects(error, _FORM, _FORMS)


def _rejects(
    error: BaseException, parameters: set[str], pattern: re.Pattern[str]
) -> bool:
    """Whether a request is invalid because of one of its parameters."""
    invalid = isinstance(error, ModelError) and not error.is_retryable
    if not (invalid or _status(error) == _BAD_REQUEST):
        return False
    rejected = getattr(error, "param", None)
    if isinstance(rejected, str):
        # It may lead into the parameter, such as `tools[0].function.parameters`.
        return re.split(r"[.\[]", rejected, maxsplit=1)[0] in parameters
    return bool(pattern.search(str(error)))


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of a client's error, also where its response holds it."""
    response = getattr(error, "response", None)
    for holder in (error, response):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _arguments(message: BaseMessage) -> list[str]:
    """Return the arguments of the tool calls of a message, as they were written."""
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        # Its tool calls are made of them by closing what has broken off.
        return [call["args"] or "" for call in message.tool_call_chunks]
    if not isinstance(message, AIMessage):
        return []
    valid = (json.dumps(call["args"]) for call in message.tool_calls)
    return [*valid, *(call["args"] or "" for call in message.invalid_tool_calls)]


def _reasons(answer: BaseMessage) -> set[str]:
    return {
        str(answer.response_metadata.get(key)).lower().rsplit(".", 1)[-1]
        for key in _REASONS
    }
