"""The judge of what goes in beside the chain: nothing is released before its verdict.

What the patterns find is replaced first, which takes no model; then the judge and the
chain run at the same time. Where the judge blocks, the chain is cancelled, and nobody
has seen a token of it. A thread cannot be cancelled: a sync chain that does not stream
runs to its end, and its answer is dropped.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableSerializable,
)
from langchain_core.runnables.config import ContextThreadPoolExecutor, patch_config
from pydantic import ConfigDict

from langchain_prodpatterns.guard.message_streaming import add_up

_END: Any = object()
RunManager = CallbackManagerForChainRun | AsyncCallbackManagerForChainRun


class RacingGuard(RunnableSerializable[Any, Any]):
    """A guard, and a chain that begins before the guard's judge has spoken."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    guard: Runnable[Any, Any]
    """The guard of what goes in."""
    rest: Runnable[Any, Any]
    """The chain, with the guard of what comes out."""

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What the guard takes."""
        return self.guard.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What the chain gives."""
        return self.rest.OutputType

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Guard the input while the chain is at work.

        Args:
            input: The input of the guard.
            config: The config of the run.
            **kwargs: For the chain.

        Returns:
            What the chain gives.

        Raises:
            GuardBlocked: When the guard blocks, whatever the chain gave.
        """
        return self._call_with_config(self._race, input, config, **kwargs)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Guard the input while the chain is at work, natively async."""
        return await self._acall_with_config(self._arace, input, config, **kwargs)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream what the chain gives, from the verdict on."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream what the chain gives, from the verdict on, natively async."""

        async def once() -> AsyncIterator[Any]:
            yield input

        async for chunk in self.atransform(once(), config, **kwargs):
            yield chunk

    def transform(
        self,
        input: Iterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream what the chain gives for the sum of the chunks."""
        yield from self._transform_stream_with_config(
            input, self._race_stream, config, **kwargs
        )

    async def atransform(
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Stream what the chain gives for the sum of the chunks, natively async."""
        async for chunk in self._atransform_stream_with_config(
            input, self._arace_stream, config, **kwargs
        ):
            yield chunk

    def _race(
        self,
        value: Any,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Any:
        executor, begun = ContextThreadPoolExecutor(1), list[Future[Any]]()

        def work(guarded: Any) -> Any:
            return self.rest.invoke(guarded, _child(config, run_manager), **kwargs)

        try:
            guarded = self.guard.invoke(
                value,
                _child(config, run_manager),
                scanned=lambda ready: begun.append(executor.submit(work, ready)),
            )
            return begun[0].result() if begun else work(guarded)
        finally:
            # Who was blocked, or interrupted, does not wait for what is running.
            executor.shutdown(wait=False, cancel_futures=True)

    def _race_stream(
        self,
        input: Iterator[Any],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        given = list(input)
        if not given:
            return
        chunks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        executor, stopped, begun = ContextThreadPoolExecutor(1), threading.Event(), []

        def pump(guarded: Any) -> None:
            stream = self.rest.stream(guarded, _child(config, run_manager), **kwargs)
            try:
                for chunk in stream:
                    if stopped.is_set():
                        return
                    chunks.put(chunk)
            finally:
                chunks.put(_END)

        def begin(guarded: Any) -> None:
            begun.append(executor.submit(pump, guarded))

        try:
            child = _child(config, run_manager)
            guarded = self.guard.invoke(add_up(given), child, scanned=begin)
            if not begun:
                begin(guarded)
            while (chunk := chunks.get()) is not _END:
                yield chunk
            begun[0].result()
        finally:
            stopped.set()
            executor.shutdown(wait=False, cancel_futures=True)

    async def _arace(
        self,
        value: Any,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Any:
        async def work(guarded: Any) -> Any:
            return await self.rest.ainvoke(
                guarded, _child(config, run_manager), **kwargs
            )

        race = _Race(work)
        try:
            await race.guard(self.guard, value, _child(config, run_manager))
            return await race.result()
        finally:
            await race.end()

    async def _arace_stream(
        self,
        input: AsyncIterator[Any],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        given = [chunk async for chunk in input]
        if not given:
            return
        chunks: asyncio.Queue[Any] = asyncio.Queue()

        async def pump(guarded: Any) -> None:
            try:
                child = _child(config, run_manager)
                async for chunk in self.rest.astream(guarded, child, **kwargs):
                    chunks.put_nowait(chunk)
            finally:
                chunks.put_nowait(_END)

        race = _Race(pump)
        try:
            child = _child(config, run_manager)
            await race.guard(self.guard, add_up(given), child)
            while (chunk := await chunks.get()) is not _END:
                yield chunk
            await race.result()
        finally:
            await race.end()


class _Race:
    """One chain that begins when the guard has looked, as a task."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._task: asyncio.Task[Any] | None = None

    async def guard(
        self, guard: Runnable[Any, Any], value: Any, config: RunnableConfig
    ) -> None:
        """Guard the value; begin the work as soon as it has been looked at."""
        guarded = await guard.ainvoke(value, config, scanned=self._begin)
        if self._task is None:
            self._begin(guarded)

    def _begin(self, guarded: Any) -> None:
        self._task = asyncio.ensure_future(self._work(guarded))

    async def result(self) -> Any:
        """Wait for what the work gives."""
        if self._task is not None:
            return await self._task
        return None

    async def end(self) -> None:
        """Cancel the work if it still goes on, and wait until it has stopped."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)


def _child(config: RunnableConfig, run_manager: RunManager) -> RunnableConfig:
    return patch_config(config, callbacks=run_manager.get_child())
