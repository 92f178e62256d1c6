"""What keeps a cache right and in order: feedback, removal, calibration, figures.

None of it is on the way of a lookup or an update.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, Self

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.cache.arguments import (
    check_correct,
    check_generations,
    check_ttl,
    selection_of,
)
from langchain_prodpatterns.cache.calibration import Calibration, PairLike, read_pairs
from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.counters import CacheStats
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.lookups import cost_of, parse_hit_id
from langchain_prodpatterns.cache.metadata import Labels, TimeToLive
from langchain_prodpatterns.cache.policy import Policy
from langchain_prodpatterns.cache.stores import CacheStore, Selection, StoreCounts
from langchain_prodpatterns.cache.warming import Warmed
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.deadlines import call_apart
from langchain_prodpatterns.errors import ConfigurationError, StoreUnavailable


class CacheUpkeep(BaseCache):
    """A cache that can be told, asked, filled, emptied and closed."""

    def __init__(self, core: Core, store: CacheStore, policy: Policy) -> None:
        """Keep a cache.

        Args:
            core: Takes the steps of its lookups and updates.
            store: Where its entries are.
            policy: Which near hits it serves.
        """
        self.core = core
        """What `wrap` builds upon; nothing in it is for use elsewhere."""
        self._store = store
        self._policy = policy
        self._seen = StoreCounts(0, 0, 0), policy.unlearned

    @abstractmethod
    def _identify(self, prompt: str, llm_string: str) -> Identity:
        """Say what must be equal, and what may be similar."""

    def feedback(self, hit_id: str, correct: bool) -> None:  # noqa: FBT001 - the design has it so
        """Tell whether a served answer was right.

        A wrong near hit is never served again for that question. An answer that was
        wrong for its own question is removed. A right near hit is an exact one from
        now on. What is told of a near hit counts as evidence, once: a wrong one that
        the judge had agreed to counts against the judge, which is one for all
        namespaces.

        Args:
            hit_id: Of the served message's `response_metadata["prodpatterns.cache"]`,
                or of `explain`.
            correct: Whether it was right.

        Raises:
            ConfigurationError: When it is no hit id, or neither right nor wrong.
        """
        check_correct(correct)
        pair = parse_hit_id(hit_id)
        entry = self._store.get(pair.key)
        if entry is None:
            return
        if entry.exact == pair.exact:
            if not correct:
                self._store.remove(Selection(key=pair.key))
            return
        if correct:
            is_news = self._store.find(pair.exact) is None
            if is_news:
                self._store.add_alias(pair.exact, pair.asked, pair.key, pair.nearness)
        else:
            is_news = self._store.reject(pair.exact, pair.key)
        if is_news:
            self._policy.learning.note_feedback(entry.partition, pair, correct=correct)

    async def afeedback(self, hit_id: str, correct: bool) -> None:  # noqa: FBT001 - as `feedback`
        """Tell whether a served answer was right without blocking the event loop.

        Args:
            hit_id: As for `feedback`.
            correct: Whether it was right.

        Raises:
            ConfigurationError: When it is no hit id, or neither right nor wrong.
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

        Those that are on their way in this process are not stored.

        Args:
            hit_id: The answer that was served under this id.
            query: Answers to this text, word for word.
            partition: Answers of this partition, as `explain` names it.
            namespace: Answers of this namespace.
            older_than: Answers stored at least so long ago, in seconds.
            where: Answers whose metadata it is true of: what the config of the wrapped
                chain's run held when they were given, and what `wrap(metadata=...)`
                named. Behind a model it is the config of the chain around it: LangChain
                hands a cache nothing of the model's own. Not every answer has every
                name: ask by `get`. What it raises is raised here, and nothing is
                removed.

        Returns:
            How many were removed.

        Raises:
            ConfigurationError: When a criterion cannot work, and without one, which
                `clear` is for.
        """
        selection = selection_of(
            hit_id=hit_id,
            query=query,
            partition=partition,
            namespace=namespace,
            older_than=older_than,
            where=where,
        )
        self.core.recalls.note(selection)
        return self._store.remove(selection)

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
        return self.core.warm(map(self._warmed, items, count()), Labels(ttl, metadata))

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
        warmed = map(self._warmed, items, count())
        return await self.core.awarm(warmed, Labels(ttl, metadata))

    def _warmed(self, item: tuple[str, str, RETURN_VAL_TYPE], number: int) -> Warmed:
        match item:
            case (str(prompt), str(llm_string), given):
                generations = check_generations(f"items[{number}][2]", given)
            case _:
                msg = (
                    f"items[{number}] must be (prompt, llm_string, generations), as "
                    f"`update` is given them, got {type(item).__name__}"
                )
                raise ConfigurationError(msg)
        identity = self._identify(prompt, llm_string)
        return Warmed(identity, {"output": generations}, cost_of(generations, 0.0))

    def calibrate(
        self,
        pairs: Iterable[PairLike],
        *,
        as_traffic: bool = False,
        ask_judge: bool = True,
        max_concurrency: int = 8,
    ) -> Calibration:
        """Learn from labeled pairs of questions how often the judge errs, and more.

        What the pairs show takes the place of what earlier ones had shown.

        Args:
            pairs: `(new question, stored question, whether they have one answer)`, and
                the stored answer as a fourth where the judge should see one;
                `LabeledPair`, or mappings with the names of its fields.
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
        """Learn from labeled pairs of questions, natively async.

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
        """Return what the cache did since it was opened, in this process.

        Of a store that is away, what it held is told as it was when it was last seen.
        """
        with suppress(StoreUnavailable):
            self._seen = self._store.counts(), self._policy.promise()
        return self.core.counters.stats(*self._seen)

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer and verdict, in every namespace.

        Args:
            **kwargs: Of LangChain's interface; there is nothing to give.
        """
        self.core.recalls.note(Selection())
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
        self.core.leases.close()
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
