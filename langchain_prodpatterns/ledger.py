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
import json
import secrets
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from langchain_core.callbacks import (
    BaseCallbackHandler,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tracers.context import register_configure_hook

from langchain_prodpatterns.booking import (
    DIRECT,
    Decision,
    LedgerRecord,
    LedgerSummary,
    book,
    summarize,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.observing import CallObserver, Opened
from langchain_prodpatterns.pricing import PriceTable, ambient_prices
from langchain_prodpatterns.usage import PATTERN_KEY, ModelCall, priced

if TYPE_CHECKING:
    from langchain_prodpatterns.ledger_lines import Books

__all__ = [
    "DECISION_EVENT",
    "DIRECT",
    "Decision",
    "Ledger",
    "LedgerRecord",
    "LedgerSummary",
    "areport",
    "report",
    "track",
]

DECISION_EVENT = "prodpatterns.decision"
"""The name of the custom event that carries a decision."""

# Of this process alone: who reads a digest cannot try out texts.
_DIGEST_KEY = secrets.token_bytes(32)
_DIGEST_SIZE = 8


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
        books = self._books()
        return book(list(books.calls.values()), books.decisions)

    def summary(self) -> LedgerSummary:
        """Return the sums, in all and a pattern."""
        return _summed(self._books())[1]

    def table(self) -> str:
        """Return the sums a pattern as a table of plain text."""
        from langchain_prodpatterns._table import ledger_table

        return ledger_table(self.summary())

    def to_html(self, path: str | Path | None = None) -> str:
        """Return a report as one HTML file: what each pattern spent, saved and decided.

        It opens without a network, and holds no prompt, no answer and no key: a prompt
        is named by its run and a digest that is of use in this process only.

        Args:
            path: Where to write it, too.

        Returns:
            The HTML.

        Raises:
            OSError: When it cannot be written.
        """
        from langchain_prodpatterns.reports.ledger_page import ledger_page
        from langchain_prodpatterns.reports.pages import write_page

        books = self._books()
        calls, decisions = list(books.calls.values()), list(books.decisions.values())
        text = ledger_page(calls, decisions, *_summed(books))
        if path is not None:
            write_page(text, path)
        return text

    def to_jsonl(self, path: str | Path, *, append: bool = False) -> int:
        """Write calls and decisions to a file, for `prodpatterns report`.

        In a server, open a ledger a request and append it at the request's end. No
        prompt and no answer is in it; the file is for its owner only, if it is new.

        Args:
            path: The file.
            append: Whether to keep what is there, such as of other processes.

        Returns:
            How many lines were written.

        Raises:
            OSError: When it cannot be written.
        """
        from langchain_prodpatterns.ledger_lines import write_lines

        return write_lines(Path(path), self._books().lines(), append=append)

    @classmethod
    def from_jsonl(
        cls, path: str | Path, *, on_bad: Callable[[int, str], None] | None = None
    ) -> Self:
        """Read what `to_jsonl` has written, once or many times.

        Args:
            path: The file.
            on_bad: Told the number and the reason of a line that is none; without it
                such a line is an error.

        Returns:
            A ledger with the prices that were known then.

        Raises:
            ConfigurationError: When a line is none, and nobody is told.
            OSError: When it cannot be read.
        """
        from langchain_prodpatterns.ledger_lines import read_books

        def refuse(number: int, reason: str) -> None:
            msg = f"line {number} of {Path(path).name!r} cannot be read: {reason}"
            raise ConfigurationError(msg)

        books = read_books(Path(path), refuse if on_bad is None else on_bad)
        ledger = cls()
        ledger._calls, ledger._decisions = books.calls, books.decisions
        for run_id, pattern in books.open.items():
            metadata = {PATTERN_KEY: pattern}
            ledger._open[run_id] = Opened(time.perf_counter(), None, metadata)
        return ledger

    def _books(self) -> "Books":
        """Return a copy of what is booked."""
        from langchain_prodpatterns.ledger_lines import Books

        with self._lock:
            patterns = {
                run_id: call.metadata.get(PATTERN_KEY)
                for run_id, call in self._open.items()
            }
            return Books(dict(self._calls), dict(self._decisions), patterns)

    def clear(self) -> None:
        """Forget everything that is booked."""
        with self._lock:
            self._calls.clear()
            self._decisions.clear()
            self._open.clear()

    def _digest(self, prompts: list[list[BaseMessage]] | list[str]) -> str:
        """Return a digest by which equal prompts of this process can be told."""
        digest = blake2b(key=_DIGEST_KEY, digest_size=_DIGEST_SIZE)
        for prompt in prompts:
            said = prompt if isinstance(prompt, str) else _said(prompt)
            digest.update(said.encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
        return digest.hexdigest()

    def _start(
        self, run_id: UUID, metadata: dict[str, Any] | None, kwargs: dict[str, Any]
    ) -> None:
        super()._start(run_id, metadata, kwargs)
        if self._outer is not None:
            self._outer._start(run_id, metadata, kwargs)  # noqa: SLF001 - one class


def _summed(books: "Books") -> tuple[list[LedgerRecord], LedgerSummary]:
    """Return the records and the sums of what was heard up to one moment."""
    calls = list(books.calls.values())
    records = book(calls, books.decisions)
    still_open = Counter(pattern or DIRECT for pattern in books.open.values())
    return records, summarize(calls, records, still_open)


def _said(messages: list[BaseMessage]) -> str:
    return json.dumps([(one.type, one.content) for one in messages], default=str)


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
