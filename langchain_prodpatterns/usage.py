"""What model calls used, seen from LangChain's callbacks.

`CallObserver` turns callback events into one `ModelCall` a call. The ledger and the
budget are built on it, so that they cannot disagree.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_prodpatterns.pricing import (
    PriceTable,
    ambient_prices,
    check_prices,
    price_of,
)

PATTERN_KEY = "prodpatterns.pattern"
"""Metadata key: the pattern on whose behalf a run happens."""

RUN_KEY = "prodpatterns.run"
"""Metadata key: the id of that pattern's own run."""

AROUND_KEY = "prodpatterns.around"
"""Metadata key: the id of the pattern run that waits for this run. It differs from
`RUN_KEY` below a runnable that a pattern only wraps."""

CACHE_KEY = "prodpatterns.cache"
"""`response_metadata` key of a message that `SemanticJudgeCache` served."""


_OK = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, tokens, money and time, that add up."""

    calls: int = 0
    """Calls that the provider answered."""
    input_tokens: int = 0
    """Tokens of the prompts."""
    output_tokens: int = 0
    """Tokens of the answers."""
    usd: float | None = 0.0
    """Money, or `None` when a part of it has no known price."""
    seconds: float = 0.0
    """Seconds spent waiting for models."""
    unmetered_calls: int = 0
    """Calls whose provider sent no usage: their tokens are in no sum."""

    @property
    def total_tokens(self) -> int:
        """Tokens of prompts and answers together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        known = self.usd is not None and other.usd is not None
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=(self.usd or 0.0) + (other.usd or 0.0) if known else None,
            seconds=self.seconds + other.seconds,
            unmetered_calls=self.unmetered_calls + other.unmetered_calls,
        )


NO_USAGE = Usage()
"""Nothing used: zero calls, zero tokens, zero usd."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One finished call of a language model."""

    run_id: UUID
    """The id of the model's run."""
    pattern: str | None
    """The pattern on whose behalf it was made."""
    owner: str | None
    """The id of that pattern's own run."""
    model: str | None
    """The name the provider answered with, else the name that was asked for."""
    usage: Usage
    """What it used. Of a cache hit: nothing."""
    saved: Usage | None = None
    """Of a cache hit: what the stored answer had used, as far as it is recorded."""
    served: dict[str, Any] | None = None
    """Of a hit in `SemanticJudgeCache`: what the cache said of it."""
    error: str | None = None
    """Of a failed call: the type of the error."""
    around: str | None = None
    """The id of the pattern run that waited for it, also where it is not the owner."""


_MAX_OPEN = 10_000
"""Calls under way that an observer keeps in mind."""


@dataclass(slots=True)
class _Open:
    """A call that has started and not yet ended."""

    started: float
    model: str | None
    metadata: dict[str, Any]


class CallObserver(BaseCallbackHandler):
    """A callback handler that sees each model call once, whichever way it is made.

    It counts calls the provider answered: a retry inside a chain is a call more, a
    failed request is none, a cache hit is none, `n` choices are one. A call that fails
    after the provider has reported its usage (an answer cut off at the token limit that
    the client then refuses to parse) was answered and paid for, and counts. Safe to use
    from many threads and event loops at once.
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
        self._open: dict[UUID, _Open] = {}
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
        self._start(run_id, metadata, kwargs)

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
        self._start(run_id, metadata, kwargs)

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
            report = _read_failed(kwargs.get("response"))
            self.observe(_failed(run_id, opened, error, report, self.prices))

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
            self._open[run_id] = _Open(time.perf_counter(), model, metadata)
            if len(self._open) > _MAX_OPEN:
                # Core never reports the end of a cancelled call: forget the oldest.
                self._open.pop(next(iter(self._open)))

    def _close(self, run_id: UUID) -> _Open | None:
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


@dataclass(frozen=True, slots=True)
class _Report:
    """What a provider's answer says of itself."""

    input_tokens: int = 0
    output_tokens: int = 0
    metered: bool = False
    model: str | None = None
    cached: bool = False
    served: dict[str, Any] | None = field(default=None)


