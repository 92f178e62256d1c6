"""A chat model that answers by a script, in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    UsageMetadata,
    convert_to_openai_messages,
)
from langchain_core.messages import ToolCall as CoreToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputParser,
    PydanticOutputParser,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_tool,
)
from langchain_core.utils.json import parse_partial_json
from pydantic import BaseModel, ConfigDict, Field, SkipValidation, model_validator

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing.completion import (
    Choice,
    Completion,
    Delta,
    complete,
    deltas,
    interrupted,
)
from langchain_prodpatterns.testing.journal import CHAT_PATH, Journal, RequestRecord
from langchain_prodpatterns.testing.scripting import (
    Answer,
    Fault,
    Gate,
    Reply,
    Respond,
    Rule,
    Script,
    Scripted,
    ScriptedRequest,
    ScriptError,
)

_POLL_SECONDS = 0.001
_SERVER_ERROR = 500
_OK = 200
_STATUS_ERRORS: Mapping[int, type[ModelError]] = {
    401: ModelAuthenticationError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    408: ModelTimeoutError,
    429: ModelRateLimitError,
}
_PARAMETERS = ("temperature", "max_tokens", "n")

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]
"""How structured output is asked for."""


class ScriptedChatModel(BaseChatModel):
    """A chat model for unit tests, driven by the rules of `ScriptedProvider`.

    ```python
    from langchain_prodpatterns.testing import Rule, ScriptedChatModel

    model = ScriptedChatModel(replies=["first", "second"])
    model = ScriptedChatModel(rules=[Rule("refund", "Within 14 days.")])
    model = ScriptedChatModel(respond=lambda request: request.user_text.upper())
    ```

    It is natively async, streams in several chunks with the usage on the last, calls
    tools, gives structured output by all three methods, and reports usage, model name
    and finish reason on every message. As with `ChatOpenAI`, each of `n` generations
    carries the usage of the whole call.

    A `Fault` raises the error of `langchain_core.exceptions` that providers raise for
    the same condition, so `is_retryable` is right. What a function of the script raises
    passes through. `requests`, `calls` and tokens are counted as by `ScriptedProvider`.

    Copies made by `bind`, `with_config`, `model_copy` and `configurable_fields` share
    the records and go on in the same script; a pickled or deep copy has its own.
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

    rules: SkipValidation[Sequence[Rule]] = Field(default=(), repr=False)
    """Rules, of which the first that fits answers."""
    replies: SkipValidation[Sequence[Scripted] | None] = Field(default=None, repr=False)
    """Answers to successive requests that no rule answered; then the script has run
    out, which is an error."""
    respond: SkipValidation[Respond | None] = Field(default=None, repr=False)
    """A function that answers those requests instead."""
    default: SkipValidation[Scripted | None] = Field(default=None, repr=False)
    """The answer where neither a rule nor `respond` has one."""
    cycle: bool = False
    """Start `replies` again when they have run out."""
    model_name: str = Field(default="scripted", alias="model")
    """The name that rules, messages and traces see."""
    temperature: float | None = None
    """Sent with every request, for rules and records to see."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens at which an answer is cut off, with the finish reason `length`."""
    n: int = Field(default=1, ge=1)
    """How many generations to give; streaming gives one."""
    stop: list[str] | None = None
    """Texts before which an answer ends, unless the call has its own."""
    streaming: bool = False
    """Whether `invoke` streams from the model, too."""
    journal: SkipValidation[Journal] = Field(
        default_factory=Journal, exclude=True, repr=False
    )
    """Where the records are kept; models that are given the same one share it."""

    @model_validator(mode="after")
    def _check_script(self) -> Self:
        self._script()
        return self

    def _script(self) -> Script:
        return Script.build(
            self.rules,
            replies=self.replies,
            respond=self.respond,
            default=self.default,
            cycle=self.cycle,
        )

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request, in the order of arrival."""
        return self.journal.records()

    @property
    def calls(self) -> int:
        """Requests that were answered completely."""
        return self.journal.count("answered")

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompts of those calls."""
        return self.journal.tokens(CHAT_PATH)[0]

    @property
    def output_tokens(self) -> int:
        """Tokens of the answers to those calls."""
        return self.journal.tokens(CHAT_PATH)[1]

    @property
    def faults(self) -> int:
        """Requests that a scripted `Fault` ended."""
        return self.journal.count("fault")

    def reset(self) -> None:
        """Forget every request, and begin the script and its numbers anew."""
        self.journal.reset()

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._parameters(), "stop": self.stop}

    def _parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARAMETERS}

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        total: dict[str, int] = {}
        for output in filter(None, llm_outputs):
            for name, count in output["token_usage"].items():
                total[name] = total.get(name, 0) + count
        return {"token_usage": total, "model_name": self.model_name}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._turn(messages, stop, kwargs) as turn:
            answer = turn.answer()
            _wait(answer.latency, answer.wait_for)
            return turn.result(answer)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._turn(messages, stop, kwargs) as turn:
            answer = turn.answer()
            await _await(answer.latency, answer.wait_for)
            return turn.result(answer)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._turn(messages, stop, kwargs, streamed=True) as turn:
            answer = turn.answer()
            time.sleep(answer.latency)
            for gate, chunk in turn.chunks(answer):
                _wait(0, gate)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._turn(messages, stop, kwargs, streamed=True) as turn:
            answer = turn.answer()
            await asyncio.sleep(answer.latency)
            for gate, chunk in turn.chunks(answer):
                await _await(0, gate)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
