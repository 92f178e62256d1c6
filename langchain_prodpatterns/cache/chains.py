"""What a wrapped chain is: what tells it from others, and whether it remembers."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from langchain_prodpatterns.cache.digests import canonical_json, digest
from langchain_prodpatterns.cache.functions import Function, held_by, is_function
from langchain_prodpatterns.cache.holdings import Holdings, functions_of
from langchain_prodpatterns.cache.parameters import strip_transport
from langchain_prodpatterns.cache.schemas import (
    resolve_class,
    schema_digest,
    with_schemas,
)

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{1,16}")
_MAX_PARTS = 10_000
_STREAM_STEPS = (
    "langchain_classic.agents.agent.AgentExecutor",
    "langgraph.pregel.protocol.PregelProtocol",
)
_DATA = (str, bytes, int, float, type, Document, BaseMessage, type(None))


def runnable_fingerprint(
    runnable: Runnable[Any, Any], *, told_apart: bool = False
) -> str:
    """Return what tells one chain from another: LangChain's JSON of it.

    Args:
        runnable: The chain.
        told_apart: Whether the user tells it from others, by a `scope`. Otherwise a
            part that shows nothing of itself, such as a compiled graph or an open
            connection that a function holds, is like no other.

    Returns:
        A digest without keys, base URLs and deadlines. Of a function the name is seen,
        of a lambda the code, and of both what they close over, their defaults and the
        arguments of a `partial`; a class stands for its JSON Schema.
    """
    classes = dict(sorted(set(_schemas_of(_parts(runnable)))))

    def show(part: Runnable[Any, Any]) -> str:
        shown = canonical_json(strip_transport(_without_graph(dumpd(part))))
        return with_schemas(_ADDRESS.sub("", shown), classes)

    holdings = Holdings(show, told_apart=told_apart)
    return digest(show(runnable), list(classes.items()), holdings.of(runnable))


def remembers(runnable: Runnable[Any, Any]) -> bool:
    """Whether a chain keeps what was said: its answer is not of its input alone.

    Args:
        runnable: The chain.

    Returns:
        Whether a graph with a checkpointer, or a message history, is found in it. Of
        a function, what it holds and what LangChain sees in its code is looked at.
    """
    return any(
        _has_memory(part) for part in _parts(runnable) if isinstance(part, Runnable)
    )


def streams_steps(runnable: Runnable[Any, Any]) -> bool:
    """Whether what a chain streams is not its output: a graph streams its updates.

    Args:
        runnable: The chain.

    Returns:
        Whether a graph or an agent is found in it, as far as `remembers` looks.
    """
    # What is not imported cannot be in a chain.
    kinds = tuple(kind for kind in map(resolve_class, _STREAM_STEPS) if kind)
    return any(isinstance(part, kinds) for part in _parts(runnable))


def _has_memory(part: Runnable[Any, Any]) -> bool:
    # A graph without a checkpointer has `None` or `False`; with `True`, its state is
    # kept by the graph around it.
    saver = getattr(part, "checkpointer", None)
    keeps = saver is not None and saver is not False
    # `RunnableWithMessageHistory`, which core is about to drop.
    return keeps or hasattr(part, "get_session_history")


def _parts(runnable: Runnable[Any, Any]) -> Iterator[Any]:
    """Yield what a chain is made of, in any depth, each part once."""
    # The parts themselves, too: the id of one that is gone would be given again.
    seen: dict[int, Any] = {}
    waiting: list[Any] = [runnable]
    while waiting and len(seen) < _MAX_PARTS:
        part = waiting.pop()
        if id(part) not in seen:
            seen[id(part)] = part
            yield part
            waiting.extend(_inside(part))


def _inside(part: Any) -> Iterable[Any]:
    if isinstance(part, _DATA):
        return ()
    if isinstance(part, list | tuple | set | frozenset | Mapping):
        return part.values() if isinstance(part, Mapping) else part
    if is_function(part) or isinstance(part, RunnableLambda):
        return _called(part)
    if isinstance(part, Runnable | BaseModel):
        return vars(part).values()
    if dataclasses.is_dataclass(part):
        return [getattr(part, field.name) for field in dataclasses.fields(part)]
    # A node of a graph is no Runnable, but has one; `list[Answer]` has arguments.
    node = getattr(part, "bound", None)
    return [node] if isinstance(node, Runnable) else get_args(part)


def _called(part: Function | RunnableLambda[Any, Any]) -> Iterable[Any]:
    if isinstance(part, RunnableLambda):
        return [*part.deps, *functions_of(part)]
    return held_by(part)


def _schemas_of(parts: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield full name and schema of the classes among a chain's parts."""
    for part in parts:
        schema = schema_digest(part) if isinstance(part, type) else None
        if schema is not None:
            yield f"{part.__module__}.{part.__qualname__}", schema


def _without_graph(value: Any) -> Any:
    """Drop the drawings of graphs, which carry random ids."""
    if isinstance(value, Mapping):
        return {
            key: _without_graph(inner)
            for key, inner in value.items()
            if not (key == "graph" and "lc" in value)
        }
    return (
        [_without_graph(item) for item in value] if isinstance(value, list) else value
    )
