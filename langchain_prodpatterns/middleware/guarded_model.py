"""A chat model of which nothing comes out unguarded, token by token either."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field, SkipValidation

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.models import model_name

# What callers see of a model from outside, and what decides how it is called.
_KEPT = frozenset(
    [
        "tags", "metadata", "callbacks", "verbose", "name", "rate_limiter",
        "disable_streaming", "output_version", "custom_get_token_ids", "streaming",
    ]
)  # fmt: skip


GUARDED_KEY = "prodpatterns.guarded"
"""In `response_metadata`: what comes out of a guarded model says so."""
# Once in a stream: chunks are summed up.
_MARK: Mapping[str, bool] = {GUARDED_KEY: True}


class GuardedChatModel(BaseChatModel):
    """Calls a chat model, and lets only what a guard lets through be heard of.

    The model is called underneath its callbacks: this one has the run, so whoever
    listens to tokens, ends of runs or traces hears guarded text only, and the call is
    counted once. Its cache is left out, since what is in there is not guarded.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: SkipValidation[BaseChatModel]
    """What answers."""
    guard: SkipValidation[GuardRunnable]
    """What looks at the answer: a guard with `direction="output"`."""
    around: SkipValidation[RunnableConfig] = Field(repr=False, exclude=True)
    """The config of the guard's runs."""
    streaming: bool = False
    """Whether `invoke` streams from the model, too."""

    @classmethod
    def of(cls, model: Any, guard: GuardRunnable, config: RunnableConfig) -> Self:
        """Put a guard around a model.

        Args:
            model: The chat model.
            guard: What looks at its answers.
            config: The config of the guard's runs.

        Returns:
            The guarded model.

        Raises:
            ConfigurationError: When it is no chat model: its tokens are not reached.
        """
        if not isinstance(model, BaseChatModel):
            kind = type(model).__name__
            msg = (
                f"only what a chat model says can be guarded as it streams, got {kind}"
            )
            raise ConfigurationError(msg)
        set_here = model.model_fields_set & _KEPT
        kept = {field: getattr(model, field) for field in set_here}
        kept["profile"] = model.profile
        if not _streams(model):
            kept["disable_streaming"] = True
        return cls(inner=model, guard=guard, around=config, cache=False, **kept)

    @property
    def model_name(self) -> str:
        """The name of the model, where it has one."""
        return model_name(self.inner) or ""

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type  # noqa: SLF001 - it stands in for that model

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return dict(self.inner._identifying_params)  # noqa: SLF001 - the same

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001 - the same

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as the model does, and guard what it says with them.

        Args:
            tools: The tools.
            tool_choice: As for the model.
            **kwargs: As for the model.

        Returns:
            The model with tools.

        Raises:
            ConfigurationError: When the model makes something else than a binding.
        """
        bound = self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs)
        if not isinstance(bound, RunnableBinding):
            return cast(
                "Runnable[LanguageModelInput, AIMessage]",
                self.of(bound, self.guard, self.around),
            )
        guarded = self.of(bound.bound, self.guard, self.around)
        return RunnableBinding(bound=guarded, kwargs=bound.kwargs, config=bound.config)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = self.inner._generate(messages, stop=stop, **kwargs)  # noqa: SLF001
        said = [_whole(generation) for generation in result.generations]
        return _as_result(
            [self.guard.invoke(each, self.around) for each in said], result
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = await self.inner._agenerate(  # noqa: SLF001
            messages, stop=stop, **kwargs
        )
        said = [_whole(generation) for generation in result.generations]
        return _as_result(
            [await self.guard.ainvoke(each, self.around) for each in said], result
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        said = map(_whole, self.inner._stream(messages, stop=stop, **kwargs))  # noqa: SLF001
        mark = _MARK
        for chunk in self.guard.transform(said, self.around):
            yield ChatGenerationChunk(message=_marked(chunk, mark))
            mark = {}

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self.inner._astream(messages, stop=stop, **kwargs)  # noqa: SLF001

        async def said() -> AsyncIterator[Any]:
            async for chunk in chunks:
                yield _whole(chunk)

        guarded: Any = self.guard.atransform(said(), self.around)
        mark = _MARK
        async with aclosing(guarded):
            async for chunk in guarded:
                yield ChatGenerationChunk(message=_marked(chunk, mark))
                mark = {}


def _streams(model: BaseChatModel) -> bool:
    kind = type(model)
    # The very functions that core compares.
    own_sync = kind._stream is not BaseChatModel._stream  # noqa: SLF001
    own_async = kind._astream is not BaseChatModel._astream  # noqa: SLF001
    return own_sync or own_async


def _whole(generation: ChatGeneration | ChatGenerationChunk) -> Any:
    """Put what a provider says beside a message, log probabilities too, into it."""
    message = generation.message
    beside = {**(generation.generation_info or {}), **message.response_metadata}
    return message.model_copy(update={"response_metadata": beside})


def _marked(message: Any, mark: Mapping[str, bool] = _MARK) -> Any:
    metadata = {**message.response_metadata, **mark}
    return message.model_copy(update={"response_metadata": metadata})


def _as_result(messages: Sequence[Any], result: ChatResult) -> ChatResult:
    return ChatResult(
        generations=[ChatGeneration(message=_marked(message)) for message in messages],
        llm_output=result.llm_output,
    )
