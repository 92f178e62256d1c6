"""A cache that serves an answer to a similar question, when that is safe.

The story of a lookup: identify the request, look it up tier by tier, decide, serve.
Only the last user text is ever compared by meaning; all else has to be equal.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable

from langchain_prodpatterns import ledger
from langchain_prodpatterns.cache.arguments import (
    age_in_seconds,
    check_arguments,
    check_text,
)
from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.counters import CacheStats
from langchain_prodpatterns.cache.decision import CacheDecision, policy_of
from langchain_prodpatterns.cache.identity import Identity, identify
from langchain_prodpatterns.cache.lookups import Lookup, Visit, cost_of, parse_hit_id
from langchain_prodpatterns.cache.pending import PendingMisses
from langchain_prodpatterns.cache.prompts import KeyFunction
from langchain_prodpatterns.cache.questions import bind_judge
from langchain_prodpatterns.cache.steps import Steps
from langchain_prodpatterns.cache.stores import LocalStore, Selection
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import ConfigurationError
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
    tools, parameters, the namespace and the embedding model have to be equal. A near
    hit is served when its cosine is at least `hi` and no guard sees a difference in
    numbers, signs, negation, names or word order; in the grey band, or when a guard
    fires, the judge decides, and what it decided is remembered. Without a `band`
    nothing is served unjudged.

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
        band: tuple[float, float] | None = None,
        path: str | Path | None = None,
        ttl: float | None = None,
        max_entries: int | None = None,
        namespace: str = "default",
        key: KeyFunction | None = None,
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
            band: `(lo, hi)` in cosine: from `hi` on near hits are served unjudged,
                below `lo` they are misses. Needed without a judge. By default every
                near hit from 0.7 on is judged.
            path: An SQLite file, made if there is none; by default memory.
            ttl: Seconds that an answer lives.
            max_entries: Answers to keep; the least recently used make room.
            namespace: Keeps tenants apart.
            key: Names the semantic text of a prompt, where that is only a part of the
                last user text; the rest of the text then has to be equal. `None` from
                it allows an equal request only.
            judge_timeout: Seconds for a verdict; `None` waits for ever.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When the file cannot be opened, or is of other embeddings.
        """
        check_arguments(
            embeddings,
            path=path,
            ttl=ttl,
            max_entries=max_entries,
            namespace=namespace,
            key=key,
            judge_timeout=judge_timeout,
        )
        self.embeddings = embeddings
        """What embeds questions."""
        self.namespace = namespace
        """Keeps tenants apart."""
        self._key = key
        policy = policy_of(band, judged=judge is not None)
        bound = None if judge is None else bind_judge(judge, judge_timeout)
        self._pending = PendingMisses()
        self._store = LocalStore(path, max_entries=max_entries)
        self.core = Core(embeddings, self._store, policy, bound, ttl=ttl)
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
        return self.core.tiers.keep(identity, value, saved, vector=vector)

    def wrap(
        self,
        runnable: Runnable[In, Out],
        *,
        key: "InputKey[In] | None" = None,
        scope: str | None = None,
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

        Returns:
            The cached chain.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        from langchain_prodpatterns.cache.cached_runnable import CachedRunnable

        return CachedRunnable(runnable, self, key=key, scope=scope)

    def explain(self, prompt: str, llm_string: str) -> CacheDecision:
        """Say what a lookup would decide, and why. Nothing is served or written.

        Where the decision is the judge's, the judge is asked.

        Args:
            prompt: As for `lookup`.
            llm_string: As for `lookup`.

        Returns:
            The decision.
        """
        steps = self.core.tiers.find(self._identify(prompt, llm_string), dry=True)
        return self.core.take(
            steps, Visit().hands(self.embeddings, booked=False)
        ).decision

    def feedback(self, hit_id: str, correct: bool) -> None:  # noqa: FBT001 - the design has it so
        """Tell whether a served answer was right.

        A wrong near hit is never served again for that question. An answer that was
        wrong for its own question is removed. A right near hit is an exact one from
        now on.

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
        own = entry.exact == pair.exact
        if not correct and own:
            self._store.remove(Selection(key=pair.key))
        elif not correct:
            self._store.reject(pair.exact, pair.key)
        elif not own and self._store.find(pair.exact) is None:
            self._store.add_alias(pair.exact, pair.asked, pair.key)

    def invalidate(
        self,
        *,
        hit_id: str | None = None,
        query: str | None = None,
        namespace: str | None = None,
        older_than: float | timedelta | None = None,
    ) -> int:
        """Remove the answers that fit every given criterion.

        Args:
            hit_id: The answer that was served under this id.
            query: Answers to this text, word for word.
            namespace: Answers of this namespace.
            older_than: Answers stored at least so long ago, in seconds.

        Returns:
            How many were removed.

        Raises:
            ConfigurationError: When a criterion cannot work, and without one, which
                `clear` is for.
        """
        if all(given is None for given in (hit_id, query, namespace, older_than)):
            msg = "invalidate needs a criterion; clear() removes every answer"
            raise ConfigurationError(msg)
        check_text("query", query)
        check_text("namespace", namespace)
        return self._store.remove(
            Selection(
                key=None if hit_id is None else parse_hit_id(hit_id).key,
                text=query,
                namespace=namespace,
                older_than=age_in_seconds(older_than),
            )
        )

    def stats(self) -> CacheStats:
        """Return what the cache did since it was opened, in this process."""
        return self.core.counters.stats(self._store.counts())

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer and verdict, in every namespace.

        Args:
            **kwargs: Of LangChain's interface; there is nothing to give.
        """
        self._store.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget every answer and verdict without blocking the event loop.

        Args:
            **kwargs: Of LangChain's interface; there is nothing to give.
        """
        await off_loop(self._store.clear)

    def close(self) -> None:
        """Release the file. A lookup after it is a failed one: a miss."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
