"""The tiers of a lookup: the same request, an alias, a near one; and what is kept."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from langchain_prodpatterns.cache.admission import Unworthy, objection
from langchain_prodpatterns.cache.counters import Counters, Event
from langchain_prodpatterns.cache.decision import (
    CacheDecision,
    Candidate,
    Decision,
    Outcome,
    Policy,
    decide,
)
from langchain_prodpatterns.cache.guards import fired
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.lookups import (
    Lookup,
    Part,
    Sight,
    hit,
    missed,
    parse_hit_id,
)
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.steps import Ask, Call, Embed, Steps
from langchain_prodpatterns.cache.stores import CacheStore, Entry, Found
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.values import (
    UnknownType,
    Unreadable,
    Unstorable,
    answer_in,
    answer_text,
    pack,
    unpack,
)
from langchain_prodpatterns.judging import BoundJudge, YesNoVerdict
from langchain_prodpatterns.usage import Usage

logger = logging.getLogger(__name__)


class Tiers:
    """Looks a request up tier by tier, and stores answers."""

    def __init__(
        self,
        store: CacheStore,
        policy: Policy,
        judge: BoundJudge[SameAnswerRequest, YesNoVerdict] | None,
        counters: Counters,
        *,
        ttl: float | None = None,
    ) -> None:
        """Put the tiers together.

        Args:
            store: Where the entries are.
            policy: Which near hits are served, judged or missed.
            judge: The judge, where there is one.
            counters: Where events are counted.
            ttl: Seconds that an answer lives.
        """
        self._store = store
        self._policy = policy
        self._judge = judge
        self._counters = counters
        self._ttl = ttl
        self._told: set[Event] = set()

    def find(
        self, identity: Identity, part: Part = "output", *, dry: bool = False
    ) -> Steps[Lookup]:
        """Look a request up and decide: exact, alias, near.

        Args:
            identity: The request.
            part: Which part of an answer will be served, if there is that part.
            dry: Decide only: count nothing and remember no verdict.

        Returns:
            The steps of the lookup.
        """
        found: Found | None = yield Call(partial(self._store.find, identity.exact))
        if found is not None:
            lookup = yield from self._equal(identity, found, part)
        else:
            lookup = yield from self._similar(identity, part, dry=dry)
        if not dry:
            self._touch(lookup.decision)
            self._counters.count(lookup.decision.decision)
        return lookup

    def _touch(self, decision: CacheDecision) -> None:
        """Note that an entry is served. What is found is served without that, too."""
        if decision.hit:
            with self._counters.quiet("noting a hit"):
                self._store.touch(parse_hit_id(decision.hit_id or "").key)

    def _equal(self, identity: Identity, found: Found, part: Part) -> Steps[Lookup]:
        """Serve what answers this very request."""
        reasons = {
            "exact": "the same request was answered before",
            "alias": "the request was found to have the answer of another",
        }
        value = yield from self._read(found.entry, part)
        if value is None:
            return missed(identity, "the stored answer cannot be read")
        return hit(identity, found.by, reasons[found.by], found.entry, value)

    def _similar(self, identity: Identity, part: Part, *, dry: bool) -> Steps[Lookup]:
        """Decide on the nearest question of the partition."""
        vector: Vector | None = None
        if identity.text is not None:
            vector = yield from self._vector(identity.text)
        if vector is None:
            return missed(identity, "not asked before, and nothing to compare")
        sight: Sight = yield Call(partial(self._nearest, identity, vector))
        decision = decide(sight.candidate, self._policy)
        if decision.action == "miss":
            return missed(identity, decision.reason, sight)
        return (yield from self._offer(identity, sight, decision, part, dry=dry))

    def _nearest(self, identity: Identity, vector: Vector) -> Sight:
        """Look at the nearest question that was not rejected for this one."""
        neighbors = self._store.nearest(
            identity.partition, vector, exact=identity.exact, limit=1
        )
        if not neighbors:
            return Sight(vector)
        near = neighbors[0]
        guards = fired(identity.text or "", near.entry.text or "")
        return Sight(vector, near.entry, Candidate(near.similarity, guards))

    def _offer(
        self,
        identity: Identity,
        sight: Sight,
        decision: Decision,
        part: Part,
        *,
        dry: bool,
    ) -> Steps[Lookup]:
        """Serve the nearest answer, if need be with the judge's consent."""
        assert sight.entry is not None  # noqa: S101 - `decide` misses where there is none
        value = yield from self._read(sight.entry, part)
        if value is None:
            return missed(identity, "the stored answer cannot be read", sight)
        outcome: Outcome = "served"
        reason = decision.reason
        if decision.action == "judge":
            outcome, reason = yield from self._ask(
                identity, sight.entry, value, decision, dry=dry
            )
        if outcome == "judged miss":
            return missed(identity, reason, sight, outcome=outcome)
        return hit(identity, outcome, reason, sight.entry, value, sight.candidate)

    def _ask(
        self,
        identity: Identity,
        entry: Entry,
        value: Any,
        decision: Decision,
        *,
        dry: bool,
    ) -> Steps[tuple[Outcome, str]]:
        """Put a near hit before the judge, and remember what it decides."""
        request = SameAnswerRequest.of(
            new_question=identity.text or "",
            stored_question=entry.text or "",
            stored_answer=answer_text(answer_in(value)),
            context=identity.context,
        )
        assert self._judge is not None  # noqa: S101 - `decide` asks only where there is one
        judgement = yield Ask(self._judge, request)
        if judgement.failure is not None:
            if not dry:
                self._counters.count("judge failure")
            kind = judgement.failure.kind
            return "judged miss", f"{decision.reason}; no verdict ({kind})"
        remember = partial(self._store.reject, identity.exact, entry.key)
        if judgement.yes:
            remember = partial(
                self._store.add_alias, identity.exact, identity.asked, entry.key
            )
        if not dry:
            with self._counters.quiet("remembering a verdict"):
                yield Call(remember)
        if judgement.yes:
            return "judged hit", f"{decision.reason}; the judge said yes"
        return "judged miss", f"{decision.reason}; the judge said no"

    def _vector(self, text: str) -> Steps[Vector | None]:
        """Embed a question. Embeddings that fail leave the exact tier."""
        vector: Vector | None = None
        with self._counters.quiet("embedding"):
            vector = yield Embed(text)
        return vector

    def _read(self, entry: Entry, part: Part) -> Steps[Any]:
        """Read a stored value; a damaged one is put aside."""
        keys = {"output", part}
        try:
            return (yield Call(partial(unpack, entry.value, keys)))
        except UnknownType:
            logger.warning("an answer's type is not imported here: a miss")
        except Unreadable:
            with self._counters.quiet("putting an entry aside"):
                reason = "unreadable value"
                yield Call(partial(self._store.quarantine, entry.key, reason))
        return None

    def keep(
        self,
        identity: Identity,
        value: Callable[[], dict[str, Any]],
        saved: Usage,
        *,
        vector: Vector | None = None,
    ) -> Steps[bool]:
        """Store a value under a request's identity.

        Args:
            identity: The request.
            value: Gives the `output`, the `chunks` or both. May raise `Unstorable`
                and `Unworthy`.
            saved: What the output had cost.
            vector: The question's vector, where it is known.

        Returns:
            The steps of the update, which end with whether it was stored.
        """
        try:
            packed: str = yield Call(partial(_packed, value))
        except Unworthy as error:
            self._refuse("not stored", error)
            return False
        except Unstorable as error:
            self._refuse("unserializable", error)
            return False
        if vector is None and identity.text is not None:
            vector = yield from self._vector(identity.text)
        entry = Entry(
            key=uuid4().hex,
            partition=identity.partition,
            exact=identity.exact,
            text=identity.text,
            value=packed,
            namespace=identity.namespace,
            saved=saved,
            ttl=self._ttl,
        )
        yield Call(partial(self._store.add, entry, vector))
        self._counters.count("stored")
        return True

    def _refuse(self, event: Event, error: Exception) -> None:
        """Count an answer that is passed through unstored, and tell of the first."""
        self._counters.count(event)
        if event not in self._told:
            self._told.add(event)
            logger.warning("an answer is not cached (told once): %s", error)


def _packed(value: Callable[[], dict[str, Any]]) -> str:
    """Write a value as JSON, if it is worth storing."""
    given = value()
    reason = objection(answer_in(given))
    if reason is not None:
        raise Unworthy(reason)
    return pack(given)
