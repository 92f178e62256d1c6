"""The base of every pattern: one run a call, children by config, one decision reported.

A pattern says what it does in `_run` and `_arun`; everything the LCEL contract asks
around that is here, once.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    BaseCallbackHandler,
    CallbackManagerForChainRun,
)
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import (
    RunnableConfig,
    RunnableLambda,
    RunnableSerializable,
)
from langchain_core.runnables.config import (
    ContextThreadPoolExecutor,
    ensure_config,
    merge_configs,
    patch_config,
)
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from pydantic import ConfigDict

from langchain_prodpatterns.ledger import Decision, areport, report
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.usage import AROUND_KEY, PATTERN_KEY, RUN_KEY, Usage

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")
U = TypeVar("U")

RunManager = CallbackManagerForChainRun | AsyncCallbackManagerForChainRun
"""The run manager of a pattern's own run."""

HIDDEN = {"ls_message_view_exclude": True}
"""Metadata that keeps an inner call out of LangSmith's view of the conversation."""


class PatternRun:
    """One run of a pattern: it gives children their config and reports the decision."""

    def __init__(
        self, pattern: str, run_manager: RunManager, config: RunnableConfig
    ) -> None:
        """Begin.

        Args:
            pattern: The pattern's name in the ledger.
            run_manager: The manager of the pattern's own run.
            config: The config of the pattern's own run.
        """
        self.pattern = pattern
        self.run_id = str(run_manager.run_id)
        around = run_manager.parent_run_id
        self.parent_run_id = None if around is None else str(around)
        self.config = config
        self._run_manager = run_manager
        self._started = time.perf_counter()
        self._parent = (config.get("metadata") or {}).get(_PARENT_KEY)
        self._probe = UsageProbe(owner=self.run_id)

    @property
    def usage(self) -> Usage:
        """What the calls made on behalf of this run used, without nested patterns."""
        return self._probe.usage

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._started

    def child(
        self,
        step: str,
        *handlers: BaseCallbackHandler,
        hidden: bool = False,
        own: bool = True,
        facts: Mapping[str, Any] | None = None,
    ) -> RunnableConfig:
        """Return the config to hand on to a child run.

        Args:
            step: The name of the step, which becomes the child's name and tag:
                `critique`.
            *handlers: More callback handlers for this child, such as a budget's probe.
            hidden: Keep it out of the view of the conversation: judges and the like.
            own: Book its calls to this pattern. Without, to the pattern around it:
                for a runnable of the user's that the pattern only wraps.
            facts: What its metadata says of the step, such as the round.

        Returns:
            The config of the child.
        """
        manager = self._run_manager.get_child(step)
        for handler in (self._probe, *handlers):
            manager.add_handler(handler, inherit=True)
        config = patch_config(
            self.config, callbacks=manager, run_name=f"{self.pattern}:{step}"
        )
        metadata = {
            **(config.get("metadata") or {}),
            **_flat(facts or {}),
            **self._ownership(own=own),
        }
        config["metadata"] = {**metadata, **HIDDEN} if hidden else metadata
        return config

    def in_threads(self, work: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Work on items at once, as many as the config's `max_concurrency` allows.

        Args:
            work: What to do with each, in a thread with this one's context.
            items: The items.

        Returns:
            What came of each, in their order.
        """
        executor = ContextThreadPoolExecutor(self.config.get("max_concurrency"))
        try:
            results = list(executor.map(work, items))
        except BaseException:
            # An interrupt does not wait for the calls that are running.
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown()
        return results

    def wrapped(self, step: str, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the config for a runnable of the user's that the pattern only wraps.

        Its run keeps its own name, and its calls are booked to the pattern around.
        """
        config = self.child(step, *handlers, own=False)
        config.pop("run_name", None)
        return config

    def embed_query(self, embeddings: Embeddings, text: str) -> list[float]:
        """Embed a text as a child run, so that traces show what it took."""
        embed: RunnableLambda[str, list[float]] = RunnableLambda(embeddings.embed_query)
        return embed.invoke(text, self.child("embed_query", hidden=True))

    async def aembed_query(self, embeddings: Embeddings, text: str) -> list[float]:
        """Embed a text as a child run, natively async."""
        embed: RunnableLambda[str, list[float]] = RunnableLambda(
            embeddings.embed_query, embeddings.aembed_query
        )
        return await embed.ainvoke(text, self.child("embed_query", hidden=True))

    def embed_documents(
        self, embeddings: Embeddings, texts: list[str]
    ) -> list[list[float]]:
        """Embed texts as one child run."""
        embed: RunnableLambda[list[str], list[list[float]]] = RunnableLambda(
            embeddings.embed_documents
        )
        return embed.invoke(texts, self.child("embed_documents", hidden=True))

    async def aembed_documents(
        self, embeddings: Embeddings, texts: list[str]
    ) -> list[list[float]]:
        """Embed texts as one child run, natively async."""
        embed: RunnableLambda[list[str], list[list[float]]] = RunnableLambda(
            embeddings.embed_documents, embeddings.aembed_documents
        )
        return await embed.ainvoke(texts, self.child("embed_documents", hidden=True))

    def decide(self, decision: str, reason: str = "", **facts: Any) -> None:
        """Report what this run decided: to ledgers, listeners and the run's metadata.

        Args:
            decision: One or two words.
            reason: Why, without any value of the user's.
            **facts: `saved_calls`, `saved_tokens`, `saved_usd`, `saved_seconds` and
                `counts`, for the ledger; every other fact goes to the run's metadata
                only. Without `saved_usd` the price of calls and tokens that were saved
                is unknown.
        """
        report(self._decision(decision, reason, facts), self._event_config())

    async def adecide(self, decision: str, reason: str = "", **facts: Any) -> None:
        """Report what this run decided, like `decide`, from a coroutine.

        Args:
            decision: One or two words.
            reason: Why, without any value of the user's.
            **facts: As for `decide`.
        """
        await areport(self._decision(decision, reason, facts), self._event_config())

    def _decision(self, decision: str, reason: str, facts: dict[str, Any]) -> Decision:
        saved = {key: facts[key] for key in facts if key.startswith("saved_")}
        if saved.get("saved_calls") or saved.get("saved_tokens"):
            # What was not needed has a price, even if nobody told it.
            saved.setdefault("saved_usd", None)
        entry = Decision(
            pattern=self.pattern,
            decision=decision,
            reason=reason,
            run_id=self.run_id,
            parent=self._parent,
            seconds=self.seconds,
            counts=facts.get("counts", {}),
            **saved,
        )
        used = self._probe.usage
        self._annotate(
            {
                "decision": decision,
                "reason": reason,
                "calls": used.calls,
                "input_tokens": used.input_tokens,
                "output_tokens": used.output_tokens,
                "usd": used.usd,
                "seconds": entry.seconds,
                **facts,
            }
        )
        return entry

    def _annotate(self, facts: dict[str, Any]) -> None:
        """Put facts into the metadata of the run that tracers will send."""
        flat = _flat(facts)
        for handler in self._run_manager.handlers:
            if isinstance(handler, BaseTracer | AsyncBaseTracer):
                run = handler.run_map.get(self.run_id)
                if run is not None:
                    run.add_metadata(flat)

    def _event_config(self) -> RunnableConfig:
        return patch_config(self.config, callbacks=self._run_manager.get_child())

    def _ownership(self, *, own: bool) -> dict[str, Any]:
        metadata = self.config.get("metadata") or {}
        pattern, owner = (
            (self.pattern, self.run_id)
            if own
            else (metadata.get(_OUTER_PATTERN_KEY), metadata.get(_OUTER_RUN_KEY))
        )
        return {PATTERN_KEY: pattern, RUN_KEY: owner, AROUND_KEY: self.run_id}


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"prodpatterns.{key}": value for key, value in facts.items()}


