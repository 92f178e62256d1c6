"""A cache that serves an answer to a similar question, when that is safe.

The story of a lookup: identify the request, look it up tier by tier, decide, serve.
Only the last user text is ever compared by meaning; all else has to be equal.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config

from langchain_prodpatterns import ledger
from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.cache.arguments import (
    check_arguments,
    check_ttl,
    selection_of,
)
from langchain_prodpatterns.cache.calibration import Calibration, PairLike, read_pairs
from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.costs import Cost, Costs
from langchain_prodpatterns.cache.counters import CacheStats
from langchain_prodpatterns.cache.decision import CacheDecision, band_of
from langchain_prodpatterns.cache.identity import Identity, identify
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.lookups import Lookup, Visit, cost_of, parse_hit_id
from langchain_prodpatterns.cache.metadata import Labels, MetadataFunction, TimeToLive
from langchain_prodpatterns.cache.pending import PendingMisses
from langchain_prodpatterns.cache.policy import JudgeMode, Policy
from langchain_prodpatterns.cache.prompts import KeyFunction
from langchain_prodpatterns.cache.questions import bind_judge
from langchain_prodpatterns.cache.steps import Steps
from langchain_prodpatterns.cache.stores import CacheStore, LocalStore, Selection
from langchain_prodpatterns.cache.warming import Warmed
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.deadlines import call_apart
from langchain_prodpatterns.judging import JudgeLike

if TYPE_CHECKING:
    from langchain_prodpatterns.cache.cached_runnable import CachedRunnable
    from langchain_prodpatterns.cache.inputs import InputKey

In = TypeVar("In")
Out = TypeVar("Out")

_LONG_PROMPT = 100_000


class SemanticJudgeCache(BaseCache):
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
                last user text; the rest of the text then has to be equal. `None` from
                it allows an equal request only.
            cost: `(answer, verdict)`: what each costs, in one unit; or a function that
                prices a `Usage`, such as `lambda usage: usage.seconds`. By default in
                usd, as the answers and verdicts were priced; where that is not known,
                a verdict is taken to cost a third of an answer.
            judge_mode: `sync` asks the judge before it is served; `async` serves a miss
                now and asks in the background; `off` never asks.
            judge_timeout: Seconds for a verdict; `None` waits for ever.

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
        self._store = store or LocalStore(
            path, max_entries=max_entries, max_bytes=max_bytes
        )
        self._policy = Policy(
            thresholds,
            Learning(self._store, delta),
            costs,
            judged=bound is not None,
            mode=judge_mode,
        )
        self.core = Core(embeddings, self._store, self._policy, bound, ttl=ttl)
        """What `wrap` builds upon; nothing in it is for use elsewhere."""

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
            found = self.core.take(
                self.core.tiers.find(identity), visit.hands(self.embeddings)
            )
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
            steps = self.core.tiers.find(identity)
            found = await self.core.atake(steps, visit.hands(self.embeddings))
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

    def _settle(
        self, identity: Identity, found: Lookup, visit: Visit
    ) -> RETURN_VAL_TYPE | None:
        """Hand out a hit, or remember the miss for the update that may follow."""
        if not found.decision.hit:
            self._pending.note(identity.exact, found.vector)
            return None
        served: list[Generation] = found.serve(visit.run_id)
        return served

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store an answer, if it is worth it.

        Args:
            prompt: As at the lookup.
            llm_string: As at the lookup.
            return_val: The generations. Empty, refused and cut-off answers and invalid
                tool calls are not stored.
        """
        if self.core.is_active:
            return
        with self.core.quiet("update"):
            identity = self._identify(prompt, llm_string)
            steps = self._keep_generations(identity, return_val)
            self.core.take(steps, Visit().hands(self.embeddings))

    async def aupdate(
        self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE
    ) -> None:
        """Store an answer, if it is worth it, natively async.

        Args:
            prompt: As at the lookup.
            llm_string: As at the lookup.
            return_val: As for `update`.
        """
        if self.core.is_active:
            return
        with self.core.quiet("update"):
            identity = await self._aidentify(prompt, llm_string)
            steps = self._keep_generations(identity, return_val)
            await self.core.atake(steps, Visit().hands(self.embeddings))

    def _keep_generations(
        self, identity: Identity, generations: RETURN_VAL_TYPE
    ) -> Steps[bool]:
        miss = self._pending.take(identity.exact)
        seconds = time.perf_counter() - miss.at if miss else 0.0
        value: Callable[[], Any] = partial(dict, output=list(generations))
        saved = cost_of(generations, seconds)
        vector = miss.vector if miss else None
        labels = Labels(run=ensure_config().get("metadata"))
        return self.core.tiers.keep(identity, value, saved, labels, vector=vector)

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
            key: Names the semantic text of an input; `None` from it allows an equal
                input only. By default it is an input of text, the `question`, `input`
                or `query` of a mapping, or the last message if it is a user's.
            scope: Partitions besides, such as the version of a prompt or of the
                documents behind the chain. The code of its functions is not seen, nor
                what an object like a vector store holds: two chains that differ in
                nothing else share their answers unless each has a `scope`. A compiled
                graph shows nothing at all: with a `scope`, its answers outlive it.
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
        identity = self._identify(prompt, llm_string)
        hands = Visit().hands(self.embeddings, booked=False)
        found = self.core.take(self.core.tiers.find(identity, dry=True), hands)
        return self._explained(found.decision)

    async def aexplain(self, prompt: str, llm_string: str) -> CacheDecision:
        """Say what a lookup would decide, and why, natively async.

        Args:
            prompt: As for `lookup`.
            llm_string: As for `lookup`.

        Returns:
            As `explain`.
        """
        identity = await self._aidentify(prompt, llm_string)
        hands = Visit().hands(self.embeddings, booked=False)
        found = await self.core.atake(self.core.tiers.find(identity, dry=True), hands)
        return await off_loop(partial(self._explained, found.decision))

    def _explained(self, decision: CacheDecision) -> CacheDecision:
        return replace(decision, promise=self._policy.promise(decision.partition))

    def feedback(self, hit_id: str, correct: bool) -> None:  # noqa: FBT001 - the design has it so
        """Tell whether a served answer was right.

        A wrong near hit is never served again for that question. An answer that was
        wrong for its own question is removed. A right near hit is an exact one from
        now on. What is told of a near hit counts as evidence, once: a wrong one that
        the judge had agreed to counts against the judge.

        Args:
            hit_id: Of the served message's `response_metadata["prodpatterns.cache"]`,
                or of `explain`.
            correct: Whether it was right.

        Raises:
            ConfigurationError: When it is no hit id.
        """
        pair = parse_hit_id(hit_id)
        entry = self._store.get(pair.key)
        if entry is None:
            return
        if entry.exact == pair.exact:
            if not correct:
                self._store.remove(Selection(key=pair.key))
            return
        self._policy.learning.note_feedback(entry.partition, pair, correct=correct)
        if not correct:
            self._store.reject(pair.exact, pair.key)
        elif self._store.find(pair.exact) is None:
            self._store.add_alias(pair.exact, pair.asked, pair.key)

    async def afeedback(self, hit_id: str, correct: bool) -> None:  # noqa: FBT001 - as `feedback`
        """Tell whether a served answer was right without blocking the event loop.

        Args:
            hit_id: As for `feedback`.
            correct: Whether it was right.
        """
        await off_loop(partial(self.feedback, hit_id, correct))

    def invalidate(
        self,
        *,
        hit_id: str | None = None,
        query: str | None = None,
        partition: str | None = None,
        namespace: str | None = None,
        older_than: float | timedelta | None = None,
        where: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> int:
        """Remove the answers that fit every given criterion.

        Args:
            hit_id: The answer that was served under this id.
            query: Answers to this text, word for word.
            partition: Answers of this partition, as `explain` names it.
            namespace: Answers of this namespace.
            older_than: Answers stored at least so long ago, in seconds.
            where: Answers whose metadata it is true of: what the run's config held when
                they were given, and what `wrap(metadata=...)` named. What it raises is
                raised here, and nothing is removed.

        Returns:
            How many were removed.

        Raises:
            ConfigurationError: When a criterion cannot work, and without one, which
                `clear` is for.
        """
        return self._store.remove(
            selection_of(
                hit_id=hit_id,
                query=query,
                partition=partition,
                namespace=namespace,
                older_than=older_than,
                where=where,
            )
        )

    async def ainvalidate(self, **criteria: Any) -> int:
        """Remove the answers that fit, without blocking the event loop.

        Args:
            **criteria: As for `invalidate`.

        Returns:
            How many were removed.
        """
        return await off_loop(partial(self.invalidate, **criteria))

    def warm(
        self,
        items: Iterable[tuple[str, str, RETURN_VAL_TYPE]],
        *,
        ttl: TimeToLive | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Store many answers at once, embedded and written in batches.

        Args:
            items: What `update` would be given: prompt, `llm_string` and generations.
                What is not worth storing is left out, as there. When it raises, what
                was stored by then stays.
            ttl: Seconds that they live, or a function of an answer that tells them; by
                default as the cache has it.
            metadata: What to find them by, for `invalidate(where=...)`.

        Returns:
            How many were stored.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When they cannot be written.
        """
        check_ttl("ttl", ttl)
        return self.core.warm(map(self._warmed, items), Labels(ttl, metadata))

    async def awarm(
        self,
        items: Iterable[tuple[str, str, RETURN_VAL_TYPE]],
        *,
        ttl: TimeToLive | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Store many answers at once, natively async.

        Args:
            items: As for `warm`.
            ttl: As for `warm`.
            metadata: As for `warm`.

        Returns:
            How many were stored.
        """
        check_ttl("ttl", ttl)
        return await self.core.awarm(map(self._warmed, items), Labels(ttl, metadata))

    def _warmed(self, item: tuple[str, str, RETURN_VAL_TYPE]) -> Warmed:
        prompt, llm_string, generations = item
        identity = self._identify(prompt, llm_string)
        saved = cost_of(generations, 0.0)
        return Warmed(identity, {"output": list(generations)}, saved)

    def calibrate(
        self,
        pairs: Iterable[PairLike],
        *,
        as_traffic: bool = False,
        ask_judge: bool = True,
        max_concurrency: int = 8,
    ) -> Calibration:
        """Learn from labelled pairs of questions how often the judge errs, and more.

        What the pairs show takes the place of what earlier ones had shown.

        Args:
            pairs: `(new question, stored question, whether they have one answer)`, and
                the stored answer as a fourth where the judge should see one;
                `LabelledPair`, or mappings with the names of its fields.
            as_traffic: Whether the pairs are drawn as your users ask: near hits of your
                own traffic. Then they are evidence of what may be served unjudged.
                Otherwise they measure the judge, and are a first guess of how often it
                agrees.
            ask_judge: Whether to ask the judge about each pair.
            max_concurrency: How many verdicts to ask for at once.

        Returns:
            What the pairs say: the judge's errors, and what would be served wrongly at
            which cosine.

        Raises:
            ConfigurationError: When a pair is none.
        """
        read = read_pairs(pairs)
        check_count("max_concurrency", max_concurrency, optional=False)
        measured = self.core.measure(read)
        judgements = (
            self.core.ask_all([one.request() for one in measured], max_concurrency)
            if ask_judge
            else None
        )
        return self._policy.calibrate(measured, judgements, as_traffic=as_traffic)

    async def acalibrate(
        self,
        pairs: Iterable[PairLike],
        *,
        as_traffic: bool = False,
        ask_judge: bool = True,
        max_concurrency: int = 8,
    ) -> Calibration:
        """Learn from labelled pairs of questions, natively async.

        Args:
            pairs: As for `calibrate`.
            as_traffic: As for `calibrate`.
            ask_judge: As for `calibrate`.
            max_concurrency: As for `calibrate`.

        Returns:
            As `calibrate`.
        """
        read = read_pairs(pairs)
        check_count("max_concurrency", max_concurrency, optional=False)
        measured = await self.core.ameasure(read)
        requests = [one.request() for one in measured]
        judgements = (
            await self.core.aask_all(requests, max_concurrency) if ask_judge else None
        )
        note = partial(
            self._policy.calibrate, measured, judgements, as_traffic=as_traffic
        )
        return await off_loop(note)

    def stats(self) -> CacheStats:
        """Return what the cache did since it was opened, in this process."""
        return self.core.counters.stats(self._store.counts(), self._policy.promise())

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer and verdict, in every namespace.

        Args:
            **kwargs: Of LangChain's interface; there is nothing to give.
        """
        self._store.clear()
        self._policy.learning.forget()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget every answer and verdict without blocking the event loop.

        Args:
            **kwargs: Of LangChain's interface; there is nothing to give.
        """
        await off_loop(self.clear)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until the judge was asked all that it is asked in the background.

        Args:
            timeout: Seconds to wait at most; `None` waits for ever.

        Returns:
            Whether all was done.
        """
        return self.core.tiers.background.drain(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Let the judge finish what it is asked in the background; release the file.

        A lookup after it is a failed one: a miss.

        Args:
            timeout: Seconds to wait for the judge at most; `None` waits for ever.
        """
        self.core.tiers.background.close(timeout)
        self._store.close()

    async def aclose(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as `close`
        """Do what `close` does without blocking the event loop.

        Args:
            timeout: As for `close`.
        """
        await call_apart(partial(self.close, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
