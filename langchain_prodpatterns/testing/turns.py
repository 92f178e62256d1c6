"""One turn of `ScriptedChatModel`: from a request to messages, chunks or an error."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    UsageMetadata,
)
from langchain_core.messages import ToolCall as CoreToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_prodpatterns.testing.completion import (
    Choice,
    Completion,
    Delta,
    complete,
    deltas,
    interrupted,
)
from langchain_prodpatterns.testing.journal import Journal
from langchain_prodpatterns.testing.replies import Answer, Fault, Gate, Reply, ToolCall
from langchain_prodpatterns.testing.scripting import Script, ScriptedRequest

_POLL_SECONDS = 0.001
_OK = 200
_SERVER_ERROR = 500
_STATUS_ERRORS: Mapping[int, type[ModelError]] = {
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    429: ModelRateLimitError,
}
_KIND_ERRORS: Mapping[str, type[ModelError]] = {
    "timeout": ModelTimeoutError,
    "disconnect": ModelConnectionError,
    "malformed_body": ModelAPIError,
}


@dataclass(frozen=True)
class Turn:
    """A request, the script that answers it and the journal that records it."""

    script: Script
    """What answers."""
    journal: Journal
    """What keeps the record."""
    key: int
    """The key of the record."""
    request: ScriptedRequest
    """What is asked."""

    def answer(self) -> Answer:
        """Look up the answer.

        Raises:
            ScriptError: If the script has none.
            Exception: What a function of the script raises.
        """
        try:
            answer, rule = self.script.answer(self.request, self.journal.use)
        except Exception as error:
            self.journal.update(self.key, outcome="rejected", error=str(error))
            raise
        self.journal.update(self.key, rule=rule.label)
        return answer

    def result(self, answer: Answer) -> ChatResult:
        """The whole answer.

        Raises:
            ModelError: If the answer is a fault.
        """
        if isinstance(answer, Fault):
            raise self._failure(answer)
        completion = complete(self.request, answer)
        self._settle(completion)
        generations = [
            ChatGeneration(
                message=self._message(choice, completion),
                generation_info={"finish_reason": choice.finish_reason},
            )
            for choice in completion.choices
        ]
        usage = {
            "prompt_tokens": completion.input_tokens,
            "completion_tokens": completion.output_tokens,
            "total_tokens": completion.input_tokens + completion.output_tokens,
        }
        llm_output = {"token_usage": usage, "model_name": self.request.model}
        return ChatResult(generations=generations, llm_output=llm_output)

    def chunks(
        self, answer: Answer
    ) -> Iterator[tuple[Gate | None, ChatGenerationChunk]]:
        """The answer in chunks, each with the gate to wait for before it.

        Raises:
            ModelError: If the answer is a fault; a disconnect in mid-stream comes after
                the chunks that still got through.
        """
        if isinstance(answer, Fault):
            if answer.kind == "disconnect":
                whole = complete(self.request, Reply(answer.content))
                for delta in interrupted(whole, answer.after):
                    yield None, self._chunk(delta, whole)
            raise self._failure(answer)
        completion = complete(self.request, answer)
        held = answer.wait_for
        for count, delta in enumerate(deltas(completion, answer.chunk_size)):
            is_last = delta.finish_reason is not None
            waits = count == answer.hold_after or is_last
            chunk = self._chunk(delta, completion)
            yield (held if waits else None), chunk

    def settle(self, chunk: ChatGenerationChunk) -> None:
        """Count the call if this is the last chunk of its answer."""
        message = chunk.message
        if isinstance(message, AIMessageChunk) and message.usage_metadata:
            usage = message.usage_metadata
            self._answered(usage["input_tokens"], usage["output_tokens"])

    def _settle(self, completion: Completion) -> None:
        self._answered(completion.input_tokens, completion.output_tokens)

    def _answered(self, input_tokens: int, output_tokens: int) -> None:
        self.journal.update(
            self.key,
            outcome="answered",
            status=_OK,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    def _failure(self, fault: Fault) -> ModelError:
        status = fault.status if fault.kind == "status" else None
        self.journal.update(self.key, outcome="fault", fault=fault.label, status=status)
        return error_of(fault)

    def _message(self, choice: Choice, completion: Completion) -> AIMessage:
        calls, invalid = _parse_calls(choice.tool_calls)
        refusal = {} if choice.refusal is None else {"refusal": choice.refusal}
        return AIMessage(
            content=choice.content,
            additional_kwargs=refusal,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=_usage(completion),
            response_metadata=self._metadata(choice.finish_reason),
        )

    def _metadata(self, finish_reason: str) -> dict[str, Any]:
        return {"model_name": self.request.model, "finish_reason": finish_reason}

    def _chunk(self, delta: Delta, completion: Completion) -> ChatGenerationChunk:
        if delta.finish_reason is not None:
            message = AIMessageChunk(
                content="",
                usage_metadata=_usage(completion),
                response_metadata=self._metadata(delta.finish_reason),
                chunk_position="last",
            )
            info = {"finish_reason": delta.finish_reason}
            return ChatGenerationChunk(message=message, generation_info=info)
        if delta.refusal is not None:
            message = AIMessageChunk(
                content="", additional_kwargs={"refusal": delta.refusal}
            )
        elif delta.tool is not None:
            message = AIMessageChunk(content="", tool_call_chunks=[_call_chunk(delta)])
        else:
            message = AIMessageChunk(content=delta.content or "")
        return ChatGenerationChunk(message=message)


def error_of(fault: Fault) -> ModelError:
    """The error that LangChain raises where a provider fails like this."""
    if fault.kind != "status":
        return _KIND_ERRORS[fault.kind](fault.message)
    if fault.code == "context_length_exceeded":
        return ContextOverflowError(fault.message)
    otherwise = (
        ModelAPIError if fault.status >= _SERVER_ERROR else ModelInvalidRequestError
    )
    return _STATUS_ERRORS.get(fault.status, otherwise)(fault.message)


def wait(seconds: float, gate: Gate | None) -> None:
    """Wait for a time and then for a gate."""
    if seconds:
        time.sleep(seconds)
    if isinstance(gate, threading.Event):
        gate.wait()
    while gate is not None and not gate.is_set():
        time.sleep(_POLL_SECONDS)


async def wait_async(seconds: float, gate: Gate | None) -> None:
    """Wait for a time and then for a gate, without blocking the event loop.

    Waiting polls, since a gate may be an event of another thread or loop.
    """
    if seconds:
        await asyncio.sleep(seconds)
    while gate is not None and not gate.is_set():  # noqa: ASYNC110 - see above
        await asyncio.sleep(_POLL_SECONDS)


def _usage(completion: Completion) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        total_tokens=completion.input_tokens + completion.output_tokens,
    )


def _parse_calls(
    calls: tuple[ToolCall, ...],
) -> tuple[list[CoreToolCall], list[InvalidToolCall]]:
    valid, invalid = [], []
    for call in calls:
        try:
            args = json.loads(call.arguments)
        except ValueError as error:
            args, why = None, str(error)
        else:
            why = "the arguments are no JSON object"
        if isinstance(args, dict):
            valid.append(tool_call(name=call.name, args=args, id=call.id))
        else:
            invalid.append(
                invalid_tool_call(
                    name=call.name, args=call.arguments, id=call.id, error=why
                )
            )
    return valid, invalid


def _call_chunk(delta: Delta) -> Any:
    return tool_call_chunk(
        name=delta.tool_name,
        args=delta.arguments or "",
        id=delta.tool_id,
        index=delta.tool,
    )
