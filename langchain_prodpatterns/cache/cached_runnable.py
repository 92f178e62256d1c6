"""A whole chain behind the cache: its three to six calls are one entry."""

import copy
import time
from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import Any, ClassVar, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.messages import BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import BaseModel, Field, SkipValidation

from langchain_prodpatterns.cache.arguments import check_text
from langchain_prodpatterns.cache.flights import Flight
from langchain_prodpatterns.cache.identity import (
    Identity,
    identify_input,
    runnable_fingerprint,
)
from langchain_prodpatterns.cache.inputs import InputKey, as_json, read_input
from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.semantic_judge_cache import SemanticJudgeCache
from langchain_prodpatterns.cache.steps import RunHands, Steps
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
    """One call of a cached chain: the lookup, the chain if need be, the decision."""

    def __init__(
        self, chain: "CachedRunnable[Any, Any]", run: PatternRun, identity: Identity
    ) -> None:
        self.cache = chain.cache
        self.identity = identity
        self.run = run
        self.probe = UsageProbe()
        self.found: Lookup | None = None
        self._hands = RunHands(self.cache.embeddings, run)
        self._started = 0.0

    def look_up(self) -> Lookup | None:
        """Return the hit, if there is one."""
        with self.cache.quiet("lookup"):
            self.found = self.cache.take(
                self.cache.tiers.find(self.identity), self._hands
            )
        # Now, not at the end: the chain's time is the chain's, not the cache's.
        decision, reason, facts = self._decision()
        self.run.decide(decision, reason, **facts)
        return self._hit()

    async def alook_up(self) -> Lookup | None:
        """Return the hit, if there is one."""
        with self.cache.quiet("lookup"):
            self.found = await self.cache.atake(
                self.cache.tiers.find(self.identity), self._hands
            )
        decision, reason, facts = self._decision()
        await self.run.adecide(decision, reason, **facts)
        return self._hit()

    def _hit(self) -> Lookup | None:
        self._started = time.perf_counter()
        return self.found if self.found and self.found.decision.hit else None

    def inner_config(self) -> RunnableConfig:
        """Return the config of the chain: its calls are the caller's own."""
        return self.run.wrapped(_STEP, self.probe)

    def keep(self, output: Any, chunks: list[Any] | None) -> bool:
        """Store what the chain gave."""
        with self.cache.quiet("update"):
            return self.cache.take(self._entry(output, chunks), self._hands)
        return False

    async def akeep(self, output: Any, chunks: list[Any] | None) -> bool:
        """Store what the chain gave."""
        with self.cache.quiet("update"):
            return await self.cache.atake(self._entry(output, chunks), self._hands)
        return False

    def _entry(self, output: Any, chunks: list[Any] | None) -> Steps[bool]:
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
        value = {"output": output, "chunks": chunks}
        return self.cache.tiers.keep(self.identity, value, saved, vector=vector)

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
    have to be equal. Of LangGraph's own keys (`thread_id`, `checkpoint_id` and their
    like) only those that are configurable fields of the chain count. An input or a
    config that cannot be told from others is not cached.
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
        if call is None:
            run.decide("miss", _UNKNOWN)
            return self.bound.invoke(value, run.wrapped(_STEP), **kwargs)
        for place in self.cache.flights.places(call.identity.exact):
            if place.leads:
                with place.flight:
                    return self._answer(value, call, place.flight, kwargs)
            if place.flight.wait() != "failed":
                break
        return self._answer(value, call, None, kwargs)

    def _answer(
        self, value: In, call: _Call, flight: Flight | None, kwargs: dict[str, Any]
    ) -> Out:
        found = call.look_up()
        if found is not None:
            _land(flight, stored=True)
            return cast("Out", found.serve(call.run.run_id))
        output = self.bound.invoke(value, call.inner_config(), **kwargs)
        _land(flight, stored=call.keep(output, None))
        return output

    async def _arun(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        call = self._begin(value, run, kwargs)
        if call is None:
            await run.adecide("miss", _UNKNOWN)
            return await self.bound.ainvoke(value, run.wrapped(_STEP), **kwargs)
        for place in self.cache.flights.places(call.identity.exact):
            if place.leads:
                with place.flight:
                    return await self._aanswer(value, call, place.flight, kwargs)
            if await place.flight.await_landing() != "failed":
                break
        return await self._aanswer(value, call, None, kwargs)

    async def _aanswer(
        self, value: In, call: _Call, flight: Flight | None, kwargs: dict[str, Any]
    ) -> Out:
        found = await call.alook_up()
        if found is not None:
            _land(flight, stored=True)
            return cast("Out", found.serve(call.run.run_id))
        output = await self.bound.ainvoke(value, call.inner_config(), **kwargs)
        _land(flight, stored=await call.akeep(output, None))
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
        if call is None:
            run.decide("miss", _UNKNOWN)
            yield from self.bound.stream(value, run.wrapped(_STEP), **kwargs)
            return
        for place in self.cache.flights.places(call.identity.exact):
            if place.leads:
                with place.flight:
                    yield from self._pour(value, call, place.flight, kwargs)
                return
            if place.flight.wait() != "failed":
                break
        yield from self._pour(value, call, None, kwargs)

    def _pour(
        self, value: In, call: _Call, flight: Flight | None, kwargs: dict[str, Any]
    ) -> Iterator[Out]:
        found = call.look_up()
        if found is not None:
            _land(flight, stored=True)
            yield from _replay(found, call.run.run_id)
            return
        chunks: list[Any] = []
        for chunk in self.bound.stream(value, call.inner_config(), **kwargs):
            # A copy: the caller may change what it is given.
            chunks.append(copy.deepcopy(chunk))
            yield chunk
        _land(flight, stored=bool(chunks) and call.keep(*_summed(chunks)))

    async def _astreamed(
        self,
        inputs: AsyncIterator[In],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Out]:
        (value,) = [item async for item in inputs]
        run = PatternRun(self.pattern, run_manager, config)
        call = self._begin(value, run, kwargs)
        if call is None:
            await run.adecide("miss", _UNKNOWN)
            async for chunk in self.bound.astream(value, run.wrapped(_STEP), **kwargs):
                yield chunk
            return
        for place in self.cache.flights.places(call.identity.exact):
            if place.leads:
                with place.flight:
                    async for chunk in self._apour(value, call, place.flight, kwargs):
                        yield chunk
                return
            if await place.flight.await_landing() != "failed":
                break
        async for chunk in self._apour(value, call, None, kwargs):
            yield chunk

    async def _apour(
        self, value: In, call: _Call, flight: Flight | None, kwargs: dict[str, Any]
    ) -> AsyncIterator[Out]:
        found = await call.alook_up()
        if found is not None:
            _land(flight, stored=True)
            for chunk in _replay(found, call.run.run_id):
                yield chunk
            return
        chunks: list[Any] = []
        async for chunk in self.bound.astream(value, call.inner_config(), **kwargs):
            # A copy: the caller may change what it is given.
            chunks.append(copy.deepcopy(chunk))
            yield chunk
        stored = False
        if chunks:
            summed = await run_in_executor(None, _summed, chunks)
            stored = await call.akeep(*summed)
        _land(flight, stored=stored)

    def _begin(
        self, value: In, run: PatternRun, kwargs: dict[str, Any]
    ) -> _Call | None:
        """Identify the request; what cannot be identified is not cached."""
        with self.cache.quiet("reading the input"):
            return _Call(self, run, self._identify(value, run.config, kwargs))
        return None

    def _identify(
        self, value: In, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> Identity:
        configured = config.get("configurable") or {}
        read = read_input(value, self.key)
        used = {spec.id for spec in self.config_specs}
        fields = {
            name: as_json(given)
            for name, given in configured.items()
            if name in used or not _is_bookkeeping(name)
        }
        namespace = configured.get("namespace")
        return identify_input(
            read.whole,
            read.text,
            read.rest,
            scope=self.cache.scope(None if namespace is None else str(namespace)),
            chain=[self._fingerprint, self.scope, as_json(kwargs), fields],
        )

    @cached_property
    def _fingerprint(self) -> str:
        return runnable_fingerprint(self.bound)


_UNKNOWN = "the input or the config cannot be told from others"
_BOOKKEEPING = frozenset(
    {"checkpoint_id", "checkpoint_map", "checkpoint_ns", "namespace", "thread_id"}
)


def _is_bookkeeping(name: str) -> bool:
    """Whether it is a key of LangGraph's, or the namespace, which counts anyway."""
    return name in _BOOKKEEPING or name.startswith("__")


def _land(flight: Flight | None, *, stored: bool) -> None:
    if flight is not None:
        flight.ended = "stored" if stored else "not stored"


def _replay(found: Lookup, run_id: str) -> Iterator[Any]:
    """Yield an answer as it was streamed, or in one piece."""
    if found.value.get("chunks"):
        yield from found.serve(run_id, "chunks")
    else:
        yield found.serve(run_id)


def _summed(chunks: list[Any]) -> tuple[Any, list[Any] | None]:
    """Return the sum of chunks, and the chunks where they are more than the sum."""
    total = chunks[0]
    for chunk in chunks[1:]:
        try:
            total = total + chunk
        except TypeError:
            # As in core: of what does not add up, the last one is all of it.
            total = chunk
    if isinstance(total, BaseMessageChunk):
        total = message_chunk_to_message(total)
    return total, chunks if len(chunks) > 1 else None
