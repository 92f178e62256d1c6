"""How much a component may spend on one input, and who checks it.

`Budget` is what the user writes. `Budget.start()` gives the `BudgetMeter` of one run;
the component opens a ticket on it around every model call. A call is admitted only
while nothing is spent up, so what is overshot is at most the call in flight.
"""

import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import UUID

from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.pricing import PriceTable, check_prices
from langchain_prodpatterns.turns import Turn
from langchain_prodpatterns.usage import NO_USAGE, ModelCall, Usage

Clock = Callable[[], float]
"""Seconds on a clock that never goes back."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits on what one run of a component may spend. `None` is no limit.

    What happens when it is spent is the component's business: `StructuredRetryParser`
    raises `BudgetExceeded` (out of attempts, what the last answer calls for),
    `RefineChain` returns the best so far.

    A limit on `tokens` or `usd` admits one call at a time, because what a call costs
    is known only after it: so the overshoot stays one call, also where a component
    works in parallel. A call that is given up (late, or cancelled) counts as the limit
    reached until its end is reported, since nobody knows what it will have cost.
    """

    attempts: int | None = None
    """Attempts at the whole task."""
    calls: int | None = None
    """Model calls, judges and critics included."""
    tokens: int | None = None
    """Tokens of prompts and answers together. A call whose provider sends no usage
    counts as the limit reached."""
    usd: float | None = None
    """Money. A call whose price is unknown counts as the limit reached."""
    seconds: float | None = None
    """Wall-clock seconds since the run began."""
    prices: PriceTable | None = field(default=None, repr=False, hash=False)
    """Model name to (input, output) usd per million tokens, for the `usd` limit."""

    def __post_init__(self) -> None:
        check_prices(self.prices)
        for entry in fields(self):
            if entry.name == "prices":
                continue
            _check_limit(entry.name, getattr(self, entry.name))

    def start(self, clock: Clock = time.monotonic) -> "BudgetMeter":
        """Begin a run.

        Args:
            clock: Where the time comes from.

        Returns:
            The meter of this run.
        """
        return BudgetMeter(self, clock)


def _check_limit(name: str, value: float | None) -> None:
    """Refuse limits that would mean nothing or surprise."""
    if value is None:
        return
    whole = name in {"attempts", "calls", "tokens"}
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not value > 0:
        what = "a whole number" if whole else "a number"
        msg = f"Budget({name}=...) must be {what} above 0 or None, got {value!r}"
        raise ConfigurationError(msg)


class _TicketProbe(UsageProbe):
    """A probe that knows whether a call is still on its way."""

    _begun = 0
    _ended = 0

    @property
    def pending(self) -> bool:
        """Whether a call has begun and is not booked, such as one nobody waits for."""
        with self._lock:
            return self._begun > self._ended

    def observe(self, call: ModelCall) -> None:
        """Add one call to the sum."""
        super().observe(call)
        with self._lock:
            self._ended += 1

    def _start(
        self, run_id: UUID, metadata: dict[str, Any] | None, kwargs: dict[str, Any]
    ) -> None:
        with self._lock:
            self._begun += 1
        super()._start(run_id, metadata, kwargs)


class Ticket:
    """The leave to make one model call, and the account of what it used."""

    def __init__(
        self,
        probe: UsageProbe | None = None,
        may_extend: Callable[["Ticket"], bool] | None = None,
    ) -> None:
        self.probe = probe or _TicketProbe()
        """The callback handler to hand to the call."""
        self.admitted = 1
        """How many calls it gives leave for."""
        self._may_extend = may_extend

    @property
    def usage(self) -> Usage:
        """What the call used so far."""
        return self.probe.usage

    @property
    def pending(self) -> bool:
        """Whether its call has begun and not ended, as far as anybody reports."""
        return isinstance(self.probe, _TicketProbe) and self.probe.pending

    def extend(self) -> bool:
        """Ask for one call more on this ticket, such as the repair of an answer.

        Returns:
            Whether there is room for it, after what the ticket has used already.
        """
        return self._may_extend is None or self._may_extend(self)


