"""A chat model that answers by a script, in this process."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, ClassVar, Literal, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    PydanticToolsParser,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import (
    convert_to_json_schema,
    convert_to_openai_tool,
)
from pydantic import BaseModel, ConfigDict, Field, SkipValidation, model_validator

from langchain_prodpatterns.arguments import refuse_unknown
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing.completion import count_prompt, token_ids
from langchain_prodpatterns.testing.journal import CHAT_PATH, Journal, RequestRecord
from langchain_prodpatterns.testing.scripting import (
    Respond,
    Rule,
    Script,
    Scripted,
    ScriptedRequest,
)
from langchain_prodpatterns.testing.turns import Turn, wait, wait_async

_PARAMETERS = ("temperature", "max_tokens", "n")
# Of the parameters that all chat models share, those that are about a network.
_WITHOUT_MEANING = ("api_key", "base_url", "max_retries", "timeout")

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

    `api_key`, `base_url`, `max_retries` and `timeout`, which chat models share, mean
    nothing here and are dropped; any other unknown argument is refused.

    Copies made by `bind`, `with_config`, `model_copy` and `configurable_fields` share
    the records and go on in the same script; a pickled or deep copy has its own.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        populate_by_name=True, arbitrary_types_allowed=True
    )

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

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, given: Any) -> Any:
        aliases = (field.alias for field in cls.model_fields.values())
        known = (*cls.model_fields, *filter(None, aliases), *_WITHOUT_MEANING)
        refuse_unknown(cls.__name__, given, *known)
        return given

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

    def get_token_ids(self, text: str) -> list[int]:
        """Tokenize a text as `count_tokens` does, and not by core's GPT-2.

        Args:
            text: Any text.
        """
        count = self.custom_get_token_ids or token_ids
        return count(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[Any] | None = None,
    ) -> int:
        """Count a prompt: what a request with it is booked with as `input_tokens`.

        Args:
            messages: The messages of the prompt.
            tools: Tools that are bound, in any form that LangChain converts.
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, tools)
        asked = tuple(convert_to_openai_messages(messages))
        params = {"tools": [convert_to_openai_tool(tool) for tool in tools or ()]}
        return count_prompt(ScriptedRequest(self.model_name, asked, params))

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._parameters(), "stop": self.stop}

    def _parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARAMETERS}

    def _combine_llm_outputs(
        self, llm_outputs: list[dict[str, Any] | None]
    ) -> dict[str, Any]:
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
            wait(answer.latency, answer.wait_for)
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
            await wait_async(answer.latency, answer.wait_for)
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
            wait(answer.latency, None)
            for gate, chunk in turn.chunks(answer):
                wait(0, gate)
                turn.settle(chunk)
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
            await wait_async(answer.latency, None)
            for gate, chunk in turn.chunks(answer):
                await wait_async(0, gate)
                turn.settle(chunk)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    @contextmanager
    def _turn(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        streamed: bool = False,
    ) -> Iterator[Turn]:
        """Open a record, and settle it as abandoned if nothing else came of it."""
        params: dict[str, Any] = self._parameters() | {"stop": stop or self.stop}
        params |= kwargs
        model = params.pop("model", self.model_name)
        params.pop("stream", None)
        if streamed or params["n"] == 1:
            params.pop("n")
        params = {name: value for name, value in params.items() if value is not None}
        asked = tuple(convert_to_openai_messages(messages))
        key, number = self.journal.open(
            CHAT_PATH, model=model, messages=asked, params=params, streamed=streamed
        )
        request = ScriptedRequest(model, asked, params, number, streamed)
        with self.journal.watch(key):
            yield Turn(self._script(), self.journal, key, request)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools in OpenAI's format, for rules and records to see.

        Args:
            tools: Tools in any form that LangChain converts.
            tool_choice: A tool's name; `"any"`, `"required"` or `True` to demand any
                tool; `"auto"` or `"none"`; or a choice in OpenAI's format.
            strict: What to say about strict schemas.
            kwargs: Further parameters to bind.
        """
        kwargs["tools"] = [
            convert_to_openai_tool(tool, strict=strict) for tool in tools
        ]
        if tool_choice:
            kwargs["tool_choice"] = _tool_choice(tool_choice)
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: StructuredMethod = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Ask for an object of a schema.

        Args:
            schema: A pydantic model, `TypedDict`, JSON Schema or OpenAI function.
            method: Ask by a forced tool, by a response format with the schema, or by
                JSON mode.
            include_raw: Give `raw`, `parsed` and `parsing_error` instead of raising.
            strict: What to say about strict schemas.
            kwargs: Further parameters to bind.
        """
        traced = {"kwargs": {"method": method}, "schema": schema}
        bound = {**kwargs, "ls_structured_output_format": traced}
        if method == "function_calling":
            llm = self.bind_tools([schema], tool_choice=True, strict=strict, **bound)
        else:
            response_format = _response_format(schema, method, strict=strict)
            llm = self.bind(response_format=response_format, **bound)
        parser = _parser(schema, method)
        return _with_raw(llm, parser) if include_raw else llm | parser


def _tool_choice(choice: str | dict[str, Any] | Literal[True]) -> str | dict[str, Any]:
    """Bring a choice of tools to OpenAI's format."""
    if choice is True or choice == "any":
        return "required"
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        return {"type": "function", "function": {"name": choice}}
    return choice


def _response_format(
    schema: dict[str, Any] | type, method: StructuredMethod, *, strict: bool | None
) -> dict[str, Any]:
    if method == "json_mode":
        return {"type": "json_object"}
    if method != "json_schema":
        msg = f"unknown method of structured output: {method!r}"
        raise ConfigurationError(msg)
    described = convert_to_json_schema(schema, strict=strict)
    named = {"name": described.get("title", "answer"), "schema": described}
    if strict is not None:
        named["strict"] = strict
    return {"type": "json_schema", "json_schema": named}


def _parser(
    schema: dict[str, Any] | type, method: StructuredMethod
) -> Runnable[AIMessage, Any]:
    """Choose what reads the answer: pydantic models are validated, all else is not."""
    calls_tool = method == "function_calling"
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        if calls_tool:
            return PydanticToolsParser(tools=[schema], first_tool_only=True)
        return PydanticOutputParser(pydantic_object=schema)
    if calls_tool:
        name = convert_to_openai_tool(schema)["function"]["name"]
        return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return JsonOutputParser()


def _with_raw(
    llm: Runnable[LanguageModelInput, AIMessage], parser: Runnable[AIMessage, Any]
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """Keep the raw message, and give a parser's error instead of raising it."""
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    guarded = parsed.with_fallbacks([failed], exception_key="parsing_error")
    return RunnableMap(raw=llm) | guarded
