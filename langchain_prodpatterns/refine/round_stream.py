"""The half of the LCEL contract that core has no default for: rounds as they end."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import RunnableConfig

from langchain_prodpatterns.runnable import (
    PatternRun,
    PatternRunnable,
    pattern_config,
)


class RoundStream(PatternRunnable[Any, Any]):
    """Gives the best draft, or with `include_rounds` streams how it came about."""

    include_rounds: bool = False
    """Whether the output is a `RefineResult`, and a stream has its rounds."""

    @abstractmethod
    def _told(
        self, value: Any, run: PatternRun, kwargs: dict[str, Any]
    ) -> Iterator[Any]:
        """Yield the rounds as they end, and then the result, which is reported."""

    @abstractmethod
    def _atold(
        self, value: Any, run: PatternRun, kwargs: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Yield what `_told` does, natively async."""

    def _run(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        *_, result = self._told(value, run, kwargs)
        return result if self.include_rounds else result.best

    async def _arun(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        result: Any = None
        async for result in self._atold(value, run, kwargs):  # noqa: B007 - the last one counts
            pass
        return result if self.include_rounds else result.best

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Yield the answer, or with `include_rounds` the rounds and then the result.

        Args:
            input: The generator's input, or the draft.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Yields:
            The answer, or each round as it ends and then the result.
        """
        if self.include_rounds:
            yield from self.transform(iter([input]), config, **kwargs)
        else:
            yield self.invoke(input, config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Yield what `stream` does, natively async.

        Args:
            input: The generator's input, or the draft.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Yields:
            The answer, or each round as it ends and then the result.
        """
        if self.include_rounds:

            async def once() -> AsyncIterator[Any]:
                yield input

            async for each in self.atransform(once(), config, **kwargs):
                yield each
        else:
            yield await self.ainvoke(input, config, **kwargs)

    def transform(
        self,
        input: Iterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Yield what `stream` does for the sum of the chunks.

        Args:
            input: The chunks of the input.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Yields:
            The answer, or each round as it ends and then the result.
        """
        if not self.include_rounds:
            yield from super().transform(input, config, **kwargs)
            return
        yield from self._transform_stream_with_config(
            input, self._stream_rounds, pattern_config(self.pattern, config), **kwargs
        )

    async def atransform(
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Yield what `stream` does for the sum of the chunks, natively async.

        Args:
            input: The chunks of the input.
            config: The config of the run.
            **kwargs: As bound with `bind`.

        Yields:
            The answer, or each round as it ends and then the result.
        """
        if not self.include_rounds:
            async for each in super().atransform(input, config, **kwargs):
                yield each
            return
        async for each in self._atransform_stream_with_config(
            input, self._astream_rounds, pattern_config(self.pattern, config), **kwargs
        ):
            yield each

    def _stream_rounds(
        self,
        input: Iterator[Any],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        chunks = list(input)
        if not chunks:  # nothing came, so nothing goes on, as LangChain has it
            return
        run = PatternRun(self.pattern, run_manager, config)
        yield from self._told(_added(chunks), run, kwargs)

    async def _astream_rounds(
        self,
        input: AsyncIterator[Any],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        chunks = [chunk async for chunk in input]
        if not chunks:
            return
        run = PatternRun(self.pattern, run_manager, config)
        async for each in self._atold(_added(chunks), run, kwargs):
            yield each


def _added(chunks: list[Any]) -> Any:
    """Add chunks up as LangChain does: where they do not, the last one counts."""
    value = chunks[0]
    for chunk in chunks[1:]:
        try:
            value = value + chunk
        except TypeError:
            value = chunk
    return value