class BudgetMeter:
    """What one run has spent. Safe to share between threads and tasks."""

    def __init__(self, budget: Budget, clock: Clock = time.monotonic) -> None:
        """Begin at zero.

        Args:
            budget: The limits.
            clock: Where the time comes from, in seconds.
        """
        self.budget = budget
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._turn = Turn() if budget.tokens or budget.usd else None
        self._attempts = 0
        self._calls = 0
        self._usage = NO_USAGE
        self._blind: Ticket | None = None
        self._late: list[Ticket] = []

    @property
    def usage(self) -> Usage:
        """What the finished calls used, also those that came too late for anybody."""
        with self._lock:
            self._book_late()
            return sum((ticket.usage for ticket in self._late), self._usage)

    @property
    def attempts(self) -> int:
        """Attempts begun."""
        with self._lock:
            return self._attempts

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the limit, at least 0; `None` without a limit."""
        if self.budget.seconds is None:
            return None
        return max(0.0, self.budget.seconds - self.seconds)

    def spent(self) -> BudgetSpent | None:
        """Say which limit, if any, leaves no room for another call."""
        with self._lock:
            return self._call_limit()

    def begin_attempt(self) -> None:
        """Count an attempt.

        Raises:
            BudgetSpent: When there is no room for another one.
        """
        with self._lock:
            reached = self._attempt_limit() or self._call_limit()
            if reached is not None:
                raise reached
            self._attempts += 1

    def return_attempt(self) -> None:
        """Take back an attempt that turned out to be none of the task's fault."""
        with self._lock:
            self._attempts -= 1

    @contextmanager
    def call(self) -> Iterator[Ticket]:
        """Open a ticket around one model call.

        Yields:
            The ticket, whose `probe` the call must be given as a callback handler.

        Raises:
            BudgetSpent: Instead of admitting a call over the limit.
        """
        if self._turn is not None:
            self._turn.acquire()
        with self._in_turn() as ticket:
            yield ticket

    @asynccontextmanager
    async def acall(self) -> AsyncIterator[Ticket]:
        """Open a ticket around one model call, without blocking the event loop.

        Yields:
            The ticket, whose `probe` the call must be given as a callback handler.

        Raises:
            BudgetSpent: Instead of admitting a call over the limit.
        """
        if self._turn is not None:
            await self._turn.aacquire()
        with self._in_turn() as ticket:
            yield ticket

    @contextmanager
    def _in_turn(self) -> Iterator[Ticket]:
        """Admit a call, book what it used, and pass the turn on."""
        try:
            ticket = self._admit()
            try:
                yield ticket
            finally:
                self._settle(ticket)
        finally:
            if self._turn is not None:
                self._turn.release()

    def _admit(self) -> Ticket:
        with self._lock:
            reached = self._call_limit()
            if reached is not None:
                raise reached
            self._calls += 1
        return Ticket(_TicketProbe(prices=self.budget.prices), self._extend)

    def _extend(self, ticket: Ticket) -> bool:
        with self._lock:
            if self._call_limit(ticket) is not None:
                return False
            self._calls += 1
            ticket.admitted += 1
            return True

    def _settle(self, ticket: Ticket) -> None:
        """Book what the call really used: a chain may have made several."""
        with self._lock:
            self._late.append(ticket)
            self._book_late()

    def _book_late(self) -> None:
        """Book for good what can grow no more; of the rest, the calls it has made."""
        late, self._late = self._late, []
        for ticket in late:
            # Before the usage: a call that ends in between is then looked at again.
            pending, used = ticket.pending, ticket.usage
            beyond = max(used.calls - ticket.admitted, 0)
            self._calls += beyond
            ticket.admitted += beyond
            if used.usd is None or used.unmetered_calls:
                self._blind = ticket
            if pending:
                self._late.append(ticket)
            else:
                self._usage += used

    def _attempt_limit(self) -> BudgetSpent | None:
        allowed = self.budget.attempts
        if allowed is None or self._attempts < allowed:
            return None
        return BudgetSpent("attempts", f"{self._attempts} of {allowed} attempts made")

    def _call_limit(self, ticket: Ticket | None = None) -> BudgetSpent | None:
        """Say which limit is reached, by what is booked and by an open ticket."""
        self._book_late()
        budget = self.budget
        if budget.calls is not None and self._calls >= budget.calls:
            detail = f"{self._calls} of {budget.calls} calls made"
            return BudgetSpent("calls", detail)
        used = self._usage if ticket is None else self._usage + ticket.usage
        who = _models_of(self._blind or ticket)
        used_up = _token_limit(budget, used, who) or _money_limit(budget, used, who)
        if used_up is not None:
            return used_up
        if self._late and (budget.tokens or budget.usd):
            limit = "tokens" if budget.tokens else "usd"
            detail = "a call that was given up may still go on, so nobody can count"
            return BudgetSpent(limit, detail)
        if budget.seconds is not None and self.seconds >= budget.seconds:
            detail = f"{self.seconds:.2f} of {budget.seconds:.2f} seconds gone"
            return BudgetSpent("seconds", detail)
        return None


def _models_of(ticket: Ticket | None) -> str:
    """Name the models that answered on a ticket."""
    models = () if ticket is None else ticket.probe.models
    return ", ".join(dict.fromkeys(models)) or "unnamed"


def _token_limit(budget: Budget, used: Usage, who: str) -> BudgetSpent | None:
    if budget.tokens is None:
        return None
    if used.unmetered_calls:
        detail = f"{who} sent no token usage, so nobody can count"
        return BudgetSpent("tokens", detail)
    if used.total_tokens >= budget.tokens:
        detail = f"{used.total_tokens} of {budget.tokens} tokens used"
        return BudgetSpent("tokens", detail)
    return None


def _money_limit(budget: Budget, used: Usage, who: str) -> BudgetSpent | None:
    if budget.usd is None:
        return None
    if used.unmetered_calls:
        detail = f"{who} sent no token usage, so nobody can price it"
        return BudgetSpent("usd", detail)
    if used.usd is None:
        detail = f"no price is known for {who}; give Budget(prices=...)"
        return BudgetSpent("usd", detail)
    # A sum of floats may fall short of what it adds up to.
    if used.usd >= budget.usd or math.isclose(used.usd, budget.usd):
        detail = f"${used.usd:.6f} of ${budget.usd:.6f} spent"
        return BudgetSpent("usd", detail)
    return None
