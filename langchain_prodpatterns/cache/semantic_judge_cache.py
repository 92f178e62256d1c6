"""A cache that serves an answer to a similar question, when that is safe.

The story of a lookup: identify the request, look it up tier by tier, decide, serve.
Only the last user text is ever compared by meaning; all else has to be equal.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langchain_core.caches import RETURN_VAL_TYPE
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config

from langchain_prodpatterns import ledger
from langchain_prodpatterns.cache.arguments import (
    check_arguments,
    check_function,
    check_generations,
    check_text,
)
from langchain_prodpatterns.cache.calibrated_settings import CacheSettings
from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.costs import Cost, Costs
from langchain_prodpatterns.cache.decision import CacheDecision, band_of
from langchain_prodpatterns.cache.identity import Identity, identify
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.lookups import Lookup, Visit, cost_of
from langchain_prodpatterns.cache.metadata import Labels, MetadataFunction, TimeToLive
from langchain_prodpatterns.cache.pending import PendingMisses
from langchain_prodpatterns.cache.policy import JudgeMode, Policy
from langchain_prodpatterns.cache.prompts import KeyFunction
from langchain_prodpatterns.cache.questions import bind_judge
from langchain_prodpatterns.cache.single_flight import SingleFlight
from langchain_prodpatterns.cache.steps import Steps
from langchain_prodpatterns.cache.stores import CacheStore, LocalStore
from langchain_prodpatterns.cache.upkeep import CacheUpkeep
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.calibration_file import CalibrationLike, read_calibration
from langchain_prodpatterns.judging import JudgeLike
from langchain_prodpatterns.usage import Usage

if TYPE_CHECKING:
    from langchain_prodpatterns.cache.cached_runnable import CachedRunnable
    from langchain_prodpatterns.cache.inputs import InputKey

In = TypeVar("In")
Out = TypeVar("Out")

_LONG_PROMPT = 100_000


class SemanticJudgeCache(CacheUpkeep):
    """A cache for `set_llm_cache`, a model's `cache=`, or a whole chain (`wrap`).

    ```python
    set_llm_cache(SemanticJudgeCache(embeddings, judge=small_llm, path="answers.db"))
    ```

    Only the last user text is compared by meaning. The system prompt, the history,
    tools, parameters, the namespace and the embedding model have to be equal. Where the
    nearest question is not the same, the judge decides, if its verdict is worth its
    price; what it decided is remembered. A near hit is served without a judge only
    where the verdicts so far show that this keeps the promise, and no guard sees a
    difference in numbers, signs, negation, names or word order.

    The promise is `delta`: of the near hits that are served, at most that share is
    wrong. How it is kept, and what that assumes, is told in `cache.promise`; `stats()`
    and `explain()` show the bound, the evidence and the reason. The judge is taken to
    be right until `calibrate` or `feedback` shows how often it errs.

    No exception reaches the caller from `lookup` and `update`: a failure is logged by
    its type, counted in `stats()`, and is a miss. Safe to use from many threads, event
    loops and, on one `path`, processes.

    !!! warning
        An API key is no part of a request's identity. Give each tenant a `namespace`.
        Of a `BaseLLM` that is no chat model, LangChain does not tell a cache the bound
        arguments: `llm.bind(temperature=0)` and `llm.bind(temperature=1)` share their
        answers. `wrap` tells them apart.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        judge: JudgeLike | None = None,
        *,
        delta: float = 0.02,
        band: tuple[float, float] | None = None,
        path: str | Path | None = None,
        store: CacheStore | None = None,
        ttl: TimeToLive | None = None,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        namespace: str = "default",
        key: KeyFunction | None = None,
        cost: Cost | None = None,
        judge_mode: JudgeMode = "sync",
        judge_timeout: float | None = 5.0,
        single_flight: float | None = None,
    ) -> None:
        """Open a cache.

        Args:
            embeddings: What embeds questions. A file that holds another model's
                vectors is refused; to know, one text is embedded when it is opened, if
                the provider answers.
            judge: Decides whether a stored answer fits a new question: a chat model, or
                a Runnable or callable from `SameAnswerRequest` to a yes or no. Without
                a verdict in time there is no hit.
            delta: The share of wrong answers among the near hits served that is
                promised, from 0 to 0.5.
            band: `(lo, hi)` in cosine, in place of what is learned: from `hi` on near
                hits are served unjudged, below `lo` they are misses. Needed without a
                judge. The promise is then no more than reported.
            path: An SQLite file, made if there is none; by default memory.
            store: Where the entries are, in place of a `path`. It is closed with the
                cache.
            ttl: Seconds that an answer lives, or a function of the answer that tells
                them.
            max_entries: Answers to keep; those that save least, are asked for seldom
                and were not asked for lately make room.
            max_bytes: Bytes of answers, texts and vectors to keep.
            namespace: Keeps tenants apart.
            key: Names the semantic text of a prompt, where that is only a part of the
                last user text; the rest of the text then has to be equal. It has to
                stand there as it is given: of one in other letters, all has to be
                equal. `None` from it allows an equal request only.
            cost: `(answer, verdict)`: what each costs, in one unit; or a function that
                prices a `Usage`, such as `lambda usage: usage.seconds`. By default in
                usd, as the answers and verdicts were priced; where that is not known,
                a verdict is taken to cost a third of an answer.
            judge_mode: `sync` asks the judge before it is served; `async` serves a miss
                now and asks in the background: what it says is evidence for what may
                be served unjudged, and where the call that follows fails, or its answer
                is not stored, a near one is served the next time. `off` never asks.
            judge_timeout: Seconds for a verdict; `None` waits for ever.
            single_flight: Seconds that a caller of `lookup` waits, at most, for another
                who asks the same and came first, in any thread, task or process on this
                `path`. LangChain does not tell a cache that a call failed: those who
                wait for such a one lose these seconds, once. By default nobody waits.
                A wrapped chain needs none of it: there all is known, and callers always
                wait.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When the file cannot be opened, or is of other embeddings.
        """
        check_arguments(
            embeddings,
            delta=delta,
            path=path,
            store=store,
            ttl=ttl,
            max_entries=max_entries,
            max_bytes=max_bytes,
            namespace=namespace,
            key=key,
            judge_mode=judge_mode,
            judge_timeout=judge_timeout,
            single_flight=single_flight,
        )
        self.embeddings = embeddings
        """What embeds questions."""
        self.namespace = namespace
        """Keeps tenants apart."""
        self._key = key
        thresholds = band_of(band, judged=judge is not None)
        costs = Costs(cost)
        bound = None if judge is None else bind_judge(judge, judge_timeout)
        self._pending = PendingMisses()
        kept = store
        if kept is None:
            kept = LocalStore(path, max_entries=max_entries, max_bytes=max_bytes)
        policy = Policy(
            thresholds,
            Learning(kept, delta),
            costs,
            judged=bound is not None,
            mode=judge_mode,
        )
        core = Core(embeddings, kept, policy, bound, ttl=ttl)
        super().__init__(core, kept, policy)
        self._flight: SingleFlight | None = None
        if single_flight is not None:
            self._flight = SingleFlight(kept, core.leases, single_flight)

    @classmethod
    def from_calibration(
        cls,
        calibration: CalibrationLike,
        embeddings: Embeddings,
        judge: JudgeLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a cache with what `prodpatterns calibrate cache` has found.

        With a judge the labeled pairs, and how often it erred on them, are what the
        cache learns from first, as after `calibrate`. Without one the band is that of
        the calibration.

        Args:
            calibration: The file, or what stands in it.
            embeddings: The embeddings that it was made with.
            judge: The judge that it was made with.
            **kwargs: As for the constructor; what is given here counts.

        Returns:
            The cache.

        Raises:
            ConfigurationError: When it is no calibration of a cache or of other
                embeddings, when it shows no band and there is no judge, or an argument
                cannot work.
            StoreError: When the file cannot be opened, or is of other embeddings.
        """
        found = read_calibration(calibration, "cache")
        found.check_embeddings(embeddings)
        settings = CacheSettings.read(found.settings)
        given: dict[str, Any] = {"delta": settings.delta, **kwargs}
        if judge is None and "band" not in given:
            given["band"] = settings.band_without_judge()
        cache = cls(embeddings, judge, **given)
        cache._policy.learn_from(settings)
        return cache

    def scoped(
        self, namespace: str | None = None, *, key: KeyFunction | None = None
    ) -> Self:
        """Return a view of this cache: the same entries and evidence.

        For who serves several tenants from one cache, such as a middleware.

        Args:
            namespace: Keeps a tenant apart; `None` for this cache's own.
            key: Names the semantic text of a prompt; `None` for this cache's own.

        Returns:
            The view. To close it is to close the cache.

        Raises:
            ConfigurationError: When the namespace is no text, or the key no function.
        """
        check_text("namespace", namespace)
        check_function("key", key, of="messages")
        view = copy.copy(self)
        view.namespace = self.namespace if namespace is None else namespace
        view._key = self._key if key is None else key  # noqa: SLF001 - its own kind
        return view

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Look for an answer.

        Args:
            prompt: The JSON of a chat model's messages, or a plain prompt.
            llm_string: The model and its parameters.

        Returns:
            Fresh copies of the stored generations, or `None`. A served message says so
            in `response_metadata["prodpatterns.cache"]`.
        """
        if self.core.is_active:
            return None
        with self.core.quiet("lookup"):
            visit = Visit()
            identity = self._identify(prompt, llm_string)
            steps, hands = self._find(identity), visit.hands(self.embeddings)
            found = self.core.look_up(steps, hands, identity.namespace)
            ledger.report(visit.entry(found), visit.config)
            return self._settle(identity, found, visit)
        return None

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Look for an answer, natively async.

        Args:
            prompt: The JSON of a chat model's messages, or a plain prompt.
            llm_string: The model and its parameters.

        Returns:
            As `lookup`.
        """
        if self.core.is_active:
            return None
        with self.core.quiet("lookup"):
            visit = Visit()
            identity = await self._aidentify(prompt, llm_string)
            steps, hands = self._find(identity), visit.hands(self.embeddings)
            found = await self.core.alook_up(steps, hands, identity.namespace)
            await ledger.areport(visit.entry(found), visit.config)
            return self._settle(identity, found, visit)
        return None

    def _identify(self, prompt: str, llm_string: str) -> Identity:
        """Say what must be equal, and what may be similar."""
        scope = self.core.scope(self.namespace)
        return identify(prompt, llm_string, scope, self._key)

    async def _aidentify(self, prompt: str, llm_string: str) -> Identity:
        """Identify a request; one with images in it takes long to read."""
        if len(prompt) < _LONG_PROMPT:
            return self._identify(prompt, llm_string)
        return await off_loop(partial(self._identify, prompt, llm_string))

    def _find(self, identity: Identity) -> Steps[Lookup]:
        """Look a request up; wait for who asks the same, if wanted."""
        find = partial(self.core.tiers.find, identity)
        if self._flight is None:
            return find()
        return self._flight.look_up(identity.exact, find)

    def _settle(
        self, identity: Identity, found: Lookup, visit: Visit
    ) -> RETURN_VAL_TYPE | None:
        """Hand out a hit, or remember the miss for the update that may follow."""
        if not found.decision.hit:
            self._pending.note(identity.exact, found.vector)
            return None
        served: list[Generation] = found.serve(visit.run_id)
        return served

    def update(
        self,
        prompt: str,
        llm_string: str,
        return_val: RETURN_VAL_TYPE,
        *,
        saved: Usage | None = None,
    ) -> None:
        """Store an answer, if it is worth it.

        Args:
            prompt: As at the lookup.
            llm_string: As at the lookup.
            return_val: The generations. Empty, refused and cut-off answers and invalid
                tool calls are not stored.
            saved: What the answer had cost, where it is of several calls; by default
                what its own usage tells. The seconds are those since the lookup.
        """
        if self.core.is_active:
            return
        with self.core.quiet("update"):
            identity = self._identify(prompt, llm_string)
            steps = self._keep_generations(identity, return_val, saved)
            self.core.take(steps, Visit().hands(self.embeddings))

    async def aupdate(
        self,
        prompt: str,
        llm_string: str,
        return_val: RETURN_VAL_TYPE,
        *,
        saved: Usage | None = None,
    ) -> None:
        """Store an answer, if it is worth it, natively async.

        Args:
            prompt: As at the lookup.
            llm_string: As at the lookup.
            return_val: As for `update`.
            saved: As for `update`.
        """
        if self.core.is_active:
            return
        with self.core.quiet("update"):
            identity = await self._aidentify(prompt, llm_string)
            steps = self._keep_generations(identity, return_val, saved)
            await self.core.atake(steps, Visit().hands(self.embeddings))

    def abandon(self, prompt: str, llm_string: str) -> None:
        """Tell those who wait for an answer, by `single_flight`, that none will come.

        Args:
            prompt: As at the lookup.
            llm_string: As at the lookup.
        """
        if self._flight is not None and not self.core.is_active:
            with self.core.quiet("abandon"):
                identity = self._identify(prompt, llm_string)
                self._flight.land(identity.exact, stored=False)

    def _keep_generations(
        self, identity: Identity, generations: RETURN_VAL_TYPE, saved: Usage | None
    ) -> Steps[bool]:
        stored = False
        try:
            stored = yield from self._keep(identity, generations, saved)
        finally:
            if self._flight is not None:
                self._flight.land(identity.exact, stored=stored)
        return stored

    def _keep(
        self, identity: Identity, generations: RETURN_VAL_TYPE, saved: Usage | None
    ) -> Steps[bool]:
        answer = check_generations("return_val", generations)
        miss = self._pending.take(identity.exact)
        seconds = time.perf_counter() - miss.at if miss else 0.0
        value: Callable[[], Any] = partial(dict, output=answer)
        cost = replace(saved, seconds=seconds) if saved else cost_of(answer, seconds)
        vector = miss.vector if miss else None
        since = miss.at if miss else None
        labels = Labels(run=ensure_config().get("metadata"), since=since)
        return (
            yield from self.core.storing.keep(
                identity, value, cost, labels, vector=vector
            )
        )

    def wrap(
        self,
        runnable: Runnable[In, Out],
        *,
        key: "InputKey[In] | None" = None,
        scope: str | None = None,
        ttl: TimeToLive | None = None,
        metadata: MetadataFunction | None = None,
    ) -> "CachedRunnable[In, Out]":
        """Cache a whole chain: all of its calls are one entry.

        Args:
            runnable: The chain.
            key: Names the semantic text of an input, as it stands there; `None` from
                it allows an equal input only. By default it is an input of text, the
                `question`, `input` or `query` of a mapping, or the last message if it
                is a user's.
            scope: Partitions besides, such as the version of a prompt or of the
                documents behind the chain. The code of its functions is not seen, nor
                what an object like a vector store holds: two chains that differ in
                nothing else share their answers unless each has a `scope`. What a
                function closes over, its defaults and the arguments of a `partial` are
                seen where they are plain values or Runnables, as they are at the first
                call. A compiled graph, or any other object that a function holds, shows
                nothing at all: with a `scope`, the answers outlive it.
            ttl: Seconds that an answer of this chain lives, or a function of its output
                that tells them; by default as the cache has it.
            metadata: Names what an output is made of, for `invalidate(where=...)`;
                the metadata of the run's config is stored in any case.

        Returns:
            The cached chain.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        from langchain_prodpatterns.cache.cached_runnable import CachedRunnable

        return CachedRunnable(
            runnable, self, key=key, scope=scope, ttl=ttl, metadata=metadata
        )

    def explain(self, prompt: str, llm_string: str) -> CacheDecision:
        """Say what a lookup would decide, and why. Nothing is served or written.

        Where the decision is the judge's, the judge is asked.

        Args:
            prompt: As for `lookup`.
            llm_string: As for `lookup`.

        Returns:
            The decision, with what is promised and known of the partition.
        """
        return self.core.explain(self._identify(prompt, llm_string))

    async def aexplain(self, prompt: str, llm_string: str) -> CacheDecision:
        """Say what a lookup would decide, and why, natively async.

        Args:
            prompt: As for `lookup`.
            llm_string: As for `lookup`.

        Returns:
            As `explain`.
        """
        return await self.core.aexplain(await self._aidentify(prompt, llm_string))