def _finished(
    run_id: UUID, opened: _Open, response: LLMResult, prices: PriceTable | None
) -> ModelCall:
    report = _read(response)
    model = report.model or opened.model
    tokens = (report.input_tokens, report.output_tokens)
    usd = price_of(model, *tokens, prices) if report.metered else None
    used = Usage(
        calls=1,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        usd=usd,
        seconds=time.perf_counter() - opened.started,
        unmetered_calls=0 if report.metered else 1,
    )
    cached = report.cached
    return ModelCall(
        run_id=run_id,
        pattern=opened.metadata.get(PATTERN_KEY),
        owner=opened.metadata.get(RUN_KEY),
        model=model,
        usage=Usage(seconds=used.seconds) if cached else used,
        saved=used if cached else None,
        served=report.served,
        around=opened.metadata.get(AROUND_KEY),
    )


def _failed(
    run_id: UUID,
    opened: _Open,
    error: BaseException,
    report: _Report,
    prices: PriceTable | None,
) -> ModelCall:
    call = ModelCall(
        run_id=run_id,
        pattern=opened.metadata.get(PATTERN_KEY),
        owner=opened.metadata.get(RUN_KEY),
        model=report.model or opened.model,
        usage=Usage(
            calls=1 if report.metered else 0,
            input_tokens=report.input_tokens,
            output_tokens=report.output_tokens,
            seconds=time.perf_counter() - opened.started,
        ),
        error=type(error).__name__,
        around=opened.metadata.get(AROUND_KEY),
    )
    return priced(call, prices)


def priced(call: ModelCall, prices: PriceTable | None) -> ModelCall:
    """Return a call at the prices of another table.

    Args:
        call: The call.
        prices: Model name to (input, output) usd per million tokens.

    Returns:
        A copy in which only the money differs.
    """

    def price(used: Usage) -> Usage:
        if not used.calls or used.unmetered_calls:
            return used
        tokens = (used.input_tokens, used.output_tokens)
        return replace(used, usd=price_of(call.model, *tokens, prices))

    saved = None if call.saved is None else price(call.saved)
    return replace(call, usage=price(call.usage), saved=saved)


def _read(response: LLMResult) -> _Report:
    """Read usage and model name from wherever the integration puts them."""
    output = response.llm_output or {}
    total = output.get("token_usage") or {}
    message = _first_message(response)
    if message is None:
        return _Report(
            input_tokens=int(total.get("prompt_tokens") or 0),
            output_tokens=int(total.get("completion_tokens") or 0),
            metered="prompt_tokens" in total,
            model=output.get("model_name"),
        )
    usage: dict[str, Any] = dict(message.usage_metadata or {})
    return _Report(
        # With `n` > 1 every choice carries the usage of the whole call.
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        metered="input_tokens" in usage,
        model=message.response_metadata.get("model_name") or output.get("model_name"),
        # That is how core marks what a cache answered.
        cached=usage.get("total_cost") == 0,
        served=message.response_metadata.get(CACHE_KEY),
    )


def _read_failed(response: LLMResult | None) -> _Report:
    """Read what a provider reported of a call that then failed on the client's side."""
    if response is None:
        return _Report()
    report = _read(response)
    if report.metered:
        return report
    for message in _messages(response):
        # Core keeps the HTTP response that an error came with.
        body = message.response_metadata.get("body")
        answered = message.response_metadata.get("status_code") == _OK
        if answered and isinstance(body, Mapping) and body.get("usage"):
            return _read_body(body)
    return _Report()


def _read_body(body: Mapping[str, Any]) -> _Report:
    """Read a response of OpenAI's chat or responses API."""
    usage = body["usage"]
    return _Report(
        input_tokens=int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0),
        output_tokens=int(
            usage.get("completion_tokens") or usage.get("output_tokens") or 0
        ),
        metered=True,
        model=body.get("model"),
    )


def _first_message(response: LLMResult) -> AIMessage | None:
    return next(_messages(response), None)


def _messages(response: LLMResult) -> Iterator[AIMessage]:
    for generations in response.generations:
        for generation in generations:
            if isinstance(generation, ChatGeneration) and isinstance(
                generation.message, AIMessage
            ):
                yield generation.message
