"""A model and embeddings that notice how they are called."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SecretStr, SkipValidation

from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

TURNS = 50
"""Turns of the event loop in which a call that is let in too early shows up."""


class Notes:
    """What was noticed; shared by every copy of a double but a pickled one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.kinds: list[str] = []
        self.active = 0
        self.most_active = 0
        self.meeting: threading.Barrier | None = None
        self.async_meeting: asyncio.Barrier | None = None
        self.error: BaseException | None = None
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()

    def __reduce__(self) -> tuple[type["Notes"], tuple[()]]:
        return Notes, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Notes":
        return self

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Note one call, and how many were under way."""
        with self._lock:
            self.kinds.append(kind)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        try:
            if self.error is not None:
                raise self.error
            yield
        finally:
            with self._lock:
                self.active -= 1

    async def wait(self) -> None:
        """Wait for what the test holds the async calls up with."""
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        if self.async_meeting is not None:
            async with asyncio.timeout(30):
                await self.async_meeting.wait()
            # Whoever else may come, comes while these two are still under way.
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def sync_call(self) -> str:
        """Name a sync call, which must not be made on an event loop's thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "sync"
        return "sync on the event loop"


class StrictModel(ScriptedChatModel):
    """A scripted model that notices whether it is called sync or async."""

    notes: SkipValidation[Notes] = Field(default_factory=Notes, exclude=True)
    api_key: SecretStr | None = None

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self.notes.call(self.notes.sync_call()):
            if self.notes.meeting is not None:
                self.notes.meeting.wait(timeout=30)
            return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self.notes.call("async"):
            await self.notes.wait()
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self.notes.call(self.notes.sync_call()):
            yield from super()._stream(messages, stop, run_manager, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self.notes.call("async"):
            await self.notes.wait()
            chunks = super()._astream(messages, stop, run_manager, **kwargs)
            async for chunk in chunks:
                yield chunk


class StrictEmbeddings(LexicalEmbeddings):
    """Lexical embeddings that refuse a sync call on an event loop's thread."""

    def embed_query(self, text: str) -> list[float]:
        _off_the_loop()
        return super().embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        _off_the_loop()
        return super().embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return await asyncio.to_thread(super().embed_query, text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(super().embed_documents, texts)


def _off_the_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    msg = "embeddings called sync on the event loop"
    raise AssertionError(msg)
