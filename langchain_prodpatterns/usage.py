"""What model calls used, seen from LangChain's callbacks.

`CallObserver` turns callback events into one `ModelCall` a call. The ledger and the
budget are built on it, so that they cannot disagree.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    GenerationChunk,
    LLMResult,
)

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

PROMPT = "prodpatterns.prompt"
"""The name under which observers hand on the digest of a prompt."""

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
    """Calls whose provider sent no usage, or that broke off in the middle of an answer:
    their tokens are in no sum."""
    cache_read_tokens: int = 0
    """Of the tokens of the prompts: those that the provider had in its own cache."""
    cache_write_tokens: int = 0
    """Of the tokens of the prompts: those that the provider wrote to its own cache."""

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
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
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
    name: str = ""
    """The name of the model's run, such as `cache:judge`."""
    prompt: str = ""
    """A keyed digest of what was asked: equal ones are the same prompt, and no text can
    be found by it. Empty where nobody wanted to know."""
    at: float = 0.0
    """When it ended, in seconds since the epoch."""


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
        self._start(run_id, metadata, {**kwargs, PROMPT: self._digest(messages)})

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
        self._start(run_id, metadata, {**kwargs, PROMPT: self._digest(prompts)})

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
                kwargs.get(PROMPT, ""),
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


@dataclass(frozen=True, slots=True)
class _Report:
    """What a provider's answer says of itself."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    metered: bool = False
    model: str | None = None
    cached: bool = False
    served: dict[str, Any] | None = None

    def usage(self, calls: int, seconds: float) -> Usage:
        """Return it as usage of so many calls, without a price."""
        return Usage(
            calls=calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usd=0.0 if self.metered else None,
            seconds=seconds,
            unmetered_calls=0 if self.metered else 1,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )


def _finished(
    run_id: UUID, opened: Opened, response: LLMResult, prices: PriceTable | None
) -> ModelCall:
    report = _read(response)
    seconds = time.perf_counter() - opened.started
    nothing = Usage(seconds=seconds)
    is_share = opened.prompts > 1 and _reports_with_another(response)
    used = nothing if is_share else report.usage(1, seconds)
    call = replace(
        _call(run_id, opened, report, nothing if report.cached else used),
        saved=used if report.cached else None,
        served=report.served,
    )
    return priced(call, prices)


def _call(run_id: UUID, opened: Opened, report: _Report, used: Usage) -> ModelCall:
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


def _reports_with_another(response: LLMResult) -> bool:
    """Whether its tokens are in the report of another prompt of the same request.

    Of a request with many prompts, core leaves the usage with the first.
    """
    return (response.llm_output or {}).get("token_usage") == {}


def _failed(
    run_id: UUID,
    opened: Opened,
    error: BaseException,
    response: LLMResult | None,
    prices: PriceTable | None,
) -> ModelCall:
    report = _read_failed(response)
    broke_off = response is not None and _has_begun(response)
    seconds = time.perf_counter() - opened.started
    if report.metered:
        used = report.usage(1, seconds)
    else:
        used = report.usage(0, seconds) if broke_off else Usage(seconds=seconds)
    call = _call(run_id, opened, report, used)
    return priced(replace(call, error=type(error).__name__), prices)


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
        usd = price_of(
            call.model,
            used.input_tokens,
            used.output_tokens,
            prices,
            cache_read_tokens=used.cache_read_tokens,
            cache_write_tokens=used.cache_write_tokens,
        )
        return replace(used, usd=usd)

    saved = None if call.saved is None else price(call.saved)
    return replace(call, usage=price(call.usage), saved=saved)


def _read(response: LLMResult) -> _Report:
    """Read usage and model name from wherever the integration puts them."""
    output = response.llm_output or {}
    total = output.get("token_usage")
    message = _first_message(response)
    if message is None:
        return _read_totals(total, output.get("model_name"))
    metadata = message.response_metadata
    model = metadata.get("model_name") or output.get("model_name")
    usage: dict[str, Any] = dict(message.usage_metadata or {})
    if usage:
        report = _read_usage(usage, model)
    else:
        # An older integration.
        report = _read_totals(metadata.get("token_usage") or total, model)
    # That is how core marks what a cache answered.
    cached = usage.get("total_cost") == 0
    return replace(report, cached=cached, served=metadata.get(CACHE_KEY))


def _read_usage(usage: Mapping[str, Any], model: str | None) -> _Report:
    """Read a message's usage; with `n` > 1 each choice carries the whole call's."""
    details = usage.get("input_token_details") or {}
    return _Report(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(details.get("cache_read") or 0),
        cache_write_tokens=int(details.get("cache_creation") or 0),
        metered="input_tokens" in usage,
        model=model,
    )


def _read_totals(total: Any, model: str | None) -> _Report:
    """Read usage in the words of OpenAI's API, as plain language models report it."""
    total = total if isinstance(total, Mapping) else {}
    return _Report(
        input_tokens=int(total.get("prompt_tokens") or 0),
        output_tokens=int(total.get("completion_tokens") or 0),
        metered="prompt_tokens" in total,
        model=model,
    )


def _has_begun(response: LLMResult) -> bool:
    """Whether a part of an answer came before the error."""
    return any(
        isinstance(generation, ChatGenerationChunk | GenerationChunk)
        for generations in response.generations
        for generation in generations
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
