"""How a lookup ends, and how that is told to callers and to the ledger."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from uuid import uuid4

from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_prodpatterns import ledger
from langchain_prodpatterns.cache.decision import (
    CacheDecision,
    Candidate,
    Decision,
    Outcome,
)
from langchain_prodpatterns.cache.evidence import Cell
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.steps import BareHands
from langchain_prodpatterns.cache.stores import Entry
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.values import as_served, messages_in
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.pricing import ambient_prices, price_of
from langchain_prodpatterns.usage import NO_USAGE, PATTERN_KEY, RUN_KEY, Usage

Part = Literal["output", "chunks"]
"""The parts of a stored value: what was answered, and how it was streamed."""

_PARTS_OF_A_HIT_ID = (2, 3, 4)
_JUDGED = "j"


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a lookup ended, with what there is to serve."""

    decision: CacheDecision
    """The decision."""
    value: Any = None
    """Of a hit: a fresh copy of what was stored."""
    saved: Usage = NO_USAGE
    """Of a hit: what the answer had cost."""
    vector: Vector | None = None
    """The question's vector, where it was embedded."""

    def facts(self) -> dict[str, Any]:
        """Return what to tell of it besides decision and reason."""
        facts: dict[str, Any] = saved_facts(self.saved)
        if self.decision.similarity is not None:
            facts["similarity"] = self.decision.similarity
        if self.decision.hit:
            facts["hit_id"] = self.decision.hit_id
        return facts

    def serve(self, run_id: str, part: Part = "output") -> Any:
        """Return a part of a hit, marked as served.

        Args:
            run_id: The id of the lookup, or of the run it was made in.
            part: Which part of the stored value.

        Returns:
            The part; its first answer says in its metadata where it comes from.
        """
        mark = {
            "decision": self.decision.decision,
            "similarity": self.decision.similarity,
            "hit_id": self.decision.hit_id,
            "reason": self.decision.reason,
            "run_id": run_id,
            **saved_facts(self.saved),
        }
        return as_served(self.value[part], mark)


def saved_facts(saved: Usage) -> dict[str, Any]:
    """Name what a hit saves as the ledger does."""
    return {
        "saved_calls": saved.calls,
        "saved_tokens": saved.total_tokens,
        "saved_usd": saved.usd,
        "saved_seconds": saved.seconds,
    }


@dataclass(frozen=True, slots=True)
class Sight:
    """What a question was compared with."""

    vector: Vector | None = None
    """The question's vector."""
    entry: Entry | None = None
    """The nearest entry, if there is any."""
    candidate: Candidate | None = None
    """How near it is."""


_NOTHING = Sight()


@dataclass(frozen=True, slots=True)
class Question:
    """A near hit that is put before the judge."""

    identity: Identity
    """The request."""
    entry: Entry
    """The nearest entry."""
    candidate: Candidate
    """How near it is."""
    decision: Decision
    """Why it is asked."""
    answer: str
    """The stored answer."""

    def request(self) -> SameAnswerRequest:
        """Return what the judge is asked."""
        return SameAnswerRequest.of(
            new_question=self.identity.text or "",
            stored_question=self.entry.text or "",
            stored_answer=self.answer,
            context=self.identity.context,
        )


def missed(
    identity: Identity,
    reason: str,
    sight: Sight = _NOTHING,
    *,
    outcome: Outcome = "miss",
) -> Lookup:
    """Return the end of a lookup that serves nothing."""
    near, entry = sight.candidate, sight.entry
    nearness = nearness_of(near) if near else ""
    decision = CacheDecision(
        decision=outcome,
        reason=reason,
        partition=identity.partition,
        similarity=near.similarity if near else None,
        guards=near.guards if near else (),
        hit_id=hit_id(entry, identity, nearness) if entry else None,
    )
    return Lookup(decision, vector=sight.vector)


def hit(
    identity: Identity,
    outcome: Outcome,
    reason: str,
    entry: Entry,
    value: Any,
    candidate: Candidate | None = None,
    *,
    nearness: str = "",
) -> Lookup:
    """Return the end of a lookup that serves an entry."""
    if candidate is not None:
        nearness = nearness_of(candidate, judged=outcome == "judged hit")
    decision = CacheDecision(
        decision=outcome,
        reason=reason,
        partition=identity.partition,
        similarity=candidate.similarity if candidate else None,
        guards=candidate.guards if candidate else (),
        hit_id=hit_id(entry, identity, nearness),
    )
    return Lookup(decision, value, entry.saved)


