"""What a script answers with: replies that are paid for, and faults that are not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel

from langchain_prodpatterns.errors import ConfigurationError

_STATUS_MIN = 400
_STATUS_MAX = 599

Content: TypeAlias = str | Mapping[str, Any] | Sequence[Any] | BaseModel
"""What an answer says: text, or an object that is sent as JSON."""

FaultKind: TypeAlias = Literal["status", "timeout", "disconnect", "malformed_body"]
"""How a request fails."""


@runtime_checkable
class Gate(Protocol):
    """What an answer can wait for: a `threading.Event` or an `asyncio.Event`."""

    def is_set(self) -> bool:
        """Whether the answer may go out."""
        ...


class FrozenValue:
    """A value that a copy may share: gates and functions cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True)
class ToolCall(FrozenValue):
    """A call of a tool that the model asks for."""

    name: str
    """The tool's name; it is not checked against the tools of the request."""
    args: Mapping[str, Any] | str = ""
    """The arguments, or their raw text where it should be malformed."""
    id: str | None = None
    """The call's id; by default one that no other call of this script has."""

    def __post_init__(self) -> None:
        check_content(self.args)

    @property
    def arguments(self) -> str:
        """The arguments as the JSON text that goes over the wire."""
        if isinstance(self.args, str):
            return self.args or "{}"
        return json.dumps(self.args, ensure_ascii=False)


@dataclass(frozen=True)
class Reply(FrozenValue):
    """An answer of the model, complete and paid for."""

    content: Content = ""
    """The text; a mapping, sequence or pydantic model is sent as its JSON.

    A JSON object, also one written as text, answers a request that forces a tool as
    a call of that tool, so that one reply fits every method of structured output.
    """
    tool_calls: Sequence[ToolCall] = ()
    """Tools to call; several are parallel calls."""
    finish_reason: str | None = None
    """By default `tool_calls` with tool calls, `length` where the request's token
    limit cuts the text, else `stop`."""
    refusal: str | None = None
    """The model's refusal; the content is then empty."""
    variants: Sequence[Content] = ()
    """Contents of the second and later choices of a request with `n` > 1. Choices
    beyond them repeat `content`."""
    input_tokens: int | None = None
    """Tokens to report for the prompt instead of the counted ones."""
    output_tokens: int | None = None
    """Tokens to report for the answer instead of the counted ones."""
    chunk_size: int | None = None
    """Characters of each streamed chunk; by default a chunk is a word."""
    latency: float = 0.0
    """Seconds before the answer begins."""
    wait_for: Gate | None = None
    """An event to wait for before the answer begins."""
    hold_after: int = 0
    """Streamed chunks that go out before `wait_for` is waited for."""
    verbatim: bool = False
    """Send the text as it is, even where the request asks for a JSON object."""

    def __post_init__(self) -> None:
        if self.chunk_size is not None and self.chunk_size < 1:
            msg = f"chunk_size must be at least 1, got {self.chunk_size}"
            raise ConfigurationError(msg)
        for content in (self.content, *self.variants):
            check_content(content)
        _check_waiting(self.latency, self.hold_after)

    @classmethod
    def of_message(cls, message: AIMessage) -> Self:
        """Answer with what a message holds: text, tool calls, finish reason and usage.

        Tool calls whose arguments are malformed stay so. What is missing is filled in
        as for any other reply.
        """
        calls = [
            ToolCall(call["name"], call["args"], call["id"])
            for call in message.tool_calls
        ]
        malformed = [
            ToolCall(call["name"] or "", call["args"] or "", call["id"])
            for call in message.invalid_tool_calls
        ]
        usage = message.usage_metadata
        return cls(
            str(message.text),
            tool_calls=(*calls, *malformed),
            finish_reason=message.response_metadata.get("finish_reason"),
            refusal=message.additional_kwargs.get("refusal"),
            input_tokens=usage["input_tokens"] if usage else None,
            output_tokens=usage["output_tokens"] if usage else None,
        )

    @classmethod
    def truncated(cls, content: Content) -> Self:
        """Answer with a text that the token limit cut off (`finish_reason=length`)."""
        return cls(to_text(content), finish_reason="length", verbatim=True)

    @classmethod
    def refused(cls, text: str = "I cannot help with that.") -> Self:
        """Refuse to answer: `message.refusal` is set and the content is empty."""
        return cls(refusal=text)

    @classmethod
    def malformed_json(cls, content: Content) -> Self:
        """Answer with JSON that has a stray colon at its beginning.

        What is missing at the end would be no fault: LangChain's own parsers complete
        it.
        """
        text = to_text(content)
        start = int(text[:1] in {"{", "["})
        return cls(f"{text[:start]}:{text[start:]}", verbatim=True)

    @classmethod
    def wrong_types(cls, content: Mapping[str, Any] | BaseModel) -> Self:
        """Answer with the object's keys, each with a value of another JSON type."""
        if isinstance(content, BaseModel):
            content = content.model_dump(mode="json")
        return cls(_swap_types(content))


