"""Who pays for what: every model call is given to exactly one decision. All pure."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from langchain_prodpatterns.usage import NO_USAGE, ModelCall, Usage

DIRECT = "model"
"""The pattern name under which calls outside every pattern are booked."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pattern decided, as it reports it."""

    pattern: str
    """`cache`, `structured`, `refine`, `compression`, `guard` or `routing`."""
    decision: str
    """One or two words, such as `hit`, `miss`, `blocked`, `accepted`."""
    reason: str = ""
    """Why, in words, without any value of the user's."""
    run_id: str = field(default_factory=lambda: str(uuid4()))
    """The id of the pattern's run, or of the lookup where there is no run."""
    parent: str | None = None
    """The id of the pattern run that waits for this one, if any."""
    seconds: float = 0.0
    """Wall-clock seconds of the run, nested patterns included."""
    saved_calls: int = 0
    """Model calls that were not needed."""
    saved_tokens: int = 0
    """Tokens that were not needed, prompt and answer together."""
    saved_usd: float | None = 0.0
    """Money that was not needed; `None` when its price is unknown."""
    saved_seconds: float = 0.0
    """Seconds that were not needed."""
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    """What the pattern counted, by names of the developer's: attempts a rung
    (`rung 0`), `rounds`, blocks a rule (`blocked email`)."""
    at: float = field(default_factory=time.time)
    """When it was decided, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """One decision with everything booked to it; flat, for tables and JSON lines."""

    pattern: str
    """The pattern, or `model` for calls outside every pattern."""
    decision: str
    """What it decided."""
    reason: str
    """Why, in words."""
    calls: int
    """Model calls made on its behalf that the provider answered."""
    input_tokens: int
    """Tokens of the prompts."""
    output_tokens: int
    """Tokens of the answers."""
    usd: float | None
    """Money spent; `None` when unknown."""
    seconds: float
    """Seconds spent in it, without the patterns nested in it."""
    saved_calls: int
    """Model calls that were not needed."""
    saved_tokens: int
    """Tokens that were not needed."""
    saved_usd: float | None
    """Money that was not needed; `None` when unknown."""
    saved_seconds: float
    """Seconds that were not needed."""
    run_id: str
    """The id of the pattern's run."""
    at: float
    """When it was decided, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Sums over records."""

    decisions: int = 0
    """How many records."""
    calls: int = 0
    """Model calls that the provider answered."""
    input_tokens: int = 0
    """Tokens of the prompts."""
    output_tokens: int = 0
    """Tokens of the answers."""
    usd: float | None = 0.0
    """Money spent; `None` when a part of it is unknown."""
    seconds: float = 0.0
    """Seconds spent."""
    saved_calls: int = 0
    """Model calls that were not needed."""
    saved_tokens: int = 0
    """Tokens that were not needed."""
    saved_usd: float | None = 0.0
    """Money that was not needed; `None` when a part of it is unknown."""
    saved_seconds: float = 0.0
    """Seconds that were not needed."""
    known_usd: float = 0.0
    """The part of the money spent that is known."""
    known_saved_usd: float = 0.0
    """The part of the money not needed that is known."""
    unmetered_calls: int = 0
    """Calls whose provider sent no usage, or that broke off in the middle of an answer:
    their tokens are in no sum."""
    failed_calls: int = 0
    """Calls that ended in an error; in no other sum, unless the provider reported what
    they used."""
    open_calls: int = 0
    """Calls that have begun and not ended: under way, or cancelled, which LangChain
    never reports. Nobody knows what they cost: they are in no sum, and `usd` is
    unknown."""
    by_pattern: Mapping[str, "LedgerSummary"] = field(default_factory=dict)
    """The same sums, a pattern."""


def book(calls: list[ModelCall], decisions: dict[str, Decision]) -> list[LedgerRecord]:
    """Give every call to exactly one record.

    Args:
        calls: Every model call.
        decisions: Every decision, by its run.
    """
    decisions = _with_served(calls, decisions)
    used: dict[str, Usage] = defaultdict(lambda: NO_USAGE)
    saved: dict[str, Usage] = defaultdict(lambda: NO_USAGE)
    unfinished: dict[str, ModelCall] = {}
    direct: list[LedgerRecord] = []
    for call in calls:
        if call.owner is not None:
            used[call.owner] += call.usage
            if call.saved is not None and call.served is None:
                # A hit in another cache, which makes no decision of its own.
                saved[call.owner] += call.saved
            if call.owner not in decisions:
                unfinished[call.owner] = call
        elif _is_direct(call, decisions):
            direct.append(_direct_record(call))
    nested = _nested_seconds(calls, decisions)
    booked = [
        _record(entry, used[entry.run_id], saved[entry.run_id], nested[entry.run_id])
        for entry in decisions.values()
    ]
    for owner, last in unfinished.items():
        entry = Decision(
            last.pattern or DIRECT,
            "unfinished",
            run_id=owner,
            seconds=used[owner].seconds,
            at=last.at,
        )
        booked.append(_record(entry, used[owner], saved[owner], 0.0))
    return booked + direct


