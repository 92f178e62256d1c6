"""One call of a chain that is cached: the lookup, the decision, the update."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_prodpatterns.cache.admission import Unworthy
from langchain_prodpatterns.cache.core import Core
from langchain_prodpatterns.cache.endings import Endings
from langchain_prodpatterns.cache.flights import Flight, Landing
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.lookups import Lookup, Part
from langchain_prodpatterns.cache.metadata import Labels
from langchain_prodpatterns.cache.steps import RunHands, Steps
from langchain_prodpatterns.cache.values import answer_in
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.usage import Usage

_STEP = "chain"


def uncached(run: PatternRun) -> RunnableConfig:
    """Return the config of a chain whose call is not cached."""
    return run.wrapped(_STEP)


class ChainCall:
    """A call, from the lookup to the update; `run` reports the decision."""

    def __init__(
        self,
        core: Core,
        run: PatternRun,
        identity: Identity,
        part: Part,
        labels: Labels,
    ) -> None:
        """Begin.

        Args:
            core: Takes the steps of the lookup and the update.
            run: The run of the cached chain.
            identity: What is asked.
            part: What is to be served: the output, or the chunks of a stream.
            labels: What to store with an answer.
        """
        self.identity = identity
        """What is asked."""
        self._core = core
        self._run = run
        self._part = part
        self._labels = labels
        self._hands = RunHands(core.embeddings, run)
        self._probe = UsageProbe()
        self._endings = Endings()
        self._found: Lookup | None = None
        self._started = 0.0

    def look_up(self, flight: Flight) -> Lookup | None:
        """Return the hit, if there is one, or what another process gets meanwhile.

        Args:
            flight: The flight that this call leads.
        """
        with self._core.quiet("lookup"):
            self._found = self._core.look_up(
                self._find(flight), self._hands, self.identity.namespace
            )
        # Now, not at the end: the chain's time is the chain's, not the cache's.
        decision, reason, facts = self._decision()
        self._run.decide(decision, reason, **facts)
        return self._hit()

    async def alook_up(self, flight: Flight) -> Lookup | None:
        """Return the hit, if there is one, or what another process gets meanwhile.

        Args:
            flight: As for `look_up`.
        """
        with self._core.quiet("lookup"):
            self._found = await self._core.alook_up(
                self._find(flight), self._hands, self.identity.namespace
            )
        decision, reason, facts = self._decision()
        await self._run.adecide(decision, reason, **facts)
        return self._hit()

    def _find(self, flight: Flight) -> Steps[Lookup]:
        others = partial(self._core.leases.claim_or_find, flight)
        return self._core.tiers.find(self.identity, self._part, others=others)

    def _decision(self) -> tuple[str, str, dict[str, Any]]:
        """Return what the run decided."""
        if self._found is None:
            return "miss", "the lookup failed", {}
        decision = self._found.decision
        return decision.decision, decision.reason, self._found.facts()

    def _hit(self) -> Lookup | None:
        self._started = time.perf_counter()
        return self._found if self._found and self._found.decision.hit else None

    def inner_config(self) -> RunnableConfig:
        """Return the config of the chain: its calls are the caller's own."""
        return self._run.wrapped(_STEP, self._probe, self._endings)

    def keep(self, value: Callable[[], dict[str, Any] | None]) -> Landing:
        """Store what the chain gave, if it is worth it."""
        stored = False
        with self._core.quiet("update"):
            stored = self._core.take(self._update(value), self._hands)
        return "stored" if stored else "not stored"

    async def akeep(self, value: Callable[[], dict[str, Any] | None]) -> Landing:
        """Store what the chain gave, if it is worth it."""
        stored = False
        with self._core.quiet("update"):
            stored = await self._core.atake(self._update(value), self._hands)
        return "stored" if stored else "not stored"

    def _update(self, value: Callable[[], dict[str, Any] | None]) -> Steps[bool]:
        used = self._probe.usage
        saved = Usage(
            calls=used.calls,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            usd=used.usd,
            seconds=time.perf_counter() - self._started,
            unmetered_calls=used.unmetered_calls,
        )
        vector = self._found.vector if self._found else None
        worthy = partial(_worthy, value, self._endings)
        return self._core.storing.keep(
            self.identity, worthy, saved, self._labels, vector=vector
        )


def _worthy(
    value: Callable[[], dict[str, Any] | None], endings: Endings
) -> dict[str, Any]:
    """Return a value, if it is not made of half an answer."""
    given = value()
    if given is None:
        raise Unworthy("empty")  # noqa: EM101 - a reason as `objection` gives it
    reason = endings.objection(answer_in(given))
    if reason is not None:
        raise Unworthy(reason)
    return given
