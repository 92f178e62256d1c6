"""The tiers of a lookup: the same request, an alias, a near one."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from langchain_prodpatterns.cache.background import Background
from langchain_prodpatterns.cache.counters import Counters
from langchain_prodpatterns.cache.decision import Candidate, Decision
from langchain_prodpatterns.cache.guards import fired
from langchain_prodpatterns.cache.identity import Identity
from langchain_prodpatterns.cache.lookups import (
    Lookup,
    Part,
    Question,
    Sight,
    hit,
    missed,
    nearness_of,
)
from langchain_prodpatterns.cache.policy import Policy
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.steps import (
    Ask,
    Call,
    Hands,
    Later,
    Steps,
    of_store,
    vector_of,
    walk,
)
from langchain_prodpatterns.cache.stores import (
    CacheStore,
    Entry,
    Found,
    Neighbor,
)
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.values import (
    UnknownType,
    Unreadable,
    answer_in,
    answer_text,
    unpack,
)
from langchain_prodpatterns.judging import BoundJudge, Judgement, YesNoVerdict
from langchain_prodpatterns.usage import NO_USAGE, Usage

logger = logging.getLogger(__name__)

Others: TypeAlias = Callable[[], Steps[Found | None]]
"""The steps that wait for others who ask the same, and end with what they stored."""


class Tiers:
    """Looks a request up tier by tier."""

    def __init__(
        self,
        store: CacheStore,
        policy: Policy,
        judge: BoundJudge[SameAnswerRequest, YesNoVerdict] | None,
        counters: Counters,
    ) -> None:
        """Put the tiers together.

        Args:
            store: Where the entries are.
            policy: Which near hits are served, judged or missed.
            judge: The judge, where there is one.
            counters: Where events are counted.
        """
        self.background: Background = Background()
        """Where the judge is asked when nobody waits for it."""
        self._store = store
        self._policy = policy
        self._judge = judge
        self._counters = counters

    def find(
        self,
        identity: Identity,
        part: Part = "output",
        *,
        before: Others | None = None,
        others: Others | None = None,
        dry: bool = False,
    ) -> Steps[Lookup]:
        """Look a request up and decide: exact, alias, near.

        Args:
            identity: The request.
            part: Which part of an answer will be served, if there is that part.
            before: Where the request is not known yet: the steps that wait for those
                who ask the same at this moment, and end with what they stored.
            others: The same, where nothing similar is served either.
            dry: Decide only: count nothing and remember no verdict.

        Returns:
            The steps of the lookup.
        """
        found: Found | None = yield of_store(self._store, "find", identity.exact)
        if found is None and before is not None:
            found = yield from before()
        if found is None:
            lookup = yield from self._similar(identity, part, dry=dry)
            if others is not None and not lookup.decision.hit:
                found = yield from others()
        if found is not None:
            lookup = yield from self._equal(identity, found, part, dry=dry)
        if not dry:
            self._counters.count(lookup.decision.decision)
        return lookup

    def _touch(self, key: str, *, dry: bool) -> None:
        """Note that an entry is served. What is found is served without that, too."""
        if not dry:
            with self._counters.quiet("noting a hit"):
                self._store.touch(key)

    def _equal(
        self, identity: Identity, found: Found, part: Part, *, dry: bool
    ) -> Steps[Lookup]:
        """Serve what answers this very request."""
        reasons = {
            "exact": "the same request was answered before",
            "alias": "the request was found to have the answer of another",
        }
        value = yield from self._read(found.entry, part, noted=not dry)
        if value is None:
            return missed(identity, "the stored answer cannot be read")
        reason, nearness = reasons[found.by], found.nearness
        return hit(identity, found.by, reason, found.entry, value, nearness=nearness)

    def _similar(self, identity: Identity, part: Part, *, dry: bool) -> Steps[Lookup]:
        """Decide on the nearest question of the partition."""
        if identity.text is None:
            reason = "no text in it is compared by meaning, unless `key` names one"
            return missed(identity, f"not asked before, and {reason}")
        if identity.is_stray:
            self._counters.tell_once(
                "stray text",
                "what `key` gives does not stand in the request as it is written, so "
                "all of the request has to be equal: give a part of it (told once)",
            )
        vector = yield from vector_of(identity.text, self._counters.quiet)
        if vector is None:
            return missed(
                identity, "not asked before, and the embeddings gave no vector"
            )
        sight, decision = yield from self._nearest(identity, vector)
        if decision.action == "miss":
            return missed(identity, decision.reason, sight)
        return (yield from self._offer(identity, sight, decision, part, dry=dry))

    def _nearest(
        self, identity: Identity, vector: Vector
    ) -> Steps[tuple[Sight, Decision]]:
        """Decide on the nearest question that was not rejected for this one."""
        neighbors: Sequence[Neighbor] = yield of_store(
            self._store,
            "nearest",
            identity.partition,
            vector,
            exact=identity.exact,
            limit=1,
        )
        near = neighbors[0] if neighbors else None
        weighed: tuple[Sight, Decision] = yield Call(
            partial(self._weigh, identity, vector, near)
        )
        return weighed

    def _weigh(
        self, identity: Identity, vector: Vector, near: Neighbor | None
    ) -> tuple[Sight, Decision]:
        """Decide on a neighbor. May ask the store for evidence."""
        sight, saved = Sight(vector), NO_USAGE
        if near is not None:
            guards = fired(identity.text or "", near.entry.text or "")
            sight = Sight(vector, near.entry, Candidate(near.similarity, guards))
            saved = near.entry.saved
        return sight, self._policy.decide(identity, sight.candidate, saved)

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
        serve = decision.action == "serve"
        value = yield from self._read(sight.entry, part, noted=serve and not dry)
        if value is None:
            return missed(identity, "the stored answer cannot be read", sight)
        if serve:
            return hit(
                identity, "served", decision.reason, sight.entry, value, sight.candidate
            )
        assert sight.candidate is not None  # noqa: S101 - as above
        question = Question(
            identity,
            sight.entry,
            sight.candidate,
            decision,
            answer_text(answer_in(value)),
        )
        if self._policy.mode == "async":
            reason = yield from self._ask_later(question, dry=dry)
            return missed(identity, reason, sight)
        yes, reason = yield from self._ask(question, dry=dry)
        if not yes:
            return missed(identity, reason, sight, outcome="judged miss")
        entry: Entry | None = yield of_store(self._store, "get", sight.entry.key)
        if entry is None:
            reason = f"{reason}, when the answer was already past or removed"
            return missed(identity, reason, sight)
        yield Call(partial(self._touch, entry.key, dry=dry))
        return hit(identity, "judged hit", reason, sight.entry, value, sight.candidate)

    def _ask_later(self, question: Question, *, dry: bool) -> Steps[str]:
        """Have the judge asked when nobody waits for it; say what will come of it."""
        reason = question.decision.reason
        if dry:
            return f"{reason}; the judge would be asked in the background"

        def start(hands: Hands) -> bool:
            return self.background.submit(partial(self._consult, question, hands))

        started: bool = yield Later(start)
        self._counters.count("deferred" if started else "dropped")
        if started:
            return f"{reason}; the judge is asked in the background"
        return f"{reason}; too many are waiting for the judge"

    def _consult(self, question: Question, hands: Hands) -> None:
        with self._counters.quiet("asking the judge in the background"):
            walk(self._ask(question, dry=False), hands)

    def _ask(self, question: Question, *, dry: bool) -> Steps[tuple[bool, str]]:
        """Put a near hit before the judge, and remember what it decides.

        Returns:
            Whether to serve it, and why.
        """
        assert self._judge is not None  # noqa: S101 - `decide` asks only where there is one
        decision, reason = question.decision, question.decision.reason
        judgement: Judgement[YesNoVerdict]
        judgement, used = yield Ask(self._judge, question.request())
        if not dry:
            yield Call(partial(self._note, question, judgement, used))
        if judgement.failure is not None:
            return False, f"{reason}; no verdict ({judgement.failure.kind})"
        if not judgement.yes:
            return False, f"{reason}; the judge said no"
        if decision.action == "watch":
            return False, f"{reason}; the judge said yes, and is not yet believed here"
        return True, f"{reason}; the judge said yes"

    def _note(
        self, question: Question, judgement: Judgement[YesNoVerdict], used: Usage
    ) -> None:
        """Remember a verdict, what it cost, and what it shows."""
        # What was no verdict in the end had its price, too.
        self._policy.costs.note_verdict(used)
        if judgement.failure is not None:
            self._counters.count("judge failure")
            # A judge that never works would not show.
            kind, detail = judgement.failure.kind, judgement.failure.detail
            self._counters.tell_once(
                f"no verdict: {kind}",
                "the judge gave no verdict (%s: %s): a miss (told once of this kind)",
                kind,
                detail,
            )
            return
        identity, entry = question.identity, question.entry
        if question.decision.audit:
            self._counters.count("audit")
        with self._counters.quiet("remembering a verdict"):
            self._policy.learning.note_verdict(
                identity.partition,
                question.candidate,
                yes=judgement.yes,
                stands_for=question.decision.stands_for,
            )
        with self._counters.quiet("remembering a verdict"):
            if not judgement.yes:
                self._store.reject(identity.exact, entry.key)
            elif question.decision.action == "judge":
                nearness = nearness_of(question.candidate, judged=True)
                self._store.add_alias(
                    identity.exact, identity.asked, entry.key, nearness
                )

    def _read(self, entry: Entry, part: Part, *, noted: bool) -> Steps[Any]:
        """Read a stored value, and note it as served; a damaged one is put aside."""

        def read() -> Any:
            value = unpack(entry.value, {"output", part})
            self._touch(entry.key, dry=not noted)
            return value

        try:
            return (yield Call(read))
        except UnknownType:
            logger.warning("an answer's type is not imported here: a miss")
        except Unreadable:
            with self._counters.quiet("putting an entry aside"):
                reason = "unreadable value"
                yield of_store(self._store, "quarantine", entry.key, reason)
        return None