@dataclass(frozen=True)
class Fault(FrozenValue):
    """A request that gets no answer, and is not paid for."""

    kind: FaultKind
    """How it fails; the constructors below are the readable way to say it."""
    status: int = 500
    """HTTP status of a `status` fault."""
    message: str = "scripted fault"
    """The error's message."""
    code: str | None = None
    """The error's `code` in the body."""
    retry_after: float | None = None
    """Seconds in the `Retry-After` header."""
    after: int = 0
    """Streamed chunks that go out before a `disconnect`."""
    content: Content = ""
    """What a `disconnect` cuts, or the body of a `malformed_body`."""
    latency: float = 0.0
    """Seconds before the fault."""
    wait_for: Gate | None = None
    """An event to wait for before the fault."""

    def __post_init__(self) -> None:
        if not _STATUS_MIN <= self.status <= _STATUS_MAX:
            msg = f"a fault's status must be 400 to 599, got {self.status}"
            raise ConfigurationError(msg)
        check_content(self.content)
        _check_waiting(self.latency, self.after)
        if self.retry_after is not None and self.retry_after < 0:
            msg = f"retry_after must be seconds, 0 or more, got {self.retry_after!r}"
            raise ConfigurationError(msg)

    @property
    def label(self) -> str:
        """How records name the fault: its kind, or the status it answers with."""
        return str(self.status) if self.kind == "status" else self.kind

    @classmethod
    def http(
        cls, status: int, message: str = "scripted fault", *, code: str | None = None
    ) -> Self:
        """Fail with any HTTP status from 400 to 599."""
        return cls("status", status=status, message=message, code=code)

    @classmethod
    def rate_limit(cls, retry_after: float | None = 0) -> Self:
        """Fail with HTTP 429.

        Args:
            retry_after: Seconds in the `Retry-After` header; `None` sends no header.
                The openai client waits its own 0.5 seconds at 0, and as long as it is
                told to at 0.01.
        """
        return cls(
            "status",
            status=429,
            message="scripted rate limit",
            code="rate_limit_exceeded",
            retry_after=retry_after,
        )

    @classmethod
    def server_error(cls, status: int = 500) -> Self:
        """Fail with HTTP 500, or another status of 500 to 599."""
        return cls("status", status=status, message="scripted server error")

    @classmethod
    def context_overflow(cls) -> Self:
        """Fail with HTTP 400 since the prompt is too long for the model."""
        return cls(
            "status",
            status=400,
            message="Input tokens exceed the configured limit (scripted)",
            code="context_length_exceeded",
        )

    @classmethod
    def timeout(cls) -> Self:
        """Never answer: the provider waits until the client gives up.

        In process there is no client to give up, so the model raises at once.
        """
        return cls("timeout", message="scripted timeout")

    @classmethod
    def disconnect(
        cls, content: Content = "This is cut off", *, after: int = 2
    ) -> Self:
        """Close the connection in mid-answer.

        Args:
            content: The answer that is cut.
            after: Chunks of a stream that still go out. Without streaming, the
                connection closes after the response's headers.
        """
        return cls(
            "disconnect", content=content, after=after, message="scripted disconnect"
        )

    @classmethod
    def malformed_body(cls, body: str = '{"id": "chatcmpl-') -> Self:
        """Answer HTTP 200 with a body that is no JSON."""
        return cls("malformed_body", content=body, message="scripted malformed body")


Answer: TypeAlias = Reply | Fault
"""What a script answers with."""


def to_text(content: Content) -> str:
    """The text that goes over the wire: a string as it is, all else as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, BaseModel):
        return content.model_dump_json()
    return json.dumps(content, ensure_ascii=False)


def _swap_types(value: Any) -> Any:
    """Replace every leaf by one of another JSON type, which pydantic cannot coerce."""
    if isinstance(value, Mapping):
        return {key: _swap_types(item) for key, item in value.items()}
    # `null` may stand for an optional text.
    is_text = value is None or isinstance(value, str)
    return {"not": "of this type"} if is_text else "not of this type"


def check_content(content: Content) -> None:
    """Refuse here what could not be sent later.

    Args:
        content: What an answer is to say.

    Raises:
        ConfigurationError: When it is no text and cannot be sent as JSON.
    """
    if isinstance(content, ToolCall):
        msg = "a ToolCall is a part of a reply: give Reply(tool_calls=[ToolCall(...)])"
        raise ConfigurationError(msg)
    if isinstance(content, BaseException):
        msg = "an exception is no answer: give a Fault, such as Fault.server_error()"
        raise ConfigurationError(msg)
    if isinstance(content, BaseMessage):
        msg = (
            f"{type(content).__name__} is no content: give its text, or an AIMessage "
            "in place of the whole reply"
        )
        raise ConfigurationError(msg)
    try:
        to_text(content)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"this cannot be sent as JSON: {error}"
        raise ConfigurationError(msg) from error


def _check_waiting(latency: float, chunks: int) -> None:
    if latency < 0 or chunks < 0:
        msg = "seconds of latency and numbers of chunks cannot be negative"
        raise ConfigurationError(msg)
