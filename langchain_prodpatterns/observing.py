"""Model calls as LangChain's callbacks tell of them.

`CallObserver` turns callback events into one `ModelCall` a call. The ledger and the
budget are built on it, so that they cannot disagree.
"""

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from langchain_prodpatterns.pricing import PriceTable, ambient_prices, check_prices
from langchain_prodpatterns.usage import (
    AROUND_KEY,
    NO_USAGE,
    PATTERN_KEY,
    RUN_KEY,
    ModelCall,
    Usage,
    priced,
)
from langchain_prodpatterns.usage_reports import (
    Report,
    has_begun,
    read_failed,
    read_report,
    reports_with_another,
)

_PROMPT = "prodpatterns.prompt"
"""The name under which observers hand on the digest of a prompt."""

_MAX_OPEN = 10_000
"""Calls under way that an observer keeps in mind."""


@dataclass(slots=True)
class Opened:
    """A call that has started and not yet ended."""

    started: float
    model: str | None
    metadata: dict[str, Any]
    prompts: int = 1
    """How many prompts there were in the one request that it is a part of, at most."""
    name: str = ""
    """The name of its run."""
    prompt: str = ""
    """A digest of what is asked."""


class CallObserver(BaseCallbackHandler):
    """A callback handler that sees each model call once, whichever way it is made.

    It counts calls the provider answered: a retry inside a chain is a call more, a
    failed request is none, a cache hit is none, `n` choices are one. A call that fails
    after the provider has reported its usage (an answer cut off at the token limit that
    the client then refuses to parse) was answered and paid for, and counts. What broke
    off in the middle of an answer is no call, but nobody knows what it cost. Safe to
    use from many threads and event loops at once. A deep copy of what reports to it
    goes on reporting to it.
    """

    # Without it LangChain would run a sync handler in a thread, after the fact.
    run_inline = True

    def __init__(self, *, prices: PriceTable | None = None) -> None:
        """Observe calls.

        Args:
            prices: Model name to (input, output) usd per million tokens.
        """
        check_prices(prices)
        self.prices = prices
        """Model name to (input, output) usd per million tokens."""
        self._open: dict[UUID, Opened] = {}
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {key: value for key, value in vars(self).items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def observe(self, call: ModelCall) -> None:
        """Take note of a finished call. Called without any lock held."""
        raise NotImplementedError

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note when a chat model was asked, and for whom."""
        self._start(run_id, metadata, {**kwargs, _PROMPT: self._digest(messages)})

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note when a plain language model was asked, and for whom."""
        self._start(run_id, metadata, {**kwargs, _PROMPT: self._digest(prompts)})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Work out what the call used."""
        opened = self._close(run_id)
        if opened is not None:
            self.observe(_finished(run_id, opened, response, self.prices))

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note a failed call, which the provider may have answered all the same."""
        opened = self._close(run_id)
        if opened is not None:
            response = kwargs.get("response")
            self.observe(_failed(run_id, opened, error, response, self.prices))

    def _digest(self, prompts: list[list[BaseMessage]] | list[str]) -> str:
        """Return what tells a prompt from others, for who wants to know."""
        return ""

    def _start(
        self, run_id: UUID, metadata: dict[str, Any] | None, kwargs: dict[str, Any]
    ) -> None:
        metadata = metadata or {}
        asked = kwargs.get("invocation_params") or {}
        model = (
            asked.get("model")
            or asked.get("model_name")
            or metadata.get("ls_model_name")
        )
        with self._lock:
            prompts = int(kwargs.get("batch_size") or 1)
            self._open[run_id] = Opened(
                time.perf_counter(),
                model,
                metadata,
                prompts,
                str(kwargs.get("name") or ""),
                kwargs.get(_PROMPT, ""),
            )
            if len(self._open) > _MAX_OPEN:
                # Core never reports the end of a cancelled call: forget the oldest.
                self._open.pop(next(iter(self._open)))

    def _close(self, run_id: UUID) -> Opened | None:
        with self._lock:
            return self._open.pop(run_id, None)


class UsageProbe(CallObserver):
    """Sums up what the calls below one config used."""

    def __init__(
        self, *, prices: PriceTable | None = None, owner: str | None = None
    ) -> None:
        """Observe calls.

        Args:
            prices: Model name to (input, output) usd per million tokens; by default
                the table of the `track()` block around.
            owner: Count only the calls made on behalf of this pattern run, not those
                of patterns nested in it.
        """
        super().__init__(prices=prices or ambient_prices.get())
        self._owner = owner
        self._usage = NO_USAGE
        self._models: list[str] = []

    @property
    def usage(self) -> Usage:
        """The sum so far."""
        with self._lock:
            return self._usage

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that answered, in order."""
        with self._lock:
            return tuple(self._models)

    def observe(self, call: ModelCall) -> None:
        """Add one call to the sum."""
        if self._owner is not None and call.owner != self._owner:
            return
        with self._lock:
            self._usage += call.usage
            if call.model and call.usage.calls:
                self._models.append(call.model)


def _finished(
    run_id: UUID, opened: Opened, response: LLMResult, prices: PriceTable | None
) -> ModelCall:
    report = read_report(response)
    seconds = time.perf_counter() - opened.started
    nothing = Usage(seconds=seconds)
    is_share = opened.prompts > 1 and reports_with_another(response)
    used = nothing if is_share else report.usage(1, seconds)
    call = replace(
        _call(run_id, opened, report, nothing if report.cached else used),
        saved=used if report.cached else None,
        served=report.served,
    )
    return priced(call, prices)


def _call(run_id: UUID, opened: Opened, report: Report, used: Usage) -> ModelCall:
    """Say whose call it was, of which model."""
    return ModelCall(
        run_id=run_id,
        pattern=opened.metadata.get(PATTERN_KEY),
        owner=opened.metadata.get(RUN_KEY),
        model=report.model or opened.model,
        usage=used,
        around=opened.metadata.get(AROUND_KEY),
        name=opened.name,
        prompt=opened.prompt,
        at=time.time(),
    )


def _failed(
    run_id: UUID,
    opened: Opened,
    error: BaseException,
    response: LLMResult | None,
    prices: PriceTable | None,
) -> ModelCall:
    report = read_failed(response)
    broke_off = response is not None and has_begun(response)
    seconds = time.perf_counter() - opened.started
    if report.metered:
        used = report.usage(1, seconds)
    else:
        used = report.usage(0, seconds) if broke_off else Usage(seconds=seconds)
    call = _call(run_id, opened, report, used)
    return priced(replace(call, error=type(error).__name__), prices)
