"""OpenAI's wire format: request bodies in, JSON and server-sent events out.

Pure functions over plain data, without a server. The shapes follow OpenAI's API
reference for chat completions, embeddings, models and errors.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from langchain_prodpatterns.testing.completion import (
    Choice,
    Completion,
    Delta,
    count_tokens,
)
from langchain_prodpatterns.testing.replies import Fault
from langchain_prodpatterns.testing.scripting import ScriptedRequest

CREATED = 1_700_000_000
"""Every `created` time: answers of a script do not depend on the clock."""

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""

_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "cookie"})
_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_SERVER_ERROR = 500
_MAX_CHOICES = 128


class BadRequestError(Exception):
    """Raised when a request cannot be served; holds the answer it gets."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        """Describe the error as the API does.

        Args:
            message: What is wrong.
            status: The HTTP status.
            param: The field of the body that is wrong.
            code: The API's short name of the error.
        """
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        return error_body(self.message, self.status, param=self.param, code=self.code)


def error_body(
    message: str, status: int, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error")
    if status >= _SERVER_ERROR:
        kind = "server_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return {"error": error}


def fault_headers(fault: Fault) -> dict[str, str]:
    """The headers that a fault adds to its answer."""
    if fault.retry_after is None:
        return {}
    return {"retry-after": f"{fault.retry_after:g}"}


def without_keys(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that may be recorded: those that hold a key are left out."""
    return {k: v for k, v in headers.items() if k.lower() not in _KEY_HEADERS}


def parse_body(raw: bytes) -> dict[str, Any]:
    """Read a request's body.

    Raises:
        BadRequestError: If it is no JSON object, or names no model.
    """
    try:
        body = json.loads(raw)
    except ValueError as error:
        msg = f"the body is not valid JSON: {error}"
        raise BadRequestError(msg) from error
    if not isinstance(body, dict):
        msg = "the body must be a JSON object"
        raise BadRequestError(msg)
    if not isinstance(body.get("model"), str) or not body["model"]:
        msg = "you must provide a model parameter"
        raise BadRequestError(msg, param="model")
    return body


