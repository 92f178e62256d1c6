"""What every pattern did, what it cost and what it saved.

```python
with track() as ledger:
    chain.invoke("...")
print(ledger.table())
```

A pattern reports each decision as the custom event `prodpatterns.decision`; the
ledger hears these and every model call, and books each call to exactly one record.
Its calls and tokens are therefore those of the provider, to the token, also with
cache hits, retries, several choices, batches, streams and threads.
"""

import contextlib
import contextvars
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast
from uuid import UUID, uuid4

from langchain_core.callbacks import (
    BaseCallbackHandler,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tracers.context import register_configure_hook

from langchain_prodpatterns.pricing import PriceTable, ambient_prices
from langchain_prodpatterns.usage import (
    NO_USAGE,
    PATTERN_KEY,
    CallObserver,
    ModelCall,
    Usage,
    priced,
)

DECISION_EVENT = "prodpatterns.decision"
"""The name of the custom event that carries a decision."""

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


class Ledger(CallObserver):
    """A callback handler that books every model call and every decision.

    Pass it in `config={"callbacks": [ledger]}`, or use `track()`. Safe to share
    between threads and event loops.
    """

    def __init__(self, *, prices: PriceTable | None = None) -> None:
        """Open an empty ledger.

        Args:
            prices: Model name to (input, output) usd per million tokens. Models that
                are not in it are priced by genai-prices where that is installed, and
                are unknown elsewhere. What `SemanticJudgeCache` saves has the price
                that was known when the answer was stored.
        """
        super().__init__(prices=prices)
        # Keyed by run: a ledger may hear a run twice, as handler and as outer block.
        self._calls: dict[UUID, ModelCall] = {}
        self._decisions: dict[str, Decision] = {}
        self._outer: Ledger | None = None

    def observe(self, call: ModelCall) -> None:
        """Book one model call."""
        with self._lock:
            self._open.pop(call.run_id, None)
            # The outer block of a nested one may have other prices.
            self._calls[call.run_id] = priced(call, self.prices)
        if self._outer is not None:
            self._outer.observe(call)

    def record(self, decision: Decision) -> None:
        """Book one decision. A second one of the same run replaces the first."""
        with self._lock:
            self._decisions[decision.run_id] = decision
        if self._outer is not None:
            self._outer.record(decision)

    def on_custom_event(
        self, name: str, data: Any, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Hear the decisions of the patterns."""
        if name == DECISION_EVENT:
            self.record(Decision(**data))

    def to_records(self) -> list[LedgerRecord]:
        """Return one flat record a decision, in the order they were made.

        After them come calls on behalf of a pattern that came to no decision (it
        raised, or was cancelled), in a record `unfinished`; then calls outside every
        pattern in one record each: `call`, `cache hit` or, where the answer came and
        the client could not read it, or began and broke off, `failed`.
        """
        with self._lock:
            calls, decisions = list(self._calls.values()), dict(self._decisions)
        return _book(calls, decisions)

    def summary(self) -> LedgerSummary:
        """Return the sums, in all and a pattern."""
        with self._lock:
            calls, decisions = list(self._calls.values()), dict(self._decisions)
            patterns = [call.metadata.get(PATTERN_KEY) for call in self._open.values()]
        return _summarize(
            calls,
            _book(calls, decisions),
            Counter(pattern or DIRECT for pattern in patterns),
        )

    def table(self) -> str:
        """Return the sums a pattern as a table of plain text."""
        from langchain_prodpatterns._table import ledger_table

        return ledger_table(self.summary())

    def clear(self) -> None:
        """Forget everything that is booked."""
        with self._lock:
            self._calls.clear()
            self._decisions.clear()
            self._open.clear()

    def _start(
        self, run_id: UUID, metadata: dict[str, Any] | None, kwargs: dict[str, Any]
    ) -> None:
        super()._start(run_id, metadata, kwargs)
        if self._outer is not None:
            self._outer._start(run_id, metadata, kwargs)  # noqa: SLF001 - one class


def _book(calls: list[ModelCall], decisions: dict[str, Decision]) -> list[LedgerRecord]:
    """Give every call to exactly one record."""
    decisions = _with_served(calls, decisions)
    used: dict[str, Usage] = defaultdict(lambda: NO_USAGE)
    saved: dict[str, Usage] = defaultdict(lambda: NO_USAGE)
    unfinished: dict[str, str] = {}
    direct: list[LedgerRecord] = []
    for call in calls:
        if call.owner is not None:
            used[call.owner] += call.usage
            if call.saved is not None and call.served is None:
                # A hit in another cache, which makes no decision of its own.
                saved[call.owner] += call.saved
            if call.owner not in decisions:
                unfinished[call.owner] = call.pattern or DIRECT
        elif _is_direct(call, decisions):
            direct.append(_direct_record(call))
    nested = _nested_seconds(calls, decisions)
    booked = [
        _record(entry, used[entry.run_id], saved[entry.run_id], nested[entry.run_id])
        for entry in decisions.values()
    ]
    for owner, pattern in unfinished.items():
        entry = Decision(
            pattern, "unfinished", run_id=owner, seconds=used[owner].seconds
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
    )


def _direct_record(call: ModelCall) -> LedgerRecord:
    """Book a call that no pattern made."""
    entry = Decision(
        pattern=DIRECT,
        decision=_direct_decision(call),
        reason=call.model or "",
        run_id=str(call.run_id),
        seconds=call.usage.seconds,
    )
    return _record(entry, call.usage, call.saved or NO_USAGE, 0.0)


def _direct_decision(call: ModelCall) -> str:
    if call.error is not None:
        return "failed"
    return "call" if call.saved is None else "cache hit"


def _summarize(
    calls: list[ModelCall], records: list[LedgerRecord], opened: Counter[str]
) -> LedgerSummary:
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


class _OpenLedgers:
    """Which ledger hears a call: that of the calling context.

    LangChain carries context variables into its own threads and into tasks. A thread
    that the user starts has an empty context; it belongs to a `track()` block when it
    was started inside the one block that is open (or the innermost of nested ones).
    Where several unrelated blocks are open, nobody can tell whose thread it is, and no
    ledger hears it.
    """

    def __init__(self) -> None:
        self._var: contextvars.ContextVar[Ledger | None] = contextvars.ContextVar(
            "prodpatterns_ledger", default=None
        )
        self._lock = threading.Lock()
        self._open: dict[Ledger, weakref.WeakSet[threading.Thread]] = {}

    def get(self) -> Ledger | None:
        """Return the ledger of this context. LangChain asks at every run."""
        ledger = self._var.get()
        if ledger is not None or not self._open:
            return ledger
        with self._lock:
            around = {ledger._outer for ledger in self._open}  # noqa: SLF001 - one module
            innermost = [ledger for ledger in self._open if ledger not in around]
            if len(innermost) != 1:
                return None
            older_threads = self._open[innermost[0]]
        return None if threading.current_thread() in older_threads else innermost[0]

    @contextlib.contextmanager
    def block(self, ledger: Ledger) -> Iterator[Ledger]:
        """Make a ledger that of this context, inside the one around it."""
        ledger._outer = self._var.get()  # noqa: SLF001 - one module
        ledger.prices = ledger.prices or ambient_prices.get()
        token, prices = self._var.set(ledger), ambient_prices.set(ledger.prices)
        with self._lock:
            self._open[ledger] = weakref.WeakSet(threading.enumerate())
        try:
            yield ledger
        finally:
            with self._lock:
                self._open.pop(ledger, None)
            # In an async generator's clean-up the context may be another one.
            with contextlib.suppress(ValueError):
                self._var.reset(token)
                ambient_prices.reset(prices)


class _Nobody(BaseCallbackHandler):
    """Hears nothing.

    LangChain asks for the ledger twice a run, whether there is one and which. In a
    thread of the user's the block may end in between; this is then the answer.
    """


_ledgers = _OpenLedgers()
register_configure_hook(
    cast("contextvars.ContextVar[Any]", _ledgers),
    inheritable=True,
    handle_class=_Nobody,
)


@contextlib.contextmanager
def track(*, prices: PriceTable | None = None) -> Iterator[Ledger]:
    """Book everything that happens inside the block.

    Args:
        prices: Model name to (input, output) usd per million tokens; by default those
            of the block around.

    Yields:
        The ledger, which can be read during and after the block. What a block inside
        a block books, the outer one books too, at its own prices. A block in a thread
        of the user's own stands alone, unless the thread runs in a copy of the
        context (`contextvars.copy_context().run`).

    !!! warning
        A thread that was started inside the block, by whomever, is heard where no other
        block is open; one that is older is not, such as a worker of a warm pool. In a
        server whose requests share one process, open a block in every request, or pass
        a `Ledger` of its own to each in `config={"callbacks": [ledger]}`.
    """
    with _ledgers.block(Ledger(prices=prices)) as ledger:
        yield ledger


def report(decision: Decision, config: RunnableConfig | None = None) -> None:
    """Report a decision to every ledger and listener of this context.

    Args:
        decision: What was decided.
        config: The config of the run it was decided in; by default that of the
            context. Outside every run the decision goes to `track()`'s ledger alone.
    """
    config = ensure_config(config)
    if _has_run(config):
        dispatch_custom_event(DECISION_EVENT, asdict(decision), config=config)
    elif (ledger := _ledgers.get()) is not None:
        ledger.record(decision)


async def areport(decision: Decision, config: RunnableConfig | None = None) -> None:
    """Report a decision, like `report`, from a coroutine.

    Args:
        decision: What was decided.
        config: The config of the run it was decided in.
    """
    config = ensure_config(config)
    if _has_run(config):
        await adispatch_custom_event(DECISION_EVENT, asdict(decision), config=config)
    elif (ledger := _ledgers.get()) is not None:
        ledger.record(decision)


def _has_run(config: RunnableConfig) -> bool:
    """Whether a custom event would have a run to belong to."""
    return getattr(config.get("callbacks"), "parent_run_id", None) is not None
