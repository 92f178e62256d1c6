"""What a reply becomes for one request: choices, tokens, and the parts of a stream.

Pure functions. The provider renders the result as HTTP, the chat model as messages.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from pydantic import BaseModel

from langchain_prodpatterns.testing.replies import Content, Reply, ToolCall, to_text
from langchain_prodpatterns.testing.scripting import ScriptedRequest, text_of

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\s*\S+|\s+")
_ARGUMENTS_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers to a request."""

    content: str
    """The text; empty with tool calls alone and with a refusal."""
    finish_reason: str
    """Why the answer ended."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The tools to call, each with an id."""
    refusal: str | None = None
    """The model's refusal."""

    @property
    def tokens(self) -> int:
        """Tokens of the text, the refusal and the tool calls."""
        calls = sum(_call_tokens(call.name, call.arguments) for call in self.tool_calls)
        return count_tokens(self.content) + count_tokens(self.refusal or "") + calls


@dataclass(frozen=True, slots=True)
class Completion:
    """Everything that answers a request."""

    choices: tuple[Choice, ...]
    """As many choices as the request asked for."""
    input_tokens: int
    """Tokens of the prompt, counted once for all choices."""
    output_tokens: int
    """Tokens of all choices together."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A part of a streamed answer."""

    choice: int
    """The index of the choice that goes on."""
    content: str | None = None
    """The text that is added."""
    refusal: str | None = None
    """The refusal's text that is added."""
    tool: int | None = None
    """The index of the tool call that goes on."""
    tool_id: str | None = None
    """The tool call's id, with its first part only."""
    tool_name: str | None = None
    """The tool's name, with its first part only."""
    arguments: str | None = None
    """The text of the arguments that is added."""
    finish_reason: str | None = None
    """Why the choice ended; it is then complete."""


def count_tokens(text: str) -> int:
    """Count tokens as everything here does: a run of word characters, or a mark.

    `"It's 3.50 EUR."` has 8. This is no model's tokenizer: it is a rule that a test can
    do by hand, and that gives the same count everywhere.
    """
    return len(_TOKEN.findall(text))


def token_ids(text: str) -> list[int]:
    """Number the tokens that `count_tokens` counts: equal tokens have equal ids."""
    return [
        zlib.crc32(token.encode("utf-8", "replace")) for token in _TOKEN.findall(text)
    ]


def count_prompt(request: ScriptedRequest) -> int:
    """Count the tokens of a request.

    They are those of the texts of all messages, of the names and arguments of tool
    calls among them, and of the definitions of tools and of the response's schema as
    JSON. Roles, and parts of content that are no text, count nothing.
    """
    total = sum(_message_tokens(message) for message in request.messages)
    for key in ("tools", "response_format"):
        if request.params.get(key):
            total += count_tokens(_dumps(request.params[key]))
    return total


def complete(request: ScriptedRequest, reply: Reply) -> Completion:
    """Fit a reply to a request: its tools, JSON mode, stop texts, limit and `n`."""
    count = request.params.get("n") or 1
    choices = tuple(_choice(request, reply, index) for index in range(count))
    counted_in, counted_out = reply.input_tokens, reply.output_tokens
    if counted_in is None:
        counted_in = count_prompt(request)
    if counted_out is None:
        counted_out = sum(choice.tokens for choice in choices)
    return Completion(choices, counted_in, counted_out)


def deltas(completion: Completion, chunk_size: int | None) -> Iterator[Delta]:
    """Cut an answer into the parts of a stream, one choice after the other.

    Args:
        completion: The answer.
        chunk_size: Characters of each part of a text; `None` cuts between words.
    """
    for index, choice in enumerate(completion.choices):
        for piece in pieces(choice.content, chunk_size):
            yield Delta(index, content=piece)
        for piece in pieces(choice.refusal or "", chunk_size):
            yield Delta(index, refusal=piece)
        for tool, call in enumerate(choice.tool_calls):
            yield Delta(index, tool=tool, tool_id=call.id, tool_name=call.name)
            for piece in pieces(call.arguments, chunk_size or _ARGUMENTS_CHUNK):
                yield Delta(index, tool=tool, arguments=piece)
        yield Delta(index, finish_reason=choice.finish_reason)


def interrupted(completion: Completion, after: int) -> list[Delta]:
    """The first parts of a stream that never reaches the end of any choice."""
    parts = deltas(completion, None)
    return list(
        islice(takewhile(lambda part: part.finish_reason is None, parts), after)
    )


def pieces(text: str, chunk_size: int | None) -> list[str]:
    """Cut a text into pieces that join to it again."""
    if chunk_size is None:
        return _WORD.findall(text)
    return [text[at : at + chunk_size] for at in range(0, len(text), chunk_size)]


def _choice(request: ScriptedRequest, reply: Reply, index: int) -> Choice:
    content = reply.content
    if 0 < index <= len(reply.variants):
        content = reply.variants[index - 1]
    if reply.refusal is not None:
        return Choice("", reply.finish_reason or "stop", refusal=reply.refusal)
    calls = tuple(reply.tool_calls) or _forced_call(request, content)
    if calls:
        text = to_text(content) if reply.tool_calls else ""
        reason = reply.finish_reason or "tool_calls"
        return Choice(text, reason, _with_ids(request, calls, index))
    text = to_text(content)
    if not reply.verbatim and request.response_format == "json_object":
        text = _as_json_object(text)
    text, cut_short = _limit(_stop(text, request.params.get("stop")), request)
    reason = reply.finish_reason or ("length" if cut_short else "stop")
    return Choice(text, reason)


def _forced_call(request: ScriptedRequest, content: Content) -> tuple[ToolCall, ...]:
    """Turn an object into the call that the request demands."""
    forced, text = request.forced_tools, to_text(content)
    if not forced or not text.lstrip().startswith("{"):
        return ()
    own_name = type(content).__name__ if isinstance(content, BaseModel) else ""
    return (ToolCall(own_name if own_name in forced else forced[0], text),)


def _with_ids(
    request: ScriptedRequest, calls: Sequence[ToolCall], choice: int
) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            call.name,
            call.arguments,
            call.id or f"call_{request.number}_{choice}_{position}",
        )
        for position, call in enumerate(calls)
    )


def _as_json_object(text: str) -> str:
    """Give the text itself if it is a JSON object, else an object that holds it."""
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return text if isinstance(parsed, dict) else json.dumps({"content": text})


def _stop(text: str, stop: str | Sequence[str] | None) -> str:
    """Cut the text before the first stop text in it."""
    stops = [stop] if isinstance(stop, str) else stop or ()
    found = [at for part in stops if part and (at := text.find(part)) >= 0]
    return text[: min(found)] if found else text


def _limit(text: str, request: ScriptedRequest) -> tuple[str, bool]:
    """Cut the text at the request's token limit, and say whether that cut anything."""
    params = request.params
    limit = params.get("max_completion_tokens") or params.get("max_tokens")
    if not limit:
        return text, False
    ends = [match.end() for match in _TOKEN.finditer(text)]
    return (text[: ends[limit - 1]], True) if len(ends) > limit else (text, False)


def _message_tokens(message: Mapping[str, Any]) -> int:
    total = count_tokens(text_of(message.get("content")))
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        total += _call_tokens(function.get("name", ""), function.get("arguments", ""))
    return total


def _dumps(value: Any) -> str:
    # In process, a bound parameter may hold a class.
    return json.dumps(value, ensure_ascii=False, default=str)


def _call_tokens(name: str, arguments: str) -> int:
    return count_tokens(name) + count_tokens(arguments)