_OUTER_PATTERN_KEY = "prodpatterns.outer_pattern"
_OUTER_RUN_KEY = "prodpatterns.outer_run"
_PARENT_KEY = "prodpatterns.parent"


def pattern_config(pattern: str, config: RunnableConfig | None) -> RunnableConfig:
    """Return the config of a pattern's own run: it names the pattern to tracers.

    Args:
        pattern: The pattern's name in the ledger.
        config: The caller's config, which is not changed.

    Returns:
        A config with the pattern in its metadata.
    """
    config = ensure_config(config)
    outer = config.get("metadata") or {}
    names = {
        PATTERN_KEY: pattern,
        RUN_KEY: None,
        AROUND_KEY: None,
        _OUTER_PATTERN_KEY: outer.get(PATTERN_KEY),
        _OUTER_RUN_KEY: outer.get(RUN_KEY),
        _PARENT_KEY: outer.get(AROUND_KEY),
    }
    return merge_configs(config, {"metadata": {**outer, **names}})


class PatternRunnable(RunnableSerializable[In, Out], Generic[In, Out]):
    """Base of the patterns: implement `_run` and `_arun`, get the LCEL contract."""

    pattern: ClassVar[str]
    """The pattern's name in the ledger and in metadata."""

    # What is set up from the fields would not follow a change of them.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True, frozen=True
    )

    @abstractmethod
    def _run(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        """Do the work of one call."""

    @abstractmethod
    async def _arun(self, value: In, run: PatternRun, **kwargs: Any) -> Out:
        """Do the work of one call, natively async."""

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """Copy the pattern; with changes, set up a new one, so that they hold.

        Args:
            update: Arguments to change.
            deep: Whether to copy the other arguments too.

        Returns:
            The copy.

        Raises:
            ConfigurationError: When a changed argument cannot work.
        """
        copied = super().model_copy(deep=deep)
        if not update:
            return copied
        given = {name: getattr(copied, name) for name in type(self).model_fields}
        return type(self)(**{**given, **update})

    def _shown(self, value: In) -> Any:
        """Return what traces show as the input; a guard hides what it guards."""
        return value

    def invoke(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Out:
        """Run on one input.

        Args:
            input: The input.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Returns:
            The output.
        """
        return self._call_with_config(
            partial(self._enter, input),
            self._shown(input),
            pattern_config(self.pattern, config),
            **kwargs,
        )

    async def ainvoke(
        self, input: In, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Out:
        """Run on one input, natively async.

        Args:
            input: The input.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Returns:
            The output.
        """
        return await self._acall_with_config(
            partial(self._aenter, input),
            self._shown(input),
            pattern_config(self.pattern, config),
            **kwargs,
        )

    def _enter(
        self,
        value: In,
        _shown: Any,
        *,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Out:
        return self._run(value, PatternRun(self.pattern, run_manager, config), **kwargs)

    async def _aenter(
        self,
        value: In,
        _shown: Any,
        *,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Out:
        run = PatternRun(self.pattern, run_manager, config)
        return await self._arun(value, run, **kwargs)
