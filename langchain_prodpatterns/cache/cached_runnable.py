"""A whole chain behind the cache: its three to six calls are one entry."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import BaseModel, Field, SkipValidation

from langchain_prodpatterns.cache.arguments import check_text
from langchain_prodpatterns.cache.chains import remembers, runnable_fingerprint
from langchain_prodpatterns.cache.endings import Endings
from langchain_prodpatterns.cache.flights import Flight, Landing
from langchain_prodpatterns.cache.identity import Identity, identify_input
from langchain_prodpatterns.cache.inputs import InputKey, as_json, read_input
from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.semantic_judge_cache import SemanticJudgeCache
from langchain_prodpatterns.cache.steps import RunHands, Steps
from langchain_prodpatterns.cache.tapes import Tape, replay
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.runnable import (
    PatternRun,
    PatternRunnable,
    pattern_config,
)
from langchain_prodpatterns.usage import Usage, UsageProbe

In = TypeVar("In")
Out = TypeVar("Out")

_STEP = "chain"


class _Call:
    """One call of a cached chain: the lookup, the update, the decision."""

    def __init__(
        self, chain: "CachedRunnable[Any, Any]", run: PatternRun, identity: Identity
    ) -> None:
        self._core = chain.cache.core
        self.identity = identity
        self.run = run
        self.probe = UsageProbe()
        self.endings = Endings()
        self.found: Lookup | None = None
        self._hands = RunHands(self._core.embeddings, run)
        self._started = 0.0

    def look_up(self) -> Lookup | None:
        """Return the hit, if there is one."""
        with self._core.quiet("lookup"):
            self.found = self._core.take(
                self._core.tiers.find(self.identity), self._hands
            )
        # Now, not at the end: the chain's time is the chain's, not the cache's.
        decision, reason, facts = self._decision()
        self.run.decide(decision, reason, **facts)
        return self._hit()

    async def alook_up(self) -> Lookup | None:
        """Return the hit, if there is one."""
        with self._core.quiet("lookup"):
            self.found = await self._core.atake(
                self._core.tiers.find(self.identity), self._hands
            )
        decision, reason, facts = self._decision()
        await self.run.adecide(decision, reason, **facts)
        return self._hit()

    def _hit(self) -> Lookup | None:
        self._started = time.perf_counter()
        return self.found if self.found and self.found.decision.hit else None

    def inner_config(self) -> RunnableConfig:
        """Return the config of the chain: its calls are the caller's own."""
        return self.run.wrapped(_STEP, self.probe, self.endings)

    def keep(self, value: Callable[[], Any]) -> Landing:
        """Store what the chain gave."""
        stored = False
        with self._core.quiet("update"):
            stored = self._core.take(self._entry(value), self._hands)
        return "stored" if stored else "not stored"

    async def akeep(self, value: Callable[[], Any]) -> Landing:
        """Store what the chain gave."""
        stored = False
        with self._core.quiet("update"):
            stored = await self._core.atake(self._entry(value), self._hands)
        return "stored" if stored else "not stored"

    def _entry(self, value: Callable[[], Any]) -> Steps[bool]:
        used = self.probe.usage
        saved = Usage(
            calls=used.calls,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            usd=used.usd,
            seconds=time.perf_counter() - self._started,
            unmetered_calls=used.unmetered_calls,
        )
        vector = self.found.vector if self.found else None
        return self._core.tiers.keep(
            self.identity, partial(self._worth, value), saved, vector=vector
        )

    def _worth(self, value: Callable[[], Any]) -> Any:
        """Return a value that is worth storing, or `None`."""
        return value() if self.endings.objection is None else None

    def _decision(self) -> tuple[str, str, dict[str, Any]]:
        """Return what the run decided."""
        if self.found is None:
            return "miss", "the lookup failed", {}
        decision = self.found.decision
        return decision.decision, decision.reason, self.found.facts()


