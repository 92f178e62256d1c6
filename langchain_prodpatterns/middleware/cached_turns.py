"""A turn of an agent as a cache sees it: what is asked, and whether it may be kept.

What identifies a turn is read from the first request of it, and what may be kept
from the state at its end.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict
from uuid import uuid4

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_prodpatterns.cache.cached_runnable import namespace_of
from langchain_prodpatterns.cache.chains import runnable_fingerprint
from langchain_prodpatterns.cache.digests import canonical_json
from langchain_prodpatterns.cache.inputs import as_json
from langchain_prodpatterns.cache.lookups import cost_of
from langchain_prodpatterns.cache.prompts import is_text_block
from langchain_prodpatterns.usage import NO_USAGE, Usage

# Of a thread, or of the graph: without a part in the answer, or in the history anyway.
# A tenant counts besides its namespace, which others' names may add up to.
_OF_CONVERSATIONS = frozenset(
    {
        "checkpoint_id",
        "checkpoint_map",
        "checkpoint_ns",
        "namespace",
        "thread_id",
    }
)
# What the agent and the middleware of LangChain and of this package keep for a thread.
_BOOKKEEPING = frozenset(
    {
        "guard_blocked",
        "guard_cleared",
        "jump_to",
        "messages",
        "run_model_call_count",
        "run_tool_call_count",
        "structured_response",
        "thread_model_call_count",
        "thread_tool_call_count",
        "tool_choices",
    }
)
_MOST_OPEN = 1_000


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked in a turn, as it stood at the first call of the model."""

    message: str
    """The id of the user's message that began it."""
    prompt: str
    """The messages, as the cache reads them."""
    llm_string: str
    """The model, the tools and all else that has to be equal."""
    namespace: str | None
    """The tenant; `None` for the cache's own namespace."""
    exact: bool
    """Whether only an equal turn may be served: there is more in it than text."""


class Note(TypedDict):
    """What the state of an agent holds of a turn: nothing that anybody said."""

    turn: str
    """Names the turn; empty until the model is called."""
    answer: str
    """The id of what the model said last."""


BEGUN = Note(turn="", answer="")
"""The note of an agent that has begun, and not gone on from an interrupt."""


class OpenTurns:
    """The turns that have begun, of which the oldest give way. Safe to share.

    Not in the state, since that is streamed: it would show the system prompt.
    """

    def __init__(self, most: int = _MOST_OPEN) -> None:
        """Begin with none.

        Args:
            most: How many to keep; one that is forgotten is not stored.
        """
        self._most = most
        self._turns: dict[str, Turn] = {}
        self._lock = threading.Lock()

    def open(self, turn: Turn) -> str:
        """Keep a turn; return its name."""
        name = uuid4().hex
        with self._lock:
            self._turns[name] = turn
            while len(self._turns) > self._most:
                del self._turns[next(iter(self._turns))]
        return name

    def find(self, name: str) -> Turn | None:
        """Return a turn that stays open."""
        with self._lock:
            return self._turns.get(name)

    def close(self, name: str) -> Turn | None:
        """Return a turn, and forget it."""
        with self._lock:
            return self._turns.pop(name, None)


def begins_turn(request: ModelRequest[Any]) -> bool:
    """Whether the user has spoken last, and is to be answered with a text."""
    if request.response_format is not None:
        return False
    before = request.state["messages"]
    spoken = [messages[-1] for messages in (before, request.messages) if messages]
    last_is_users = [isinstance(message, HumanMessage) for message in spoken]
    return last_is_users == [True, True] and before[-1].id is not None