def _with_served(
    calls: list[ModelCall], decisions: dict[str, Decision]
) -> dict[str, Decision]:
    """Add the hits of a global cache that had no run to report them in."""
    found = dict(decisions)
    for call in calls:
        served = call.served or {}
        lookup = str(served.get("run_id", ""))
        if lookup and lookup not in found:
            found[lookup] = Decision(
                pattern="cache",
                decision=str(served.get("decision", "hit")),
                reason=str(served.get("reason", "")),
                run_id=lookup,
                saved_calls=int(served.get("saved_calls", 1)),
                saved_tokens=int(served.get("saved_tokens", 0)),
                saved_usd=served.get("saved_usd"),
                saved_seconds=float(served.get("saved_seconds", 0.0)),
                at=call.at,
            )
    return found


def _is_direct(call: ModelCall, decisions: dict[str, Decision]) -> bool:
    """Whether a call needs a record of its own."""
    if call.owner is not None:
        return False
    if call.error is not None:
        return call.usage.calls > 0 or call.usage.unmetered_calls > 0
    return call.served is None or str(call.served.get("run_id")) not in decisions


def _nested_seconds(
    calls: list[ModelCall], decisions: dict[str, Decision]
) -> dict[str, float]:
    """Sum up the seconds within each pattern run that other records have."""
    nested: dict[str, float] = defaultdict(float)
    for call in calls:
        if call.around is not None and _is_direct(call, decisions):
            nested[call.around] += call.usage.seconds
    for entry in decisions.values():
        if entry.parent is not None:
            nested[entry.parent] += entry.seconds
    return nested


def _record(entry: Decision, used: Usage, saved: Usage, nested: float) -> LedgerRecord:
    return LedgerRecord(
        pattern=entry.pattern,
        decision=entry.decision,
        reason=entry.reason,
        calls=used.calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        usd=used.usd,
        # Patterns nested in parallel can add up to more than the wall clock.
        seconds=max(0.0, entry.seconds - nested),
        saved_calls=entry.saved_calls + saved.calls,
        saved_tokens=entry.saved_tokens + saved.total_tokens,
        saved_usd=_sum_known([entry.saved_usd, saved.usd]),
        saved_seconds=entry.saved_seconds,
        run_id=entry.run_id,
        at=entry.at,
    )


def _direct_record(call: ModelCall) -> LedgerRecord:
    """Book a call that no pattern made."""
    entry = Decision(
        pattern=DIRECT,
        decision=_direct_decision(call),
        reason=call.model or "",
        run_id=str(call.run_id),
        seconds=call.usage.seconds,
        at=call.at,
    )
    return _record(entry, call.usage, call.saved or NO_USAGE, 0.0)


def _direct_decision(call: ModelCall) -> str:
    if call.error is not None:
        return "failed"
    return "call" if call.saved is None else "cache hit"


def summarize(
    calls: list[ModelCall], records: list[LedgerRecord], opened: Counter[str]
) -> LedgerSummary:
    """Sum up, in all and a pattern.

    Args:
        calls: Every model call.
        records: A record a decision.
        opened: How many calls of each pattern have begun and not ended.
    """
    failed = [call.pattern or DIRECT for call in calls if call.error is not None]
    booked = [record.pattern for record in records]
    patterns = dict.fromkeys([*booked, *failed, *opened])
    by_pattern = {
        pattern: _sum([record for record in records if record.pattern == pattern])
        for pattern in patterns
    }
    for pattern, group in by_pattern.items():
        own = [call for call in calls if (call.pattern or DIRECT) == pattern]
        by_pattern[pattern] = _qualified(group, own, opened[pattern])
    total = _qualified(_sum(records), calls, opened.total())
    return replace(total, by_pattern=by_pattern)


def _qualified(
    group: LedgerSummary, calls: list[ModelCall], opened: int
) -> LedgerSummary:
    """Add what the records cannot say."""
    return replace(
        group,
        usd=None if opened else group.usd,
        unmetered_calls=sum(call.usage.unmetered_calls for call in calls),
        failed_calls=sum(call.error is not None for call in calls),
        open_calls=opened,
    )


def _sum(records: list[LedgerRecord]) -> LedgerSummary:
    return LedgerSummary(
        decisions=len(records),
        calls=sum(record.calls for record in records),
        input_tokens=sum(record.input_tokens for record in records),
        output_tokens=sum(record.output_tokens for record in records),
        usd=_sum_known([record.usd for record in records]),
        seconds=sum(record.seconds for record in records),
        saved_calls=sum(record.saved_calls for record in records),
        saved_tokens=sum(record.saved_tokens for record in records),
        saved_usd=_sum_known([record.saved_usd for record in records]),
        saved_seconds=sum(record.saved_seconds for record in records),
        known_usd=sum(record.usd or 0.0 for record in records),
        known_saved_usd=sum(record.saved_usd or 0.0 for record in records),
    )


def _sum_known(amounts: list[float | None]) -> float | None:
    """Add up money; a sum with an unknown part is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