def nearness_of(candidate: Candidate, *, judged: bool = False) -> str:
    """Write down how near an entry was, as hit ids and aliases keep it.

    Args:
        candidate: What was looked at.
        judged: Whether the judge had said yes.
    """
    cell = Cell.of(candidate.similarity, guarded=bool(candidate.guards))
    return f"{cell}{_JUDGED if judged else ''}"


def hit_id(entry: Entry, identity: Identity, nearness: str) -> str:
    """Name the pair of an entry and the request it was looked at for.

    Args:
        entry: The entry.
        identity: The request.
        nearness: How near it was, where that is known.
    """
    parts = [entry.key, identity.exact]
    if entry.exact != identity.exact and identity.asked is not None:
        parts += [identity.asked, nearness] if nearness else [identity.asked]
    return ".".join(parts)


@dataclass(frozen=True, slots=True)
class Pair:
    """What a hit id names."""

    key: str
    """The entry's key."""
    exact: str
    """The request's digest."""
    asked: str | None = None
    """The digest of the request's semantic text, if that is not the entry's own."""
    cell: Cell | None = None
    """Of a near hit: how near it was, as a cell of the evidence."""
    judged: bool = False
    """Whether the judge had said yes to it."""

    @property
    def nearness(self) -> str:
        """How near it was, as `nearness_of` writes it; empty where that is unknown."""
        return f"{self.cell}{_JUDGED if self.judged else ''}" if self.cell else ""


def parse_hit_id(text: str) -> Pair:
    """Return the pair that a hit id names.

    Raises:
        ConfigurationError: When it is no hit id.
    """
    parts = text.split(".") if isinstance(text, str) else []
    if all(parts) and len(parts) in _PARTS_OF_A_HIT_ID:
        key, exact, asked, code = (*parts, "", "")[:4]
        cell = Cell.parse(code.removesuffix(_JUDGED))
        if cell or not code:
            return Pair(key, exact, asked or None, cell, code.endswith(_JUDGED))
    msg = (
        f"{text!r} is no hit id: take it from a served message's "
        'response_metadata["prodpatterns.cache"]["hit_id"], or from `explain`'
    )
    raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class Visit:
    """A call of LangChain's cache interface, which knows of no run of ours."""

    run_id: str = field(default_factory=lambda: str(uuid4()))
    """The id of the lookup."""
    started: float = field(default_factory=time.perf_counter)
    """When it began."""
    config: RunnableConfig = field(default_factory=ensure_config)
    """The config of the run around it."""

    def hands(self, embeddings: Embeddings, *, booked: bool = True) -> BareHands:
        """Return who embeds and asks for it.

        Args:
            embeddings: The embeddings.
            booked: Book the judge's calls to this lookup.
        """
        config = cast(
            "RunnableConfig",
            {k: v for k, v in self.config.items() if k not in {"run_id", "run_name"}},
        )
        if booked:
            owner = {PATTERN_KEY: "cache", RUN_KEY: self.run_id}
            config["metadata"] = {**(config.get("metadata") or {}), **owner}
        return BareHands(embeddings, config)

    def entry(self, found: Lookup) -> ledger.Decision:
        """Return what the ledger is to book."""
        return ledger.Decision(
            pattern="cache",
            decision=found.decision.decision,
            reason=found.decision.reason,
            run_id=self.run_id,
            parent=(self.config.get("metadata") or {}).get(RUN_KEY),
            seconds=time.perf_counter() - self.started,
            **saved_facts(found.saved),
        )

    def calibrated(self, pairs: int) -> ledger.Decision:
        """Return what the ledger is to book of a calibration."""
        return ledger.Decision(
            pattern="cache",
            decision="calibrated",
            reason=f"the judge was asked about {pairs} labeled pairs",
            run_id=self.run_id,
            parent=(self.config.get("metadata") or {}).get(RUN_KEY),
            seconds=time.perf_counter() - self.started,
        )


def cost_of(generations: Sequence[Generation], seconds: float) -> Usage:
    """Return what a model's answer had cost, as far as the answer tells.

    Args:
        generations: The answer. Each of several choices carries the usage of the
            whole call.
        seconds: How long it took.

    Returns:
        One call; without usage in the answer its price is unknown.
    """
    for message in messages_in(list(generations)):
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        if usage:
            tokens = int(usage["input_tokens"]), int(usage["output_tokens"])
            model = message.response_metadata.get("model_name")
            usd = price_of(model, *tokens, ambient_prices.get())
            return Usage(1, *tokens, usd, seconds)
    return Usage(calls=1, usd=None, seconds=seconds, unmetered_calls=1)