class CachedRunnable(PatternRunnable[In, Out]):
    """A chain whose answers are cached, as `SemanticJudgeCache.wrap` makes it.

    What is asked for several times at once is run once: threads and tasks wait for the
    one who came first, and serve themselves from the cache. If that one fails or is
    cancelled, another takes over; if that one fails, too, each calls for itself. A hit
    streams as the stored answer had streamed.

    Of the input, only the semantic text is compared by meaning; the rest of the input,
    the chain, bound arguments, the namespace (`config["configurable"]["namespace"]`,
    else the cache's) and all else in `config["configurable"]`, such as a `user_id`,
    have to be equal. In a node of a graph, the graph's own `thread_id`,
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

    def __init__(
        self,
        bound: Runnable[In, Out],
        cache: SemanticJudgeCache,
        *,
        key: InputKey[In] | None = None,
        scope: str | None = None,
        name: str | None = None,
    ) -> None:
        """Cache a chain.

        Args:
            bound: The chain.
            cache: The cache.
            key: Names the semantic text of an input, as for `SemanticJudgeCache.wrap`.
            scope: Partitions besides, as there.
            name: The name in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        if not isinstance(bound, Runnable):
            msg = f"only a Runnable can be wrapped, got {type(bound).__name__}"
            raise ConfigurationError(msg)
        if not isinstance(cache, SemanticJudgeCache):
            msg = f"cache must be a SemanticJudgeCache, got {type(cache).__name__}"
            raise ConfigurationError(msg)
        if key is not None and not callable(key):
            msg = f"key must be a function of the input, got {type(key).__name__}"
            raise ConfigurationError(msg)
        check_text("scope", scope)
        super().__init__(bound=bound, cache=cache, key=key, scope=scope, name=name)

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
        call = self._begin(value, run, kwargs)
        if isinstance(call, str):
            run.decide("miss", call)
            return self.bound.invoke(value, run.wrapped(_STEP), **kwargs)
        with self.cache.core.flights.board(call.identity.exact) as flight:
            found = call.look_up()
            if found is not None:
                flight.ended = "stored"
                return cast("Out", found.serve(run.run_id))
            output = self.bound.invoke(value, call.inner_config(), **kwargs)
            flight.ended = call.keep(partial(_whole, output))
            return output

    async def _arun(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        call = await off_loop(partial(self._begin, value, run, kwargs))
        if isinstance(call, str):
            await run.adecide("miss", call)
            return await self.bound.ainvoke(value, run.wrapped(_STEP), **kwargs)
        with await self.cache.core.flights.aboard(call.identity.exact) as flight:
            found = await call.alook_up()
            if found is not None:
                flight.ended = "stored"
                return cast("Out", found.serve(run.run_id))
            output = await self.bound.ainvoke(value, call.inner_config(), **kwargs)
            flight.ended = await call.akeep(partial(_whole, output))
            return output

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
        call = self._begin(value, run, kwargs)
        if isinstance(call, str):
            run.decide("miss", call)
            yield from self.bound.stream(value, run.wrapped(_STEP), **kwargs)
            return
        with self.cache.core.flights.board(call.identity.exact) as flight:
            found = call.look_up()
            if found is None:
                yield from self._pour(value, call, flight, kwargs)
                return
            flight.ended = "stored"
        yield from replay(found, run.run_id)

    def _pour(
        self, value: In, call: _Call, flight: Flight, kwargs: dict[str, Any]
    ) -> Iterator[Out]:
        """Stream the chain, and store what it streamed to the end."""
        tape = Tape()
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
        call = await off_loop(partial(self._begin, value, run, kwargs))
        if isinstance(call, str):
            await run.adecide("miss", call)
            async for chunk in self.bound.astream(value, run.wrapped(_STEP), **kwargs):
                yield chunk
            return
        with await self.cache.core.flights.aboard(call.identity.exact) as flight:
            found = await call.alook_up()
            if found is None:
                async for chunk in self._apour(value, call, flight, kwargs):
                    yield chunk
                return
            flight.ended = "stored"
        for chunk in replay(found, run.run_id):
            yield chunk

    async def _apour(
        self, value: In, call: _Call, flight: Flight, kwargs: dict[str, Any]
    ) -> AsyncIterator[Out]:
        """Stream the chain, and store what it streamed to the end."""
        tape = Tape()
        async for chunk in self.bound.astream(value, call.inner_config(), **kwargs):
            tape.record(chunk)
            with flight.paused():
                yield chunk
        flight.ended = await call.akeep(tape.value)

    def _begin(self, value: In, run: PatternRun, kwargs: dict[str, Any]) -> _Call | str:
        """Identify the request, or say why it is not cached."""
        with self.cache.core.quiet("reading the input"):
            if self._remembers:
                return _REMEMBERS
            return _Call(self, run, self._identify(value, run.config, kwargs))
        return _UNKNOWN

    def _identify(
        self, value: In, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> Identity:
        configured = config.get("configurable") or {}
        read = read_input(value, self.key)
        declared = {spec.id for spec in self.config_specs}
        fields = {
            name: as_json(given)
            for name, given in configured.items()
            if name in declared or not _is_bookkeeping(name, configured)
        }
        given = configured.get("namespace")
        namespace = self.cache.namespace if given is None else str(given)
        return identify_input(
            read.whole,
            read.text,
            read.rest,
            scope=self.cache.core.scope(namespace),
            chain=[self._fingerprint, self.scope, as_json(kwargs), fields],
        )

    @cached_property
    def _fingerprint(self) -> str:
        return runnable_fingerprint(self.bound, told_apart=self.scope is not None)

    @cached_property
    def _remembers(self) -> bool:
        return remembers(self.bound)


_UNKNOWN = "the input or the config cannot be told from others"
_REMEMBERS = "the chain remembers what was said: its answer is not of its input alone"
_OF_CONVERSATIONS = frozenset(
    {"checkpoint_id", "checkpoint_map", "checkpoint_ns", "thread_id"}
)


def _is_bookkeeping(name: str, configured: Mapping[str, Any]) -> bool:
    """Whether a key says nothing to the chain.

    The namespace counts anyway. In a node of a graph, the ids of the conversation are
    the graph's own: without a memory in the chain they do not reach the answer.
    """
    if name in _OF_CONVERSATIONS:
        return any(key.startswith("__pregel_") for key in configured)
    return name == "namespace" or name.startswith("__")


def _whole(output: Any) -> dict[str, Any]:
    return {"output": output, "chunks": None}
