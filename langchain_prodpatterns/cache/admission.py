"""What is not worth keeping: an answer that was cut off, refused, empty or broken."""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_prodpatterns.cache.values import messages_in

_ANSWERS = ("answer", "output", "result")
_MESSAGES = "messages"
_REASON_KEYS = ("finish_reason", "stop_reason", "done_reason", "status")
_SAID_BESIDE = ("audio", "function_call", "refusal")
_THOUGHTS = frozenset({"reasoning", "redacted_thinking", "thinking"})
_INCOMPLETE = frozenset(
    {
        "blocklist",
        "cancelled",
        "content_filter",
        "content_filtered",
        "error",
        "failed",
        "guardrail_intervened",
        "image_safety",
        "in_progress",
        "incomplete",
        "length",
        "malformed_function_call",
        "max_output_tokens",
        "max_tokens",
        "model_context_window_exceeded",
        "pause_turn",
        "prohibited_content",
        "queued",
        "recitation",
        "refusal",
        "safety",
        "spii",
    }
)


class Unworthy(Exception):
    """Raised for an answer that is not to be stored; it says why."""


def objection(output: Any) -> str | None:
    """Say why an answer is not to be stored.

    Args:
        output: The generations of a model, or the output of a chain.

    Returns:
        `empty`, `refused`, `invalid tool calls`, or how the answer ended; `None` for
        an answer that may be stored.
    """
    if _is_empty(output) or _lacks_an_answer(output):
        return "empty"
    reasons = (_of_generation(item) for item in _generations(output))
    others = (_of_message(message) for message in messages_in(output))
    return next((reason for reason in (*reasons, *others) if reason), None)


def broken_off(generation: Generation) -> str | None:
    """Say how a model failed to finish what it says.

    Args:
        generation: One answer of a model.

    Returns:
        `refused`, or how the answer was cut off; `None` for one that is whole.
    """
    message = getattr(generation, "message", None)
    reason = _unfinished(message) if isinstance(message, AIMessage) else None
    return reason or _ended_early(generation.generation_info)


def _generations(output: Any) -> Iterator[Generation]:
    for item in output if isinstance(output, list) else []:
        if isinstance(item, Generation):
            yield item


def _of_generation(generation: Generation) -> str | None:
    if not isinstance(generation, ChatGeneration) and not generation.text.strip():
        return "empty"
    if isinstance(generation, ChatGeneration) and _is_empty(generation.message):
        return "empty"
    return _ended_early(generation.generation_info)


def _of_message(message: Any) -> str | None:
    if not isinstance(message, AIMessage):
        return None
    if message.invalid_tool_calls:
        return "invalid tool calls"
    return _unfinished(message)


def _unfinished(message: AIMessage) -> str | None:
    if message.additional_kwargs.get("refusal") or _has_refusal(message.content):
        return "refused"
    return _ended_early(message.response_metadata)


def _is_empty(output: Any) -> bool:
    if isinstance(output, AIMessage):
        calls = output.tool_calls or output.invalid_tool_calls
        beside = any(map(output.additional_kwargs.get, _SAID_BESIDE))
        return not (calls or beside or _has_content(output.content))
    if isinstance(output, str):
        return not output.strip()
    return output is None or (isinstance(output, list | tuple | dict) and not output)


def _lacks_an_answer(output: Any) -> bool:
    """Whether the answer is missing from what a chain gives along with it.

    That is the conversation, whose last message is the answer, or a mapping with the
    question and the sources.
    """
    if isinstance(output, list | tuple):
        last = output[-1] if output else None
        return isinstance(last, AIMessage) and _is_empty(last)
    if not isinstance(output, dict):
        return False
    if all(_is_empty(value) for value in output.values()):
        return True
    named = (output[name] for name in _ANSWERS if name in output)
    return any(map(_is_empty, named)) or _lacks_an_answer(output.get(_MESSAGES))


def _has_content(content: Any) -> bool:
    if isinstance(content, str):
        return bool(content.strip())
    return any(map(_says_something, content))


def _says_something(block: Any) -> bool:
    if not isinstance(block, dict):
        return bool(str(block).strip())
    if block.get("type") == "text":
        return bool(str(block.get("text", "")).strip())
    return block.get("type") not in _THOUGHTS


def _has_refusal(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "refusal" for block in content
    )


def _ended_early(metadata: Mapping[str, Any] | None) -> str | None:
    for key in _REASON_KEYS:
        # An enum's text names its class, too.
        reason = str((metadata or {}).get(key) or "").lower().rpartition(".")[2]
        if reason in _INCOMPLETE:
            return f"ended with {reason}"
    return None