def parse_chat(body: Mapping[str, Any], number: int) -> ScriptedRequest:
    """Read a chat request.

    Raises:
        BadRequestError: If a field that the script depends on is malformed.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        msg = "'messages' must be a non-empty array"
        raise BadRequestError(msg, param="messages")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            msg = "each message must be an object with a role"
            raise BadRequestError(msg, param=f"messages[{at}]")
    _check_params(body)
    params = {k: v for k, v in body.items() if k not in {"model", "messages", "stream"}}
    return ScriptedRequest(
        model=body["model"],
        messages=tuple(messages),
        params=params,
        number=number,
        stream=body.get("stream") is True,
    )


def _check_params(body: Mapping[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens", "n"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"'{name}' must be a positive integer"
            raise BadRequestError(msg, param=name)
    if (body.get("n") or 1) > _MAX_CHOICES:
        msg = f"'n' must be at most {_MAX_CHOICES}"
        raise BadRequestError(msg, param="n")
    if not _is_stop(body.get("stop")):
        msg = "'stop' must be a string or an array of strings"
        raise BadRequestError(msg, param="stop")
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(map(_is_tool, tools)):
        msg = "each tool must be an object with a named function"
        raise BadRequestError(msg, param="tools")


def _is_stop(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def completion_body(request: ScriptedRequest, completion: Completion) -> dict[str, Any]:
    """The body that answers a chat request without streaming."""
    choices = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(completion.choices)
    ]
    return {
        **_envelope(request, "chat.completion"),
        "choices": choices,
        "usage": _usage(completion),
    }


def opening_events(request: ScriptedRequest, completion: Completion) -> list[bytes]:
    """The events that begin a streamed answer, one a choice."""
    first = {"role": "assistant", "content": ""}
    return [
        _event(request, [_chunk_choice(index, first)])
        for index in range(len(completion.choices))
    ]


def delta_event(request: ScriptedRequest, delta: Delta) -> bytes:
    """The event of a part of a streamed answer."""
    choice = _chunk_choice(delta.choice, _delta_body(delta), delta.finish_reason)
    return _event(request, [choice])


def closing_events(request: ScriptedRequest, completion: Completion) -> list[bytes]:
    """The event with the usage, if the request asks for it."""
    if (request.params.get("stream_options") or {}).get("include_usage"):
        return [_event(request, [], usage=_usage(completion))]
    return []


def _envelope(request: ScriptedRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-scripted-{request.number}",
        "object": kind,
        "created": CREATED,
        "model": request.model,
    }


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.content,
        "refusal": choice.refusal,
    }
    if choice.refusal is not None or (choice.tool_calls and not choice.content):
        message["content"] = None
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in choice.tool_calls
        ]
    return message


def _usage(completion: Completion) -> dict[str, int]:
    return {
        "prompt_tokens": completion.input_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.input_tokens + completion.output_tokens,
    }


def _event(
    request: ScriptedRequest,
    choices: list[dict[str, Any]],
    usage: dict[str, int] | None = None,
) -> bytes:
    body = {**_envelope(request, "chat.completion.chunk"), "choices": choices}
    if usage is not None:
        body["usage"] = usage
    return f"data: {json.dumps(body)}\n\n".encode()


def _chunk_choice(
    index: int, delta: dict[str, Any], finish_reason: str | None = None
) -> dict[str, Any]:
    return {
        "index": index,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish_reason,
    }


def _delta_body(delta: Delta) -> dict[str, Any]:
    if delta.content is not None:
        return {"content": delta.content}
    if delta.refusal is not None:
        return {"refusal": delta.refusal}
    if delta.tool is None:
        return {}
    call: dict[str, Any] = {"index": delta.tool}
    if delta.tool_name is not None:
        call |= {"id": delta.tool_id, "type": "function"}
        call["function"] = {"name": delta.tool_name, "arguments": ""}
    else:
        call["function"] = {"arguments": delta.arguments}
    return {"tool_calls": [call]}


def parse_embedding(body: Mapping[str, Any]) -> list[str]:
    """Read the texts of an embedding request.

    Raises:
        BadRequestError: If they are no texts, or another field is malformed.
    """
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        msg = "'input' must be a string or a non-empty array of strings"
        raise BadRequestError(msg, param="input")
    if not all(isinstance(text, str) for text in texts):
        msg = (
            "'input' holds token ids, which only the model's own tokenizer can read: "
            "construct OpenAIEmbeddings with check_embedding_ctx_length=False"
        )
        raise BadRequestError(msg, param="input")
    if body.get("encoding_format") not in {None, "float", "base64"}:
        msg = "'encoding_format' must be 'float' or 'base64'"
        raise BadRequestError(msg, param="encoding_format")
    size = body.get("dimensions")
    bad_size = isinstance(size, bool) or not isinstance(size, int) or size < 1
    if size is not None and bad_size:
        msg = "'dimensions' must be a positive integer"
        raise BadRequestError(msg, param="dimensions")
    return texts


def embedding_body(
    body: Mapping[str, Any], texts: Sequence[str], vectors: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """The body that answers an embedding request.

    Raises:
        BadRequestError: If more dimensions are asked for than there are.
    """
    size, encoding = body.get("dimensions"), body.get("encoding_format")
    shortened = [_shorten(vector, size) for vector in vectors]
    tokens = sum(map(count_tokens, texts))
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _as_base64(vector) if encoding == "base64" else vector,
            }
            for index, vector in enumerate(shortened)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _shorten(vector: Sequence[float], size: int | None) -> list[float]:
    """Keep the first components and bring them to unit length, as the API does."""
    if size is None:
        return list(vector)
    if size > len(vector):
        msg = f"'dimensions' must be at most {len(vector)} for this model"
        raise BadRequestError(msg, param="dimensions")
    kept = list(vector[:size])
    length = math.sqrt(sum(value * value for value in kept))
    return [value / length for value in kept] if length else kept


def _as_base64(vector: Sequence[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def models_body(names: Sequence[str]) -> dict[str, Any]:
    """The body that lists the models."""
    models = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"}
        for name in names
    ]
    return {"object": "list", "data": models}