def read_turn(
    request: ModelRequest[Any],
    configurable: Mapping[str, Any],
    *,
    scope: str | None,
    ignored: Collection[str],
) -> Turn:
    """Say what identifies a turn.

    Args:
        request: The first request of the turn.
        configurable: What the config of the run sets.
        scope: What partitions besides.
        ignored: Fields of the state that do not reach the answer.

    Returns:
        The turn.

    Raises:
        NotCanonical: When it cannot be told from others.
    """
    system = [] if request.system_message is None else [request.system_message]
    last = request.messages[-1]
    return Turn(
        message=str(request.state["messages"][-1].id),
        prompt=dumps([*system, *request.messages]),
        llm_string=canonical_json(
            {
                "model": runnable_fingerprint(
                    request.model, told_apart=scope is not None
                ),
                "settings": as_json(request.model_settings),
                "tools": [_shown(each) for each in request.tools],
                "tool_choice": as_json(request.tool_choice),
                "state": _apart(request.state, _BOOKKEEPING | set(ignored)),
                "context": as_json(getattr(request.runtime, "context", None)),
                "configurable": _apart(configurable, _OF_CONVERSATIONS),
                "scope": scope,
            }
        ),
        namespace=namespace_of(configurable),
        exact=not _is_text(last),
    )


def runs_only(
    tools: Sequence[BaseTool | dict[str, Any]], harmless: Collection[str]
) -> bool:
    """Whether of the tools that a provider runs, unseen, all are declared harmless."""
    return all(
        _name_of(each) in harmless for each in tools if not _is_called_here(each)
    )


def answer_id(response: ModelResponse[Any], harmless: Collection[str]) -> str | None:
    """Return the id of what a model said.

    Args:
        response: What came of a call.
        harmless: The tools that may be called.

    Returns:
        The id; `None` where another tool is called, or where no model said it: what a
        middleware says in the place of a model, such as after an error, has no id.
    """
    said = [each for each in response.result if isinstance(each, AIMessage)]
    if len(said) != 1 or not _calls_only(said[0], harmless):
        return None
    return said[0].id


def worth_keeping(
    messages: Sequence[AnyMessage],
    turn: Turn,
    answer: str,
    harmless: Collection[str],
) -> list[AIMessage]:
    """Return what the model said in a turn, if its end may be kept as an answer.

    Args:
        messages: The conversation at the end of the agent.
        turn: The turn.
        answer: The id of what the model said last.
        harmless: The tools that may have run.

    Returns:
        The messages of the model, of which the last one is the answer. None where
        another tool ran or one failed, somebody else spoke, or the end is not what the
        model said last, such as the word of a middleware that ended the agent.
    """
    at = next((n for n, each in enumerate(messages) if each.id == turn.message), None)
    since = [] if at is None else messages[at + 1 :]
    if not since or not all(_is_harmless(each, harmless) for each in since):
        return []
    said = [each for each in since if isinstance(each, AIMessage)]
    ends = since[-1]
    if not isinstance(ends, AIMessage) or ends.tool_calls or ends.id != answer:
        return []
    return said


def spent_on(said: Sequence[AIMessage]) -> Usage:
    """Return what a turn had cost, as far as the messages of the model tell."""
    costs = (cost_of([ChatGeneration(message=each)], 0.0) for each in said)
    return sum(costs, NO_USAGE)


def _is_harmless(message: AnyMessage, harmless: Collection[str]) -> bool:
    if isinstance(message, AIMessage):
        return _calls_only(message, harmless)
    if isinstance(message, ToolMessage):
        return message.status != "error" and message.name in harmless
    return not isinstance(message, HumanMessage)


def _calls_only(message: AIMessage, harmless: Collection[str]) -> bool:
    names = {call["name"] for call in message.tool_calls}
    return not message.invalid_tool_calls and names <= set(harmless)


def _apart(values: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    return {
        name: as_json(value)
        for name, value in values.items()
        if name not in without and not name.startswith("__")
    }


def _shown(tool: BaseTool | dict[str, Any]) -> Any:
    return as_json(tool if isinstance(tool, dict) else convert_to_openai_tool(tool))


def _is_called_here(tool: BaseTool | dict[str, Any]) -> bool:
    """Whether a call of a tool shows as one: it is not the provider's own."""
    return not isinstance(tool, dict) or "function" in tool or "parameters" in tool


def _name_of(tool: BaseTool | dict[str, Any]) -> str:
    if isinstance(tool, dict):
        return str(tool.get("name") or tool.get("type"))
    return tool.name


def _is_text(message: AnyMessage) -> bool:
    """Whether a message is nothing but text."""
    content = message.content
    if isinstance(content, str):
        return True
    return all(isinstance(block, str) or is_text_block(block) for block in content)
