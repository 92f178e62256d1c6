"""A guard's half of the LCEL contract that core has no default for: streams."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import chain as chained
from typing import Any, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor

from langchain_prodpatterns.errors import GuardBlocked
from langchain_prodpatterns.guard.carriers import Guarded, length, unsupported
from langchain_prodpatterns.guard.conclusion import conclude, facts
from langchain_prodpatterns.guard.message_streaming import MessageStream, add_up
from langchain_prodpatterns.guard.scanning import Record
from langchain_prodpatterns.guard.streaming import TextStream
from langchain_prodpatterns.runnable import (
    PatternRun,
    PatternRunnable,
    pattern_config,
)

HIDDEN = "[hidden by the guard]"
"""What traces show as a guard's input."""

T = TypeVar("T")

_END: Any = object()
_LARGE = 2_000
"""Characters above which a coroutine looks in a thread: they take half a millisecond
where they are prose, and up to some thirty where they are nothing but digits."""


class StreamingGuard(PatternRunnable[Guarded, Any]):
    """Guards streams as they come, and keeps what comes in out of traces.

    What comes out has the type of what went in, as `invoke` tells; a pipe is not to ask
    that the next step takes everything that can be guarded.
    """

    @abstractmethod
    def _stream_for(
        self, first: Any, run: PatternRun
    ) -> tuple[TextStream | MessageStream | None, Record]:
        """Return what guards a stream that begins so, and where it puts things down.

        That is `None` where it must wait for all of it.
        """

    @abstractmethod
    def _objection(self, record: Record) -> GuardBlocked | None:
        """Say what of the findings so far blocks the text."""

    def _shown(self, value: Guarded) -> str:
        return HIDDEN

    def transform(
        self,
        input: Iterator[Guarded],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Guard a stream as it comes.

        Args:
            input: The chunks.
            config: The config of the run.
            **kwargs: Not used.

        Yields:
            What is decided. The sum of it is what `invoke` gives for the sum of the
            chunks.
        """
        # What comes in is never handed to the run, which would put it into traces.
        source = iter(input)
        try:
            first = next(source, _END)
            if first is not _END:
                yield from self._transform_stream_with_config(
                    iter([HIDDEN]),
                    partial(self._stream, chained([first], source)),
                    pattern_config(self.pattern, config),
                )
        finally:
            # So that what is blocked is not paid for to its end.
            if hasattr(source, "close"):
                source.close()

    def _stream(
        self,
        source: Iterator[Any],
        _hidden: Iterator[Any],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> Iterator[Any]:
        run = PatternRun(self.pattern, run_manager, config)
        first = next(source)
        stream, record = self._stream_for(first, run)
        if stream is None:
            yield self._run(add_up([first, *source]), run)
            return
        opened = told = False
        try:
            for chunk in chained([first], source, [_END]):
                out = _advance(stream, chunk, first)
                blocked, done = self._objection(record), chunk is _END
                if blocked is not None or done:
                    told = True
                    run.decide(*conclude(record, blocked), **facts(record, blocked))
                if blocked is not None:
                    raise blocked
                if out or (done and not opened):
                    opened = True
                    yield out
        finally:
            if record.findings and not told:
                run.decide(*_cut_off(record), **facts(record))

    async def atransform(
        self,
        input: AsyncIterator[Guarded],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Guard a stream as it comes, natively async.

        Args:
            input: The chunks.
            config: The config of the run.
            **kwargs: Not used.

        Yields:
            What is decided.
        """
        source = aiter(input)
        try:
            first = await anext(source, _END)
            if first is not _END:
                stream = self._atransform_stream_with_config(
                    _once(HIDDEN),
                    partial(self._astream, first, source),
                    pattern_config(self.pattern, config),
                )
                # Put down when nobody listens any more, not when garbage is collected.
                async with aclosing(cast("AsyncGenerator[Guarded]", stream)) as outs:
                    async for out in outs:
                        yield out
        finally:
            if hasattr(source, "aclose"):
                await source.aclose()

    async def _astream(
        self,
        first: Any,
        source: AsyncIterator[Any],
        _hidden: AsyncIterator[Any],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> AsyncIterator[Any]:
        run = PatternRun(self.pattern, run_manager, config)
        stream, record = self._stream_for(first, run)
        if stream is None:
            rest = [chunk async for chunk in source]
            yield await self._arun(add_up([first, *rest]), run)
            return
        opened = told = False
        try:
            async for chunk in _achained(first, source, _END):
                size = stream.held + (0 if chunk is _END else length(chunk))
                out = await off_the_loop(size, _advance, stream, chunk, first)
                blocked, done = self._objection(record), chunk is _END
                if blocked is not None or done:
                    told = True
                    await run.adecide(
                        *conclude(record, blocked), **facts(record, blocked)
                    )
                if blocked is not None:
                    raise blocked
                if out or (done and not opened):
                    opened = True
                    yield out
        finally:
            if record.findings and not told:
                await run.adecide(*_cut_off(record), **facts(record))


async def off_the_loop(size: int, func: Callable[..., T], *args: Any) -> T:
    """Look at a text without holding up the event loop.

    Args:
        size: How long the text is, in characters.
        func: What looks at it.
        *args: Its arguments.

    Returns:
        What it returns.
    """
    if size <= _LARGE:
        return func(*args)
    return await run_in_executor(None, func, *args)


def _cut_off(record: Record) -> tuple[str, str]:
    """Name what was done in a stream that nobody read to its end, or that failed."""
    decision, reason = conclude(record, None)
    return decision, f"{reason}; cut off"


def _advance(stream: TextStream | MessageStream, chunk: Any, first: Any) -> Any:
    """Take the next chunk, or the end, and return what is decided."""
    return stream.finish() if chunk is _END else stream.feed(_same(chunk, first))


def _same(chunk: Any, first: Any) -> Any:
    """Refuse a stream that changes its type on the way."""
    if isinstance(chunk, str) != isinstance(first, str):
        raise TypeError(unsupported(chunk))
    return chunk


async def _once(value: Any) -> AsyncIterator[Any]:
    yield value


async def _achained(
    first: Any, source: AsyncIterator[Any], last: Any
) -> AsyncIterator[Any]:
    yield first
    async for chunk in source:
        yield chunk
    yield last
