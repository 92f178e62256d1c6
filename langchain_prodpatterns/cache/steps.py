"""The steps of a lookup that wait for something, and who takes them.

A lookup is written once, as a generator that yields steps; a sync and an async driver
take them. So the two cannot differ but in the waiting.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs

from langchain_prodpatterns.cache.mistakes import MistakeError
from langchain_prodpatterns.cache.stores.base import CacheStore, Vector
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.judging import BoundJudge, YesNoVerdict
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.verdicts import JudgeRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Embed:
    """Embed a text."""

    text: str
    """The text."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the judge; the answer comes with what it used."""

    judge: BoundJudge[Any, YesNoVerdict]
    """The judge."""
    request: JudgeRequest
    """What to judge."""


@dataclass(frozen=True, slots=True)
class Call:
    """Do what may take long: call the store, or read or write a value."""

    function: Callable[[], Any]
    """The call."""
    native: Callable[[], Awaitable[Any]] | None = None
    """What does the same without a thread, where there is such a thing."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for others who ask the same."""

    block: Callable[[], Any]
    """Waits by blocking this thread."""
    unblocking: Callable[[], Awaitable[Any]]
    """Waits without blocking the event loop."""


@dataclass(frozen=True, slots=True)
class Later:
    """Hand over what shall be done later, and go on at once."""

    start: "Callable[[Hands], bool]"
    """Says whether it will be done. What is done later embeds and asks by these."""


Step: TypeAlias = Embed | Ask | Call | Wait | Later
Steps: TypeAlias = Generator[Step, Any, T]
"""A lookup, or an update, that yields what it waits for."""


class Hands(Protocol):
    """How a text is embedded and a judge asked: with a run of our own, or without."""

    def embed(self, text: str) -> list[float]:
        """Embed a text."""
        ...

    async def aembed(self, text: str) -> list[float]:
        """Embed a text, natively async."""
        ...

    def judge_config(self, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the config to ask the judge with, heard by some more handlers."""
        ...


@dataclass(frozen=True, slots=True)
class BareHands:
    """Behind LangChain's cache interface there is no run of the cache's own."""

    embeddings: Embeddings
    """The embeddings."""
    config: RunnableConfig
    """The config to ask the judge with."""

    def embed(self, text: str) -> list[float]:
        """Embed a text."""
        return self.embeddings.embed_query(text)

    async def aembed(self, text: str) -> list[float]:
        """Embed a text, natively async."""
        return await self.embeddings.aembed_query(text)

    def judge_config(self, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the config to ask the judge with, heard by some more handlers."""
        return merge_configs(self.config, {"callbacks": list(handlers)})


@dataclass(frozen=True, slots=True)
class RunHands:
    """In a wrapped chain, both are child runs of the cache's run."""

    embeddings: Embeddings
    """The embeddings."""
    run: PatternRun
    """The run."""

    def embed(self, text: str) -> list[float]:
        """Embed a text as a child run."""
        return self.run.embed_query(self.embeddings, text)

    async def aembed(self, text: str) -> list[float]:
        """Embed a text as a child run, natively async."""
        return await self.run.aembed_query(self.embeddings, text)

    def judge_config(self, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the config to ask the judge with, heard by some more handlers."""
        return self.run.child("judge", *handlers, hidden=True)


def walk(steps: Steps[T], hands: Hands) -> T:
    """Take the steps of a lookup or an update, blocking this thread.

    Args:
        steps: The steps; what a step raises is raised in them.
        hands: Who embeds and asks.

    Returns:
        What the steps end with.
    """
    go_on: Callable[[], Step] = partial(next, steps)
    # An interrupt ends the steps now, not when the last reference to them goes.
    with closing(steps):
        while True:
            try:
                step = go_on()
            except StopIteration as end:
                return cast("T", end.value)
            try:
                go_on = partial(steps.send, _take(step, hands))
            except Exception as error:  # noqa: BLE001 - handed to the steps, which decide
                go_on = partial(steps.throw, error)


async def awalk(steps: Steps[T], hands: Hands) -> T:
    """Take the steps of a lookup or an update without blocking the event loop.

    Args:
        steps: The steps; what a step raises is raised in them.
        hands: Who embeds and asks.

    Returns:
        What the steps end with.
    """
    go_on: Callable[[], Step] = partial(next, steps)
    # As in `walk`: so does a cancellation.
    with closing(steps):
        while True:
            try:
                step = go_on()
            except StopIteration as end:
                return cast("T", end.value)
            try:
                go_on = partial(steps.send, await _atake(step, hands))
            except Exception as error:  # noqa: BLE001 - handed to the steps, which decide
                go_on = partial(steps.throw, error)


def _take(step: Step, hands: Hands) -> Any:
    match step:
        case Embed(text):
            return unit_vector(hands.embed(text))
        case Ask(judge, request):
            probe = UsageProbe()
            return judge.ask(request, hands.judge_config(probe)), probe.usage
        case Call(function, _):
            return function()
        case Wait(block, _):
            return block()
        case Later(start):
            return start(hands)


async def _atake(step: Step, hands: Hands) -> Any:
    match step:
        case Embed(text):
            return unit_vector(await hands.aembed(text))
        case Ask(judge, request):
            probe = UsageProbe()
            return await judge.aask(request, hands.judge_config(probe)), probe.usage
        case Call(_, native) if native is not None:
            return await native()
        case Call(function):
            return await off_loop(function)
        case Wait(_, unblocking):
            return await unblocking()
        case Later(start):
            return start(hands)


def of_store(store: CacheStore, method: str, *args: Any, **kwargs: Any) -> Call:
    """Return the step that calls a store, natively async where the store can.

    Args:
        store: The store.
        method: The name of its method.
        *args: The arguments.
        **kwargs: The arguments by name.
    """
    native = getattr(store, f"a{method}", None)
    return Call(
        partial(getattr(store, method), *args, **kwargs),
        None if native is None else partial(native, *args, **kwargs),
    )


def vector_of(
    text: str, quiet: Callable[[str], AbstractContextManager[None]]
) -> Steps[Vector | None]:
    """Embed a question. Embeddings that fail leave the exact tier.

    Args:
        text: The question.
        quiet: Swallows and counts an error of what it is told.

    Returns:
        The steps, which end with the vector, if there is one.
    """
    vector: Vector | None = None
    with quiet("embedding"):
        vector = yield Embed(text)
    return vector


def unit_vector(values: Sequence[float]) -> Vector | None:
    """Bring a vector to unit length.

    Args:
        values: As the embeddings gave it.

    Returns:
        The vector, or `None` for one without a direction.

    Raises:
        MistakeError: When it is not one row of numbers.
    """
    kind, holds = type(values).__name__, "no numbers"
    try:
        vector = np.asarray(values, np.float32)
        holds = f"shape {vector.shape}"
    except (TypeError, ValueError):
        vector = np.empty(0, np.float32)
    # A single number, as a vector, would be the same as every other.
    if not vector.ndim or not vector.size or vector.size != vector.shape[-1]:
        given = f"gave {kind} with {holds}"
        msg = f"the embeddings must give a list of numbers for a text, {given}"
        raise MistakeError(msg)
    length = float(np.linalg.norm(vector))
    return vector.ravel() / np.float32(length) if 0 < length < np.inf else None
