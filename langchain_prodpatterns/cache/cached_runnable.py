"""A whole chain behind the cache: its three to six calls are one entry."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import BaseModel, Field, SkipValidation

from langchain_prodpatterns.cache.arguments import check_function, check_text, check_ttl
from langchain_prodpatterns.cache.calls import ChainCall, uncached
from langchain_prodpatterns.cache.chains import (
    remembers,
    runnable_fingerprint,
    streams_steps,
)
from langchain_prodpatterns.cache.decision import CacheDecision
from langchain_prodpatterns.cache.flights import Flight
from langchain_prodpatterns.cache.identity import Identity, identify_input
from langchain_prodpatterns.cache.inputs import InputKey, as_json, read_input
from langchain_prodpatterns.cache.lookups import Part
from langchain_prodpatterns.cache.metadata import Labels, MetadataFunction, TimeToLive
from langchain_prodpatterns.cache.semantic_judge_cache import SemanticJudgeCache
from langchain_prodpatterns.cache.tapes import Tape, replay, whole
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.runnable import (
    PatternRun,
    PatternRunnable,
    pattern_config,
)

In = TypeVar("In")
Out = TypeVar("Out")


class CachedRunnable(PatternRunnable[In, Out]):
    """A chain whose answers are cached, as `SemanticJudgeCache.wrap` makes it.

    What is asked for several times at once is run once: threads, tasks and, on one
    `path`, other processes wait for the one who came first, 120 seconds at most, and
    serve themselves from the cache. If that one fails or is cancelled, another takes
    over; if that one fails, too, each calls for itself. A process that is killed is
    waited for ten seconds. The same holds for the inputs of one `batch`: equal ones
    make one call. Near ones are compared with what is stored when their turn comes, so
    those that run side by side do not find each other.

    A hit streams as the stored answer had streamed; an object that grew, as of a JSON
    parser, comes whole. A chain with a graph or an agent in it streams its steps, which
    are not its output: what was streamed is served to streams only.

    Of the input, only the semantic text is compared by meaning; the rest of the input,
    the chain, bound arguments, the namespace (`tenant`, `namespace` or both in
    `config["configurable"]`, else the cache's) and all else in
    `config["configurable"]`, such as a `user_id`, have to be equal. In a node of a
    graph, the graph's own `thread_id`,
    `checkpoint_id` and their like do not count, unless they are configurable fields of
    the chain. An input or a config that cannot be told from others is not cached, nor
    is a chain that remembers: a graph with a checkpointer, or a message history.
    """

    pattern: ClassVar[str] = "cache"

    bound: SkipValidation[Runnable[In, Out]]
    """The chain."""
    cache: SkipValidation[SemanticJudgeCache] = Field(repr=False, exclude=True)
    """The cache."""
    key: SkipValidation[InputKey[In] | None] = Field(default=None, exclude=True)
    """Names the semantic text of an input."""
    scope: str | None = None
    """Partitions besides."""
    ttl: SkipValidation[TimeToLive | None] = Field(default=None, exclude=True)
    """Seconds that an answer lives, or what tells them; `None` for the cache's own."""
    metadata: SkipValidation[MetadataFunction | None] = Field(
        default=None, exclude=True
    )
    """Names what an output is made of."""

    def __init__(
        self,
        bound: Runnable[In, Out],
        cache: SemanticJudgeCache,
        *,
        key: InputKey[In] | None = None,
        scope: str | None = None,
        ttl: TimeToLive | None = None,
        metadata: MetadataFunction | None = None,
        name: str | None = None,
    ) -> None:
        """Cache a chain.

        Args:
            bound: The chain.
            cache: The cache.
            key: Names the semantic text of an input, as for `SemanticJudgeCache.wrap`.
            scope: Partitions besides, as there.
            ttl: How long an answer lives, as there.
            metadata: Names what an output is made of, as there.
            name: The name in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        if not isinstance(bound, Runnable):
            msg = f"only a Runnable can be wrapped, got {type(bound).__name__}"
            if callable(bound):
                msg += ": make it one with RunnableLambda"
            raise ConfigurationError(msg)
        if not isinstance(cache, SemanticJudgeCache):
            msg = f"cache must be a SemanticJudgeCache, got {type(cache).__name__}"
            raise ConfigurationError(msg)
        check_function("key", key, of="input")
        check_text("scope", scope)
        check_ttl("ttl", ttl)
        check_function("metadata", metadata, of="output")
        super().__init__(
            bound=bound,
            cache=cache,
            key=key,
            scope=scope,
            ttl=ttl,
            metadata=metadata,
            name=name,
        )

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The chain's input type."""
        return self.bound.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The chain's output type."""
        return self.bound.OutputType

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return the chain's input schema."""
        return cast("type[BaseModel]", self.bound.get_input_schema(config))

    def get_output_schema(
        self, config: RunnableConfig | None = None
    ) -> type[BaseModel]:
        """Return the chain's output schema."""
        return cast("type[BaseModel]", self.bound.get_output_schema(config))

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The chain's configurable fields."""
        return self.bound.config_specs

    def _run(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        call = self._begin(value, run, kwargs, "output")
        if isinstance(call, str):
            run.decide("miss", call)
            return self.bound.invoke(value, uncached(run), **kwargs)
        with self.cache.core.flights.board(call.identity.exact) as flight:
            found = call.look_up(flight)
            if found is not None:
                flight.ended = "stored"
                return cast("Out", found.serve(run.run_id))
            output = self.bound.invoke(value, call.inner_config(), **kwargs)
            flight.ended = call.keep(partial(whole, output))
            return output

    async def _arun(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        call = await off_loop(partial(self._begin, value, run, kwargs, "output"))
        if isinstance(call, str):
            await run.adecide("miss", call)
            return await self.bound.ainvoke(value, uncached(run), **kwargs)
        with await self.cache.core.flights.aboard(call.identity.exact) as flight:
            found = await call.alook_up(flight)
            if found is not None:
                flight.ended = "stored"
                return cast("Out", found.serve(run.run_id))
            output = await self.bound.ainvoke(value, call.inner_config(), **kwargs)
            flight.ended = await call.akeep(partial(whole, output))
            return output

    def explain(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> CacheDecision:
        """Say what a call would find in the cache, and why. Nothing is run or written.

        Where the decision is the judge's, the judge is asked.

        Args:
            input: The input.
            config: The config, whose namespace and `configurable` count.
            **kwargs: What the chain would be called with.

        Returns:
            The decision, with what is promised and known of the partition.
        """
        identity = self._identity_of(input, ensure_config(config), kwargs, "output")
        if isinstance(identity, str):
            return CacheDecision("miss", identity, partition="")
        return self.cache.core.explain(identity)

    async def aexplain(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> CacheDecision:
        """Say what a call would find in the cache, and why, natively async.

        Args:
            input: The input.
            config: As for `explain`.
            **kwargs: As for `explain`.

        Returns:
            As `explain`.
        """
        identity = await off_loop(
            partial(self._identity_of, input, ensure_config(config), kwargs, "output")
        )
        if isinstance(identity, str):
            return CacheDecision("miss", identity, partition="")
        return await self.cache.core.aexplain(identity)

    def stream(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Out]:
        """Stream the chain and store the sum, or stream what is stored.

        Args:
            input: The input.
            config: The config of the run.
            **kwargs: Passed on to the chain.

        Yields:
            The chunks.
        """
        yield from self._transform_stream_with_config(
            iter([input]),
            self._streamed,
            pattern_config(self.pattern, config),
            **kwargs,
        )

    async def astream(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Out]:
        """Stream the chain and store the sum, or stream what is stored.

        Args:
            input: The input.
            config: The config of the run.
            **kwargs: Passed on to the chain.

        Yields:
            The chunks.
        """

        async def only() -> AsyncIterator[In]:
            yield input

        stream = self._atransform_stream_with_config(
            only(),
            self._astreamed,
            pattern_config(self.pattern, config),
            **kwargs,
        )
        async for chunk in stream:
            yield chunk

    def _streamed(
        self,
        inputs: Iterator[In],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Out]:
        (value,) = inputs
        run = PatternRun(self.pattern, run_manager, config)
        call = self._begin(value, run, kwargs, "chunks")
        if isinstance(call, str):
            run.decide("miss", call)
            yield from self.bound.stream(value, uncached(run), **kwargs)
            return
        with self.cache.core.flights.board(call.identity.exact) as flight:
            found = call.look_up(flight)
            if found is None:
                yield from self._pour(value, call, flight, kwargs)
                return
            flight.ended = "stored"
        yield from replay(found, run.run_id)

    def _pour(
        self, value: In, call: ChainCall, flight: Flight, kwargs: dict[str, Any]
    ) -> Iterator[Out]:
        """Stream the chain, and store what it streamed to the end."""
        tape = Tape(steps=self._streams_steps)
        for chunk in self.bound.stream(value, call.inner_config(), **kwargs):
            tape.record(chunk)
            with flight.paused():
                yield chunk
        flight.ended = call.keep(tape.value)

    async def _astreamed(
        self,
        inputs: AsyncIterator[In],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Out]:
        (value,) = [item async for item in inputs]
        run = PatternRun(self.pattern, run_manager, config)
        call = await off_loop(partial(self._begin, value, run, kwargs, "chunks"))
        if isinstance(call, str):
            await run.adecide("miss", call)
            async for chunk in self.bound.astream(value, uncached(run), **kwargs):
                yield chunk
            return
        with await self.cache.core.flights.aboard(call.identity.exact) as flight:
            found = await call.alook_up(flight)
            if found is None:
                async for chunk in self._apour(value, call, flight, kwargs):
                    yield chunk
                return
            flight.ended = "stored"
        for chunk in replay(found, run.run_id):
            yield chunk

    async def _apour(
        self, value: In, call: ChainCall, flight: Flight, kwargs: dict[str, Any]
    ) -> AsyncIterator[Out]:
        """Stream the chain, and store what it streamed to the end."""
        tape = Tape(steps=self._streams_steps)
        async for chunk in self.bound.astream(value, call.inner_config(), **kwargs):
            tape.record(chunk)
            with flight.paused():
                yield chunk
        flight.ended = await call.akeep(tape.value)

    def _begin(
        self, value: In, run: PatternRun, kwargs: dict[str, Any], part: Part
    ) -> ChainCall | str:
        """Begin a call, or say why it is not cached."""
        identity = self._identity_of(value, run.config, kwargs, part)
        if isinstance(identity, str):
            return identity
        labels = Labels(
            self.ttl, run.config.get("metadata"), self.metadata, time.perf_counter()
        )
        return ChainCall(self.cache.core, run, identity, part, labels)

    def _identity_of(
        self, value: In, config: RunnableConfig, kwargs: dict[str, Any], part: Part
    ) -> Identity | str:
        """Identify a request, or say why it is not cached."""
        with self.cache.core.quiet("reading the input"):
            if self._remembers:
                return _REMEMBERS
            return self._identify(value, config, kwargs, part)
        return _UNKNOWN

    def _identify(
        self, value: In, config: RunnableConfig, kwargs: dict[str, Any], part: Part
    ) -> Identity:
        configured = config.get("configurable") or {}
        read = read_input(value, self.key)
        declared = {spec.id for spec in self.config_specs}
        fields = {
            name: as_json(given)
            for name, given in configured.items()
            if name in declared or not _is_bookkeeping(name, configured)
        }
        named = namespace_of(configured)
        namespace = self.cache.namespace if named is None else named
        chain = [self._fingerprint, self.scope, as_json(kwargs), fields]
        if self._streams_steps:
            # What `invoke` gives is not the sum of what `stream` gives.
            chain.append(part)
        return identify_input(
            read.whole,
            read.text,
            read.rest,
            scope=self.cache.core.scope(namespace),
            chain=chain,
            is_stray=read.is_stray,
        )

    @cached_property
    def _fingerprint(self) -> str:
        return runnable_fingerprint(self.bound, told_apart=self.scope is not None)

    @cached_property
    def _remembers(self) -> bool:
        return remembers(self.bound)

    @cached_property
    def _streams_steps(self) -> bool:
        return streams_steps(self.bound)


_UNKNOWN = "the input or the config cannot be told from others"
_REMEMBERS = "the chain remembers what was said: its answer is not of its input alone"
_OF_CONVERSATIONS = frozenset(
    {"checkpoint_id", "checkpoint_map", "checkpoint_ns", "thread_id"}
)


def namespace_of(configured: Mapping[str, Any]) -> str | None:
    """Return the namespace that a config names: a `tenant`, a `namespace`, or both."""
    given = [configured.get(name) for name in ("tenant", "namespace")]
    named = [str(name) for name in given if name is not None]
    return "/".join(named) if named else None


def _is_bookkeeping(name: str, configured: Mapping[str, Any]) -> bool:
    """Whether a key says nothing to the chain.

    The namespace counts anyway. In a node of a graph, the ids of the conversation are
    the graph's own: without a memory in the chain they do not reach the answer.
    """
    if name in _OF_CONVERSATIONS:
        return any(key.startswith("__pregel_") for key in configured)
    return name == "namespace" or name.startswith("__")
