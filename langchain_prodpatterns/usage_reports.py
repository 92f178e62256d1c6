"""What a provider's answer says of itself, wherever the integration puts it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    GenerationChunk,
    LLMResult,
)

from langchain_prodpatterns.usage import CACHE_KEY, Usage

_OK = 200


@dataclass(frozen=True, slots=True)
class Report:
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


def read_report(response: LLMResult) -> Report:
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


def _read_usage(usage: Mapping[str, Any], model: str | None) -> Report:
    """Read a message's usage; with `n` > 1 each choice carries the whole call's."""
    details = usage.get("input_token_details") or {}
    return Report(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(details.get("cache_read") or 0),
        cache_write_tokens=int(details.get("cache_creation") or 0),
        metered="input_tokens" in usage,
        model=model,
    )


def _read_totals(total: Any, model: str | None) -> Report:
    """Read usage in the words of OpenAI's API, as plain language models report it."""
    total = total if isinstance(total, Mapping) else {}
    return Report(
        input_tokens=int(total.get("prompt_tokens") or 0),
        output_tokens=int(total.get("completion_tokens") or 0),
        metered="prompt_tokens" in total,
        model=model,
    )


def has_begun(response: LLMResult) -> bool:
    """Whether a part of an answer came before the error."""
    return any(
        isinstance(generation, ChatGenerationChunk | GenerationChunk)
        for generations in response.generations
        for generation in generations
    )


def read_failed(response: LLMResult | None) -> Report:
    """Read what a provider reported of a call that then failed on the client's side."""
    if response is None:
        return Report()
    report = read_report(response)
    if report.metered:
        return report
    for message in _messages(response):
        # Core keeps the HTTP response that an error came with.
        body = message.response_metadata.get("body")
        answered = message.response_metadata.get("status_code") == _OK
        if answered and isinstance(body, Mapping) and body.get("usage"):
            return _read_body(body)
    return Report()


def _read_body(body: Mapping[str, Any]) -> Report:
    """Read a response of OpenAI's chat or responses API."""
    usage = body["usage"]
    return Report(
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


def reports_with_another(response: LLMResult) -> bool:
    """Whether its tokens are in the report of another prompt of the same request.

    Of a request with many prompts, core leaves the usage with the first.
    """
    return (response.llm_output or {}).get("token_usage") == {}
